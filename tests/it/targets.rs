//! Receivers: one attempt of one parcel at a real FHIR server and through every fault it can have, and what came of it.

use std::time::Duration;

use carethread::features::chart::targets::{Outcome, Parcel, ParcelKind, Receivers, Remote, Resolved, send};
use carethread::kernel::base::World;
use carethread::kernel::base::config::Config;
use serde_json::{Value, json};

use super::peers::{Certificates, FhirServer};
use super::server::{ROOMY, Server};

const SYSTEM: &str = "https://messaging.example.org/id";

/// The receivers of a configuration.
pub fn receivers(toml: &str) -> Receivers {
    Receivers::of(&Config::parse(toml).unwrap().targets, &World::system())
}

/// What an outcome is, and what was said.
pub fn told(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Done { words, .. } => ("done", words.clone()),
        Outcome::Held { poll, .. } => ("held", poll.clone()),
        Outcome::Again { words, .. } => ("again", words.clone()),
        Outcome::Refetch { words } => ("refetch", words.clone()),
        Outcome::TooLarge => ("too large", String::new()),
        Outcome::Stopped { code, words } => ("stopped", format!("{code}: {words}")),
    }
}

fn remote(outcome: &Outcome) -> &[Remote] {
    let Outcome::Done { remote, .. } = outcome else { panic!("{:?}", told(outcome)) };
    remote
}

struct Site {
    fhir: FhirServer,
    receivers: Receivers,
}

impl Site {
    async fn new(more: &str) -> Self {
        let fhir = FhirServer::start().await;
        let receivers = receivers(&format!("[targets.ehr]\nkind = \"fhir\"\nurl = \"{}\"\n{more}", fhir.base));
        Self { fhir, receivers }
    }

    async fn send(&self, parcel: &Parcel) -> Outcome {
        send(self.receivers.named("ehr").unwrap(), parcel).await
    }

    /// The bodies that came to a path.
    async fn bodies(&self, path: &str) -> Vec<String> {
        let received = self.fhir.received().await;
        let here = received.iter().filter(|one| one["url"].as_str().unwrap().starts_with(path));
        here.map(|one| one["body"].as_str().unwrap().to_owned()).collect()
    }
}

fn basic(id: &str) -> Value {
    json!({"resourceType": "Basic", "identifier": [{"system": SYSTEM, "value": id}], "code": {"text": "x"}})
}

fn search(id: &str) -> String {
    format!("identifier=https%3A%2F%2Fmessaging.example.org%2Fid%7C{id}")
}

fn create(id: &str) -> Parcel {
    let kind = ParcelKind::Fhir {
        method: "POST".into(),
        path: "Basic".into(),
        if_none_exist: Some(search(id)),
        if_match: None,
    };
    Parcel { n: 0, kind, bytes: basic(id).to_string().into_bytes() }
}

fn transaction(resources: &[Value]) -> Parcel {
    let entry = |resource: &Value| {
        let request = json!({"method": "POST", "url": resource["resourceType"],
            "ifNoneExist": search(resource["identifier"][0]["value"].as_str().unwrap())});
        json!({"resource": resource, "request": request})
    };
    let entries: Vec<Value> = resources.iter().map(entry).collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let kind = ParcelKind::Fhir { method: "POST".into(), path: String::new(), if_none_exist: None, if_match: None };
    Parcel { n: 0, kind, bytes: bundle.to_string().into_bytes() }
}

#[tokio::test]
async fn what_is_sent_twice_is_there_once() {
    let site = Site::new("").await;
    let first = site.send(&create("a")).await;
    let second = site.send(&create("a")).await;
    let (first, second) = (remote(&first), remote(&second));
    assert_eq!((first.len(), first), (1, second));
    assert_eq!(first[0].id, "a");
    assert!(first[0].location.starts_with("Basic/") && first[0].etag.as_ref().unwrap().starts_with("W/\""));
    assert_eq!(site.fhir.stored(Some("Basic")).await.len(), 1);
    // A changed one goes with what it was thought to be; what is otherwise there is looked at again.
    let update = |etag: &str| Parcel {
        n: 0,
        kind: ParcelKind::Fhir {
            method: "PUT".into(),
            path: format!("Basic?{}", search("a")),
            if_none_exist: None,
            if_match: Some(etag.into()),
        },
        bytes: basic("a").to_string().into_bytes(),
    };
    let changed = site.send(&update(first[0].etag.as_ref().unwrap())).await;
    assert_ne!(remote(&changed)[0].etag, first[0].etag);
    assert_eq!(told(&site.send(&update(first[0].etag.as_ref().unwrap())).await).0, "refetch");
}

