//! Which of a record's resources a target takes, by its profile: notes of their own, all resources, or urgent messages as inboxes take
//! them. Pure. Does not know rows or connections.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::keep::Found;
use super::ledger::{Holdings, Sent, difference, hash};
use crate::features::chart::fhir::attester::Attested;
use crate::features::chart::fhir::refer::clean;
use crate::features::chart::fhir::sink::{Gathered, Piece};
use crate::features::chart::vouched::{NOBODY, sentence};
use crate::kernel::base::world::{parse_rfc3339, rfc3339_millis};
use crate::kernel::base::{ItemId, ThingId, UserId};
use crate::kernel::crypto::base64;

/// Progress note (LOINC 11506-3).
const PROGRESS_NOTE: &str = "11506-3";

/// What a FHIR server takes, in the order in which it is sent.
pub(super) fn layers(found: &Found, gathered: &Gathered, holdings: &Holdings, create_patient: bool) -> Vec<Sent> {
    let pieces: Vec<&Piece> = gathered.pieces.iter().collect();
    let form = found.row.form.as_str();
    let full = form == "full";
    let mut sent = Vec::new();
    if create_patient {
        let resource = clean(gathered.scene.patient_resource()).unwrap_or_default();
        let (id, class) = (gathered.scene.patient.0, "Patient".to_owned());
        let (hash, carries) = (hash(&resource), Vec::new());
        sent.push(Sent { id, class, resource, update: false, hash, carries });
    }
    let of_entries: Vec<&Piece> = pieces.iter().copied().filter(|piece| is_note(piece)).collect();
    if full {
        sent.extend(difference(&pieces, holdings));
    } else {
        sent.extend(difference(&of_entries, holdings));
    }
    let notes = Notes { found, gathered, holdings, cites: !full };
    sent.extend(notes.all());
    if full {
        sent.extend(notes.vouching(&sent));
    }
    if form == "inbox" {
        let is_missing = |id| holdings.get(&inbox_id(id)).is_none_or(|held| held.hash.is_empty());
        let urgent = pieces.iter().filter(|piece| is_urgent(piece) && is_missing(piece.id));
        sent.extend(urgent.filter_map(|piece| inbox(piece)));
    }
    sent
}

fn is_note(piece: &Piece) -> bool {
    piece.class == "DocumentReference"
}

fn is_said(piece: &Piece) -> bool {
    piece.class == "Communication" && piece.resource["payload"][0]["contentString"].is_string()
}

fn is_urgent(piece: &Piece) -> bool {
    let priority = piece.resource["priority"].as_str().unwrap_or_default();
    is_said(piece) && piece.resource["status"] == "completed" && matches!(priority, "urgent" | "asap" | "stat")
}

fn inbox_id(message: Uuid) -> Uuid {
    Uuid::new_v5(&message, b"inbox")
}

/// A message as a published EHR API takes it into an inbox: `completed` only, practitioners only, one payload, a free-text topic; the
/// item, which it has no place for, is the first line.
fn inbox(piece: &Piece) -> Option<Sent> {
    let from = &piece.resource;
    let (title, id) = (from["about"][0]["display"].as_str(), inbox_id(piece.id));
    let said = from["payload"][0]["contentString"].as_str()?;
    let practitioners = |one: &&Value| one["reference"].as_str().is_some_and(|at| at.starts_with("Practitioner/"));
    let recipients: Vec<&Value> = from["recipient"].as_array().into_iter().flatten().filter(practitioners).collect();
    if !practitioners(&&from["sender"]) || recipients.is_empty() {
        return None;
    }
    let mut resource = json!({
        "resourceType": "Communication",
        "identifier": [{ "system": from["identifier"][0]["system"], "value": id }],
        "status": "completed",
        "priority": "urgent",
        "subject": from["subject"],
        "sent": from["sent"],
        "sender": from["sender"],
        "recipient": recipients,
        "payload": [{ "contentString": title.map_or_else(|| said.to_owned(), |title| format!("{title}\n{said}")) }],
    });
    if let Some(title) = title {
        resource["topic"] = json!({ "text": title });
    }
    let hash = hash(&resource);
    Some(Sent { id, class: "Communication".into(), resource, update: false, hash, carries: Vec::new() })
}

