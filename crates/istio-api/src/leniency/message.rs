//! Reading messages, lists and maps, with errors that carry the path of the field.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::scalar::MapKey;
use crate::field;

/// A value that can be read with jsonpb's leniency.
pub trait Lenient: Sized + Default {
    /// Reads one value; `None` stands for JSON's `null`.
    ///
    /// An error's text begins with the rest of the path (`.field`, `[0]`) or with `: `.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error>;
}

/// A message: an object with named fields, all of which may be absent.
pub trait Message: Default {
    /// The names of the fields, as the message has them (mostly snake_case).
    const FIELDS: &'static [&'static str];

    /// Takes the next value of `map` into the named field; a `null` leaves the field as it is.
    fn read_field<'de, A: MapAccess<'de>>(&mut self, field: &str, map: &mut A) -> Result<(), A::Error>;
}

impl<T: Lenient> Lenient for Option<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(T::read(deserializer)?.map(Some))
    }
}

impl<T: Lenient> Lenient for Vec<T> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData)).map_err(rooted)
    }
}

impl<K: MapKey, V: Lenient> Lenient for BTreeMap<K, V> {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        deserializer.deserialize_any(MapVisitor(PhantomData)).map_err(rooted)
    }
}

/// Reads an object onto `base`: fields that it names replace those of `base`, whole.
///
/// `null` gives `base`. Errors begin with the path of the field.
pub fn overlay<'de, M: Message, D: Deserializer<'de>>(base: M, deserializer: D) -> Result<M, D::Error> {
    let read = deserializer.deserialize_any(MessageVisitor(Some(base)));
    read.map(Option::unwrap_or_default).map_err(whole)
}

pub(crate) fn read_message<'de, M: Message, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<M>, D::Error> {
    deserializer.deserialize_any(MessageVisitor(None)).map_err(rooted)
}

/// Reads a message that is the whole input; `null` is the empty one.
pub(crate) fn read_whole<'de, M: Message, D: Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
    overlay(M::default(), deserializer)
}

/// Makes the path of an error begin with a name.
fn whole<E: de::Error>(error: E) -> E {
    E::custom(error.to_string().trim_start_matches(['.', ':', ' ']))
}

/// Takes the next value of `map` into `target`, unless it is `null`.
pub(crate) fn next_into<'de, T: Lenient, A: MapAccess<'de>>(
    target: &mut T,
    map: &mut A,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value_seed(Seed::<T>(PhantomData))? {
        *target = value;
    }
    Ok(())
}

/// Makes an error's text begin with a path or with `: `.
pub(crate) fn rooted<E: de::Error>(error: E) -> E {
    let text = error.to_string();
    if text.starts_with(['.', '[', ':']) { error } else { E::custom(format_args!(": {text}")) }
}

fn below<E: de::Error>(step: fmt::Arguments<'_>, error: E) -> E {
    E::custom(format_args!("{step}{}", rooted(error)))
}

struct Seed<T>(PhantomData<T>);

impl<'de, T: Lenient> DeserializeSeed<'de> for Seed<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        T::read(deserializer)
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Lenient> Visitor<'de> for ListVisitor<T> {
    type Value = Option<Vec<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let at = values.len();
            match list.next_element_seed(Seed(PhantomData)) {
                Ok(Some(value)) => values.push(value.unwrap_or_default()),
                Ok(None) => return Ok(Some(values)),
                Err(error) => return Err(below(format_args!("[{at}]"), error)),
            }
        }
    }
}

struct MapVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K: MapKey, V: Lenient> Visitor<'de> for MapVisitor<K, V> {
    type Value = Option<BTreeMap<K, V>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let key = K::parse(&name)
                .ok_or_else(|| de::Error::custom(format_args!("[{name}]: the key is not {}", K::EXPECTED)))?;
            let value = map
                .next_value_seed(Seed(PhantomData))
                .map_err(|error| below(format_args!("[{name}]"), error))?;
            values.insert(key, value.unwrap_or_default());
        }
        Ok(Some(values))
    }
}

