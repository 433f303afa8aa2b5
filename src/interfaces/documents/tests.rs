//! The documents as such: nothing is missing from them, every reference leads somewhere, the same comes out twice.

use std::collections::BTreeSet;

use serde_json::Value;

use super::parts::{ops, pascal};
use super::{Documents, parts};
use crate::features::FEATURES;
use crate::kernel::base::limits::Limits;
use crate::kernel::engine::Registry;

fn documents() -> (Value, Value) {
    let documents = Documents::of(&Registry::new(FEATURES), &Limits::default());
    let read = |text: &str| serde_json::from_str(text).unwrap();
    (read(&documents.openapi.text), read(&documents.asyncapi.text))
}

/// An op says what it takes and answers by `Op::takes` and `Op::answers` or `Op::records`; internal ones need not.
#[test]
fn every_public_op_says_what_it_takes_and_answers() {
    let silent: Vec<&str> = ops(&Registry::new(FEATURES))
        .iter()
        .filter(|op| op.shape.data.is_none() || op.shape.reply.is_none())
        .map(|op| op.name)
        .collect();
    assert!(silent.is_empty(), "without takes::<..>() or answers::<..>(): {silent:?}");
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(place)) = members.get("$ref") {
                found.insert(place);
            }
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let (openapi, asyncapi) = documents();
    for document in [&openapi, &asyncapi] {
        let mut found = BTreeSet::new();
        references(document, &mut found);
        assert!(found.len() > 50);
        for place in found {
            let place = place.strip_prefix('#').unwrap();
            assert!(document.pointer(place).is_some(), "{place} leads nowhere");
        }
    }
}

#[test]
fn every_op_and_event_is_in_both() {
    let registry = Registry::new(FEATURES);
    let (openapi, asyncapi) = documents();
    for op in ops(&registry) {
        for ending in ["Data", "Command", "Reply"] {
            let name = format!("{}{ending}", pascal(op.name));
            assert!(openapi["components"]["schemas"][&name].is_object(), "{name}");
            assert_eq!(openapi["components"]["schemas"][&name], asyncapi["components"]["schemas"][&name]);
        }
    }
    for (event, way) in parts::events(&registry) {
        let frame = parts::event_name(&event, way);
        assert_eq!(asyncapi["components"]["schemas"][&frame]["properties"]["event"]["const"], event.name);
    }
}

#[test]
fn the_same_comes_out_twice() {
    let registry = Registry::new(FEATURES);
    let (one, two) = (Documents::of(&registry, &Limits::default()), Documents::of(&registry, &Limits::default()));
    assert!(one.openapi.text == two.openapi.text && one.asyncapi.etag == two.asyncapi.etag);
    let other = Documents::of(&registry, &Limits { text_chars: 100, ..Limits::default() });
    assert_ne!(one.openapi.etag, other.openapi.etag, "limits of a site stand in it");
}