#[tokio::test]
async fn every_answer_of_a_server_comes_to_what_it_should() {
    let site = Site::new("").await;
    for (status, came) in [
        (400, "stopped"),
        (403, "stopped"),
        (404, "stopped"),
        (405, "stopped"),
        (409, "refetch"),
        (412, "refetch"),
        (413, "too large"),
        (422, "stopped"),
        (429, "again"),
        (500, "again"),
        (502, "again"),
        (503, "again"),
        (401, "stopped"),
    ] {
        let outcome = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid",
            "details": {"text": "no\u{7} such\n code"}, "expression": ["Basic.code"]}]});
        site.fhir.faults(json!([{"kind": "status", "status": status, "body": outcome}])).await;
        let outcome = site.send(&create("a")).await;
        let (is, words) = told(&outcome);
        assert_eq!(is, came, "{status}: {words}");
        if came != "too large" {
            assert!(words.ends_with(&format!("HTTP {status}: no such code (Basic.code)")), "{words}");
        }
    }
    site.fhir
        .faults(json!([{"kind": "status", "status": 503, "headers": {"retry-after": "7"}, "body": "<h1>x</h1>"}]))
        .await;
    let Outcome::Again { after, words } = site.send(&create("a")).await else { panic!("again") };
    assert_eq!((after, words.as_str()), (Some(Duration::from_secs(7)), "HTTP 503"));
    // Nowhere but to the configured server: neither what we send nor a token.
    let headers = json!({"location": "https://elsewhere.example/fhir/Basic"});
    site.fhir.faults(json!([{"kind": "status", "status": 307, "headers": headers}])).await;
    assert_eq!(told(&site.send(&create("a")).await).0, "stopped");
    assert!(site.fhir.stored(None).await.is_empty());
}

#[tokio::test]
async fn an_answer_that_is_lost_is_followed_by_the_same_bytes() {
    let site = Site::new("").await;
    let mut large = create("a");
    let mut resource = basic("a");
    resource["text"] = json!({"status": "generated",
        "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{}</div>", "x".repeat(300_000))});
    large.bytes = resource.to_string().into_bytes();
    for kind in ["cut", "midway", "lost", "half"] {
        site.fhir.faults(json!([{"kind": kind}])).await;
        let (is, words) = told(&site.send(&large).await);
        assert_eq!(is, "again", "{kind}: {words}");
        let there = usize::from(matches!(kind, "lost" | "half"));
        assert_eq!(site.fhir.stored(None).await.len(), there, "{kind}");
    }
    // Who never answers is waited for no longer than the site says.
    site.fhir.faults(json!([{"kind": "silent"}])).await;
    let url = &site.fhir.base;
    let hasty = receivers(&format!("[targets.ehr]\nkind = \"fhir\"\nurl = \"{url}\"\ntimeout_seconds = 1\n"));
    let (is, words) = told(&send(hasty.named("ehr").unwrap(), &large).await);
    assert!(is == "again" && words.contains("in time"), "{is} {words}");
    site.fhir.faults(json!([])).await;
    let ehr = site.receivers.named("ehr").unwrap();
    let there = ehr.read_back("Basic", SYSTEM, "a").await.ok().flatten().unwrap();
    assert_eq!(remote(&site.send(&large).await), [there]);
    assert_eq!(site.fhir.stored(None).await.len(), 1);
    assert!(ehr.read_back("Basic", SYSTEM, "b").await.is_ok_and(|there| there.is_none()));
    let bodies = site.bodies("/fhir/Basic").await;
    let whole: Vec<&String> = bodies.iter().filter(|body| !body.is_empty()).collect();
    assert!(whole.len() >= 4 && whole.iter().all(|body| *body == whole[0]), "{}", whole.len());
    let nowhere = receivers("[targets.ehr]\nkind = \"fhir\"\nurl = \"http://127.0.0.1:9/fhir\"\n");
    assert_eq!(told(&send(nowhere.named("ehr").unwrap(), &large).await).0, "again");
}

#[tokio::test]
async fn what_is_held_for_review_is_asked_for_until_it_is_there() {
    let site = Site::new("").await;
    site.fhir.faults(json!([{"kind": "held", "polls": 2}])).await;
    let parcel = create("a");
    let Outcome::Held { mut poll, after } = site.send(&parcel).await else { panic!("held") };
    assert_eq!(after, Some(Duration::ZERO));
    let ehr = site.receivers.named("ehr").unwrap();
    for _ in 0..2 {
        let Outcome::Held { poll: next, .. } = ehr.poll(&parcel, &poll).await else { panic!("still held") };
        poll = next;
    }
    assert_eq!(remote(&ehr.poll(&parcel, &poll).await)[0].id, "a");
    assert_eq!(told(&ehr.poll(&parcel, "https://elsewhere.example/fhir/x").await).0, "stopped");
}

