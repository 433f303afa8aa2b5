//! `fhir-document`: the record as a document Bundle of FHIR R4 (*Documents*): a Composition whose text alone reads as the whole
//! conversation, everything it points at, and a signature. Held in memory, hence bounded.
//! Does not know how a signature is made, or what a section says.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::refer::{Target, clean, full_url, referred, resolve_or_name};
use super::scene::Scene;
use super::sections::{self, Section};
use super::sink::{Gathered, Piece};
use super::{gather, signature};
use crate::features::channels::narrative;
use crate::features::chart::export::Single;
use crate::features::chart::source::{Part, Source};
use crate::features::chart::{ExportRequest, ExportSummary, Out};
use crate::kernel::base::world::rfc3339_millis;
use crate::kernel::base::{Fault, Micros, Stop, UserId};
use crate::kernel::crypto::canonical;
use crate::kernel::log;

/// That somebody stands for a document.
#[derive(Clone, Copy)]
pub(in crate::features::chart) struct Attestation {
    /// Who.
    pub user: UserId,
    /// When.
    pub at: Micros,
}

/// Writes a document nobody has attested.
pub(in crate::features::chart) async fn document(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, [u8; 32]), Stop> {
    let gathered = gather(source, request, parts).await?;
    let summary = gathered.summary;
    let bundle = signed(source, request, parts, &gathered, &[]).await?;
    let mut file = Single::begin(out, "document.json")?;
    file.write(&canonical(&bundle))?;
    file.write(b"\n")?;
    Ok((summary, file.finish()))
}

/// The signed document of what was gathered, attested by those.
///
/// # Errors
/// Sealed, no document key, or the record's.
pub(in crate::features::chart) async fn signed(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    gathered: &Gathered,
    attested: &[Attestation],
) -> Result<Value, Stop> {
    let shared = source.engine.shared();
    let key = log::document::key(&shared.db, &shared.vault).await?;
    let sections = sections::all(source, request, parts, gathered).await?;
    let scene = &gathered.scene;
    let (id, composition) = (shared.world.id(), shared.world.id());
    let entries = Entries { scene, pieces: &gathered.pieces, composition, reached: HashSet::new() };
    let whole = Whole { source, gathered, attested, composition };
    let entry = entries.all(whole.composition(&sections));
    let when = rfc3339_millis(scene.now);
    let mut bundle = json!({
        "resourceType": "Bundle",
        "identifier": { "system": scene.system, "value": id },
        "type": "document",
        "timestamp": when,
        "entry": entry,
    });
    let device = json!({ "reference": full_url(scene.deployment.0) });
    signature::sign(&mut bundle, &key, &when, device)?;
    Ok(bundle)
}

/// What the Composition is made of.
struct Whole<'w> {
    source: &'w Source<'w>,
    gathered: &'w Gathered,
    attested: &'w [Attestation],
    composition: Uuid,
}

impl Whole<'_> {
    /// The Composition, references as `Type/<our id>`.
    fn composition(&self, sections: &[Section]) -> Value {
        let Gathered { scene, pieces, .. } = self.gathered;
        let restricted = pieces.iter().any(|piece| piece.resource["meta"]["security"][0]["code"] == "R");
        let author = scene.people.reference(self.source.subject.user);
        let who = author["display"].as_str().unwrap_or_default().to_owned();
        let made = rfc3339_millis(scene.now);
        let attester = self.attested.iter().map(|one| {
            json!({ "mode": "professional", "time": rfc3339_millis(one.at), "party": scene.people.reference(one.user) })
        });
        let title = "Conversation record";
        json!({
            "resourceType": "Composition",
            "text": narrative(&[title, &format!("Made {made} by {who}.")]),
            "identifier": { "system": scene.system, "value": self.composition },
            "status": "final",
            "type": {
                "coding": [
                    { "system": "http://loinc.org", "code": "56444-3", "display": "Healthcare communication Document" },
                    { "system": "http://loinc.org", "code": "11506-3", "display": "Progress note" },
                ],
                "text": title,
            },
            "category": [{ "coding": [{
                "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                "code": "clinical-note",
                "display": "Clinical Note",
            }] }],
            "subject": scene.subject(),
            "date": made,
            "author": [author, { "reference": format!("Device/{}", scene.deployment) }],
            "title": title,
            "confidentiality": if restricted { "R" } else { "N" },
            "attester": attester.collect::<Vec<_>>(),
            "custodian": scene.people.organization_reference(),
            "event": [{ "period": self.period(), "detail": [scene.plan()] }],
            "section": sections.iter().map(Section::json).collect::<Vec<_>>(),
        })
    }

    /// From the first entry to the last.
    fn period(&self) -> Value {
        let times = || self.gathered.pieces.iter().filter_map(|piece| piece.fact.as_ref()).map(|fact| fact.at);
        json!({ "start": times().min().map(rfc3339_millis), "end": times().max().map(rfc3339_millis) })
    }
}

/// The entries of a document: what is reached from the Composition.
struct Entries<'e> {
    scene: &'e Scene,
    pieces: &'e [Piece],
    composition: Uuid,
    reached: HashSet<Uuid>,
}

impl Entries<'_> {
    /// The Composition, the patient, and all that is pointed at from there.
    fn all(mut self, composition: Value) -> Vec<Value> {
        self.reach(&composition);
        let patient = self.scene.patient_resource();
        let mut entries = vec![self.entry(self.composition, composition), self.entry(self.scene.patient.0, patient)];
        let reached = self.pieces.iter().filter(|piece| self.reached.contains(&piece.id));
        entries.extend(reached.map(|piece| self.entry(piece.id, piece.resource.clone())));
        entries
    }

    /// Follows the references of a resource.
    fn reach(&mut self, from: &Value) {
        let places: HashMap<Uuid, &Piece> = self.pieces.iter().map(|piece| (piece.id, piece)).collect();
        let mut next = Vec::new();
        referred(from, &mut next);
        while let Some(id) = next.pop() {
            if let Some(piece) = places.get(&id).filter(|_| self.reached.insert(id)) {
                referred(&piece.resource, &mut next);
            }
        }
    }

    fn entry(&self, id: Uuid, mut resource: Value) -> Value {
        resolve_or_name(&mut resource, &|_, id| {
            if id == self.scene.patient.0 || self.reached.contains(&id) {
                Target::At(full_url(id))
            } else {
                Target::Named(json!({ "system": self.scene.system, "value": id }))
            }
        });
        json!({ "fullUrl": full_url(id), "resource": clean(resource) })
    }
}

/// What a document cannot be without.
pub(super) const UNSIGNED: Fault = Fault::Defect("a document is no JSON object");
