//! Schemas from types: those of what clients give and those of what the server sends, under one set of names.
//! A type that goes both ways may look different (what may be left out when given is always there when sent): then the given form is
//! named `…Given`.

use std::collections::BTreeSet;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::kernel::base::limits::Limits;
use crate::kernel::engine::shape::SchemaOf;

/// Where schemas stand in both documents.
const PLACE: &str = "#/components/schemas/";
/// Where the generator of what is given believes they stand, until they are put together.
const GIVEN_PLACE: &str = "#/components/given/";
/// Ends the name of a type that is given otherwise than sent.
const GIVEN: &str = "Given";

/// Schemas by name, as they grow.
pub(super) struct Schemas {
    given: SchemaGenerator,
    sent: SchemaGenerator,
    named: Map<String, Value>,
}

/// A reference to a schema by its name.
pub(super) fn reference(name: &str) -> Value {
    serde_json::json!({ "$ref": format!("{PLACE}{name}") })
}

impl Schemas {
    pub(super) fn new() -> Self {
        let at = |place: &str| {
            let place = place.trim_start_matches('#').trim_end_matches('/').to_owned();
            SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = place.into())
        };
        Self {
            given: at(GIVEN_PLACE).for_deserialize().into_generator(),
            sent: at(PLACE).for_serialize().into_generator(),
            named: Map::new(),
        }
    }

    /// The schema of what a client gives.
    pub(super) fn given(&mut self, of: SchemaOf) -> Value {
        of(&mut self.given).to_value()
    }

    /// The schema of what the server sends.
    pub(super) fn sent(&mut self, of: SchemaOf) -> Value {
        of(&mut self.sent).to_value()
    }

    /// As [`Schemas::sent`], of a type by name.
    pub(super) fn sent_of<T: JsonSchema>(&mut self) -> Value {
        self.sent(T::json_schema)
    }

    /// As [`Schemas::given`], of a type by name.
    pub(super) fn given_of<T: JsonSchema>(&mut self) -> Value {
        self.given(T::json_schema)
    }

    /// Names a schema; the reference to it.
    pub(super) fn put(&mut self, name: &str, schema: Value) -> Value {
        let before = self.named.insert(name.to_owned(), schema);
        assert!(before.is_none(), "two schemas are called {name}");
        reference(name)
    }

    /// Every schema by its name.
    pub(super) fn finish(mut self, limits: &Limits) -> Map<String, Value> {
        let (mut given, mut sent) = (self.given.take_definitions(true), self.sent.take_definitions(true));
        let differing = differing(&given, &sent);
        let mut all = Map::new();
        for (name, mut schema) in std::mem::take(&mut given) {
            settle(&mut schema, &differing, limits);
            let name = if differing.contains(&name) { format!("{name}{GIVEN}") } else { name };
            all.insert(name, schema);
        }
        for (name, mut schema) in std::mem::take(&mut sent).into_iter().chain(self.named) {
            settle(&mut schema, &differing, limits);
            let before = all.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "two schemas are called {name}");
        }
        all
    }
}

/// Names that stand for different schemas in the two directions, directly or through what they refer to.
fn differing(given: &Map<String, Value>, sent: &Map<String, Value>) -> BTreeSet<String> {
    let plain = |schema: &Value| schema.to_string().replace(GIVEN_PLACE, PLACE);
    let both = || given.iter().filter_map(|(name, schema)| Some((name, schema, sent.get(name)?)));
    let mut differing: BTreeSet<String> =
        both().filter(|(_, one, other)| plain(one) != plain(other)).map(|(name, ..)| name.clone()).collect();
    loop {
        let refers = |schema: &Value| {
            let text = plain(schema);
            differing.iter().any(|name| text.contains(&format!("\"{PLACE}{name}\"")))
        };
        let more: Vec<String> = both()
            .filter(|(name, schema, _)| !differing.contains(*name) && refers(schema))
            .map(|(name, ..)| name.clone())
            .collect();
        if more.is_empty() {
            return differing;
        }
        differing.extend(more);
    }
}

/// Puts references where they belong, and limits where the types could not know them. Members that are not known are ignored by both
/// sides, so no schema forbids them.
fn settle(schema: &mut Value, differing: &BTreeSet<String>, limits: &Limits) {
    match schema {
        Value::Object(members) => {
            if members.get("additionalProperties") == Some(&Value::Bool(false)) {
                members.remove("additionalProperties");
            }
            if members.remove("x-limit").is_some() {
                members.insert("maxLength".into(), limits.text_chars.into());
            }
            // Formats of numbers that JSON Schema does not know; the bounds stand beside them.
            if members.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                members.remove("format");
            }
            if let Some(Value::String(place)) = members.get_mut("$ref")
                && let Some(name) = place.strip_prefix(GIVEN_PLACE)
            {
                let ending = if differing.contains(name) { GIVEN } else { "" };
                *place = format!("{PLACE}{name}{ending}");
            }
            members.values_mut().for_each(|value| settle(value, differing, limits));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| settle(value, differing, limits)),
        _ => {}
    }
}
