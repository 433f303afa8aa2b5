//! HL7 v2 interfaces: every acknowledgement and every silence of a receiver that others wrote, and what came of it.

use carethread::features::chart::targets::{Outcome, Parcel, ParcelKind, Receivers, send};
use serde_json::json;

use super::peers::{Certificates, MllpPeer};
use super::targets::{receivers, told};

/// Seconds within which a peer answers on a machine that does other things too.
const PATIENCE: u32 = 60;

fn message(id: &str) -> Parcel {
    let text = format!(
        "MSH|^~\\&|US|R|CHART|R|20260302170001+0000||MDM^T02^MDM_T02|{id}|P|2.5.1||||||UNICODE UTF-8\r\
         EVN|T02|20260302170001+0000\rPID|1||7^^^R^MR||Okafor^Ruth\rPV1|1|N\rTXA|1|PR|TEXT|||||||||doc-{id}^US|||||AU\r\
         OBX|1|FT|34139-6^Note^LN|1|Zażółć gęślą jaźń \\F\\ \\.br\\ \u{1F600}||||||F\r"
    );
    Parcel { n: 0, kind: ParcelKind::Hl7v2, bytes: text.into_bytes() }
}

fn site(address: &str, more: &str) -> Receivers {
    patient(address, PATIENCE, more)
}

fn patient(address: &str, seconds: u32, more: &str) -> Receivers {
    receivers(&format!("[targets.old]\nkind = \"mllp\"\naddress = \"{address}\"\nack_seconds = {seconds}\n{more}"))
}

async fn put(receivers: &Receivers, id: &str) -> Outcome {
    send(receivers.named("old").unwrap(), &message(id)).await
}

#[tokio::test]
async fn every_acknowledgement_comes_to_what_it_should() {
    let peer = MllpPeer::start().await;
    let receivers = site(&peer.address, "");
    let said = |kind: &str, error: &str, text: &str| json!({"kind": kind, "error": error, "text": text});
    for (fault, came, words) in [
        (said("AE", "207", "later, please"), "again", "AE later, please"),
        (said("CE", "206", ""), "again", "CE 206^^HL70357"),
        (said("AE", "101", "no patient"), "stopped", "refused: AE no patient"),
        (said("CE", "204", "unknown key"), "stopped", "refused: CE unknown key"),
        (said("AR", "207", "never"), "stopped", "refused: AR never"),
        (said("CR", "", ""), "stopped", "refused: CR"),
        (said("CA", "", ""), "done", "CA"),
        (json!({"kind": "wrong_id"}), "again", "another message"),
        (json!({"kind": "cut"}), "again", "broke off"),
        (json!({"kind": "drop"}), "again", "without an answer"),
        (json!({"kind": "garbage"}), "again", "no acknowledgement"),
        (json!({"kind": "unframed"}), "again", "broke off"),
    ] {
        // On a connection of an earlier message, as on a new one: `drop` and its like close what is kept, and are met again.
        peer.faults(json!([fault, fault])).await;
        let (is, told) = told(&put(&receivers, "A1").await);
        assert!(is == came && told.contains(words.trim_end()), "{fault}: {is} {told}");
        peer.faults(json!([])).await;
        assert!(matches!(put(&receivers, "A2").await, Outcome::Done { .. }), "{fault}: the next one goes through");
    }
    // Who never answers is waited for no longer than the site says.
    peer.faults(json!([{"kind": "silent"}])).await;
    let (is, words) = told(&put(&patient(&peer.address, 1, ""), "A1").await);
    assert!(is == "again" && words.contains("in time"), "{is} {words}");
    let received = peer.received().await;
    let first = String::from_utf8(message("A1").bytes).unwrap();
    assert!(received.iter().filter(|one| one["control_id"] == "A1").all(|one| one["raw"] == first.as_str()));
    assert!(
        received.iter().all(|one| one["problem"].is_null() && one["fields"]["PID-3"] == "7^^^R^MR"),
        "{received:?}"
    );
}

#[tokio::test]
async fn a_connection_that_ended_meanwhile_costs_no_attempt() {
    let peer = MllpPeer::start().await;
    let receivers = site(&peer.address, "");
    assert_eq!(told(&put(&receivers, "A1").await).0, "done");
    // The receiver closes on the kept connection, and takes the same bytes on a new one.
    peer.faults(json!([{"kind": "drop"}])).await;
    assert_eq!(told(&put(&receivers, "A2").await).0, "done");
    let ids: Vec<String> =
        peer.received().await.iter().map(|one| one["control_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, ["A1", "A2", "A2"]);
    let nowhere = site("127.0.0.1:9", "");
    assert_eq!(told(&put(&nowhere, "A1").await).0, "again");
    let empty = Parcel { n: 0, kind: ParcelKind::Hl7v2, bytes: b"PID|1\r".to_vec() };
    assert_eq!(told(&send(receivers.named("old").unwrap(), &empty).await).0, "stopped");
}

#[tokio::test]
async fn both_sides_show_certificates_where_the_site_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["peer", "us"] {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
        std::fs::write(path(&format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(path(&format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }
    let (certificate, key, clients) = (path("peer.pem"), path("peer.key"), path("us.pem"));
    let tls = Certificates { certificate: &certificate, key: &key, clients: Some(&clients) };
    let peer = MllpPeer::start_with(Some(tls)).await;
    let trusting = format!("tls = true\nca_file = \"{}\"\n", certificate.display());
    let shown =
        format!("{trusting}certificate = \"{}\"\nkey = \"{}\"\n", path("us.pem").display(), path("us.key").display());
    for (more, came) in
        [(shown.as_str(), "done"), (trusting.as_str(), "again"), ("tls = true\n", "again"), ("", "again")]
    {
        let (is, words) = told(&put(&site(&peer.address, more), "A1").await);
        assert_eq!(is, came, "{more}: {words}");
    }
    assert_eq!(peer.received().await.len(), 1);
}
