//! Reading single values: numbers, text, truth values, bytes, enumerations.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::message::{Lenient, rooted};

/// The values of an enumeration with their published names and numbers.
pub trait Enumeration: Copy + PartialEq + 'static {
    /// Every value, its name and its number.
    const VALUES: &'static [(Self, &'static str, i32)];

    /// The published name.
    fn name(self) -> &'static str {
        Self::VALUES.iter().find(|value| value.0 == self).map_or("", |value| value.1)
    }

    /// The published number.
    fn number(self) -> i32 {
        Self::VALUES.iter().find(|value| value.0 == self).map_or(0, |value| value.2)
    }
}

/// A key of a map, which JSON always writes as text.
pub trait MapKey: Ord + Sized {
    /// What a key must be, for messages.
    const EXPECTED: &'static str;

    /// The key that the text stands for, or nothing if it stands for none.
    fn parse(text: &str) -> Option<Self>;
}

impl MapKey for String {
    const EXPECTED: &'static str = "text";

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl MapKey for u32 {
    const EXPECTED: &'static str = "a number";

    fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Bytes, in JSON as standard base64.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Blob(pub Vec<u8>);

impl Lenient for Blob {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let Some(text) = read_text(deserializer, "base64 text")? else { return Ok(None) };
        let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| rooted(de::Error::custom(format_args!("it is not base64: {error}"))))?;
        Ok(Some(Blob(bytes)))
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl Lenient for Map<String, Value> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Option::deserialize(deserializer).map_err(rooted)
    }
}

impl Lenient for bool {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        deserializer.deserialize_any(BoolVisitor).map_err(rooted)
    }
}

impl Lenient for String {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        read_text(deserializer, "text")
    }
}

impl Lenient for f64 {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        deserializer.deserialize_any(FloatVisitor).map_err(rooted)
    }
}

macro_rules! lenient_integers {
    ($($integer:ty),*) => {$(
        impl Lenient for $integer {
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
                let limits = (i128::from(<$integer>::MIN), i128::from(<$integer>::MAX));
                let read = deserializer.deserialize_any(IntegerVisitor(limits)).map_err(rooted)?;
                Ok(read.and_then(|number| <$integer>::try_from(number).ok()))
            }
        }
    )*};
}
lenient_integers!(i32, i64, u32, u64);

/// Reads text; `expected` says in an error what it should have been.
pub(crate) fn read_text<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &str,
) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(TextVisitor(expected)).map_err(rooted)
}

/// Reads a value by its name or number.
pub(crate) fn read_enumeration<'de, T: Enumeration, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    deserializer.deserialize_any(EnumerationVisitor(PhantomData)).map_err(rooted)
}

/// What all visitors of single values share: the value they make, and that `null` makes none.
macro_rules! single {
    ($value:ty) => {
        type Value = Option<$value>;

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    };
}

struct BoolVisitor;

impl Visitor<'_> for BoolVisitor {
    single!(bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value))
    }
}

struct TextVisitor<'a>(&'a str);

impl Visitor<'_> for TextVisitor<'_> {
    single!(String);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Some(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(Some(value))
    }
}

struct FloatVisitor;

impl Visitor<'_> for FloatVisitor {
    single!(f64);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        match value {
            "NaN" => Ok(Some(f64::NAN)),
            "Infinity" => Ok(Some(f64::INFINITY)),
            "-Infinity" => Ok(Some(f64::NEG_INFINITY)),
            _ => serde_json::from_str(value).map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self)),
        }
    }
}

/// Reads integers within the limits, both included.
struct IntegerVisitor((i128, i128));

impl Visitor<'_> for IntegerVisitor {
    single!(i128);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.0;
        write!(f, "an integer from {least} to {most}")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.limited(value.into(), de::Unexpected::Signed(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.limited(value.into(), de::Unexpected::Unsigned(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        let unexpected = de::Unexpected::Float(value);
        if value.fract() == 0.0 && value.abs() < 1e19 {
            self.limited(value as i128, unexpected)
        } else {
            Err(E::invalid_value(unexpected, &self))
        }
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        let unexpected = de::Unexpected::Str(value);
        match serde_json::from_str::<Option<i128>>(value) {
            Ok(Some(number)) => self.limited(number, unexpected),
            Ok(None) => Ok(None),
            Err(_) => Err(E::invalid_value(unexpected, &self)),
        }
    }
}

impl IntegerVisitor {
    fn limited<E: de::Error>(self, value: i128, unexpected: de::Unexpected<'_>) -> Result<Option<i128>, E> {
        let (least, most) = self.0;
        if (least..=most).contains(&value) {
            Ok(Some(value))
        } else {
            Err(E::invalid_value(unexpected, &self))
        }
    }
}

struct EnumerationVisitor<T>(PhantomData<T>);

impl<T: Enumeration> Visitor<'_> for EnumerationVisitor<T> {
    single!(T);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of ")?;
        for (at, (_, name, _)) in T::VALUES.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        let found = T::VALUES.iter().find(|known| known.1 == value);
        found.map(|known| Some(known.0)).ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        let found = T::VALUES.iter().find(|known| i64::from(known.2) == value);
        found.map(|known| Some(known.0)).ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.visit_i64(i64::try_from(value).unwrap_or(-1))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        if value.fract() == 0.0 {
            self.visit_i64(value as i64)
        } else {
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }
}
