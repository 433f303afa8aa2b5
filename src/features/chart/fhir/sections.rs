//! The sections of a document (*Composition*, FHIR R4): each with the resources it is about and a text that alone reads as the record
//! of that: time with zone, author, role, plan item, words, files with name, size and SHA-256.
//! Does not know: Bundles, signatures.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::people::People;
use super::readable::{self, paragraph, time};
use super::scene::Scene;
use super::sink::{Gathered, Piece};
use crate::features::channels::{self, narrative};
use crate::features::chart::ExportRequest;
use crate::features::chart::source::{Part, Source};
use crate::kernel::base::world::{rfc3339, rfc3339_millis};
use crate::kernel::base::{Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::log::Fact;

/// One section.
pub(super) struct Section {
    title: &'static str,
    /// LOINC, where there is a code.
    code: Option<&'static str>,
    lines: Vec<String>,
    entries: Vec<(String, Uuid)>,
    /// A code of *list-empty-reason* where nothing is pointed at.
    empty: &'static str,
    by_date: bool,
}

impl Section {
    fn new(title: &'static str) -> Self {
        Self { title, code: None, lines: Vec::new(), entries: Vec::new(), empty: "nilknown", by_date: false }
    }

    fn add(&mut self, piece: &Piece, lines: Vec<String>) {
        self.lines.extend(lines);
        self.entries.push((piece.class.clone(), piece.id));
    }

    /// References as `Type/<our id>`.
    pub fn json(&self) -> Value {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let text = if lines.is_empty() { narrative(&["Nothing."]) } else { narrative(&lines) };
        let coded = |system: &str, code: &str| json!({ "coding": [{ "system": system, "code": code }] });
        let order = self.by_date.then(|| coded("http://terminology.hl7.org/CodeSystem/list-order", "event-date"));
        let entries: Vec<Value> =
            self.entries.iter().map(|(class, id)| json!({ "reference": format!("{class}/{id}") })).collect();
        let empty =
            entries.is_empty().then(|| coded("http://terminology.hl7.org/CodeSystem/list-empty-reason", self.empty));
        json!({
            "title": self.title,
            "code": self.code.map(|code| coded("http://loinc.org", code)),
            "text": text,
            "orderedBy": order,
            "entry": entries,
            "emptyReason": empty,
        })
    }
}

/// The seven sections, in their order.
pub(super) async fn all(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    gathered: &Gathered,
) -> Result<Vec<Section>, Stop> {
    let Gathered { scene, pieces, .. } = gathered;
    let mut said: Vec<&Piece> = pieces.iter().filter(|piece| piece.fact.is_some()).collect();
    said.sort_by_key(|piece| piece.fact.as_ref().map(|fact| (fact.at, piece.entry)));
    let (mut messages, mut outside, mut tasks) =
        (Section::new("Messages"), Section::new("Discussions outside the channel"), Section::new("Tasks"));
    messages.by_date = true;
    let mut changes = Section::new("Changes and retractions");
    for piece in &said {
        let role = piece.fact.as_ref().map(|fact| role(scene, fact)).unwrap_or_default();
        let section = match (piece.class.as_str(), piece.fact.as_ref().map(|fact| &*fact.event)) {
            ("Provenance", _) => &mut changes,
            ("Task", _) => &mut tasks,
            (_, Some("note.logged" | "note.addended")) => &mut outside,
            _ => &mut messages,
        };
        section.add(piece, readable::lines(&piece.resource, &role));
    }
    changes.lines.extend(versions(scene, &said));
    let mut people = participants(scene, pieces);
    people.lines.extend(receipts(source, scene, &said).await?);
    Ok(vec![
        items(pieces, &said, scene),
        messages,
        outside,
        tasks,
        people,
        changes,
        gaps(scene, request, parts, gathered),
    ])
}

/// As what somebody wrote: to this patient, and by profession.
fn role(scene: &Scene, fact: &Fact) -> String {
    let to_patient = scene.survey.roles.get(&fact.by).map(|role| role.text.as_str());
    let words: Vec<&str> = to_patient.into_iter().chain(scene.people.profession(fact.by)).collect();
    words.join(", ")
}

/// The plan, and those of its items that something was said about.
fn items(pieces: &[Piece], said: &[&Piece], scene: &Scene) -> Section {
    let mut section = Section { code: Some("18776-5"), ..Section::new("Care plan items discussed") };
    let discussed: BTreeSet<_> = said.iter().filter_map(|piece| piece.item).collect();
    let plan = scene.plan_id();
    for piece in pieces.iter().filter(|piece| piece.fact.is_none()) {
        let is_item = piece.item.is_some_and(|item| discussed.contains(&item));
        if is_item || plan.is_some_and(|plan| plan.0 == piece.id) {
            section.add(piece, readable::item(&piece.resource));
        }
    }
    section
}

/// The team, and everyone who is named.
fn participants(scene: &Scene, pieces: &[Piece]) -> Section {
    let mut section = Section::new("Participants and receipts");
    let team = scene.team_id();
    for piece in pieces.iter().filter(|piece| piece.fact.is_none()) {
        match piece.class.as_str() {
            "CareTeam" if piece.id == team => section.add(piece, readable::team(&piece.resource)),
            "Practitioner" | "RelatedPerson" => {
                let name = piece.resource["name"][0]["text"].as_str().unwrap_or("Without a name");
                let words = [&piece.resource["qualification"][0]["code"], &piece.resource["relationship"][0]];
                let words: Vec<&str> = words.into_iter().filter_map(|one| one["text"].as_str()).collect();
                section.add(piece, vec![paragraph(&[name, &words.join(", ")], &[])]);
            }
            _ => {}
        }
    }
    section
}

/// Who was sent each message and who read it: FHIR has one place for that, a transcript has many.
async fn receipts(source: &Source<'_>, scene: &Scene, said: &[&Piece]) -> Result<Vec<String>, Stop> {
    let mut lines = Vec::new();
    let facts = said.iter().filter(|piece| piece.class == "Communication").filter_map(|piece| piece.fact.as_ref());
    let facts: Vec<&Fact> = facts.filter(|fact| fact.kind == kind::MESSAGE).collect();
    if facts.is_empty() {
        return Ok(lines);
    }
    let mut cx = source.read().await?;
    let delivered = &source.engine.shared().roll.delivered;
    for fact in facts {
        let readers = scene.readers(fact);
        let held = channels::of_entry(cx.tx(), delivered, fact.channel, fact.seq, readers.iter().copied()).await?;
        let of = readers.iter().filter_map(|reader| Some((reader, held.get(reader)?)));
        let told: Vec<String> = of
            .map(|(reader, receipt)| {
                let at = |word: &str, at: Option<_>| at.map(|at| format!(" {word} {}", time(&rfc3339(at))));
                let parts = [at("delivered", receipt.delivered_at), at("read", receipt.read_at)];
                format!("{}{}", name(&scene.people, *reader), parts.into_iter().flatten().collect::<String>())
            })
            .collect();
        if !told.is_empty() {
            let head = format!("Message of {}, {}", time(&rfc3339(fact.at)), name(&scene.people, fact.by));
            lines.push(paragraph(&[&head], &[&told.join("\n")]));
        }
    }
    Ok(lines)
}

fn name(people: &People, user: UserId) -> String {
    people.reference(user)["display"].as_str().unwrap_or("Without a name").to_owned()
}

/// What messages said before they were amended; of what was taken back nothing.
fn versions(scene: &Scene, said: &[&Piece]) -> Vec<String> {
    let mut lines = Vec::new();
    let facts = said.iter().filter(|piece| piece.class == "Communication").filter_map(|piece| piece.fact.as_ref());
    for fact in facts.filter(|fact| &*fact.event == "message.posted" && !fact.withheld) {
        let Some(changes) = scene.survey.changes.get(&ThingId(fact.id.0)) else { continue };
        let retracted = changes.iter().any(|change| &*change.event == "message.retracted");
        let head = format!("Message of {}, {}", time(&rfc3339(fact.at)), name(&scene.people, fact.by));
        let mut before = fact;
        for change in changes {
            let what = match &*change.event {
                "message.amended" => "amended",
                "message.retracted" => "retracted",
                "message.relinked" => "linked to another care plan item",
                _ => continue,
            };
            let how = format!("{what} {} by {}", time(&rfc3339_millis(change.at)), name(&scene.people, change.by));
            let words = (what == "amended" && !retracted).then(|| words(before)).flatten();
            let words = words.map(|words| format!("Before: {words}"));
            lines.push(paragraph(&[&head, &how], &[words.as_deref().unwrap_or_default()]));
            if what == "amended" {
                before = change;
            }
        }
    }
    lines
}

fn words(fact: &Fact) -> Option<String> {
    fact.read::<channels::Words>().ok().map(|words| words.plain())
}

/// What is not here, and why. What whoever exports may not know of is not named.
fn gaps(scene: &Scene, request: &ExportRequest, parts: &[Part], gathered: &Gathered) -> Section {
    let mut section = Section::new("Gaps");
    let lines = &mut section.lines;
    if request.channels.is_some() {
        lines.push("Only some conversations were asked for; the others are not in this document.".into());
    }
    for (at, word) in [(request.from, "before"), (request.to, "after")] {
        if let Some(at) = at {
            lines.push(format!("Entries {word} {} were not asked for.", time(&rfc3339(at))));
        }
    }
    let picked = [
        (request.items.is_some(), "care plan items"),
        (request.classes.is_some(), "record classes"),
        (request.entries.is_some(), "entries"),
    ];
    lines.extend(
        picked.into_iter().filter(|(is, _)| *is).map(|(_, what)| format!("Only chosen {what} were asked for.")),
    );
    if request.since_last {
        lines.push("Entries that were exported in this form before and have not changed are not repeated.".into());
    }
    for part in parts {
        let name = scene.survey.conversations.get(&part.begun.id).map_or("Care plan", |one| one.name.as_str());
        let here = gathered.counts.get(&part.begun.id).copied().unwrap_or_default();
        let missing = part.begun.size.unsigned_abs().saturating_sub(here);
        if missing > 0 {
            let readable: i64 = part.begun.readable.iter().map(|[from, to]| to - from + 1).sum();
            let unread = part.begun.size - readable;
            let why = if unread > 0 {
                format!(", {unread} of them not open to whoever exported this")
            } else {
                String::new()
            };
            lines.push(format!("{name}: {missing} of {} entries are not in this document{why}.", part.begun.size));
        }
    }
    lines.extend(unread_files(&gathered.pieces));
    if !section.lines.is_empty() {
        section.empty = "withheld";
    } else {
        section.lines.push("Nothing that was asked for is withheld.".into());
    }
    section
}

/// What of the content itself could not be given: files that are too large or not readable, words that went to the wrong patient.
fn unread_files(pieces: &[Piece]) -> Vec<String> {
    let files = pieces.iter().flat_map(|piece| piece.resource["payload"].as_array().into_iter().flatten());
    let absent = files.filter(|payload| payload["contentAttachment"].is_object());
    let absent = absent.filter(|payload| payload["contentAttachment"]["data"].is_null());
    let mut lines: Vec<String> = absent
        .filter_map(|payload| Some(format!("File not included: {}", payload["contentAttachment"]["title"].as_str()?)))
        .collect();
    let withheld = pieces.iter().filter(|piece| piece.fact.as_ref().is_some_and(|fact| fact.withheld)).count();
    if withheld > 0 {
        lines.push(format!("{withheld} entries went to the wrong patient: their words are withheld."));
    }
    lines
}
