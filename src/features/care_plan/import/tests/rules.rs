//! The rules one by one, on resources as small as they can be.

use serde_json::{Value, json};

use super::*;

fn bundle(resources: &[Value]) -> String {
    let entries: Vec<Value> = resources.iter().map(|resource| json!({ "resource": resource })).collect();
    json!({ "resourceType": "Bundle", "type": "collection", "entry": entries }).to_string()
}

fn ann() -> Value {
    let identifier = json!([{ "system": "http://a.example/mrn", "value": "7" }]);
    let name = json!([{ "family": "A" }]);
    json!({ "resourceType": "Patient", "id": "ann", "name": name, "birthDate": "1950-01-01", "identifier": identifier })
}

fn condition(id: &str, more: Value) -> Value {
    let mut condition = json!({ "resourceType": "Condition", "id": id, "code": { "text": id }, "subject": { "reference": "Patient/ann" } });
    condition.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    condition
}

fn plan(more: Value) -> Value {
    let mut plan = json!({ "resourceType": "CarePlan", "id": "plan", "status": "active", "intent": "plan" });
    plan["subject"] = json!({ "reference": "Patient/ann" });
    plan.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    plan
}

fn read_resources(resources: &[Value]) -> Reading {
    read_texts(&[("a.json", &bundle(resources))])
}

fn listed(reading: &Reading) -> Vec<(&str, &str)> {
    reading.not_understood.iter().map(|one| (one.path.as_str(), one.reason.as_ref())).collect()
}

fn titles(reading: &Reading) -> Vec<&str> {
    reading.patients.iter().flat_map(|patient| &patient.items).map(|item| item.title.reveal().as_str()).collect()
}

#[test]
fn every_kind_of_reference_leads_to_the_patient() {
    let subjects = [
        json!({ "reference": "Patient/ann" }),
        json!({ "reference": "Patient/ann/_history/4" }),
        json!({ "reference": "https://a.example/fhir/Patient/ann" }),
        json!({ "reference": "https://a.example/fhir/Patient/ann/_history/1" }),
        json!({ "reference": "Patient?identifier=http://a.example/mrn|7" }),
        json!({ "reference": "Patient?identifier=http%3A%2F%2Fa.example%2Fmrn%7C7" }),
        json!({ "reference": "Patient?identifier=7" }),
        json!({ "identifier": { "system": "http://a.example/mrn", "value": "7" } }),
        json!({ "reference": "Patient/elsewhere", "identifier": { "system": "http://a.example/mrn", "value": "7" } }),
    ];
    for subject in subjects {
        let reading = read_resources(&[ann(), condition("pain", json!({ "subject": subject }))]);
        assert_eq!((titles(&reading), listed(&reading)), (vec!["pain"], vec![]), "{subject}");
    }
    let entries = json!([
        { "fullUrl": "urn:uuid:5F1B1C1E-0000-4000-8000-000000000001", "resource": { "resourceType": "Patient" } },
        { "resource": condition("pain", json!({ "subject": { "reference": "urn:uuid:5f1b1c1e-0000-4000-8000-000000000001" } })) },
    ]);
    let reading = read_texts(&[("a.json", &json!({ "resourceType": "Bundle", "entry": entries }).to_string())]);
    assert_eq!((titles(&reading), reading.patients[0].name.reveal().as_str()), (vec!["pain"], "Unnamed patient"));
}

#[test]
fn a_patient_is_never_guessed() {
    let subjects = [
        (json!({ "display": "A" }), "the patient is only named, and no patient is found by name"),
        (json!({ "reference": "Patient/bob" }), "leads to nothing in these files or imported before"),
        (json!({ "reference": "Patient?name=A" }), "leads to nothing in these files or imported before"),
        (json!({ "reference": "Practitioner/ann" }), "leads to nothing in these files or imported before"),
        (json!({ "reference": "Condition/pain" }), "does not lead to a Patient"),
        (
            json!({ "identifier": { "system": "http://b.example/mrn", "value": "7" } }),
            "leads to nothing in these files or imported before",
        ),
        (json!({ "identifier": {} }), "an identifier without value"),
        (json!("Patient/ann"), "not an object"),
        (json!({ "reference": 7 }), "reference is not a text"),
        (json!({ "reference": "#ann" }), "leads to nothing contained in this resource"),
        (json!(null), "the patient is missing"),
        (json!({}), "a reference without reference, identifier or display"),
    ];
    for (subject, reason) in subjects {
        let reading = read_resources(&[ann(), condition("pain", json!({ "subject": subject }))]);
        assert_eq!(
            (titles(&reading), listed(&reading)),
            (vec![], vec![("Bundle.entry[1].resource.subject", reason)]),
            "{subject}"
        );
        assert!(reading.not_understood[0].verbatim.as_ref().is_some_and(|raw| raw.reveal().contains("\"pain\"")));
    }
}

