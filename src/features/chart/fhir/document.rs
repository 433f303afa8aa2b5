//! `fhir-document`: the record as a document Bundle of FHIR R4 (*Documents*): a Composition whose text alone reads as the whole
//! conversation, everything it points at, and a signature. Held in memory, hence bounded.
//! Does not know how a signature is made, or what a section says.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::refer::{Target, clean, full_url, referred, resolve_or_name};
use super::scene::Scene;
use super::sections::{self, Section, Sections};
use super::sink::{Gathered, Piece};
use super::{gather, signature};
use crate::features::chart::export::Single;
use crate::features::chart::source::{Part, Source};
use crate::features::chart::transcript::is_nothing_new;
use crate::features::chart::vouched::composition;
use crate::features::chart::{ExportRequest, ExportSummary, Out, Vouched};
use crate::kernel::base::world::rfc3339_millis;
use crate::kernel::base::{Fault, Stop};
use crate::kernel::crypto::canonical;
use crate::kernel::log;

/// What is written where there is nothing new: a document has a Composition, so a Bundle without entries is none.
const NOTHING_NEW: &[u8] = b"{\"resourceType\":\"Bundle\",\"type\":\"collection\"}\n";

/// Writes a document.
pub(in crate::features::chart) async fn document(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, [u8; 32]), Stop> {
    let gathered = gather(source, request, parts).await?;
    let summary = gathered.summary;
    let mut file = Single::begin(out, "document.json")?;
    if is_nothing_new(request, summary) {
        file.write(NOTHING_NEW)?;
        return Ok((summary, file.finish()));
    }
    let bundle = signed(source, request, parts, &gathered).await?;
    file.write(&canonical(&bundle))?;
    file.write(b"\n")?;
    Ok((summary, file.finish()))
}

/// The signed document of what was gathered.
///
/// # Errors
/// Sealed, no document key, or the record's.
async fn signed(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    gathered: &Gathered,
) -> Result<Value, Stop> {
    let shared = source.engine.shared();
    let key = log::document::key(&shared.db, &shared.vault).await?;
    let sections = sections::all(source, request, parts, gathered).await?;
    let scene = &gathered.scene;
    let random = || (shared.world.id(), shared.world.id());
    let (composition, id) = request.vouched.as_ref().map_or_else(random, Vouched::document);
    let entries = Entries { scene, pieces: &gathered.pieces, composition, reached: HashSet::new() };
    let whole = Whole { source, request, gathered, composition };
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
    request: &'w ExportRequest,
    composition: Uuid,
}

impl Whole<'_> {
    /// The Composition, references as `Type/<our id>`.
    fn composition(&self, sections: &Sections) -> Value {
        let Gathered { scene, pieces, .. } = self.gathered;
        let restricted = pieces.iter().any(|piece| piece.resource["meta"]["security"][0]["code"] == "R");
        let author = scene.people.reference(self.source.subject.user);
        let made = rfc3339_millis(scene.now);
        let attester = self
            .request
            .attestations()
            .iter()
            .map(|one| json!({ "mode": "professional", "time": one.at, "party": scene.people.reference(one.by) }));
        let former = self.request.vouched.iter().flat_map(|vouched| &vouched.replaces);
        let former = former.map(|former| {
            json!({ "code": "replaces", "targetIdentifier": { "system": scene.system, "value": composition(*former) } })
        });
        let title = "Conversation record";
        json!({
            "resourceType": "Composition",
            "text": sections.about,
            "identifier": { "system": scene.system, "value": self.composition },
            "status": if self.request.replaces() { "amended" } else { "final" },
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
            "relatesTo": former.collect::<Vec<_>>(),
            "event": [{ "period": self.period(), "detail": [scene.plan()] }],
            "section": sections.all.iter().map(Section::json).collect::<Vec<_>>(),
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
