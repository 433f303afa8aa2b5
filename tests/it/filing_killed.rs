//! A server that is killed between any two steps of a filing, again and again, files everything once all the same.

use std::time::Duration;

use serde_json::{Value, json};

use super::desk::{Desk, LOOK, ehr, once, said};
use super::peers::{FhirServer, MllpPeer};
use super::server::list;

/// Longer than a request takes to come on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the receiver had seen, and how many faults it had met, when it was looked at.
struct Seen {
    met: usize,
    requests: usize,
}

enum Peer {
    Fhir(FhirServer),
    Mllp(MllpPeer),
}

impl Peer {
    async fn received(&self) -> Vec<Value> {
        match self {
            Self::Fhir(fhir) => fhir.received().await,
            Self::Mllp(mllp) => mllp.received().await,
        }
    }

    async fn faults(&self, faults: Value) {
        match self {
            Self::Fhir(fhir) => fhir.faults(faults).await,
            Self::Mllp(mllp) => mllp.faults(faults).await,
        }
    }

    async fn seen(&self) -> Seen {
        let received = self.received().await;
        let fault = |one: &&Value| one["fault"].is_string() || one["answer"] == "silent";
        Seen {
            met: received.iter().filter(fault).count(),
            requests: received.iter().filter(|one| one["method"] != "GET").count(),
        }
    }
}

/// Kills the server when the receiver met the fault that waits for it, or answered once more, and starts it again: `false` when the filing
/// was through before that.
async fn killed(desk: Desk, peer: &Peer, export: &str, faults: Value) -> (Desk, bool) {
    let answered = faults == json!([]);
    let before = peer.seen().await;
    peer.faults(faults).await;
    let begun = tokio::time::Instant::now();
    loop {
        let now = peer.seen().await;
        let struck = if answered { now.requests > before.requests } else { now.met > before.met };
        if struck {
            return (desk.killed().await, true);
        }
        let shown = desk.shown(export).await;
        if shown["state"] == "filed" {
            return (desk, false);
        }
        assert!(shown["state"] != "failed" && begun.elapsed() < PATIENCE, "{shown}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Files the whole record while the server is killed before a request has its effect, after it had it, and as its answer comes, for each
/// request of the filing.
async fn files_through_kills(mut desk: Desk, peer: &Peer, target: &str) -> (Desk, usize) {
    let export = desk.draft(target).await;
    desk.attest(&export).await;
    let mut kills = 0;
    let fhir = matches!(peer, Peer::Fhir(_));
    let round = match fhir {
        true => {
            vec![json!([{"kind": "silent", "method": "!GET"}]), json!([{"kind": "mute", "method": "!GET"}]), json!([])]
        }
        false => vec![json!([{"kind": "silent"}]), json!([])],
    };
    // Of what is known before the first parcel goes out, nothing is lost.
    if fhir {
        let (again, struck) = killed(desk, peer, &export, json!([{"kind": "silent", "method": "GET"}])).await;
        assert!(struck);
        desk = again;
    }
    'filing: loop {
        for faults in &round {
            let (again, struck) = killed(desk, peer, &export, faults.clone()).await;
            desk = again;
            if !struck {
                break 'filing;
            }
            kills += 1;
            assert!(kills < 300, "it comes to an end");
        }
    }
    peer.faults(json!([])).await;
    let filed = desk.until(&export, "filed").await;
    assert_eq!(filed["progress"]["done"], filed["progress"]["of"], "{filed}");
    (desk, kills)
}

both!(a_fhir_server_has_everything_once_whenever_ours_was_killed);
async fn a_fhir_server_has_everything_once_whenever_ours_was_killed() {
    let fhir = FhirServer::start().await;
    let desk = Desk::open(&ehr(&fhir, "full", "entries_max = 5\ntimeout_seconds = 600")).await;
    desk.known(&fhir).await;
    let peer = Peer::Fhir(fhir);
    let (mut desk, kills) = files_through_kills(desk, &peer, "ehr").await;
    assert!(kills >= 12, "{kills}");
    // And again with changes: what is there is updated with what it is thought to be.
    let amended = json!({"message": desk.ward.id("second"), "text": "said better"});
    desk.server.run(&desk.ward.lead, "message.amend", amended).await;
    let reason = json!({"message": desk.ward.id("message_staff"), "reason": "Another patient's"});
    desk.server.run(&desk.ward.lead, "message.retract", reason).await;
    let (again, kills) = files_through_kills(desk, &peer, "ehr").await;
    desk = again;
    assert!(kills >= 2, "{kills}");
    let Peer::Fhir(fhir) = &peer else { panic!("another peer") };
    let stored = fhir.stored(None).await;
    once(&stored);
    let words = said(fhir).await;
    for (text, status) in [
        ("said better", "completed"),
        ("Retracted by author", "entered-in-error"),
        ("said as message_shared", "completed"),
    ] {
        let found = words.iter().filter(|(there, is)| there == text && is == status).count();
        assert_eq!(found, 1, "{text}: {words:?}");
    }
    // The ledger says of each thing that it is there, and of nothing else.
    let ours = stored.iter().filter(|one| one["id"] != "p1").count();
    assert_eq!(desk.ledger("ehr").await, [0, i64::try_from(ours).unwrap()]);
    let status = desk.server.run(&desk.officer, "chart.status", json!({"patient": desk.ward.id("patient")})).await;
    for item in list(&status["charts"][0], "items") {
        assert_eq!((&item["new"], &item["changed"]), (&json!(0), &json!(0)), "{item}");
    }
    let requests = peer.seen().await.requests;
    assert_eq!(desk.file("ehr").await["filed"]["resources"], 0);
    assert_eq!(peer.seen().await.requests, requests);
}

both!(an_interface_has_every_document_whenever_ours_was_killed);
async fn an_interface_has_every_document_whenever_ours_was_killed() {
    let mllp = MllpPeer::start().await;
    let desk =
        Desk::open(&format!("[targets.old]\nkind = \"mllp\"\naddress = \"{}\"\nack_seconds = 600\n", mllp.address))
            .await;
    let peer = Peer::Mllp(mllp);
    let (desk, kills) = files_through_kills(desk, &peer, "old").await;
    assert!(kills >= 6, "{kills}");
    let received = peer.received().await;
    let mut known = std::collections::BTreeMap::new();
    for one in &received {
        let raw = known.entry(one["control_id"].to_string()).or_insert(&one["raw"]);
        assert_eq!(*raw, &one["raw"], "a message that comes again is the same");
    }
    let mut documents: Vec<String> = known.values().map(|raw| number(raw.as_str().unwrap())).collect();
    let all = documents.len();
    documents.sort();
    documents.dedup();
    assert_eq!(documents.len(), all, "one message a document");
    assert_eq!(desk.ledger("old").await, [0, i64::try_from(all).unwrap()]);
    assert_eq!(desk.file("old").await["filed"]["resources"], 0);
    assert_eq!(peer.received().await.len(), received.len());
}

/// TXA-12: which document it is.
fn number(raw: &str) -> String {
    let txa = raw.split('\r').find(|line| line.starts_with("TXA|")).unwrap();
    txa.split('|').nth(12).unwrap().to_owned()
}