#[test]
fn an_activity_of_every_type_becomes_one_item_of_an_active_plan_only() {
    let subject = json!({ "reference": "Patient/ann" });
    let words = json!({ "text": "walk" });
    let more = |kind: &str| match kind {
        "Task" => json!({ "status": "ready", "for": subject, "description": "walk" }),
        "Appointment" => {
            let participant = json!([{ "actor": { "display": "room" } }, { "actor": subject }]);
            json!({ "status": "booked", "description": "walk", "participant": participant })
        }
        "MedicationRequest" => json!({ "medicationCodeableConcept": words }),
        "DeviceRequest" => json!({ "codeCodeableConcept": { "coding": [{ "display": "walk" }] } }),
        "CommunicationRequest" => json!({ "payload": [{ "contentString": "walk" }] }),
        "NutritionOrder" => json!({ "patient": subject, "oralDiet": { "type": [words] } }),
        "VisionPrescription" => json!({ "patient": subject, "lensSpecification": [{ "product": words }] }),
        _ => json!({ "code": words }),
    };
    let with = |mut resource: Value, more: Value| {
        resource.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        resource
    };
    let activity = |kind: &&str| {
        let base = json!({ "resourceType": kind, "id": "x", "status": "active", "subject": subject });
        with(base, more(kind))
    };
    let activities: Vec<Value> = super::kinds::ACTIVITIES.iter().map(activity).collect();
    let named: Vec<Value> = super::kinds::ACTIVITIES
        .iter()
        .map(|kind| json!({ "reference": { "reference": format!("{kind}/x") } }))
        .collect();
    let twice = [named.clone(), named].concat();
    for (status, items) in
        [("active", 9), ("draft", 9), ("on-hold", 0), ("completed", 0), ("revoked", 0), ("unknown", 0)]
    {
        let resources =
            [vec![ann(), plan(json!({ "status": status, "activity": twice }))], activities.clone()].concat();
        let reading = read_resources(&resources);
        assert_eq!((titles(&reading), listed(&reading)), (vec!["walk"; items], vec![]), "{status}");
        assert_eq!(reading.patients[0].kept.len(), 10 - items, "what makes no item is kept");
    }
}

