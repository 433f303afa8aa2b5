//! What can be seen without a receiver: names, places, answers of transactions, files.

use std::collections::BTreeMap;
use std::path::Path;

use ::http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::json;

use super::http::{Answer, same_origin};
use super::remote::{entries, located, sent};
use super::search::identified;
use super::*;

fn answer(status: u16, body: &serde_json::Value) -> Answer {
    Answer { status, headers: HeaderMap::new(), body: body.to_string().into_bytes() }
}

fn named(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Held { .. } => "held",
        Outcome::Again { .. } => "again",
        Outcome::Refetch { .. } => "refetch",
        Outcome::TooLarge => "too large",
        Outcome::Stopped { .. } => "stopped",
    }
}

#[test]
fn places_are_read_from_urls() {
    for (url, place, version) in [
        ("https://a/fhir/Task/7/_history/2", "Task/7", Some("W/\"2\"")),
        ("Task/7", "Task/7", None),
        ("/fhir/Communication/a-b.c", "Communication/a-b.c", None),
    ] {
        assert_eq!(located(url), Some((place.to_owned(), version.map(str::to_owned))), "{url}");
    }
    assert!(
        ["", "7", "https://a/fhir", "Task/", "Task/a b", "task/7", "Task/7?x=1"]
            .iter()
            .all(|url| located(url).is_none())
    );
}

#[test]
fn identifiers_are_searched_for_as_they_are() {
    assert_eq!(identified("https://a.example/id", "1-2"), "identifier=https%3A%2F%2Fa.example%2Fid%7C1-2");
    assert_eq!(identified("urn:x", "a|b,c&d"), "identifier=urn%3Ax%7Ca%5C%7Cb%5C%2Cc%26d");
}

#[test]
fn only_the_configured_server_is_asked() {
    let base = "https://chart.example/fhir";
    assert!(same_origin(base, "https://chart.example/fhir/Task?page=2"));
    assert!(same_origin(base, "https://CHART.example:443/other"));
    for other in
        ["http://chart.example/fhir", "https://chart.example.evil/", "https://chart.example@evil/", "/Task", ""]
    {
        assert!(!same_origin(base, other), "{other}");
    }
}

#[test]
fn every_entry_of_a_transaction_is_looked_at() {
    let resource = |id: &str| json!({"resourceType": "Basic", "identifier": [{"system": "s", "value": id}]});
    let sent: Vec<_> = ["a", "b"].iter().map(|id| sent(&resource(id))).collect();
    let told = |second: serde_json::Value| {
        let body = json!({"resourceType": "Bundle", "type": "batch-response", "entry": [
            {"response": {"status": "201 Created", "location": "Basic/1/_history/3", "etag": "W/\"3\""}},
            {"response": second}]});
        entries(&answer(200, &body), &sent).expect("an answer to these entries")
    };
    let good = told(json!({"status": "200", "location": "https://a/fhir/Basic/2"}));
    let first = Remote { id: "a".into(), location: "Basic/1".into(), etag: Some("W/\"3\"".into()) };
    assert_eq!((good.remote[0].as_ref(), good.failed.as_ref().map(named)), (Some(&first), None));
    for (status, came) in
        [("422 Unprocessable", "stopped"), ("412", "refetch"), ("503", "again"), ("413", "too large"), ("", "again")]
    {
        let issue = json!({"issue": [{"diagnostics": "no such code", "expression": ["Basic.code"]}]});
        let told = told(json!({"status": status, "outcome": issue}));
        let failed = told.failed.expect("a failure");
        assert_eq!(named(&failed), came, "{status}");
        if let Outcome::Stopped { words, .. } = failed {
            assert_eq!(words, "Bundle.entry[1]: HTTP 422: no such code (Basic.code)");
        }
    }
    // One answer too few is no answer.
    let short = json!({"resourceType": "Bundle", "type": "transaction-response", "entry": []});
    assert!(entries(&answer(200, &short), &sent).is_none());
}

#[test]
fn how_long_to_wait_is_read_in_both_forms() {
    let world = World::system();
    let wait = |text: &str| {
        let mut answer = answer(503, &json!({}));
        answer.headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
        answer.retry_after(&world).map(|wait| wait.as_secs())
    };
    assert_eq!((wait("120"), wait("soon"), wait("999999999")), (Some(120), None, Some(86_400)));
    assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0));
    let later = jiff::Timestamp::from_microsecond(world.now() + 100_000_000).unwrap();
    let later = later.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    assert!(wait(&later).is_some_and(|seconds| (95..=100).contains(&seconds)), "{later}");
}

fn folder(path: &Path) -> Receivers {
    let text = format!("[targets.drop]\nkind = \"folder\"\npath = \"{}\"", path.display());
    let config = crate::kernel::base::config::Config::parse(&text).unwrap();
    Receivers::of(&config.targets, &World::system())
}

async fn put(receivers: &Receivers, name: &str, bytes: &[u8]) -> &'static str {
    let kind = ParcelKind::File { name: name.into() };
    named(&send(receivers.named("drop").unwrap(), &Parcel { n: 0, kind, bytes: bytes.to_vec() }).await)
}

#[tokio::test]
async fn a_file_is_laid_once_and_whole() {
    let place = tempfile::tempdir().unwrap();
    let receivers = folder(place.path());
    // What an earlier attempt left when the power failed.
    std::fs::write(place.path().join(".0001.hl7.part"), b"MS").unwrap();
    for came in ["done", "done"] {
        assert_eq!(put(&receivers, "0001.hl7", b"MSH|1").await, came);
    }
    assert_eq!(put(&receivers, "0001.hl7", b"MSH|2").await, "stopped");
    for name in ["", "../x", ".hidden", "a/b", "a b"] {
        assert_eq!(put(&receivers, name, b"x").await, "stopped", "{name}");
    }
    let there: BTreeMap<_, _> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    assert_eq!(there, BTreeMap::from([("0001.hl7".to_owned(), b"MSH|1".to_vec())]));
    let wrong = Parcel { n: 0, kind: ParcelKind::Hl7v2, bytes: Vec::new() };
    assert_eq!(named(&send(receivers.named("drop").unwrap(), &wrong).await), "stopped");
    assert_eq!(put(&folder(&place.path().join("gone")), "a", b"x").await, "again");
}