/// Reads onto the given message, or onto an empty one.
struct MessageVisitor<M>(Option<M>);

impl<'de, M: Message> Visitor<'de> for MessageVisitor<M> {
    type Value = Option<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(self.0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut message = self.0.unwrap_or_default();
        let mut by_json_name = Vec::new();
        while let Some(key) = map.next_key_seed(FieldSeed(M::FIELDS))? {
            let Some((name, json)) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if json && name.contains('_') {
                by_json_name.push(name);
            } else if by_json_name.contains(&name) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            message
                .read_field(name, &mut map)
                .map_err(|error| below(format_args!(".{}", field::json_name(name)), error))?;
        }
        Ok(Some(message))
    }
}

/// Finds the field that a key names, and whether the key is its JSON name.
struct FieldSeed(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for FieldSeed {
    type Value = Option<(&'static str, bool)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldSeed {
    type Value = Option<(&'static str, bool)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let found = self.0.iter().find_map(|name| {
            let json = field::is_json_name(name, key);
            (json || *name == key).then_some((*name, json))
        });
        Ok(found)
    }
}

/// The message's name of a field: the given literal, or the identifier.
macro_rules! proto_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $name:literal) => {
        $name
    };
}
pub(crate) use proto_name;

/// Defines messages: the structs as written, and how they are read and written.
///
/// Fields have the names of the published message; where Rust cannot spell one, `as "name"` follows.
macro_rules! messages {
    ($(
        $(#[$meta:meta])*
        pub struct $message:ident {
            $( $(#[$field_meta:meta])* pub $field:ident $(as $name:literal)?: $type:ty, )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $message {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $crate::leniency::Message for $message {
            const FIELDS: &'static [&'static str] = &[$( $crate::leniency::proto_name!($field $($name)?) ),*];

            fn read_field<'de, A: ::serde::de::MapAccess<'de>>(
                &mut self,
                field: &str,
                map: &mut A,
            ) -> Result<(), A::Error> {
                $(
                    if field == $crate::leniency::proto_name!($field $($name)?) {
                        return $crate::leniency::next_into(&mut self.$field, map);
                    }
                )*
                let _ = field;
                map.next_value::<::serde::de::IgnoredAny>().map(drop)
            }
        }

        impl $crate::leniency::Lenient for $message {
            fn read<'de, D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
                $crate::leniency::read_message(deserializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $message {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::leniency::read_whole(deserializer)
            }
        }

        impl ::serde::Serialize for $message {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                #[allow(unused_mut, reason = "A message may have no fields.")]
                let mut map = ::serde::Serializer::serialize_map(serializer, None)?;
                $(
                    if self.$field != <$type>::default() {
                        let name = $crate::field::json_name($crate::leniency::proto_name!($field $($name)?));
                        ::serde::ser::SerializeMap::serialize_entry(&mut map, &name, &self.$field)?;
                    }
                )*
                ::serde::ser::SerializeMap::end(map)
            }
        }
    )*};
}
pub(crate) use messages;

/// Defines enumerations: variant, published name, published number; the first is the default.
macro_rules! enumerations {
    ($(
        $(#[$meta:meta])*
        pub enum $enumeration:ident {
            $first:ident $first_name:literal = $first_number:literal,
            $( $variant:ident $name:literal = $number:literal, )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $enumeration {
            #[default]
            #[doc = concat!("`", $first_name, "`")]
            $first,
            $( #[doc = concat!("`", $name, "`")] $variant, )*
        }

        impl $crate::leniency::Enumeration for $enumeration {
            const VALUES: &'static [(Self, &'static str, i32)] = &[
                ($enumeration::$first, $first_name, $first_number),
                $( ($enumeration::$variant, $name, $number), )*
            ];
        }

        impl $crate::leniency::Lenient for $enumeration {
            fn read<'de, D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
                $crate::leniency::read_enumeration(deserializer)
            }
        }

        impl ::serde::Serialize for $enumeration {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::leniency::Enumeration::name(*self))
            }
        }
    )*};
}
pub(crate) use enumerations;
