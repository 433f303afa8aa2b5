//! Sample files of several systems, imported over a whole engine: once, again, in parts, by people who may and may not.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::kernel::base::Code;
use crate::kernel::engine::rebuild;
use crate::kernel::policy::PersonKind;
use crate::testing::House;

fn sample(under: &str) -> Vec<ImportFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fhir").join(under);
    let mut paths = vec![root.clone()];
    if root.is_dir() {
        paths = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
    }
    let file = |path: &std::path::PathBuf| ImportFile {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        bytes: std::fs::read(path).unwrap(),
    };
    paths.iter().map(file).collect()
}

fn file(value: &Value) -> Vec<ImportFile> {
    vec![ImportFile { name: "a.json".into(), bytes: value.to_string().into_bytes() }]
}

async fn import(house: &House, who: &Subject, files: Vec<ImportFile>) -> ImportReport {
    import_files(&house.engine, who, files).await.unwrap_or_else(|refusal| panic!("refused: {refusal:?}"))
}

async fn items(house: &House, who: &Subject, patient: PatientId) -> Vec<Value> {
    let answer = house.run(who, "plan.items", json!({"patient": patient, "closed": true})).await;
    answer["items"].as_array().unwrap().clone()
}

fn bundle(patient: &str, born: &str, more: Value) -> Value {
    let mut entries = vec![json!({"resource": {"resourceType": "Patient", "id": patient, "birthDate": born,
        "name": [{"text": "Ruth Okafor"}], "identifier": [{"system": "urn:mrn", "value": "7"}]}})];
    entries.extend(more.as_array().unwrap().iter().map(|resource| json!({"resource": resource})));
    json!({"resourceType": "Bundle", "type": "collection", "entry": entries})
}

fn goal(id: &str, patient: &str) -> Value {
    json!({"resourceType": "Goal", "id": id, "lifecycleStatus": "active", "description": {"text": format!("Goal {id}")},
        "subject": {"reference": format!("Patient/{patient}")}})
}

#[tokio::test]
async fn every_sample_comes_in_once_however_often_it_is_imported() {
    let house = House::new().await;
    let operator = house.command_line().await;
    for (under, patients, plan) in [
        ("ckd-betsy", 1, 26),
        ("eltss-careplan.json", 1, 8),
        ("synthea-2019-milan.json", 1, 23),
        ("synthea-mcc-kendall.json", 1, 16),
        ("hl7-r4-examples", 6, 5),
    ] {
        let first = import(&house, &operator, sample(under)).await;
        assert_eq!(first.patients.len(), patients, "{under}");
        assert!(first.patients.iter().all(|patient| patient.created), "{under}");
        assert_eq!(first.patients.iter().map(|patient| patient.items).sum::<usize>(), plan, "{under}");
        let ids: Vec<PatientId> = first.patients.iter().map(|patient| patient.id).collect();
        let mut before = Vec::new();
        for id in &ids {
            before.push(items(&house, &operator, *id).await);
        }
        let again = import(&house, &operator, sample(under)).await;
        assert!(again.patients.iter().all(|patient| !patient.created), "{under}");
        assert_eq!(again.patients.iter().map(|patient| patient.id).collect::<Vec<_>>(), ids, "{under}");
        assert!(first.not_understood == again.not_understood, "{under}");
        for (id, before) in ids.iter().zip(before) {
            assert_eq!(items(&house, &operator, *id).await, before, "{under}");
        }
    }
}