#[test]
fn contained_resources_and_words_become_items_of_their_plan() {
    let contained = json!([
        { "resourceType": "Goal", "id": "g", "lifecycleStatus": "active", "description": { "text": "walk" }, "addresses": [{ "reference": "#c" }] },
        { "resourceType": "Condition", "id": "c", "code": { "coding": [{ "display": "pain" }] } },
        { "resourceType": "Condition", "id": "b", "subject": { "reference": "Patient/bob" } },
    ]);
    let detail = json!({
        "status": "not-started",
        "description": "run",
        "code": { "text": "Running" },
        "goal": [{ "reference": "#g" }],
        "scheduledPeriod": { "end": "2026-03" },
    });
    let activity = json!([
        { "reference": { "display": "swim" }, "progress": [{ "text": "twice" }] },
        { "detail": detail },
        { "reference": { "display": "swim" } },
        { "outcomeCodeableConcept": [] },
    ]);
    let to = |ids: &[&str]| -> Vec<Value> { ids.iter().map(|id| json!({ "reference": id })).collect() };
    let (goal, addresses) = (to(&["#g", "#c"]), to(&["#c", "#b", "#none"]));
    let more = json!({ "contained": contained, "goal": goal, "addresses": addresses, "activity": activity });
    let reading = read_resources(&[ann(), plan(more.clone())]);
    assert_eq!(titles(&reading), ["pain", "walk", "swim", "run"]);
    let items = &reading.patients[0].items;
    assert_eq!((items[0].key.as_str(), items[1].key.as_str()), ("CarePlan/plan#c", "CarePlan/plan#g"));
    assert!(items[1].addresses == [items[0].key.clone()] && items[3].addresses == [items[1].key.clone()]);
    assert!(items[2].flagged && items[2].codes.is_empty() && items[2].notes.len() == 1 && !items[0].flagged);
    assert_eq!(items[3].detail.as_ref().map(|detail| detail.reveal().as_str()), Some("Running"));
    assert!(items[3].due.is_some() && items[3].raw.reveal().starts_with("{\"detail\""));
    let expected = [
        ("Bundle.entry[1].resource.activity[3]", "an activity with neither reference nor detail makes no item"),
        ("Bundle.entry[1].resource.addresses[1]", "leads to a contained resource whose own patient is not known"),
        ("Bundle.entry[1].resource.addresses[2]", "leads to nothing contained in this resource"),
        ("Bundle.entry[1].resource.goal[1]", "leads to a resource of another type than this element takes"),
    ];
    assert_eq!(listed(&reading), expected);

    let mut finished = plan(more);
    finished["status"] = json!("completed");
    let reading = read_resources(&[ann(), finished]);
    assert_eq!(titles(&reading), ["pain", "walk"]);
    assert!(
        reading.patients[0].items.iter().all(|item| item.closed),
        "what only a finished plan contains is over with it"
    );
}

#[test]
fn what_is_over_arrives_closed() {
    let clinical = |code: &str| json!({ "clinicalStatus": { "coding": [{ "code": code }] } });
    for (more, closed, word) in [
        (clinical("active"), false, Some("active")),
        (clinical("recurrence"), false, Some("recurrence")),
        (clinical("inactive"), true, Some("inactive")),
        (clinical("remission"), true, Some("remission")),
        (clinical("resolved"), true, Some("resolved")),
        (json!({}), false, None),
        (
            json!({ "verificationStatus": { "coding": [{ "code": "entered-in-error" }] } }),
            true,
            Some("entered-in-error"),
        ),
        (
            json!({ "clinicalStatus": { "coding": [{ "code": "active" }] }, "verificationStatus": { "coding": [{ "code": "confirmed" }] } }),
            false,
            Some("active"),
        ),
    ] {
        let reading = read_resources(&[ann(), condition("pain", more)]);
        let item = &reading.patients[0].items[0];
        assert_eq!((item.closed, item.source_status, listed(&reading)), (closed, word, vec![]));
    }
    for (word, closed) in [
        ("proposed", false),
        ("accepted", false),
        ("on-hold", false),
        ("completed", true),
        ("cancelled", true),
        ("rejected", true),
        ("entered-in-error", true),
    ] {
        let mut goal = json!({ "resourceType": "Goal", "id": "g", "lifecycleStatus": word });
        (goal["description"], goal["subject"]) = (json!({ "text": "walk" }), json!({ "reference": "Patient/ann" }));
        assert_eq!(read_resources(&[ann(), goal]).patients[0].items[0].closed, closed, "{word}");
    }
    let reading = read_resources(&[
        ann(),
        plan(
            json!({ "activity": [{ "detail": { "description": "run" } }, { "detail": { "description": "row", "status": "Mrs A says no" } }] }),
        ),
    ]);
    assert_eq!(titles(&reading), ["run", "row"]);
    let expected = [
        ("Bundle.entry[1].resource.activity[0].detail.status", "required and missing"),
        ("Bundle.entry[1].resource.activity[1].detail.status", "not a status FHIR knows here"),
    ];
    assert_eq!(listed(&reading), expected);
}

