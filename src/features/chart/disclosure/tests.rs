//! Where a record went, as it is told to those who may know.

use serde_json::{Value, json};

use super::*;
use crate::features::chart::tests::Ward;
use crate::features::chart::{ExportRequest, Format};
use crate::kernel::base::Code;
use crate::kernel::policy::{PersonKind, Roles};

async fn with_two() -> Ward {
    let ward = Ward::new().await;
    for (format, purpose) in [(Format::Ndjson, Some("=asked by the court")), (Format::Proof, None)] {
        let request = ExportRequest { purpose: purpose.map(str::to_owned), ..ward.all(format) };
        ward.export(&ward.lead, request).await;
        ward.house.advance(1_000_000);
    }
    ward
}

#[tokio::test]
async fn each_export_is_accounted_for_the_newest_first() {
    let ward = with_two().await;
    let told = all(&ward.house.engine, &ward.lead, ward.patient, [None, None]).await.unwrap();
    let formats: Vec<&str> = told.iter().map(|one| one.told.format.as_str()).collect();
    assert_eq!(formats, ["proof", "ndjson"]);
    assert_eq!((told[1].told.purpose.as_deref(), told[1].by), (Some("=asked by the court"), ward.lead.user));
    assert!(told[0].told.entries > 0 && told[0].told.sha256.len() == 64);
    let first = all(&ward.house.engine, &ward.lead, ward.patient, [None, Some(&told[1].at)]).await.unwrap();
    assert_eq!(first.len(), 1, "up to a time");
    let page = ward.house.run(&ward.lead, LIST, json!({"patient": ward.patient, "limit": 1})).await;
    assert_eq!((page["more"].clone(), page["disclosures"][0]["format"].clone()), (json!(true), json!("proof")));
    let next = json!({"patient": ward.patient, "limit": 1, "before": page["disclosures"][0]["seq"]});
    let next = ward.house.run(&ward.lead, LIST, next).await;
    assert_eq!((next["more"].clone(), next["disclosures"][0]["format"].clone()), (json!(false), json!("ndjson")));
}

#[tokio::test]
async fn it_is_for_the_lead_and_the_officers_alone() {
    let ward = with_two().await;
    let asked = || json!({"patient": ward.patient});
    let other = ward.house.person("other", PersonKind::Practitioner).await;
    assert_eq!(ward.house.try_run(&other, LIST, asked()).await.unwrap_err().code, Code::NotFound);
    for (handle, role) in [("privacy", Roles::PRIVACY_OFFICER), ("records", Roles::RECORD_OFFICER)] {
        let officer = ward.house.person_with(handle, PersonKind::Practitioner, role).await;
        assert_eq!(ward.house.run(&officer, LIST, asked()).await["disclosures"].as_array().unwrap().len(), 2);
    }
    let nurse = ward.house.person("nurse", PersonKind::Practitioner).await;
    let joins = json!({"patient": ward.patient, "user": nurse.user, "role": "Nurse"});
    ward.house.run(&ward.lead, "team.add", joins).await;
    assert_eq!(ward.house.try_run(&nurse, LIST, asked()).await.unwrap_err().code, Code::Forbidden);
}

#[tokio::test]
async fn a_rebuild_forgets_none() {
    let ward = with_two().await;
    let told = async || all(&ward.house.engine, &ward.lead, ward.patient, [None, None]).await.unwrap().len();
    assert_eq!(told().await, 2);
    crate::kernel::engine::rebuild(ward.house.engine.shared()).await.unwrap();
    assert_eq!(told().await, 2);
}

#[tokio::test]
async fn a_table_and_audit_events_say_the_same() {
    let ward = with_two().await;
    let told = all(&ward.house.engine, &ward.lead, ward.patient, [None, None]).await.unwrap();
    let table: String = told.iter().map(line).collect();
    assert!(table.lines().nth(1).unwrap().contains(",'=asked by the court,ndjson,"), "{table}");
    assert_eq!(HEADINGS.matches(',').count(), table.lines().next().unwrap().matches(',').count());
    let bundle = bundle(&ward.house.engine, ward.patient, &told);
    let events: Vec<&Value> = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]).collect();
    assert_eq!(events.len(), 2);
    for (event, one) in events.iter().zip(&told) {
        assert_eq!((event["type"]["code"].clone(), event["recorded"].clone()), (json!("110106"), json!(one.at)));
        assert_eq!(event["entity"][0]["what"]["identifier"]["value"], json!(ward.patient));
    }
    assert_eq!(events[1]["purposeOfEvent"][0]["text"], "=asked by the court");
}
