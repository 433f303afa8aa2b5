//! Strict JSON: no member twice, no depth past 64. What passes is parsed once for reading and sliced once for keeping.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Nesting of one file. FHIR's own examples stay under 20; a stack is finite.
pub(super) const DEPTH_MAX: usize = 64;

/// Why bytes are not JSON we take. Says nothing of the content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JsonFault {
    /// Nested past [`DEPTH_MAX`].
    TooDeep,
    /// An object names a member twice.
    Repeated {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Not JSON, or not UTF-8.
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => write!(f, "nested deeper than {DEPTH_MAX}"),
            Self::Repeated { line, column } => {
                write!(f, "an object names a member twice (line {line}, column {column})")
            }
            Self::Syntax { line, column } => write!(f, "not JSON (line {line}, column {column})"),
        }
    }
}

/// Parses, refusing what readers of JSON disagree about.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, JsonFault> {
    if depth(bytes) > DEPTH_MAX {
        return Err(JsonFault::TooDeep);
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => JsonFault::Repeated { line, column },
            _ => JsonFault::Syntax { line, column },
        }
    })
}

/// The deepest nesting, counted without a stack.
fn depth(bytes: &[u8]) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The elements of the list `member` of an object, byte for byte. Empty where there is no such list.
pub(super) fn slices<'a>(object: &'a str, member: &str) -> Vec<&'a str> {
    let Some(list) = slice(object, member) else { return Vec::new() };
    let elements: Vec<&RawValue> = serde_json::from_str(list).unwrap_or_default();
    elements.into_iter().map(RawValue::get).collect()
}

/// One member of an object, byte for byte.
pub(super) fn slice<'a>(object: &'a str, member: &str) -> Option<&'a str> {
    let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(object).ok()?;
    members.get(member).map(|raw| raw.get())
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Strict)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom("a member is named twice"));
            }
            members.insert(name, object.next_value_seed(Strict)?);
        }
        Ok(Value::Object(members))
    }
}