#[test]
fn social_determinants_are_barriers() {
    let category =
        |system: &str, code: &str| json!({ "category": [{ "coding": [{ "system": system, "code": code }] }] });
    let core = "http://hl7.org/fhir/us/core/CodeSystem/condition-category";
    for (more, kind) in [
        (category(core, "health-concern"), ItemKind::Problem),
        (category("http://hl7.org/fhir/us/core/CodeSystem/us-core-category", "sdoh"), ItemKind::Barrier),
        (
            category(
                "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes",
                "food-insecurity",
            ),
            ItemKind::Barrier,
        ),
        (
            json!({ "meta": { "profile": ["http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/SDOHCC-Condition"] } }),
            ItemKind::Barrier,
        ),
        (json!({ "category": "sdoh" }), ItemKind::Problem),
    ] {
        assert_eq!(read_resources(&[ann(), condition("c", more)]).patients[0].items[0].kind, kind);
    }
}

#[test]
fn a_broken_bundle_imports_nothing_and_says_where() {
    let two = json!([{ "resource": ann() }, { "resource": { "resourceType": "Patient", "id": "ann", "birthDate": "1951-01-01" } }]);
    for (text, path) in [
        (json!({ "resourceType": "Bundle", "entry": {} }), "Bundle.entry"),
        (json!({ "resourceType": "Bundle", "entry": [{ "resource": ann() }, 7] }), "Bundle.entry[1]"),
        (
            json!({ "resourceType": "Bundle", "entry": [{ "resource": ann() }, { "resource": [] }] }),
            "Bundle.entry[1].resource",
        ),
        (
            json!({ "resourceType": "Bundle", "entry": [{ "resource": ann() }, { "resource": {} }] }),
            "Bundle.entry[1].resource.resourceType",
        ),
        (
            json!({ "resourceType": "Bundle", "entry": [{ "resource": ann() }, { "fullUrl": 1, "resource": ann() }] }),
            "Bundle.entry[1].fullUrl",
        ),
        (json!({ "resourceType": "Bundle", "entry": two }), "Bundle.entry[1].resource"),
        (json!({ "entry": [] }), "resourceType"),
        (json!([ann()]), ""),
    ] {
        let text = text.to_string();
        let reading = read_texts(&[
            ("bad.json", &text),
            ("good.json", &condition("pain", json!({})).to_string()),
            ("ann.json", &ann().to_string()),
        ]);
        let [listed] = &reading.not_understood[..] else { panic!("one thing is listed: {:?}", reading.not_understood) };
        assert_eq!((listed.file.as_str(), listed.path.as_str()), ("bad.json", path));
        assert!(listed.verbatim.as_ref().is_some_and(|raw| *raw.reveal() == text));
        assert_eq!(titles(&reading), ["pain"], "the other files are imported");
    }
}

