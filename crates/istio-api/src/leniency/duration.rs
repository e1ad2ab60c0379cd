//! Durations as Go writes them.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer};
use serde::{Serialize, Serializer};

use super::message::{Lenient, rooted};
use super::scalar::read_text;

/// A span of time, possibly negative, in whole nanoseconds; at most about 292 years.
///
/// Read from Go's form (`1h30m`, `1.5s`, `-8ms`), written as proto3 JSON does (`5400s`, `-0.008s`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    nanos: i64,
}

impl Duration {
    /// A span of so many nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Duration { nanos }
    }

    /// A span of so many milliseconds.
    pub const fn from_millis(millis: i32) -> Self {
        Duration { nanos: millis as i64 * 1_000_000 }
    }

    /// The span in nanoseconds.
    pub const fn nanos(self) -> i64 {
        self.nanos
    }

    /// The span as the standard library has it, or nothing if it is negative.
    pub fn to_std(self) -> Option<std::time::Duration> {
        u64::try_from(self.nanos).ok().map(std::time::Duration::from_nanos)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.nanos.unsigned_abs() / NANOS, self.nanos.unsigned_abs() % NANOS);
        let sign = if self.nanos < 0 { "-" } else { "" };
        match nanos {
            0 => write!(f, "{sign}{seconds}s"),
            _ if nanos % 1_000_000 == 0 => write!(f, "{sign}{seconds}.{:03}s", nanos / 1_000_000),
            _ if nanos % 1_000 == 0 => write!(f, "{sign}{seconds}.{:06}s", nanos / 1_000),
            _ => write!(f, "{sign}{seconds}.{nanos:09}s"),
        }
    }
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError {
    text: String,
    cause: &'static str,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a duration: {}", self.text, self.cause)
    }
}

impl std::error::Error for DurationError {}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let fail = |cause| DurationError { text: text.to_owned(), cause };
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Ok(Duration::default());
        }
        let nanos = i128::from(sum_of_parts(rest).map_err(fail)?);
        let nanos = if negative { -nanos } else { nanos };
        i64::try_from(nanos).map(Duration::from_nanos).map_err(|_| fail(TOO_LONG))
    }
}

impl Lenient for Duration {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let Some(text) = read_text(deserializer, "a duration as text")? else { return Ok(None) };
        text.parse().map(Some).map_err(|error: DurationError| rooted(de::Error::custom(error)))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const NANOS: u64 = 1_000_000_000;
const TOO_LONG: &str = "it is longer than 292 years";
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS),
    ("m", 60 * NANOS),
    ("h", 3600 * NANOS),
];

/// Nanoseconds of `1h30m`: one or more numbers, each with its unit.
fn sum_of_parts(mut rest: &str) -> Result<u64, &'static str> {
    if rest.is_empty() {
        return Err("it is empty");
    }
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), split_digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err("a number is missing");
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let part = nanos(whole, fraction, unit_nanos(unit)?)?;
        sum = sum.checked_add(part).filter(|sum| *sum <= 1 << 63).ok_or(TOO_LONG)?;
        rest = after;
    }
    Ok(sum)
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit_nanos(unit: &str) -> Result<u64, &'static str> {
    if unit.is_empty() {
        return Err("a unit is missing");
    }
    let known = UNITS.iter().find(|known| known.0 == unit);
    known.map(|known| known.1).ok_or("a unit is not one of ns, us, ms, s, m, h")
}

/// Nanoseconds of one part; what is less than one is cut off.
fn nanos(whole: &str, fraction: &str, unit: u64) -> Result<u64, &'static str> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| TOO_LONG)? };
    let whole = whole.checked_mul(unit).filter(|nanos| *nanos <= 1 << 63).ok_or(TOO_LONG)?;
    Ok(whole + fraction_nanos(fraction, unit))
}

fn fraction_nanos(fraction: &str, unit: u64) -> u64 {
    // More digits than 18 change nothing that an hour in nanoseconds could show.
    let digits = fraction.get(..18).unwrap_or(fraction);
    let value = digits.bytes().fold(0_u128, |value, digit| value * 10 + u128::from(digit - b'0'));
    let scale = digits.bytes().fold(1_u128, |scale, _| scale * 10);
    u64::try_from(value * u128::from(unit) / scale).unwrap_or(0)
}
