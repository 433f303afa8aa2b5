//! What leaves for the chart, judged by somebody else's reading of FHIR R4.

use std::path::Path;

use serde_json::{Value, json};

use super::server::Server;
use super::ward::Ward;

/// Reads the files with the library fhir.resources, in the Python that `tests/run` makes and names.
async fn judged(files: &[&Path]) -> Result<String, String> {
    let python = std::env::var_os("CARETHREAD_TEST_PYTHON");
    let python = python.expect("CARETHREAD_TEST_PYTHON names a Python with fhir.resources: tests/run makes one");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/judge_bundles.py");
    let output = tokio::process::Command::new(python).arg(script).args(files).output().await.unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(said(output.stdout)) } else { Err(said(output.stderr)) }
}

both!(a_chart_can_read_what_it_is_given);
async fn a_chart_can_read_what_it_is_given() {
    let server = Server::new().await;
    let lead = server.person("lead").await;
    let mut ward = Ward::open(&server, lead).await;
    let daughter = server.person_with("daughter", &["--kind", "related_person"]).await;
    ward.add(&server, &daughter, json!({"role": "Daughter", "family": true})).await;
    for (kind, title) in [("problem", "Hypertension"), ("activity", "Reconcile tablets"), ("barrier", "No transport")] {
        let codes = json!([{"system": "http://snomed.info/sct", "code": "38341003"}, {"display": "In words only"}]);
        let item = json!({"patient": ward.id("patient"), "kind": kind, "title": title, "detail": "More", "due": "2027-01-31",
                          "codes": codes, "addresses": [ward.id("goal")], "owner": {"responsibility": "plan"}});
        ward.make(&server, kind, "plan_item.add", item).await;
    }
    for (name, item) in [("m1", "activity"), ("m2", "problem"), ("m3", "whole")] {
        ward.says(&server, name, "staff", item).await;
    }
    let sbar = json!({"channel": ward.id("staff"), "item": ward.id("goal"), "reply_to": ward.id("m1"), "priority": "stat",
                      "sbar": {"situation": "Bell \u{7} and <b>", "assessment": "é"}});
    ward.make(&server, "m4", "message.post", sbar).await;
    server.run(&ward.lead, "message.amend", json!({"message": ward.id("m1"), "text": "other words"})).await;
    server.run(&ward.lead, "message.retract", json!({"message": ward.id("m2"), "reason": "Wrong patient"})).await;

    let export = async |name: &str, more: &[&str]| {
        let out = server.house.path(name);
        let path = out.to_str().unwrap();
        let typed = ["export", "--patient", ward.id("patient"), "--format", "fhir-transaction", "--out", path];
        let done = server.cli(&[&typed, more].concat()).await;
        (out, done)
    };
    let (all, _) = export("all.json", &["--with-patient"]).await;
    server.run(&ward.lead, "message.amend", json!({"message": ward.id("m3"), "text": "changed later"})).await;
    let (new, done) = export("new.json", &["--since", "last"]).await;
    assert_eq!(done["entries"], 1);
    let bundle: Value = serde_json::from_slice(&std::fs::read(&new).unwrap()).unwrap();
    let said: Vec<&Value> =
        bundle["entry"].as_array().unwrap().iter().filter(|entry| entry["resource"]["payload"].is_array()).collect();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0]["request"]["method"], "PUT");
    assert_eq!(said[0]["resource"]["payload"][0]["contentString"], "changed later");
    let judged = judged(&[&all, &new]).await;
    assert!(judged.is_ok(), "{judged:?}");
}