#[tokio::test]
async fn a_transaction_says_where_each_entry_is() {
    let site = Site::new("").await;
    let resources: Vec<Value> = ["a", "b", "c"].iter().map(|id| basic(id)).collect();
    let done = site.send(&transaction(&resources)).await;
    let ids: Vec<&str> = remote(&done).iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let again = site.send(&transaction(&resources)).await;
    assert_eq!(remote(&again), remote(&done));
    // Whoever splits has to stay below what this server takes of conditional entries.
    let many: Vec<Value> = (0..9).map(|n| basic(&n.to_string())).collect();
    let (is, words) = told(&site.send(&transaction(&many)).await);
    assert!(is == "stopped" && words.contains("too many entries"), "{is} {words}");
    assert_eq!(site.fhir.stored(Some("Basic")).await.len(), 3);
}

#[tokio::test]
async fn a_transaction_that_is_run_as_a_batch_is_looked_at_entry_by_entry() {
    let site = Site::new("").await;
    let ehr = site.receivers.named("ehr").unwrap();
    assert!(ehr.capabilities().await.is_ok_and(|can| can.transaction));
    site.fhir.set(json!({"transactions": false})).await;
    assert!(ehr.capabilities().await.is_ok_and(|can| can.batch && !can.transaction));
    let mut refused = basic("b");
    refused["id"] = json!("not ours to choose");
    let mut entries = transaction(&[basic("a"), refused]);
    let mut bundle: Value = serde_json::from_slice(&entries.bytes).unwrap();
    bundle["entry"][1]["request"] = json!({"method": "PUT", "url": "Basic/other"});
    entries.bytes = bundle.to_string().into_bytes();
    site.fhir.set(json!({"validate": false})).await;
    let (is, words) = told(&site.send(&entries).await);
    assert!(is == "stopped" && words.contains("Bundle.entry[1]: HTTP 4"), "{is} {words}");
    assert_eq!(site.fhir.stored(None).await.len(), 1, "the first entry was done all the same");
    site.fhir.set(json!({"batch": false, "statement": false})).await;
    assert!(ehr.capabilities().await.is_ok_and(|can| !can.batch && !can.transaction));
    let (is, words) = told(&site.send(&transaction(&[basic("c")])).await);
    assert!(is == "stopped" && words.starts_with("unsupported"), "{is} {words}");
}

#[tokio::test]
async fn a_patient_is_found_or_not_and_never_made() {
    let site = Site::new("").await;
    let ehr = site.receivers.named("ehr").unwrap();
    let patient = |id: &str, value: &str| json!({"resourceType": "Patient", "id": id, "identifier": [{"system": "urn:mrn", "value": value}]});
    let mut merged = patient("old", "1");
    merged["link"] = json!([{"type": "replaced-by", "other": {"reference": "Patient/p1"}}]);
    site.fhir.seed(json!([patient("p1", "1"), patient("p2", "2"), patient("p3", "2"), merged])).await;
    let by =
        |values: &[&str]| values.iter().map(|value| ("urn:mrn".to_owned(), (*value).to_owned())).collect::<Vec<_>>();
    for (values, found) in [
        (&["1"][..], Resolved::One("Patient/p1".into())),
        (&["9", "1"], Resolved::One("Patient/p1".into())),
        (&["9"], Resolved::Nobody),
        (&["2"], Resolved::Several),
        (&["1", "2"], Resolved::Several),
        (&[], Resolved::Nobody),
    ] {
        assert!(ehr.resolve(&by(values)).await.is_ok_and(|resolved| resolved == found), "{values:?}");
    }
    // A server that passes over the search gives everybody: nobody is taken for another.
    let everybody = json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": patient("p7", "7")}]});
    site.fhir.faults(json!([{"kind": "status", "status": 200, "body": everybody}])).await;
    assert!(ehr.resolve(&by(&["8"])).await.is_ok_and(|resolved| resolved == Resolved::Nobody));
    assert_eq!(site.fhir.stored(None).await.len(), 4);
}

/// The tokens that were asked for so far.
async fn tokens(fhir: &FhirServer) -> usize {
    fhir.received().await.iter().filter(|one| one["url"] == "/token").count()
}