/// Notes of the filing itself: one a plan item, with the summary, or the cited entries as they are.
struct Notes<'a> {
    found: &'a Found,
    gathered: &'a Gathered,
    holdings: &'a Holdings,
    cites: bool,
}

impl Notes<'_> {
    fn all(&self) -> Vec<Sent> {
        let mut cited: BTreeMap<ItemId, Vec<&Piece>> = BTreeMap::new();
        let whole = self.found.view.supersedes.is_some();
        let fresh = |piece: &&Piece| {
            let held = self.holdings.get(&piece.id);
            is_said(piece) && (whole || held.is_none_or(|held| held.hash != hash(&piece.resource)))
        };
        if self.cites {
            for piece in self.gathered.pieces.iter().filter(fresh) {
                cited.entry(piece.item.unwrap_or(ItemId::ZERO)).or_default().push(piece);
            }
        }
        for summary in &self.found.view.summaries {
            cited.entry(summary.item).or_default();
        }
        // A note of a discussion outside stays as it was documented: who files it says so beside it.
        if self.cites {
            for piece in self.gathered.pieces.iter().filter(|piece| self.is_filed_beside(piece)) {
                cited.entry(piece.item.unwrap_or(ItemId::ZERO)).or_default();
            }
        }
        cited.into_iter().map(|(item, pieces)| self.note(item, &pieces)).collect()
    }

    fn title(&self, item: ItemId) -> String {
        let mut items = self.gathered.scene.survey.items.iter();
        items.find(|one| one.current.id == item).map(|one| one.current.content.title.clone()).unwrap_or_default()
    }

    fn text(&self, item: ItemId, pieces: &[&Piece]) -> String {
        let mut text = format!("Care plan item: {}\n", self.title(item));
        match self.found.view.summaries.iter().find(|summary| summary.item == item) {
            Some(summary) => {
                text.push_str(&format!("\n{}\n", summary.text));
            }
            None => pieces.iter().for_each(|piece| text.push_str(&self.line(piece))),
        }
        let beside = self.gathered.pieces.iter().filter(|piece| piece.item.unwrap_or(ItemId::ZERO) == item);
        for piece in beside.filter(|piece| self.cites && self.is_filed_beside(piece)) {
            let word = |pointer: &str| piece.resource.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let (what, date) = (word("/type/coding/0/display"), word("/date"));
            text.push_str(&format!(
                "\nFiled beside this: {what}, documented {date} by {}\n",
                word("/author/0/display")
            ));
        }
        text.push('\n');
        for one in &self.found.view.attestations {
            text.push_str(&format!("{}\n", sentence(&self.described(one.by), one)));
        }
        if self.found.view.attestations.is_empty() {
            text.push_str(&format!("{NOBODY}\n"));
        }
        text
    }

    /// Name and profession.
    fn described(&self, user: UserId) -> String {
        let known = self.gathered.pieces.iter().find(|piece| piece.id == user.0);
        let word = |pointer: &str| known.and_then(|piece| piece.resource.pointer(pointer)?.as_str());
        let name = word("/name/0/text").map_or_else(|| user.to_string(), str::to_owned);
        word("/qualification/0/code/text").map_or(name.clone(), |profession| format!("{name}, {profession}"))
    }

    /// Who stands for resources that have no place for it.
    fn vouching(&self, sent: &[Sent]) -> Vec<Sent> {
        let mut attested = Attested::default();
        sent.iter().for_each(|one| attested.take(&one.class, one.id));
        if sent.iter().all(|one| one.class == "Patient") {
            return Vec::new();
        }
        let (export, attestations) = (self.found.row.id, &self.found.view.attestations);
        let provenances =
            attested.provenances(export, attestations, self.gathered.scene.plan(), |user| self.person(user));
        let sent = provenances.into_iter().map(|(id, resource)| {
            let hash = hash(&resource);
            Sent { id, class: "Provenance".into(), resource, update: false, hash, carries: Vec::new() }
        });
        sent.collect()
    }

    /// A note of its own that the receiver does not have as it is.
    fn is_filed_beside(&self, piece: &Piece) -> bool {
        is_note(piece) && self.holdings.get(&piece.id).is_none_or(|held| held.hash != hash(&piece.resource))
    }

    fn line(&self, piece: &Piece) -> String {
        let from = &piece.resource;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let again = if self.holdings.contains_key(&piece.id) { " (changed since it was filed)" } else { "" };
        let (sent, sender) = (word(&from["sent"]), word(&from["sender"]["display"]));
        format!("\n{sent} {sender}{again}:\n{}\n", word(&from["payload"][0]["contentString"]))
    }

    fn person(&self, user: UserId) -> Value {
        let reference = format!("Practitioner/{user}");
        let known = self.gathered.pieces.iter().find(|piece| piece.id == user.0);
        let name = known.and_then(|piece| piece.resource["name"][0]["text"].as_str());
        let mut reference = json!({ "reference": reference, "display": name });
        // What others know the person by stands before our own identifier.
        if let Some(first) = known.map(|piece| &piece.resource["identifier"]).filter(|all| all[1].is_object()) {
            reference["identifier"] = first[0].clone();
        }
        reference
    }

    /// As US Core's *Writing Clinical Notes* wants one; the item and the plan are what it is related to.
    fn note(&self, item: ItemId, pieces: &[&Piece]) -> Sent {
        let (view, scene) = (&self.found.view, &self.gathered.scene);
        let id = note_id(self.found.row.id, item);
        let attestation = view.attestations.first();
        let at = attestation.and_then(|one| parse_rfc3339(&one.at).ok()).unwrap_or(self.found.row.changed_at);
        let mut authors: Vec<UserId> =
            view.summaries.iter().filter(|one| one.item == item).filter_map(|one| one.by).collect();
        if authors.is_empty() {
            authors.clone_from(&view.contributors);
        }
        let related = self.gathered.pieces.iter().find(|piece| piece.id == item.0);
        let related = related.map(|piece| json!([{ "reference": format!("{}/{}", piece.class, piece.id) }]));
        let organization = self.gathered.pieces.iter().find(|piece| piece.class == "Organization");
        let custodian = organization.map(|piece| json!({ "reference": format!("Organization/{}", piece.id) }));
        let times: Vec<&str> = pieces.iter().filter_map(|piece| piece.resource["sent"].as_str()).collect();
        let period =
            times.iter().min().zip(times.iter().max()).map(|(start, end)| json!({ "start": start, "end": end }));
        // The note of the export whose place this one takes, if its receiver has one about the item.
        let former = view.supersedes.map(|former| note_id(former, item));
        let former = former.filter(|former| self.holdings.contains_key(former)).map(|former| {
            let target = json!({ "reference": format!("DocumentReference/{former}") });
            json!([{ "code": "replaces", "target": target }])
        });
        let resource = json!({
            "resourceType": "DocumentReference",
            "meta": { "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-documentreference"] },
            "identifier": [{ "system": scene.system, "value": id }],
            "status": "current",
            "docStatus": "final",
            "type": { "coding": [{ "system": "http://loinc.org", "code": PROGRESS_NOTE, "display": "Progress note" }] },
            "category": [{ "coding": [{
                "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                "code": "clinical-note",
            }] }],
            "subject": { "reference": format!("Patient/{}", scene.patient) },
            "date": rfc3339_millis(at),
            "author": authors.into_iter().map(|user| self.person(user)).collect::<Vec<_>>(),
            "authenticator": attestation.map(|one| self.person(one.by)),
            "custodian": custodian,
            "relatesTo": former,
            "content": [{ "attachment": {
                "contentType": "text/plain; charset=utf-8",
                "data": base64(self.text(item, pieces).as_bytes()),
                "title": self.title(item),
                "creation": rfc3339_millis(at),
            } }],
            "context": { "period": period, "related": related },
        });
        let resource = clean(resource).unwrap_or_default();
        let carries = pieces.iter().map(|piece| (piece.id, hash(&piece.resource))).collect();
        let hash = hash(&resource);
        Sent { id, class: "DocumentReference".into(), resource, update: false, hash, carries }
    }
}

/// The note of an export about an item: the same in each attempt.
fn note_id(export: ThingId, item: ItemId) -> Uuid {
    Uuid::new_v5(&export.0, item.0.as_bytes())
}
