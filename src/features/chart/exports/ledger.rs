//! The gap ledger: what a receiver holds of each resource, and what of a filing it has not got yet. Pure but for the rows.
//! Invariants (law 8): what the receiver holds unchanged is not sent; what it lacks or holds in an older state is.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::{Uuid, uuid};

use super::sql::{self, LedgerRow};
use crate::features::chart::fhir::sink::Piece;
use crate::kernel::base::{Fault, PatientId};
use crate::kernel::crypto::{Hasher, canonical, hex};
use crate::kernel::engine::Read;

/// Namespace of what ledger rows are sealed to.
const NAMESPACE: Uuid = uuid!("0b6c2f0e-2b0f-4a53-9c62-7d2f4f0f8f31");

/// What other charts say of persons and places: made where it is unknown, never changed.
const OTHERS: [&str; 5] = ["Practitioner", "RelatedPerson", "Organization", "Device", "Patient"];
/// What is said in the record: changed where the record changed.
const SAID: [&str; 3] = ["Communication", "DocumentReference", "Provenance"];

/// What a receiver holds of one resource.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Held {
    /// SHA-256 of what was sent, hex; empty while it is on its way.
    pub hash: String,
    /// `Type/id` there.
    pub location: Option<String>,
    /// Its version there.
    pub etag: Option<String>,
}

/// By our id.
pub(super) type Holdings = HashMap<Uuid, Held>;

/// One resource that is to be sent.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Sent {
    /// Our id.
    pub id: Uuid,
    /// Its type.
    pub class: String,
    /// References as `Type/<our id>`; null where the parcel is no resource.
    pub resource: Value,
    /// Over what the receiver has.
    pub update: bool,
    /// SHA-256 of it, hex.
    pub hash: String,
    /// What it says besides: cited entries, with their hashes.
    #[serde(default)]
    pub carries: Vec<(Uuid, String)>,
}

/// What is kept sealed of a ledger row.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub class: String,
    /// Our id, where the row stands under another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    pub location: Option<String>,
    pub etag: Option<String>,
    /// The receiver's own.
    pub words: String,
}

/// SHA-256 of a resource as it stands in the record, hex.
pub(super) fn hash(resource: &Value) -> String {
    let mut hasher = Hasher::default();
    hasher.update(&canonical(resource));
    hex(&hasher.finish())
}

/// Under what a row stands where its own id is taken: the same person writes in the records of several patients, and what is sealed for one
/// of them does not open for another.
pub(super) fn beside(patient: PatientId, resource: Uuid) -> Uuid {
    Uuid::new_v5(&patient.0, resource.as_bytes())
}

/// What a row is sealed to.
pub(super) fn place(target: &str, resource: Uuid) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{target}/{resource}").as_bytes())
}

/// What of these resources the receiver lacks, or has in an older state; in their order.
pub(super) fn difference(pieces: &[&Piece], holdings: &Holdings) -> Vec<Sent> {
    let fresh = pieces.iter().filter_map(|piece| {
        let hash = hash(&piece.resource);
        let class = piece.class.as_str();
        let update = match holdings.get(&piece.id) {
            None => piece.update,
            Some(held) if held.hash == hash => return None,
            // Other charts' persons, and a condition or goal that came from a chart, are made where they are unknown, never changed.
            Some(held) if OTHERS.contains(&class) || (!piece.update && !SAID.contains(&class)) => {
                if !held.hash.is_empty() {
                    return None;
                }
                false
            }
            // Of what is on its way nobody knows which state arrived: what is there now is replaced.
            Some(_) => true,
        };
        let resource = piece.resource.clone();
        Some(Sent { id: piece.id, class: piece.class.clone(), resource, update, hash, carries: Vec::new() })
    });
    fresh.collect()
}

/// It is on its way: from now on nobody knows what the receiver holds, until it says so.
pub(super) fn launch(holdings: &mut Holdings, sent: &Sent) {
    for id in std::iter::once(&sent.id).chain(sent.carries.iter().map(|(id, _)| id)) {
        holdings.entry(*id).or_default().hash.clear();
    }
}

/// What the receiver holds once it has that.
pub(super) fn hold(holdings: &mut Holdings, sent: &Sent, location: Option<String>, etag: Option<String>) {
    let held = holdings.entry(sent.id).or_default();
    held.hash.clone_from(&sent.hash);
    if location.is_some() {
        (held.location, held.etag) = (location, etag);
    }
    for (id, hash) in &sent.carries {
        holdings.entry(*id).or_default().hash.clone_from(hash);
    }
}

/// What a receiver holds of a patient.
pub(super) async fn holdings(cx: &mut Read, patient: PatientId, target: &str) -> Result<Holdings, Fault> {
    let rows = sql::ledger(cx.tx(), patient, target).await?;
    let mut holdings = Holdings::with_capacity(rows.len());
    for row in rows {
        let kept = open(cx, &row).await?;
        let held = Held { hash: hex(&row.hash), location: kept.location, etag: kept.etag };
        holdings.insert(kept.id.unwrap_or(row.resource), held);
    }
    Ok(holdings)
}