#[tokio::test]
async fn smart_backend_services_give_a_token_that_is_kept_and_renewed_once() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let smart = format!(
        "auth = \"smart\"\nclient_id = \"us\"\nkey_file = \"{}\"\nscopes = [\"system/Patient.rs\", \"system/Basic.cru\"]\n",
        key.display()
    );
    let site = Site::new(&smart).await;
    let config = format!("[targets.ehr]\nkind = \"fhir\"\nurl = \"{}\"\n{smart}", site.fhir.base);
    let config = Config::parse(&config).unwrap();
    let keys = carethread::features::chart::targets::public_keys(&config.targets).await;
    site.fhir.set(json!({"auth": "smart", "client": "us", "jwks": {"keys": keys}})).await;
    for id in ["a", "b"] {
        assert_eq!(told(&site.send(&create(id)).await).0, "done");
    }
    assert_eq!(tokens(&site.fhir).await, 1, "one token for both");
    let form = site.bodies("/token").await.remove(0);
    assert!(form.contains("scope=system%2FPatient.rs+system%2FBasic.cru"), "{form}");
    for (times, came, asked) in [(1, "done", 2), (2, "stopped", 3)] {
        site.fhir.faults(json!([{"kind": "status", "status": 401, "path": "/fhir/Basic", "times": times}])).await;
        assert_eq!((told(&site.send(&create("c")).await).0, tokens(&site.fhir).await), (came, asked));
    }
    // One that ends within a minute is not used twice, and each assertion is another.
    site.fhir.set(json!({"expires_in": 59})).await;
    site.fhir.faults(json!([{"kind": "status", "status": 401, "path": "/fhir/Basic"}])).await;
    for id in ["d", "e"] {
        assert_eq!(told(&site.send(&create(id)).await).0, "done");
    }
    assert_eq!(tokens(&site.fhir).await, 5);
    site.fhir.set(json!({"jwks": {"keys": []}})).await;
    let (is, words) = told(&site.send(&create("f")).await);
    assert!(is == "stopped" && words.starts_with("unauthorized: No token: HTTP 400 invalid_client"), "{is} {words}");
    std::fs::write(&key, "no key").unwrap();
    assert!(told(&site.send(&create("f")).await).1.starts_with("misconfigured"));
}

/// A key that a site made, with another library.
async fn rsa(path: &std::path::Path, bits: u32) {
    let script = format!(
        "process.stdout.write(require('crypto').generateKeyPairSync('rsa', {{ modulusLength: {bits} }}).privateKey\
         .export({{ type: 'pkcs8', format: 'pem' }}))"
    );
    let made = super::foreign::node().arg("-e").arg(script).output().await.unwrap();
    assert!(made.status.success());
    std::fs::write(path, made.stdout).unwrap();
}

#[tokio::test]
async fn a_server_that_takes_rsa_alone_gets_an_rsa_signature() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let smart = format!(
        "auth = \"smart\"\nclient_id = \"us\"\nkey_file = \"{}\"\nscopes = [\"system/Basic.cru\"]\n",
        key.display()
    );
    let site = Site::new(&smart).await;
    let config = format!("[targets.ehr]\nkind = \"fhir\"\nurl = \"{}\"\n{smart}", site.fhir.base);
    let targets = Config::parse(&config).unwrap().targets;
    let curve = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    // With a key that the server does not take nothing is asked of it, and it is said what to do.
    for (algorithms, elliptic, words) in [
        (json!(["RS384"]), true, "The server takes RS384, not ES384: give this target an RSA key"),
        (json!(["ES384"]), false, "The server takes ES384, not RS384: give this target a P-384 key"),
        (json!(["PS256"]), false, "The server takes neither ES384 nor RS384"),
    ] {
        match elliptic {
            true => std::fs::write(&key, curve.serialize_pem()).unwrap(),
            false => rsa(&key, 2048).await,
        }
        site.fhir.set(json!({"auth": "smart", "client": "us", "algorithms": algorithms})).await;
        let (is, told) = told(&site.send(&create("a")).await);
        assert!(is == "stopped" && told.starts_with(&format!("misconfigured: {words}")), "{told}");
        assert_eq!(tokens(&site.fhir).await, 0);
    }
    let keys = carethread::features::chart::targets::public_keys(&targets).await;
    assert_eq!((&keys[0]["kty"], &keys[0]["alg"]), (&json!("RSA"), &json!("RS384")));
    assert!(keys[0].get("d").is_none(), "{keys:?}");
    site.fhir.set(json!({"algorithms": ["RS384"], "jwks": {"keys": keys}})).await;
    assert_eq!(told(&site.send(&create("a")).await).0, "done");
    // Another key of the same kind is another client's.
    rsa(&key, 3072).await;
    site.fhir.faults(json!([{"kind": "status", "status": 401, "path": "/fhir/Basic"}])).await;
    let (is, words) = told(&site.send(&create("b")).await);
    assert!(is == "stopped" && words.starts_with("unauthorized: No token: HTTP 400"), "{words}");
    rsa(&key, 1024).await;
    site.fhir.faults(json!([{"kind": "status", "status": 401, "path": "/fhir/Basic"}])).await;
    assert!(told(&site.send(&create("b")).await).1.starts_with("misconfigured: The key of this target is neither"));
}

