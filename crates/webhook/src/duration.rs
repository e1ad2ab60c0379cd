//! Durations as proto3 JSON writes them (`90s`), and as Go prints them (`1m30s`).

/// A duration of seconds, `90s` or `0.500s`, as Go prints it; `None` if it is none.
pub(crate) fn go_text(json: &str) -> Option<String> {
    let seconds: f64 = json.strip_suffix('s')?.parse().ok()?;
    if seconds == 0.0 {
        return Some("0s".into());
    }
    let (sign, seconds) = if seconds < 0.0 { ("-", -seconds) } else { ("", seconds) };
    if seconds < 1.0 {
        return Some(format!("{sign}{}", below_a_second(seconds)));
    }
    let minutes = (seconds / 60.0).floor();
    let rest = ((seconds - minutes * 60.0) * 1e9).round() / 1e9;
    let hours = (minutes / 60.0).floor();
    Some(match (hours > 0.0, minutes > 0.0) {
        (true, _) => format!("{sign}{hours}h{}m{rest}s", minutes - hours * 60.0),
        (false, true) => format!("{sign}{minutes}m{rest}s"),
        (false, false) => format!("{sign}{rest}s"),
    })
}

fn below_a_second(seconds: f64) -> String {
    let nanos = (seconds * 1e9).round();
    match nanos {
        _ if nanos >= 1e6 => format!("{}ms", nanos / 1e6),
        _ if nanos >= 1e3 => format!("{}µs", nanos / 1e3),
        _ => format!("{nanos}ns"),
    }
}

#[cfg(test)]
mod tests {
    use super::go_text;

    #[test]
    fn as_go_prints_them() {
        for (json, go) in [
            ("45s", "45s"),
            ("90s", "1m30s"),
            ("3600s", "1h0m0s"),
            ("0.500s", "500ms"),
            ("1.500s", "1.5s"),
            ("0.0000015s", "1.5µs"),
            ("0s", "0s"),
        ] {
            assert_eq!(go_text(json).as_deref(), Some(go), "{json}");
        }
        assert_eq!(go_text("soon"), None);
    }
}
