//! Strict JSON (RFC 8259, I-JSON RFC 7493): repeated members, excess depth and excess width are errors, not surprises later.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::kernel::base::limits::{CURSORS_MAX, JSON_DEPTH_MAX, JSON_LIST_MAX, JSON_MEMBERS_MAX};

/// Reads one JSON value within the limits of a frame.
///
/// # Errors
/// The text is no JSON, repeats a member, holds a lone surrogate, or passes depth, members or elements.
pub fn parse_value(text: &str) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 0, members_max: JSON_MEMBERS_MAX }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
    members_max: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= JSON_DEPTH_MAX {
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth: self.depth + 1, members_max: JSON_MEMBERS_MAX })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            if values.len() >= JSON_LIST_MAX {
                return Err(A::Error::custom("too many elements"));
            }
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if members.len() >= self.members_max {
                return Err(A::Error::custom("too many members"));
            }
            if members.contains_key(&name) {
                return Err(A::Error::custom("repeated member"));
            }
            // Only `data.cursors` may be wide: one member a channel.
            let cursors = name == "cursors" && inner.depth == 2;
            let members_max = if cursors { CURSORS_MAX } else { JSON_MEMBERS_MAX };
            let value = object.next_value_seed(Strict { members_max, ..inner })?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_breaks_a_limit_is_refused() {
        let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        let wide = |n: usize| format!("{{{}}}", (0..n).map(|i| format!("\"m{i}\":1")).collect::<Vec<_>>().join(","));
        let long = |n: usize| format!("[{}]", vec!["1"; n].join(","));
        let cursors = |n: usize| format!("{{\"data\":{{\"cursors\":{}}}}}", wide(n));
        for (text, good) in [
            (deep(32), true),
            (deep(33), false),
            (wide(256), true),
            (wide(257), false),
            (long(1000), true),
            (long(1001), false),
            (cursors(1200), true),
            (cursors(1201), false),
            (format!("{{\"cursors\":{}}}", wide(257)), false),
            ("{\"a\":1,\"a\":1}".into(), false),
            ("{\"a\":1,\"\\u0061\":1}".into(), false),
            ("[NaN]".into(), false),
            ("[1e999]".into(), false),
            ("[\"\\ud800\"]".into(), false),
            ("{} {}".into(), false),
            (String::new(), false),
        ] {
            assert_eq!(parse_value(&text).is_ok(), good, "{text:.80}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = parse_value(&text);
        }

        #[test]
        fn what_serde_writes_is_read_back(pairs in prop::collection::btree_map(".{0,8}", -1000_i64..1000, 0..20)) {
            let value = serde_json::to_value(&pairs).expect("a map of numbers is JSON");
            prop_assert_eq!(parse_value(&value.to_string()).expect("within limits"), value);
        }
    }
}