#[test]
fn json_that_readers_disagree_about_is_refused() {
    let deep = format!("{{\"resourceType\":\"Patient\",\"x\":{}{}}}", "[".repeat(64), "]".repeat(64));
    for (text, reason) in [
        ("", "not JSON (line 1, column 0)"),
        ("not JSON", "not JSON (line 1, column 2)"),
        (r#"{"resourceType":"Patient","id":"a","id":"b"}"#, "an object names a member twice (line 1, column 39)"),
        (r#"{"resourceType":"Patient","x":{"a":1,"\u0061":2}}"#, "an object names a member twice (line 1, column 45)"),
        (&deep, "nested deeper than 64"),
        (r#"{"resourceType":"Patient"} {}"#, "not JSON (line 1, column 28)"),
        (r#"{"resourceType":"Patient","x":NaN}"#, "not JSON (line 1, column 31)"),
        (r#"{"resourceType":"Patient","x":"\ud800"}"#, "not JSON (line 1, column 38)"),
    ] {
        let reading = read_texts(&[("a.json", text)]);
        assert_eq!((listed(&reading), reading.patients.len()), (vec![("", reason)], 0), "{text}");
    }
    let reading = read(&[SourceFile { name: "a.json", bytes: b"\xff\xfe{}" }], &Known::nothing());
    assert_eq!((reading.not_understood.len(), reading.patients.len()), (1, 0));
    assert_eq!(
        read_texts(&[("a.json", &format!("\u{feff}{}", ann()))]).patients.len(),
        1,
        "a byte order mark is no fault"
    );
}

#[test]
fn ndjson_is_read_line_by_line() {
    let text =
        format!("{}\n\n{}\r\n{{broken\n{}", ann(), condition("pain", json!({})), json!({ "resourceType": "Chimera" }));
    for name in ["a.ndjson", "a.json"] {
        let reading = read_texts(&[(name, &text)]);
        assert_eq!(titles(&reading), ["pain"]);
        assert_eq!(
            listed(&reading),
            [("line 4", "not JSON (line 1, column 2)"), ("line 5: Resource.resourceType", "FHIR R4 has no such type")]
        );
        assert_eq!(
            reading.patients[0].items[0].place.as_ref().map(|place| place.path.as_str()),
            Some("line 3: Condition")
        );
    }
}

#[test]
fn repeats_and_older_versions_make_one_item() {
    let version =
        |n: &str, text: &str| condition("pain", json!({ "meta": { "versionId": n }, "code": { "text": text } }));
    let reading = read_texts(&[
        ("a.json", &bundle(&[ann(), version("9", "old")])),
        ("b.json", &bundle(&[ann(), version("10", "new")])),
    ]);
    assert_eq!(
        (titles(&reading), listed(&reading)),
        (vec!["new"], vec![("Bundle.entry[1].resource", "another version of a resource that was read")])
    );
    assert_eq!(reading.repeats, [Place { file: "b.json".into(), path: "Bundle.entry[0].resource".into() }]);
}

#[test]
fn two_people_under_one_id_are_never_mixed() {
    let bob = json!({ "resourceType": "Patient", "id": "ann", "name": [{ "family": "B" }], "birthDate": "1960-01-01" });
    let mut known = Known::nothing();
    remember(&mut known, &read_resources(&[ann()]));
    for known in [Known::nothing(), known] {
        let (a, b) =
            (bundle(&[ann(), condition("pain", json!({}))]), bundle(&[bob.clone(), condition("cough", json!({}))]));
        let bare = read_known(&[("a.json", &a), ("b.json", &b)], &known);
        assert_eq!(
            (bare.patients.len(), bare.not_understood.len()),
            (0, 4),
            "without a server there is no telling who is meant"
        );
    }

    let at = |server: &str, patient: &Value, id: &str| {
        let url = |path: &str| format!("https://{server}/fhir/{path}");
        json!({ "resourceType": "Bundle", "entry": [
            { "fullUrl": url("Patient/ann"), "resource": patient },
            { "fullUrl": url(&format!("Condition/{id}")), "resource": condition(id, json!({ "code": { "text": server } })) },
        ] })
        .to_string()
    };
    let (a, b) = (at("a", &ann(), "1"), at("b", &bob, "1"));
    let both = read_texts(&[("a.json", &a), ("b.json", &b)]);
    let seen: Vec<(&str, &str, &str)> = both
        .patients
        .iter()
        .map(|patient| (patient.key.as_str(), patient.name.reveal().as_str(), patient.items[0].title.reveal().as_str()))
        .collect();
    assert_eq!(seen, [("Patient/ann", "A", "a"), ("https://b/fhir/Patient/ann", "B", "b")]);

    let mut known = Known::nothing();
    remember(&mut known, &read_texts(&[("b.json", &b)]));
    let later = read_known(&[("a.json", &a)], &known);
    assert_eq!(later.patients[0].key.as_str(), "https://a/fhir/Patient/ann", "that id is Bob's by now");
    let foreign = condition("9", json!({ "subject": { "reference": "https://a/fhir/Patient/ann" } })).to_string();
    assert_eq!(
        read_known(&[("c.json", &foreign)], &known).patients.len(),
        0,
        "a reference to another server does not lead to Bob"
    );
    let bare = read_known(&[("a.json", &bundle(&[ann(), condition("1", json!({}))]))], &known);
    assert_eq!(bare.not_understood.len(), 2, "and Ann's resources do not go to Bob either");
    assert_eq!(
        (bare.patients.len(), listed(&bare)[0]),
        (0, ("Bundle.entry[0].resource", "a different person than the Patient known under the same id"))
    );
}

#[test]
fn earlier_imports_resolve_and_what_they_kept_becomes_an_item() {
    let mut order = json!({ "resourceType": "ServiceRequest", "id": "walk", "status": "active" });
    (order["code"], order["subject"]) = (json!({ "text": "walk" }), json!({ "reference": "Patient/ann" }));
    order["reasonReference"] = json!([{ "reference": "Condition/pain" }]);
    let first = read_resources(&[ann(), condition("pain", json!({})), order]);
    assert_eq!((titles(&first), first.patients[0].kept.len()), (vec!["pain"], 1));
    let mut known = Known::nothing();
    remember(&mut known, &first);
    let activity = json!([{ "reference": { "reference": "ServiceRequest/walk" } }]);
    let later = plan(json!({ "addresses": [{ "reference": "Condition/pain" }], "activity": activity })).to_string();
    let second = read_known(&[("plan.json", &later)], &known);
    assert_eq!((titles(&second), listed(&second)), (vec!["walk"], vec![]));
    let ann = &second.patients[0];
    assert_eq!((ann.name.reveal().as_str(), ann.place.is_none(), ann.items[0].place.is_none()), ("A", true, true));
    assert!(ann.items[0].addresses == [ResourceKey::new("Condition/pain")]);
    let sought: Vec<&str> = second
        .sought
        .iter()
        .filter_map(|one| if let Sought::Key(key) = one { Some(key.as_str()) } else { None })
        .collect();
    assert!(["Patient/ann", "ServiceRequest/walk"].iter().all(|key| sought.contains(key)));
    let blind = read_texts(&[("plan.json", &later)]);
    assert!(blind.patients.is_empty() && blind.sought.contains(&Sought::Key(ResourceKey::new("Patient/ann"))));
}

#[test]
fn a_plan_takes_nothing_of_another_patient() {
    let bob = json!({ "resourceType": "Patient", "id": "bob" });
    let his = condition("his", json!({ "subject": { "reference": "Patient/bob" } }));
    let reading = read_resources(&[ann(), bob, his, plan(json!({ "addresses": [{ "reference": "Condition/his" }] }))]);
    assert_eq!(listed(&reading), [("Bundle.entry[3].resource.addresses[0]", "leads to a resource of another patient")]);
    let items: Vec<(&str, usize)> =
        reading.patients.iter().map(|patient| (patient.key.as_str(), patient.items.len())).collect();
    assert_eq!(items, [("Patient/ann", 0), ("Patient/bob", 1)]);
}

#[test]
fn wrong_types_are_listed_and_read_as_absent() {
    let mut patient = json!({ "resourceType": "Patient", "id": "ann", "name": "A", "identifier": [7] });
    (patient["birthDate"], patient["gender"]) = (json!("1950-02-30"), json!("F"));
    let odd = condition("pain", json!({ "code": { "text": 5, "coding": [{ "display": "ache" }, "x"] } }));
    let reading = read_resources(&[patient, odd, plan(json!({ "addresses": "Condition/pain", "activity": [[]] }))]);
    let paths: Vec<&str> = listed(&reading).into_iter().map(|(path, _)| path).collect();
    let expected = [
        "Bundle.entry[0].resource.birthDate",
        "Bundle.entry[0].resource.gender",
        "Bundle.entry[0].resource.identifier[0]",
        "Bundle.entry[0].resource.name",
        "Bundle.entry[1].resource.code.coding[1]",
        "Bundle.entry[1].resource.code.text",
        "Bundle.entry[2].resource.activity[0]",
        "Bundle.entry[2].resource.addresses",
    ];
    assert_eq!((paths, titles(&reading)), (expected.to_vec(), vec!["ache"]));
}

#[test]
fn the_list_of_faults_is_bounded() {
    let entries = vec![json!({}); NOT_UNDERSTOOD_MAX + 5];
    let reading = read_texts(&[("a.json", &json!({ "resourceType": "Bundle", "entry": entries }).to_string())]);
    assert_eq!(reading.not_understood.len(), NOT_UNDERSTOOD_MAX + 1);
    assert_eq!(reading.not_understood.last().map(|last| last.reason.as_ref()), Some("5 more are not listed"));
    assert_eq!(reading.not_understood[10].path, "Bundle.entry[10]", "in the order of the file");
}
