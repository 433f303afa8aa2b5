//! Laws over arbitrary and damaged input: no panic, nothing lost, no order.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Names the reader looks for, so that arbitrary JSON reaches its inside.
const NAMES: &[&str] = &[
    "resourceType",
    "id",
    "entry",
    "resource",
    "fullUrl",
    "request",
    "method",
    "subject",
    "patient",
    "for",
    "reference",
    "identifier",
    "system",
    "value",
    "display",
    "type",
    "contained",
    "addresses",
    "goal",
    "activity",
    "detail",
    "status",
    "lifecycleStatus",
    "clinicalStatus",
    "code",
    "coding",
    "text",
    "description",
    "name",
    "given",
    "family",
    "birthDate",
    "participant",
    "actor",
    "member",
    "role",
    "period",
    "end",
    "target",
    "meta",
    "versionId",
    "lastUpdated",
    "profile",
    "category",
    "progress",
    "note",
    "extension",
    "valueReference",
    "focus",
    "dueDate",
];

const TEXTS: &[&str] = &[
    "Bundle",
    "Patient",
    "Condition",
    "Goal",
    "CarePlan",
    "ServiceRequest",
    "Task",
    "Appointment",
    "Provenance",
    "CareTeam",
    "Account",
    "a",
    "b",
    "#a",
    "#",
    "Patient/a",
    "Goal/a",
    "Condition/b/_history/1",
    "http://x/Patient/a",
    "urn:uuid:a",
    "Patient?identifier=a|b",
    "active",
    "completed",
    "2024-02-29",
    "2024",
    "",
    " ",
    "é\u{1F600}",
    "DELETE",
    "history",
    "sdoh",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        8 => proptest::sample::select(TEXTS).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            3 => proptest::collection::btree_map(proptest::sample::select(NAMES).prop_map(str::to_owned), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_resource() -> impl Strategy<Value = Value> {
    const KINDS: &[&str] = &[
        "Patient",
        "Condition",
        "Goal",
        "CarePlan",
        "ServiceRequest",
        "Task",
        "Appointment",
        "Provenance",
        "CareTeam",
        "Account",
    ];
    (proptest::sample::select(KINDS), proptest::sample::select(&["a", "b"][..]), any_json()).prop_map(
        |(kind, id, more)| {
            let mut members = more.as_object().cloned().unwrap_or_default();
            members.insert("resourceType".into(), kind.into());
            members.insert("id".into(), id.into());
            members.entry("subject").or_insert(json!({ "reference": "Patient/a" }));
            Value::Object(members)
        },
    )
}

fn any_bundle() -> impl Strategy<Value = Value> {
    proptest::collection::vec(any_resource(), 0..12).prop_map(|resources| {
        let entries: Vec<Value> = resources.into_iter().map(|resource| json!({ "resource": resource })).collect();
        json!({ "resourceType": "Bundle", "entry": entries })
    })
}

/// Puts `instead` where a walk of `steps` turns into the tree ends.
fn damage(value: &mut Value, steps: &[prop::sample::Index], instead: Value) {
    let length = value.as_array().map_or_else(|| value.as_object().map_or(0, serde_json::Map::len), Vec::len);
    match steps.split_first() {
        Some((step, rest)) if length > 0 => {
            let at = step.index(length);
            let inner = match value {
                Value::Array(list) => list.get_mut(at),
                Value::Object(members) => members.values_mut().nth(at),
                _ => None,
            };
            damage(inner.expect("the turn is below the length"), rest, instead);
        }
        _ => *value = instead,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let reading = read(&[SourceFile { name: "a.json", bytes: &bytes }], &Known::nothing());
        prop_assert!(reading.patients.is_empty());
    }

    #[test]
    fn any_json_is_answered(value in any_json()) {
        read_texts(&[("a.json", &value.to_string()), ("b.ndjson", &value.to_string())]);
    }

    #[test]
    fn nothing_of_any_bundle_is_lost_and_a_second_reading_is_the_same(a in any_bundle(), b in any_bundle()) {
        let texts = [("a.json", a.to_string()), ("b.json", b.to_string())];
        let files: Vec<SourceFile<'_>> = texts.iter().map(|(name, text)| SourceFile { name, bytes: text.as_bytes() }).collect();
        let reading = read(&files, &Known::nothing());
        prop_assert_eq!(unaccounted(&files, &reading), Vec::new());
        let backwards: Vec<SourceFile<'_>> = files.iter().rev().copied().collect();
        prop_assert!(read(&backwards, &Known::nothing()) == reading);
        let mut known = Known::nothing();
        remember(&mut known, &reading);
        let again = read(&files, &known);
        let items = |patient: &PatientSource| -> Vec<_> { patient.items.iter().map(|item| item.key.clone()).collect() };
        let keys = |reading: &Reading| -> Vec<_> {
            reading.patients.iter().map(|patient| (patient.key.clone(), items(patient))).collect()
        };
        prop_assert_eq!(keys(&again), keys(&reading));
    }
}

proptest! {
    // Each case reads whole files.
    #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]

    #[test]
    fn betsys_files_may_come_in_any_order(order in Just(sample("ckd-betsy")).prop_shuffle()) {
        let expected = read(&as_files(&sample("ckd-betsy")), &Known::nothing());
        prop_assert!(read(&as_files(&order), &Known::nothing()) == expected);
    }

    #[test]
    fn damaged_files_are_answered_and_lose_nothing(
        which in any::<prop::sample::Index>(),
        steps in proptest::collection::vec(any::<prop::sample::Index>(), 1..9),
        instead in any_json(),
    ) {
        let files = [sample("ckd-betsy"), sample("hl7-r4-examples"), sample("eltss-careplan.json")].concat();
        let mut files = files;
        let at = which.index(files.len());
        let mut value: Value = serde_json::from_slice(&files[at].1).expect("the samples are JSON");
        damage(&mut value, &steps, instead);
        files[at].1 = value.to_string().into_bytes();
        let reading = read(&as_files(&files), &Known::nothing());
        prop_assert_eq!(unaccounted(&as_files(&files), &reading), Vec::new());
    }

    #[test]
    fn cut_and_flipped_files_are_answered(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut files = sample("hl7-r4-examples");
        let which = which.index(files.len());
        let bytes = &mut files[which].1;
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let _ = read(&as_files(&files), &Known::nothing());
    }
}
