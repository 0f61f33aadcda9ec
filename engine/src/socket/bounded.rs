//! Deserializers that stop at a bound, so that a hostile frame cannot make the engine allocate more than the bound allows.

use std::{fmt, marker::PhantomData};

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// How a message about an exceeded bound begins: `codec` makes `LIMIT_EXCEEDED` of it.
pub(super) const LIMIT_PREFIX: &str = "limit exceeded: ";

/// A text of at most `BYTES` bytes.
pub(super) fn text<'de, const BYTES: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    Text::<BYTES>::deserialize(deserializer).map(|text| text.0)
}

/// A list of at most `COUNT` elements.
pub(super) fn list<'de, const COUNT: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(ListVisitor::<COUNT, T>(PhantomData))
}

/// A list of at most `COUNT` texts of at most `BYTES` bytes each.
pub(super) fn texts<'de, const COUNT: usize, const BYTES: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let bounded = list::<COUNT, Text<BYTES>, D>(deserializer)?;
    Ok(bounded.into_iter().map(|text| text.0).collect())
}

struct Text<const BYTES: usize>(String);

impl<'de, const BYTES: usize> Deserialize<'de> for Text<BYTES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor::<BYTES>).map(Self)
    }
}

struct TextVisitor<const BYTES: usize>;

impl<const BYTES: usize> Visitor<'_> for TextVisitor<BYTES> {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "a text of at most {BYTES} bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        if text.len() > BYTES {
            return Err(E::custom(format_args!(
                "{LIMIT_PREFIX}text of {} bytes, at most {BYTES}",
                text.len()
            )));
        }
        Ok(text.to_owned())
    }
}

struct ListVisitor<const COUNT: usize, T>(PhantomData<T>);

impl<'de, const COUNT: usize, T: Deserialize<'de>> Visitor<'de> for ListVisitor<COUNT, T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "a list of at most {COUNT} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            if list.len() == COUNT {
                return Err(A::Error::custom(format_args!(
                    "{LIMIT_PREFIX}list of more than {COUNT} elements"
                )));
            }
            list.push(element);
        }
        Ok(list)
    }
}