#[tokio::test]
async fn a_signed_document_is_kept_as_it_is() {
    let site = Site::new("").await;
    let composition = json!({"resourceType": "Composition", "status": "final", "type": {"text": "Record"},
        "date": "2026-03-02T17:00:00Z", "author": [{"display": "Us"}], "title": "Record"});
    let document = json!({"resourceType": "Bundle", "type": "document", "timestamp": "2026-03-02T17:00:01Z",
        "identifier": {"system": SYSTEM, "value": "doc"}, "entry": [{"fullUrl": "urn:uuid:7bf32aa0-7bf3-4bf3-8bf3-7bf32aa07bf3",
        "resource": composition}]});
    let kind = ParcelKind::Fhir {
        method: "POST".into(),
        path: "Bundle".into(),
        if_none_exist: Some(search("doc")),
        if_match: None,
    };
    let parcel = Parcel { n: 0, kind, bytes: document.to_string().into_bytes() };
    let (first, second) = (site.send(&parcel).await, site.send(&parcel).await);
    assert_eq!((remote(&first), remote(&first)[0].id.as_str()), (remote(&second), "doc"));
    let ehr = site.receivers.named("ehr").unwrap();
    assert_eq!(ehr.read_back("Bundle", SYSTEM, "doc").await.ok().flatten().as_ref(), remote(&first).first());
}

#[tokio::test]
async fn the_keys_of_our_assertions_are_published() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let target = format!(
        "{ROOMY}[targets.ehr]\nkind = \"fhir\"\nurl = \"https://chart.example/fhir\"\nauth = \"smart\"\nclient_id = \"us\"\n\
         key_file = \"{}\"\nscopes = [\"system/Patient.rs\"]\n",
        key.display()
    );
    let server = Server::with(&target).await;
    let jwks = server.request("GET /.well-known/jwks.json", "", b"").await.json();
    let kinds: Vec<&str> = jwks["keys"].as_array().unwrap().iter().map(|key| key["alg"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ES384", "EdDSA", "ES384"]);
    assert_ne!(jwks["keys"][0]["kid"], jwks["keys"][2]["kid"], "documents are signed with another key");
    assert!(jwks["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none()));
}

#[tokio::test]
async fn a_bearer_token_is_read_at_each_use() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let site = Site::new(&format!("auth = \"bearer\"\ntoken_file = \"{}\"\n", token.display())).await;
    site.fhir.set(json!({"auth": "bearer", "token": "good"})).await;
    for (text, came) in [("bad\n", "stopped"), ("good\n", "done"), ("", "stopped")] {
        std::fs::write(&token, text).unwrap();
        assert_eq!(told(&site.send(&create("a")).await).0, came, "{text}");
    }
    std::fs::remove_file(&token).unwrap();
    assert!(told(&site.send(&create("a")).await).1.starts_with("misconfigured"));
}

#[tokio::test]
async fn a_certificate_counts_only_if_its_authority_does() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["cert.pem", "key.pem", "other.pem"].map(|name| folder.path().join(name));
    for (certificate, key) in [(&paths[0], Some(&paths[1])), (&paths[2], None)] {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
        std::fs::write(certificate, made.cert.pem()).unwrap();
        if let Some(key) = key {
            std::fs::write(key, made.signing_key.serialize_pem()).unwrap();
        }
    }
    let tls = Certificates { certificate: &paths[0], key: &paths[1], clients: None };
    let fhir = FhirServer::start_with(Some(tls)).await;
    assert!(fhir.base.starts_with("https://"));
    for (ca, came) in [(Some(&paths[0]), "done"), (Some(&paths[2]), "again"), (None, "again")] {
        let ca = ca.map(|path| format!("ca_file = \"{}\"\n", path.display())).unwrap_or_default();
        let receivers = receivers(&format!("[targets.ehr]\nkind = \"fhir\"\nurl = \"{}\"\n{ca}", fhir.base));
        let (is, words) = told(&send(receivers.named("ehr").unwrap(), &create("a")).await);
        assert!(is == came && (is == "done" || words.contains("certificate")), "{ca}: {is} {words}");
    }
    assert_eq!(fhir.stored(None).await.len(), 1);
}
