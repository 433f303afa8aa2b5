//! The sections of a document (*Composition*, FHIR R4): each with the resources it is about and a text that alone reads as the record
//! of that. The texts are the transcript's (see [`texts`](super::texts)); here stands which resources belong to which.
//! Does not know: Bundles, signatures.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::scene::Scene;
use super::sink::{Gathered, INLINE_BYTES_MAX, Piece};
use super::texts::Texts;
use crate::features::chart::ExportRequest;
use crate::features::chart::source::{Part, Source};
use crate::features::chart::transcript::block::Line;
use crate::features::chart::transcript::{self, Besides};
use crate::kernel::base::Stop;

/// One section.
pub(super) struct Section {
    title: &'static str,
    /// LOINC, where there is a code.
    code: Option<&'static str>,
    /// Markup.
    text: String,
    entries: Vec<(String, Uuid)>,
    /// A code of *list-empty-reason* where nothing is pointed at.
    empty: &'static str,
    by_date: bool,
}

impl Section {
    fn new(title: &'static str, text: String) -> Self {
        Self { title, code: None, text, entries: Vec::new(), empty: "nilknown", by_date: false }
    }

    fn points(&mut self, piece: &Piece) {
        self.entries.push((piece.class.clone(), piece.id));
    }

    /// References as `Type/<our id>`.
    pub fn json(&self) -> Value {
        let coded = |system: &str, code: &str| json!({ "coding": [{ "system": system, "code": code }] });
        let order = self.by_date.then(|| coded("http://terminology.hl7.org/CodeSystem/list-order", "event-date"));
        let entries: Vec<Value> =
            self.entries.iter().map(|(class, id)| json!({ "reference": format!("{class}/{id}") })).collect();
        let empty =
            entries.is_empty().then(|| coded("http://terminology.hl7.org/CodeSystem/list-empty-reason", self.empty));
        json!({
            "title": self.title,
            "code": self.code.map(|code| coded("http://loinc.org", code)),
            "text": div(&self.text),
            "orderedBy": order,
            "entry": entries,
            "emptyReason": empty,
        })
    }
}

/// Markup as a *Narrative*; one that says nothing is none.
fn div(markup: &str) -> Value {
    let markup = if markup.is_empty() { "<p>Nothing.</p>" } else { markup };
    json!({ "status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{markup}</div>") })
}

/// The sections of a document in their order, and what it says of itself.
pub(super) struct Sections {
    /// A *Narrative*: whose record it is, from when to when, by whom, how to verify it.
    pub about: Value,
    pub all: Vec<Section>,
}

/// Tells the record and points at its resources.
pub(super) async fn all(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    gathered: &Gathered,
) -> Result<Sections, Stop> {
    let Gathered { scene, pieces, .. } = gathered;
    let mut texts = Texts::default();
    let besides = Besides { again: gathered.again.clone(), files: files(pieces) };
    transcript::write(source, request, parts, &besides, &mut texts).await?;
    let texts = texts.finish();
    let mut said: Vec<&Piece> = pieces.iter().filter(|piece| piece.fact.is_some()).collect();
    said.sort_by_key(|piece| piece.fact.as_ref().map(|fact| (fact.at, piece.entry)));
    let mut messages = Section { by_date: true, ..Section::new("Messages", texts.messages) };
    let mut outside = Section::new("Discussions outside the channel", texts.outside);
    let mut tasks = Section::new("Tasks", texts.tasks);
    let mut changes = Section::new("Changes and retractions", texts.changes);
    for piece in &said {
        let section = match (piece.class.as_str(), piece.fact.as_ref().map(|fact| &*fact.event)) {
            ("Provenance", _) => &mut changes,
            ("Task", _) => &mut tasks,
            (_, Some("note.logged" | "note.addended")) => &mut outside,
            _ => &mut messages,
        };
        section.points(piece);
    }
    let mut items = Section { code: Some("18776-5"), ..Section::new("Care plan items discussed", texts.items) };
    discussed(pieces, &said, scene).for_each(|piece| items.points(piece));
    let mut people = Section::new("Participants and receipts", texts.people);
    participants(scene, pieces).for_each(|piece| people.points(piece));
    let mut gaps = Section::new("Gaps", texts.gaps);
    if texts.left_out {
        gaps.empty = "withheld";
    }
    // Whose document nobody stands for may be attested yet.
    let mut attestation = Section { empty: "notstarted", ..Section::new("Attestation", texts.attestation) };
    let attesters: BTreeSet<Uuid> = request.attestations().iter().map(|one| one.by.0).collect();
    pieces.iter().filter(|piece| attesters.contains(&piece.id)).for_each(|piece| attestation.points(piece));
    let all = vec![items, messages, outside, tasks, people, changes, gaps, attestation];
    Ok(Sections { about: div(&texts.about), all })
}

/// The plan, and those of its items that something was said about.
fn discussed<'p>(pieces: &'p [Piece], said: &[&Piece], scene: &Scene) -> impl Iterator<Item = &'p Piece> {
    let discussed: BTreeSet<_> = said.iter().filter_map(|piece| piece.item).collect();
    let plan = scene.plan_id();
    pieces.iter().filter(move |piece| {
        let is_item = piece.item.is_some_and(|item| discussed.contains(&item));
        piece.fact.is_none() && (is_item || plan.is_some_and(|plan| plan.0 == piece.id))
    })
}

/// The team, and everyone who is named.
fn participants<'p>(scene: &Scene, pieces: &'p [Piece]) -> impl Iterator<Item = &'p Piece> {
    let team = scene.team_id();
    pieces.iter().filter(move |piece| match piece.class.as_str() {
        "CareTeam" => piece.fact.is_none() && piece.id == team,
        "Practitioner" | "RelatedPerson" => piece.fact.is_none(),
        _ => false,
    })
}

/// Where the content of files is: inside, but for what is too large or not to be read by whoever exports.
fn files(pieces: &[Piece]) -> Vec<Line> {
    let attached = pieces.iter().flat_map(|piece| piece.resource["payload"].as_array().into_iter().flatten());
    let attached: Vec<&Value> = attached.map(|payload| &payload["contentAttachment"]).collect();
    let files = attached.into_iter().filter(|attachment| attachment.is_object());
    let (inside, absent): (Vec<&Value>, Vec<&Value>) = files.partition(|attachment| attachment["data"].is_string());
    let absent = absent.into_iter().map(|attachment| {
        let title = attachment["title"].as_str().unwrap_or("without a name");
        Line::ours("Its content is not in this document: the file ").told(title).and(".")
    });
    let mut lines: Vec<Line> = absent.collect();
    if !inside.is_empty() {
        let most = INLINE_BYTES_MAX >> 20;
        lines.push(Line::ours(format!("Files of up to {most} MiB an entry are in this document with their content.")));
    }
    lines
}
