//! Filings through every answer, silence and cut of a receiver: what the user is shown meanwhile, and that what was said is there once in
//! the end, or that it stopped for a reason that the receiver gave.

use std::collections::BTreeMap;

use carethread::kernel::base::world::parse_rfc3339;
use serde_json::{Value, json};

use super::desk::{Desk, LOOK, ehr, once, said};
use super::peers::{FhirServer, MllpPeer};
use super::server::text;

const SECOND: i64 = 1_000_000;

/// What becomes of a filing.
enum Comes {
    /// Filed, however often it is tried.
    Filed,
    /// Waits at least so many minutes, the user is told why; then filed.
    Waits(&'static str, i64),
    /// Stops with that code; after `export.retry` it is filed.
    Stops(&'static str),
}

struct Case {
    faults: Value,
    comes: Comes,
    /// In the receiver's words, as the user sees them.
    words: &'static str,
}

fn case(faults: Value, comes: Comes, words: &'static str) -> Case {
    Case { faults, comes, words }
}

fn refusal(status: u16, text: &str) -> Value {
    let issue = json!({"severity": "error", "code": "invalid", "details": {"text": text}, "expression": ["Communication.payload[0]"]});
    let outcome = json!({"resourceType": "OperationOutcome", "issue": [issue]});
    json!({"kind": "status", "status": status, "method": "!GET", "path": "/fhir", "body": outcome})
}

fn status(status: u16, headers: Value) -> Value {
    json!({"kind": "status", "status": status, "method": "!GET", "path": "/fhir", "headers": headers})
}

fn at(kind: &str) -> Value {
    json!({"kind": kind, "method": "!GET"})
}

fn cases() -> Vec<Case> {
    use Comes::{Filed, Stops, Waits};
    let none = || json!({});
    vec![
        case(json!([at("lost")]), Filed, ""),
        case(json!([at("half")]), Filed, ""),
        case(json!([at("cut")]), Filed, ""),
        case(json!([at("midway")]), Filed, ""),
        case(json!([at("lost"), at("half"), at("cut"), status(503, none())]), Filed, ""),
        case(json!([{"kind": "cut", "method": "GET"}]), Filed, ""),
        case(json!([status(500, none())]), Filed, ""),
        case(json!([status(503, none())]), Filed, ""),
        case(json!([status(503, json!({"retry-after": "3600"}))]), Waits("again", 60), "HTTP 503"),
        case(json!([status(429, json!({"retry-after": "7200"}))]), Waits("again", 120), "HTTP 429"),
        case(json!([{"kind": "held", "method": "!GET", "polls": 1, "after": "3600"}]), Waits("held", 60), ""),
        case(json!([status(409, none())]), Filed, ""),
        case(json!([status(412, none())]), Filed, ""),
        // What was looked at again is sent, its answer is lost, and it is looked at again.
        case(json!([status(412, none()), at("lost"), status(412, none())]), Filed, ""),
        case(json!([status(409, none()), refusal(409, "edited by another")]), Stops("conflict"), "edited by another"),
        case(json!([status(413, none())]), Filed, ""),
        case(json!([status(405, none())]), Filed, ""),
        case(json!([refusal(400, "not understood")]), Stops("refused"), "not understood (Communication.payload[0])"),
        case(json!([refusal(404, "no such thing")]), Stops("refused"), "no such thing (Communication.payload[0])"),
        case(json!([refusal(422, "too <b>bold</b>")]), Stops("refused"), "too <b>bold</b> (Communication.payload[0])"),
        case(json!([refusal(403, "not for you")]), Stops("forbidden"), "not for you"),
        case(json!([refusal(401, "who are you")]), Stops("unauthorized"), "who are you"),
    ]
}

struct Scene {
    fhir: FhirServer,
    desk: Desk,
    count: usize,
}

impl Scene {
    async fn open() -> Self {
        let fhir = FhirServer::start().await;
        let folder = tempfile::tempdir().unwrap().keep().display().to_string();
        let drop = format!("[targets.drop]\nkind = \"folder\"\npath = \"{folder}\"\nformat = \"ndjson\"\n");
        let desk = Desk::open(&format!("{}{drop}", ehr(&fhir, "full", "entries_max = 8"))).await;
        Self::begin(fhir, desk).await
    }

    /// With a receiver that wants to know who we are.
    async fn smart() -> Self {
        let fhir = FhirServer::start().await;
        let keys = tempfile::tempdir().unwrap();
        let key = keys.path().join("key.pem");
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        // Read at each use, so it stays as long as the scene.
        let key = key.display().to_string();
        let _ = keys.keep();
        let smart = format!(
            "entries_max = 8\nauth = \"smart\"\nclient_id = \"us\"\nkey_file = \"{key}\"\nscopes = [\"system/*.cruds\"]"
        );
        let desk = Desk::open(&ehr(&fhir, "full", &smart)).await;
        let jwks = desk.server.request("GET /.well-known/jwks.json", "", b"").await.json();
        fhir.set(json!({"auth": "smart", "client": "us", "jwks": jwks})).await;
        Self::begin(fhir, desk).await
    }

    async fn begin(fhir: FhirServer, desk: Desk) -> Self {
        desk.known(&fhir).await;
        desk.file("ehr").await;
        Self { fhir, desk, count: 0 }
    }

    /// Something new to file.
    async fn says(&mut self) -> String {
        self.count += 1;
        let words = format!("case {}", self.count);
        let data = json!({"channel": self.desk.ward.id("staff"), "item": self.desk.ward.id("goal"), "text": words});
        self.desk.server.run(&self.desk.ward.lead, "message.post", data).await;
        words
    }

    /// Bodies of what was sent since, by where it went; what never arrived whole is none.
    async fn sent(&self, since: usize) -> BTreeMap<String, Vec<String>> {
        let mut bodies: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for one in &self.fhir.received().await[since..] {
            let (url, body) = (text(one, "url"), text(one, "body"));
            if one["method"] != "GET" && url != "/token" && !body.is_empty() {
                bodies.entry(url).or_default().push(body);
            }
        }
        bodies
    }

    async fn judge(&mut self, case: Case) {
        let Case { faults, comes, words } = case;
        let told = faults.to_string();
        let new = self.says().await;
        let before = self.fhir.received().await.len();
        self.fhir.faults(faults).await;
        let export = self.desk.draft("ehr").await;
        self.desk.attest(&export).await;
        match comes {
            Comes::Filed => {}
            Comes::Waits(code, minutes) => {
                let shown = self.desk.when(&export, |shown| shown["outcome"]["code"] == code).await;
                assert!(shown["outcome"]["words"].as_str().unwrap().contains(words), "{told}: {shown}");
                let [next, at] = ["/next_at", "/outcome/at"]
                    .map(|at| parse_rfc3339(shown.pointer(at).unwrap().as_str().unwrap()).unwrap());
                assert!((next - at - minutes * 60 * SECOND).abs() <= SECOND, "{told}: {shown}");
                let requests = self.fhir.received().await.len();
                // Not before its time: what is due by then is filed, and this is not.
                self.desk.clock.advance(minutes - 1);
                self.desk.file("drop").await;
                let waiting = self.desk.shown(&export).await;
                assert_eq!(waiting["state"], if code == "held" { "held" } else { "filing" }, "{told}");
                assert_eq!(self.fhir.received().await.len(), requests, "{told}");
                self.desk.clock.advance(2);
                if code == "held" {
                    // Asked about at each time it named, until it is through.
                    let again = self.desk.when(&export, |now| now["next_at"] != shown["next_at"]).await;
                    assert_eq!(
                        (&again["state"], &again["outcome"]["code"]),
                        (&json!("held"), &json!("held")),
                        "{again}"
                    );
                    assert_eq!(self.fhir.received().await.len(), requests + 1);
                    self.desk.clock.advance(minutes + 1);
                }
            }
            Comes::Stops(code) => {
                let shown = self.desk.until(&export, "failed").await;
                assert_eq!(shown["outcome"]["code"], code, "{told}: {shown}");
                assert!(shown["outcome"]["words"].as_str().unwrap().contains(words), "{told}: {shown}");
                assert!(!said(&self.fhir).await.iter().any(|(text, _)| *text == new), "{told}");
                self.desk.server.run(&self.desk.officer, "export.retry", json!({ "export": export })).await;
            }
        }
        let shown = self.desk.until(&export, "filed").await;
        assert_eq!(shown["outcome"], Value::Null, "{told}: what was overcome is not shown any more: {shown}");
        let there = said(&self.fhir).await;
        assert_eq!(there.iter().filter(|(text, _)| *text == new).count(), 1, "{told}: {there:?}");
        once(&self.fhir.stored(None).await);
        let left: Vec<Value> = self.fhir.received().await[before..].iter().map(|one| one["fault"].clone()).collect();
        assert!(left.iter().any(|fault| !fault.is_null()), "{told}: the fault was met");
    }
}

both!(every_fault_of_a_fhir_server_is_overcome_or_told);
async fn every_fault_of_a_fhir_server_is_overcome_or_told() {
    let mut scene = Scene::open().await;
    for case in cases() {
        scene.judge(case).await;
    }
    // Nothing is left on its way, and nothing is sent again.
    assert_eq!(scene.desk.ledger("ehr").await[0], 0);
    let before = scene.fhir.received().await.len();
    assert_eq!(scene.desk.file("ehr").await["filed"]["resources"], 0);
    assert!(scene.sent(before).await.is_empty());
    // The same bytes, whatever befell them.
    let before = scene.fhir.received().await.len();
    scene.judge(case(json!([at("lost"), at("cut"), at("half"), status(502, json!({}))]), Comes::Filed, "")).await;
    let sent = scene.sent(before).await;
    assert!(sent.values().any(|bodies| bodies.len() >= 5 && bodies.iter().all(|body| *body == bodies[0])), "{sent:?}");
}

both!(one_that_takes_long_holds_up_nobody_but_those_behind_it);
async fn one_that_takes_long_holds_up_nobody_but_those_behind_it() {
    let mut scene = Scene::open().await;
    let (first, second) = (scene.says().await, scene.desk.draft("ehr").await);
    scene.fhir.faults(json!([at("silent")])).await;
    scene.desk.attest(&second).await;
    while !scene.fhir.received().await.iter().any(|one| one["fault"] == "silent") {
        tokio::time::sleep(LOOK).await;
    }
    let third = scene.desk.draft("ehr").await;
    scene.desk.attest(&third).await;
    // The job goes round while one is under way and one waits behind it.
    for _ in 0..3 {
        scene.desk.file("drop").await;
    }
    assert_eq!(scene.desk.shown(&second).await["state"], "filing");
    assert_eq!(scene.desk.shown(&third).await["state"], "attested");
    scene.desk = scene.desk.killed().await;
    scene.desk.until(&second, "filed").await;
    scene.desk.until(&third, "filed").await;
    assert_eq!(said(&scene.fhir).await.iter().filter(|(text, _)| *text == first).count(), 1);
}

both!(a_token_that_is_not_taken_is_renewed_once);
async fn a_token_that_is_not_taken_is_renewed_once() {
    let mut scene = Scene::smart().await;
    let tokens = async |fhir: &FhirServer| fhir.received().await.iter().filter(|one| one["url"] == "/token").count();
    assert_eq!(tokens(&scene.fhir).await, 1);
    scene.judge(case(json!([status(401, json!({}))]), Comes::Filed, "")).await;
    assert_eq!(tokens(&scene.fhir).await, 2);
    let twice = json!([status(401, json!({})), refusal(401, "still not")]);
    scene.judge(case(twice, Comes::Stops("unauthorized"), "still not")).await;
    assert_eq!(tokens(&scene.fhir).await, 3);
}

both!(what_is_too_large_for_a_receiver_goes_in_smaller_parts);
async fn what_is_too_large_for_a_receiver_goes_in_smaller_parts() {
    let fhir = FhirServer::start().await;
    let desk = Desk::open(&ehr(&fhir, "full", "entries_max = 8")).await;
    desk.known(&fhir).await;
    desk.file("ehr").await;
    let lead = desk.trusted_lead().await;
    for (name, bytes) in [("scan.txt", 30_000), ("film.txt", 90_000)] {
        let headers =
            format!("Authorization: Bearer {}\r\nContent-Type: text/plain\r\nX-File-Name: {name}\r\n", lead.token);
        let route = format!("POST /v1/channels/{}/files", desk.ward.id("staff"));
        let file = desk.server.request(&route, &headers, "x".repeat(bytes).as_bytes()).await.json();
        let post = json!({"channel": desk.ward.id("staff"), "item": desk.ward.id("goal"), "text": name, "files": [file["id"]]});
        desk.server.run(&lead, "message.post", post).await;
    }
    // Room for the smaller one in base64 beside a resource, not within its message with everything that stands there.
    fhir.set(json!({"bytes_max": 41_400})).await;
    let export = desk.drafted(&lead, desk.ward.id("patient"), "ehr").await;
    desk.attested(&lead, &export).await;
    desk.until(&export, "filed").await;
    let stored = fhir.stored(None).await;
    once(&stored);
    let of = |text: &str| stored.iter().find(|one| one["payload"][0]["contentString"] == text).unwrap();
    let scan = of("scan.txt");
    let reference = scan["payload"][1]["contentReference"]["reference"].as_str().unwrap_or_else(|| panic!("{scan}"));
    let file = stored.iter().find(|one| format!("DocumentReference/{}", text(one, "id")) == reference).unwrap();
    let attachment = &file["content"][0]["attachment"];
    assert_eq!((&attachment["title"], &attachment["size"]), (&json!("scan.txt"), &json!(30_000)));
    assert_eq!(attachment["data"].as_str().unwrap().len(), 40_000);
    let named = &of("film.txt")["payload"][1]["contentAttachment"];
    let title = "film.txt (90000 bytes; too large for this receiver, not included)";
    assert_eq!((&named["title"], &named["data"]), (&json!(title), &Value::Null));
    // The record did not change by it: nothing is to be sent again.
    fhir.set(json!({"bytes_max": 10_000_000})).await;
    let again = desk.drafted(&lead, desk.ward.id("patient"), "ehr").await;
    desk.attested(&lead, &again).await;
    assert_eq!(desk.until(&again, "filed").await["filed"]["resources"], 0);
    // A resource that is too large without any file is told.
    desk.server
        .run(
            &lead,
            "message.post",
            json!({"channel": desk.ward.id("staff"), "item": desk.ward.id("goal"), "text": "long"}),
        )
        .await;
    fhir.set(json!({"bytes_max": 10})).await;
    let export = desk.drafted(&lead, desk.ward.id("patient"), "ehr").await;
    desk.attested(&lead, &export).await;
    assert_eq!(desk.until(&export, "failed").await["outcome"]["code"], "too_large");
}

both!(every_answer_of_an_interface_is_overcome_or_told);
async fn every_answer_of_an_interface_is_overcome_or_told() {
    use Comes::{Filed, Stops};
    let peer = MllpPeer::start().await;
    let target = format!("[targets.old]\nkind = \"mllp\"\naddress = \"{}\"\nack_seconds = 20\n", peer.address);
    let desk = Desk::open(&target).await;
    desk.file("old").await;
    let said = |kind: &str, error: &str, text: &str| json!([{"kind": kind, "error": error, "text": text}]);
    let twice = |kind: &str| json!([{"kind": kind}, {"kind": kind}]);
    let cases = vec![
        case(said("AE", "207", "later, please"), Filed, ""),
        case(said("CE", "207", "later, please"), Filed, ""),
        case(said("CA", "", ""), Filed, ""),
        case(said("AE", "101", "no such patient"), Stops("refused"), "AE no such patient"),
        case(said("CE", "204", "unknown key"), Stops("refused"), "CE unknown key"),
        case(said("AR", "207", "never"), Stops("refused"), "AR never"),
        case(said("CR", "", ""), Stops("refused"), "CR"),
        case(twice("wrong_id"), Filed, ""),
        case(twice("drop"), Filed, ""),
        case(twice("cut"), Filed, ""),
        case(twice("garbage"), Filed, ""),
        case(twice("unframed"), Filed, ""),
    ];
    for (n, Case { faults, comes, words }) in cases.into_iter().enumerate() {
        let told = faults.to_string();
        let new = format!("case {n}.");
        let post = json!({"channel": desk.ward.id("staff"), "item": desk.ward.id("goal"), "text": new});
        desk.server.run(&desk.ward.lead, "message.post", post).await;
        let before = peer.received().await.len();
        peer.faults(faults).await;
        let export = desk.draft("old").await;
        desk.attest(&export).await;
        if let Stops(code) = comes {
            let shown = desk.until(&export, "failed").await;
            assert_eq!(shown["outcome"]["code"], code, "{told}: {shown}");
            assert!(shown["outcome"]["words"].as_str().unwrap().contains(words), "{told}: {shown}");
            desk.server.run(&desk.officer, "export.retry", json!({ "export": export })).await;
        }
        desk.until(&export, "filed").await;
        let received = peer.received().await;
        let since = &received[before..];
        assert!(since.len() >= if told.contains("\"CA\"") { 1 } else { 2 }, "{told}: {since:?}");
        let ids: Vec<&Value> = since.iter().map(|one| &one["control_id"]).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{told}: one message, known by one MSH-10: {ids:?}");
        if !matches!(comes, Stops(_)) {
            assert!(since.iter().all(|one| one["raw"] == since[0]["raw"]), "{told}: the same bytes");
        }
        let last = since.last().unwrap();
        assert!(
            last["raw"].as_str().unwrap().contains(&new)
                && last["answer"].as_str().is_some_and(|a| a == "AA" || a == "CA"),
            "{last}"
        );
        assert!(since.iter().all(|one| one["problem"].is_null()), "{since:?}");
    }
    assert_eq!(desk.ledger("old").await[0], 0);
    let before = peer.received().await.len();
    assert_eq!(desk.file("old").await["filed"]["resources"], 0);
    assert_eq!(peer.received().await.len(), before);
}

both!(an_interface_that_never_answers_is_tried_again);
async fn an_interface_that_never_answers_is_tried_again() {
    let peer = MllpPeer::start().await;
    let target = format!("[targets.old]\nkind = \"mllp\"\naddress = \"{}\"\nack_seconds = 3\n", peer.address);
    let desk = Desk::open(&target).await;
    peer.faults(json!([{"kind": "silent"}])).await;
    let export = desk.draft("old").await;
    desk.attest(&export).await;
    while peer.received().await.is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    let shown = desk.when(&export, |shown| shown["outcome"]["code"] == "again").await;
    assert!(shown["outcome"]["words"].as_str().unwrap().contains("in time"), "{shown}");
    desk.until(&export, "filed").await;
    let received = peer.received().await;
    assert!(received.len() > 1 && received[0]["raw"] == received[1]["raw"], "{received:?}");
}