#[tokio::test]
async fn betsy_in_parts_is_betsy_whole() {
    let house = House::new().await;
    let operator = house.command_line().await;
    let mut ids = Vec::new();
    for one in sample("ckd-betsy") {
        let report = import(&house, &operator, vec![one]).await;
        assert!(report.not_understood.is_empty());
        ids.extend(report.patients.iter().map(|patient| patient.id));
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let parts = items(&house, &operator, ids[0]).await;
    let whole = House::new().await;
    let operator = whole.command_line().await;
    let report = import(&whole, &operator, sample("ckd-betsy")).await;
    let titles = |items: &[Value]| {
        let mut titles: Vec<String> = items.iter().map(|item| item["title"].to_string()).collect();
        titles.sort();
        titles
    };
    let all = items(&whole, &operator, report.patients[0].id).await;
    assert_eq!(titles(&parts), titles(&all));
    assert!(all.iter().any(|item| !item["addresses"].as_array().unwrap().is_empty()));
}

#[tokio::test]
async fn what_was_imported_is_kept_and_what_is_shown_of_it_comes_from_the_log() {
    let house = House::new().await;
    let operator = house.command_line().await;
    let report = import(&house, &operator, sample("synthea-2019-milan.json")).await;
    let patient = report.patients[0].id;
    let before = items(&house, &operator, patient).await;
    let shared = house.engine.shared();
    rebuild(shared).await.unwrap();
    assert_eq!(items(&house, &operator, patient).await, before);
    let mut tx = shared.db.read().await.unwrap();
    let kept = kept(&mut tx, &shared.vault, patient).await.unwrap();
    assert_eq!(kept.iter().filter(|source| source.item.is_some()).count(), 23);
    assert!(kept.len() > 200 && kept.iter().any(|source| source.kind == "Patient"));
    let text = String::from_utf8(sample("synthea-2019-milan.json").remove(0).bytes).unwrap();
    assert!(kept.iter().all(|source| text.contains(&source.json)), "byte for byte");
    let open = house.run(&operator, "plan.items", json!({"patient": patient})).await;
    assert_eq!(open["items"].as_array().unwrap().len() + 2, before.len(), "two came closed");
}

#[tokio::test]
async fn staff_lead_whom_they_bring_and_family_brings_nobody() {
    let house = House::new().await;
    let nurse = house.person("nurse", PersonKind::Practitioner).await;
    let daughter = house.person("daughter", PersonKind::RelatedPerson).await;
    let refusal = import_files(&house.engine, &daughter, sample("ckd-betsy")).await.err().unwrap();
    assert_eq!(refusal.code, Code::Forbidden);
    let report = import(&house, &nurse, sample("ckd-betsy")).await;
    let team = house.run(&nurse, "team.list", json!({"patient": report.patients[0].id})).await;
    assert_eq!(team["members"][0]["responsibilities"], json!(["lead"]));
}

#[tokio::test]
async fn a_patient_registered_by_hand_is_found_by_their_identifier() {
    let house = House::new().await;
    let nurse = house.person("nurse", PersonKind::Practitioner).await;
    let registered = house
        .run(
            &nurse,
            "patient.register",
            json!({"name": "R. Okafor", "birth_date": "1951-08-14",
            "identifiers": [{"system": "urn:mrn", "value": "7"}]}),
        )
        .await;
    let report = import(&house, &nurse, file(&bundle("p", "1951-08-14", json!([goal("1", "p")])))).await;
    assert_eq!(json!(report.patients[0].id), registered["id"]);
    assert_eq!((report.patients[0].created, report.patients[0].name.as_str()), (false, "R. Okafor"));
    // Known by the source's key from now on; what is new of the plan joins it.
    let more = json!([goal("1", "p"), goal("2", "p")]);
    let report = import(&house, &nurse, file(&bundle("p", "1951-08-14", more))).await;
    assert_eq!((report.patients[0].created, report.patients[0].items), (false, 2));
    assert_eq!(items(&house, &nurse, report.patients[0].id).await.len(), 4);
    // A conditional reference, with no Patient in the call.
    let mut third = goal("3", "p");
    third["subject"]["reference"] = json!("Patient?identifier=urn:mrn|7");
    let report = import(&house, &nurse, file(&third)).await;
    assert_eq!(json!(report.patients[0].id), registered["id"]);
}

#[tokio::test]
async fn another_person_of_the_same_identifier_is_not_them() {
    let house = House::new().await;
    let operator = house.command_line().await;
    import(&house, &operator, file(&bundle("p", "1951-08-14", json!([])))).await;
    let report = import(&house, &operator, file(&bundle("q", "1990-01-01", json!([goal("1", "q")])))).await;
    assert_eq!((report.patients.len(), report.not_understood.len()), (0, 1));
    assert_eq!(report.not_understood[0].path, "Bundle.entry[0].resource");
    // And one who stands at nobody is not told that somebody is here.
    let nurse = house.person("nurse", PersonKind::Practitioner).await;
    let report = import(&house, &nurse, file(&bundle("q", "1990-01-01", json!([goal("1", "q")])))).await;
    assert!(report.patients[0].created && report.not_understood.is_empty());
}

#[tokio::test]
async fn a_plan_is_added_to_by_those_who_change_it() {
    let house = House::new().await;
    let (lead, nurse) =
        (house.person("lead", PersonKind::Practitioner).await, house.person("nurse", PersonKind::Practitioner).await);
    let first = bundle("p", "1951-08-14", json!([goal("1", "p")]));
    let patient = import(&house, &lead, file(&first)).await.patients[0].id;
    let add = json!({"patient": patient, "user": nurse.user, "role": "Nurse"});
    house.run(&lead, "team.add", add).await;
    let report = import(&house, &nurse, file(&first)).await;
    assert_eq!((report.patients[0].id, report.patients[0].created), (patient, false));
    let second = bundle("p", "1951-08-14", json!([goal("2", "p")]));
    let refusal = import_files(&house.engine, &nurse, file(&second)).await.err().unwrap();
    assert_eq!(refusal.code, Code::Forbidden);
    assert_eq!(items(&house, &lead, patient).await.len(), 3);
    import(&house, &lead, file(&second)).await;
    assert_eq!(items(&house, &lead, patient).await.len(), 4);
}

#[tokio::test]
async fn nothing_comes_of_nothing() {
    let house = House::new().await;
    let operator = house.command_line().await;
    let report = import(&house, &operator, file(&json!({"resourceType": "Goal", "id": "1"}))).await;
    assert_eq!((report.patients.len(), report.not_understood.is_empty()), (0, false));
    let report = import(&house, &operator, vec![ImportFile { name: "x".into(), bytes: vec![0xff] }]).await;
    assert_eq!((report.patients.len(), report.not_understood.len()), (0, 1));
    import(&house, &operator, Vec::new()).await;
}
