//! Files made by the form's own rules, then changed.

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::verify_lines;
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, EntryId, ItemId, PatientId, UserId};
use crate::kernel::crypto::chain::{Leaf, commit, event_tag, genesis, kind, next};
use crate::kernel::crypto::{HeadNote, Signer, base64};

const DEPLOYMENT: DeploymentId = DeploymentId(Uuid::from_u128(1));
const PATIENT: PatientId = PatientId(Uuid::from_u128(2));
const WROTE: UserId = UserId(Uuid::from_u128(3));

fn signer() -> Signer {
    Signer::new("care.example", &[7; 32]).unwrap()
}

fn channel(number: u128) -> ChannelId {
    ChannelId(Uuid::from_u128(100 * number))
}

/// The words of the entries of a channel, as lines; the signed head is that of all of them.
fn lines(number: u128, words: &[&str]) -> Vec<String> {
    let channel = channel(number);
    let mut head = genesis(DEPLOYMENT, PATIENT, channel);
    let mut at = 1_700_000_000_000_000;
    let mut lines: Vec<Value> = Vec::new();
    for (seq, words) in (1..).zip(words) {
        at += 1;
        let (id, r) = (EntryId(Uuid::from_u128(channel.0.as_u128() + u128::from(seq))), [9; 32]);
        let body = json!({ "text": words });
        let leaf = Leaf {
            kind: kind::MESSAGE,
            flags: event_tag("message.posted"),
            epoch: 1,
            patient: PATIENT,
            channel,
            seq,
            entry: id,
            author: WROTE,
            at,
            item: ItemId(Uuid::from_u128(4)),
            commit: commit(&r, body.to_string().as_bytes()),
            files: [0; 32],
        };
        let leaf = leaf.to_bytes();
        head = next(&head, &leaf);
        lines.push(
            json!({"type": "event", "event": "message.posted", "channel": channel, "seq": seq, "at": rfc3339(at),
            "by": WROTE, "data": body, "id": id, "head": base64(&head), "leaf": base64(&leaf), "r": base64(&r)}),
        );
    }
    let size = lines.len() as u64;
    let note = HeadNote { deployment: DEPLOYMENT, patient: PATIENT, channel, epoch: 1, size, head, at };
    let signer = signer();
    lines[0]["signed"] = json!({"note": note.sign(&signer), "signer": signer.verifier().to_string(), "to": size});
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// What is said of a file.
fn said(lines: &[String]) -> String {
    verify_lines(lines.concat().as_bytes(), None).unwrap().to_string()
}

fn whole() -> Vec<String> {
    [lines(1, &["one", "two", "three", "four"]), lines(2, &["five", "six"])].concat()
}

/// The file with one line changed.
fn changed(at: usize, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut lines = whole();
    let mut line: Value = serde_json::from_str(&lines[at]).unwrap();
    change(&mut line);
    lines[at] = format!("{line}\n");
    lines
}

fn named(number: u128, seq: u64, reason: &str) -> String {
    format!("channel {} seq {seq}: {reason}", channel(number))
}

#[test]
fn a_whole_file_is_complete_unaltered_and_signed() {
    let key = signer().verifier().to_string();
    let (text, first) = (whole().concat(), said(&whole()));
    let clean = format!(
        "2 channels, 6 entries: complete and unaltered up to 2023-11-14T22:13:20.000004Z, signed by {key}, not pinned"
    );
    assert_eq!(first.lines().next(), Some(&*clean));
    let pinned = verify_lines(text.as_bytes(), Some(&key)).unwrap();
    assert!(pinned.is_clean() && pinned.pinned, "{pinned}");
    let other = Signer::new("care.example", &[8; 32]).unwrap().verifier().to_string();
    let other = verify_lines(text.as_bytes(), Some(&other)).unwrap().to_string();
    assert!(other.contains("its head is signed by another key"), "{other}");
    assert!(verify_lines(&b""[..], None).unwrap().is_clean());
    assert!(verify_lines(&b"{}"[..], None).is_err());
}

#[test]
fn the_first_entry_that_was_changed_is_named_and_no_other() {
    let reads = |lines: Vec<String>| said(&lines);
    let content = "the content is not what was committed to";
    assert_eq!(reads(changed(2, |line| line["data"]["text"] = "other".into())), named(1, 3, content));
    assert_eq!(reads(changed(0, |line| line["r"] = base64(&[1; 32]).into())), named(1, 1, content));
    let by = reads(changed(1, |line| line["by"] = Uuid::from_u128(77).to_string().into()));
    assert_eq!(by, named(1, 2, "its author is not who wrote it"));
    let at = reads(changed(1, |line| line["at"] = "2023-11-14T22:13:20.000003Z".into()));
    assert_eq!(at, named(1, 2, "its time is not when it was written"));
    let event = reads(changed(1, |line| line["event"] = "message.amended".into()));
    assert_eq!(event, named(1, 2, "its event is another"));
    let bare = reads(changed(1, |line| drop(line.as_object_mut().unwrap().remove("r"))));
    assert_eq!(bare, named(1, 2, "its r is missing"));
    let head = reads(changed(1, |line| line["head"] = base64(&[1; 32]).into()));
    assert!(head.starts_with(&named(1, 2, "the chain does not follow")), "{head}");
    let unsigned = reads(changed(4, |line| drop(line.as_object_mut().unwrap().remove("signed"))));
    assert_eq!(unsigned, named(2, 1, "the channel does not begin with its signed head"));
    // A stub that says nothing is what a withheld entry is.
    let stub = changed(2, |line| {
        line.as_object_mut().unwrap().remove("r");
        line["data"] = json!({"id": Uuid::from_u128(5), "withheld": "wrong_patient"});
    });
    assert!(reads(stub).contains("complete and unaltered"));
}

#[test]
fn what_is_missing_doubled_or_out_of_order_is_named() {
    let without = |gone: usize| {
        let mut lines = whole();
        lines.remove(gone);
        said(&lines)
    };
    assert_eq!(without(1), named(1, 3, "the entries 2 to 2 are not in this file"));
    assert_eq!(without(3), named(1, 4, "the entries 4 to 4 are not in this file"));
    assert_eq!(without(5), named(2, 2, "the entries 2 to 2 are not in this file"));
    assert_eq!(without(0), named(1, 2, "the channel does not begin with its signed head"));
    let mut doubled = whole();
    doubled.insert(2, doubled[1].clone());
    assert!(said(&doubled).starts_with(&named(1, 2, "its id stands twice")));
    let mut swapped = whole();
    swapped.swap(1, 2);
    assert!(said(&swapped).starts_with(&named(1, 3, "the entries 2 to 2 are not in this file")));
    let turned = [lines(2, &["five"]), lines(1, &["one"])].concat();
    assert_eq!(said(&turned), named(1, 1, "its channel stands before the one above"));
    let foreign = [whole(), vec!["{\"a\":1}\n".into()]].concat();
    assert_eq!(said(&foreign), "line 7: no entry of a record");
}

#[test]
fn a_chain_that_was_made_anew_does_not_end_in_the_signed_head() {
    let (true_lines, mut forged) = (whole(), lines(1, &["one", "two", "never said", "four"]));
    let signed = serde_json::from_str::<Value>(&true_lines[0]).unwrap()["signed"].clone();
    let mut first: Value = serde_json::from_str(&forged[0]).unwrap();
    first["signed"] = signed;
    forged[0] = format!("{first}\n");
    assert_eq!(said(&forged), named(1, 4, "the chain does not end in the head that was signed"));
}

#[test]
fn a_choice_is_consistent_and_claims_no_more() {
    let mut lines = changed(2, |line| line["gap"] = true.into());
    lines.remove(1);
    let said = said(&lines);
    assert!(said.starts_with("2 channels, 5 entries: in order and consistent up to"), "{said}");
    assert!(said.contains("does not go to a signed head"), "{said}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_are_never_clean(bytes in prop::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>()) {
        let mut file = whole().concat().into_bytes();
        let at = at.index(file.len());
        file.splice(at..at, bytes.clone());
        if let Ok(verdict) = verify_lines(&file[..], None) {
            let blank = bytes.iter().all(u8::is_ascii_whitespace);
            prop_assert!(blank || !verdict.is_clean(), "{verdict}");
        }
    }
}
