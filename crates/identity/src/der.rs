//! DER, as far as certificates need it: elements written and taken apart.

/// `SEQUENCE`.
pub(crate) const SEQUENCE: u8 = 0x30;
/// `SET`.
pub(crate) const SET: u8 = 0x31;
/// `INTEGER`.
pub(crate) const INTEGER: u8 = 0x02;
/// `BIT STRING`; its first byte is the number of bits that are not used.
pub(crate) const BIT_STRING: u8 = 0x03;
/// `OCTET STRING`.
pub(crate) const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`.
pub(crate) const OID: u8 = 0x06;
/// `UTF8String`.
pub(crate) const UTF8: u8 = 0x0c;
/// `PrintableString`.
pub(crate) const PRINTABLE: u8 = 0x13;
/// `UTCTime`.
pub(crate) const UTC_TIME: u8 = 0x17;
/// `GeneralizedTime`.
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
/// `TRUE`.
pub(crate) const TRUE: &[u8] = &[0x01, 0x01, 0xff];

/// An element: tag, length and the parts of its content.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut element = Vec::with_capacity(length + 6);
    element.push(tag);
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => element.push(short),
        _ => {
            let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            element.push(0x80 | u8::try_from(bytes.len()).unwrap_or_default());
            element.extend(bytes);
        }
    }
    parts.iter().for_each(|part| element.extend_from_slice(part));
    element
}

/// A number that is not negative, from its bytes, the highest first.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    match bytes.get(start..).unwrap_or_default() {
        [] => element(INTEGER, &[&[0]]),
        digits @ [0x80..=0xff, ..] => element(INTEGER, &[&[0], digits]),
        digits => element(INTEGER, &[digits]),
    }
}

/// A moment in seconds since 1970, as RFC 5280 (4.1.2.5) writes it; what is past the year 9999 is its end.
pub(crate) fn time(seconds: i64) -> Vec<u8> {
    let at = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    let year: i32 = at.strftime("%Y").to_string().parse().unwrap_or(9999);
    let (tag, format) = if (1950..2050).contains(&year) {
        (UTC_TIME, "%y%m%d%H%M%SZ")
    } else {
        (GENERALIZED_TIME, "%Y%m%d%H%M%SZ")
    };
    element(tag, &[at.strftime(format).to_string().as_bytes()])
}

/// The first element: its tag, its content, and what follows it; `None` if it is not whole.
pub(crate) fn first(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_all_sizes_are_written_and_read() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let element = element(OCTET_STRING, &[&content]);
            assert_eq!(first(&element), Some((OCTET_STRING, &*content, &[][..])), "{length}");
            assert_eq!(first(&element[..element.len() - 1]), None);
        }
    }

    #[test]
    fn numbers_have_no_sign_and_no_zeros_in_front() {
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
    }

    #[test]
    fn times_change_their_form_in_2050() {
        assert_eq!(time(0), [&[UTC_TIME, 13][..], b"700101000000Z"].concat());
        assert_eq!(time(2_524_607_999), [&[UTC_TIME, 13][..], b"491231235959Z"].concat());
        assert_eq!(time(2_524_608_000), [&[GENERALIZED_TIME, 15][..], b"20500101000000Z"].concat());
        assert_eq!(time(i64::MAX)[1..5], [15, b'9', b'9', b'9']);
    }
}
