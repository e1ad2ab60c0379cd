//! Kubernetes quantities: `100m`, `1Gi`, `2e3`, and the one way of writing each.

/// The largest number of digits that is read; no resource is that large.
const DIGITS: usize = 30;

/// A quantity in the form in which the API keeps it: `1024Mi` is `1Gi`, `2000m` is `2`; `None` if it is none.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > DIGITS {
        return None;
    }
    let written = match binary(suffix) {
        Some(power) => in_binary(whole, fraction, power)?,
        None => in_decimal(whole, fraction, decimal(suffix)?, suffix.starts_with(['e', 'E']))?,
    };
    Some(if written == "0" { written } else { format!("{sign}{written}") })
}

/// Powers of 1024.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Powers of 1000, from 10⁻⁹.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

fn binary(suffix: &str) -> Option<u32> {
    let at = BINARY.iter().position(|known| *known == suffix).filter(|at| *at > 0)?;
    u32::try_from(at).ok()
}

/// The power of ten that a suffix stands for.
fn decimal(suffix: &str) -> Option<i32> {
    if let Some(at) = DECIMAL.iter().position(|known| *known == suffix) {
        return Some(i32::try_from(at).ok()? * 3 - 9);
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (exponent.abs() <= 30).then_some(exponent)
}

fn in_binary(whole: &str, fraction: &str, power: u32) -> Option<String> {
    let factor = 1024u128.checked_pow(power)?;
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let digits: u128 = format!("0{whole}{fraction}").parse().ok()?;
    let scaled = digits.checked_mul(factor)?;
    if scaled % scale != 0 {
        // A part of a byte is written in thousandths.
        return in_decimal(&(scaled.checked_mul(1000)? / scale).to_string(), "", -3, false);
    }
    let mut bytes = scaled / scale;
    if bytes == 0 {
        return Some("0".into());
    }
    let mut at = 0;
    while bytes.is_multiple_of(1024) && at + 1 < BINARY.len() {
        bytes /= 1024;
        at += 1;
    }
    Some(format!("{bytes}{}", BINARY.get(at)?))
}

/// Digits times a power of ten; written with a suffix, or with an exponent if it came with one.
fn in_decimal(whole: &str, fraction: &str, power: i32, exponent: bool) -> Option<String> {
    let mut digits: u128 = format!("0{whole}{fraction}").parse().ok()?;
    let mut power = power.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    if digits == 0 {
        return Some("0".into());
    }
    // Nothing is smaller than a billionth: it counts as one.
    while power < -9 {
        digits = digits.div_ceil(10);
        power += 1;
    }
    while digits.is_multiple_of(10) {
        digits /= 10;
        power += 1;
    }
    let excess = power.rem_euclid(3);
    digits = digits.checked_mul(10u128.checked_pow(u32::try_from(excess).ok()?)?)?;
    power -= excess;
    if exponent && power != 0 {
        return Some(format!("{digits}e{power}"));
    }
    match usize::try_from((power + 9) / 3).ok().and_then(|at| DECIMAL.get(at)) {
        Some(suffix) => Some(format!("{digits}{suffix}")),
        None => Some(format!("{digits}e{power}")),
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn there_is_one_way_to_write_each() {
        for (given, expected) in [
            ("2000m", "2"),
            ("100m", "100m"),
            ("1024Mi", "1Gi"),
            ("128Mi", "128Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5", "500m"),
            ("2", "2"),
            ("1000", "1k"),
            ("0", "0"),
            ("1e3", "1e3"),
            ("1500000", "1500k"),
            ("-1", "-1"),
            ("0.1Ki", "102400m"),
            ("+1", "1"),
            (".5", "500m"),
        ] {
            assert_eq!(canonical(given).as_deref(), Some(expected), "{given}");
        }
        for none in ["", "x", "1x", "1.2.3", "1 ", "100m\"", "-", "m", "1e", "1e99"] {
            assert_eq!(canonical(none), None, "{none}");
        }
    }
}