async fn open(cx: &Read, row: &LedgerRow) -> Result<Kept, Fault> {
    let plain = cx.open_view(row.patient, place(&row.target, row.resource), row.revision, &row.sealed).await?;
    serde_json::from_slice(&plain).map_err(|_| Fault::Integrity("a ledger row is not JSON"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What happens to a record.
    #[derive(Clone, Debug)]
    enum Edit {
        Post(u8),
        Amend(u8, u8),
        Retract(u8),
        Addend(u8, u8),
        /// A filing; the answer to the `n`th resource is lost, and it is not tried again.
        File(Option<u8>),
    }

    fn edits() -> impl Strategy<Value = Vec<Edit>> {
        let edit = prop_oneof![
            (0_u8..12).prop_map(Edit::Post),
            (0_u8..12, any::<u8>()).prop_map(|(id, text)| Edit::Amend(id, text)),
            (0_u8..12).prop_map(Edit::Retract),
            (0_u8..12, any::<u8>()).prop_map(|(id, text)| Edit::Addend(id, text)),
            prop::option::of(0_u8..6).prop_map(Edit::File),
        ];
        prop::collection::vec(edit, 0..60)
    }

    fn id(number: u16) -> Uuid {
        Uuid::from_u128(u128::from(number) + 1)
    }

    fn piece(id: Uuid, text: &str, status: &str) -> Piece {
        let resource = json!({"resourceType": "Communication", "status": status, "payload": [{"contentString": text}]});
        Piece { id, class: "Communication".into(), resource, update: false, entry: None, item: None, fact: None }
    }

    /// The record: each message as it stands, addenda as messages of their own.
    #[derive(Default)]
    struct Log(BTreeMap<Uuid, (String, bool)>);

    impl Log {
        fn take(&mut self, edit: &Edit) {
            match edit {
                Edit::Post(n) => drop(self.0.entry(id(u16::from(*n))).or_insert((format!("said {n}"), false))),
                Edit::Amend(n, text) => {
                    if let Some((said, false)) = self.0.get_mut(&id(u16::from(*n))) {
                        *said = format!("amended {text}");
                    }
                }
                Edit::Retract(n) => {
                    if let Some(said) = self.0.get_mut(&id(u16::from(*n))) {
                        *said = ("Retracted by author".into(), true);
                    }
                }
                Edit::Addend(n, text) if self.0.contains_key(&id(u16::from(*n))) => {
                    self.0.insert(id(1000 + u16::from(*text)), (format!("added {text}"), false));
                }
                Edit::Addend(..) | Edit::File(_) => {}
            }
        }

        fn pieces(&self) -> Vec<Piece> {
            let status = |retracted| if retracted { "entered-in-error" } else { "completed" };
            self.0.iter().map(|(id, (text, retracted))| piece(*id, text, status(*retracted))).collect()
        }
    }

    /// Files what is missing; gives how much was sent.
    fn file(log: &Log, holdings: &mut Holdings, receiver: &mut BTreeMap<Uuid, Value>, lost: Option<u8>) -> usize {
        let pieces = log.pieces();
        let sent = difference(&pieces.iter().collect::<Vec<_>>(), holdings);
        for (at, one) in sent.iter().enumerate() {
            launch(holdings, one);
            // A conditional create of what is there changes nothing; an update replaces.
            if one.update || !receiver.contains_key(&one.id) {
                receiver.insert(one.id, one.resource.clone());
            }
            if lost.is_some_and(|lost| usize::from(lost) == at) {
                break;
            }
            hold(holdings, one, Some(format!("Communication/{}", one.id)), None);
        }
        sent.len()
    }

    proptest! {
        /// Law 8: after any order of edits and filings, some cut off, the receiver holds the record: nothing twice, nothing missing.
        #[test]
        fn filings_and_addenda_are_the_record(edits in edits()) {
            let (mut log, mut holdings, mut receiver) = (Log::default(), Holdings::new(), BTreeMap::new());
            for edit in &edits {
                log.take(edit);
                if let Edit::File(lost) = edit {
                    file(&log, &mut holdings, &mut receiver, *lost);
                }
            }
            file(&log, &mut holdings, &mut receiver, None);
            let record: BTreeMap<Uuid, Value> = log.pieces().into_iter().map(|piece| (piece.id, piece.resource)).collect();
            prop_assert_eq!(&receiver, &record);
            prop_assert_eq!(file(&log, &mut holdings, &mut receiver, None), 0);
        }
    }

    #[test]
    fn persons_of_other_charts_are_not_changed() {
        let person = |name: &str| Piece {
            id: id(1),
            class: "Practitioner".into(),
            resource: json!({"resourceType": "Practitioner", "name": [{"text": name}]}),
            update: false,
            entry: None,
            fact: None,
            item: None,
        };
        let (former, mut holdings) = (person("A"), Holdings::new());
        let sent = difference(&[&former], &holdings);
        assert_eq!((sent.len(), sent[0].update), (1, false));
        hold(&mut holdings, &sent[0], Some("Practitioner/1".into()), None);
        assert!(difference(&[&person("B")], &holdings).is_empty());
    }
}
