//! Entries become documents: who wrote, when, about what, as one text.

use uuid::Uuid;

use super::acknowledged::Acknowledged;
use super::message::{Act, Document, Loinc, Patient, PatientNumber, Person};
use super::{Group, conversation_id};
use crate::features::channels::chart_text;
use crate::features::chart::source::Source;
use crate::features::chart::transcript::block::Entry;
use crate::features::chart::transcript::{Body, Book, plain};
use crate::features::chart::vouched::{Attestation, NOBODY, sentence};
use crate::features::chart::{ExportRequest, Vouched};
use crate::kernel::base::world::parse_rfc3339;
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, ThingId, UserId};
use crate::kernel::crypto::hash;
use crate::kernel::log::Fact;
use crate::kernel::policy::Audience;

/// What a conversation record is (mapping of the chart, section 5).
const CONVERSATION: Loinc = ("56444-3", "Healthcare communication Document");

/// What documents of one channel are made with.
pub struct Composer<'b> {
    book: &'b Book,
    channel: ChannelId,
    patient: Patient,
    restricted: bool,
    name: String,
    takes_cancel: bool,
    vouched: Option<&'b Vouched>,
    /// What the receiver acknowledged.
    acknowledged: &'b Acknowledged,
    /// Documents may hold less than was said in them.
    partial: bool,
}

impl<'b> Composer<'b> {
    /// For one channel.
    pub fn new(
        source: &Source<'_>,
        request: &'b ExportRequest,
        book: &'b Book,
        channel: ChannelId,
        acknowledged: &'b Acknowledged,
    ) -> Self {
        let settings = super::settings(source, request);
        let identity = book.identity();
        let mut numbers: Vec<PatientNumber> = Vec::new();
        for one in identity.into_iter().flat_map(|identity| &identity.identifiers) {
            let known = settings.identifier_system.as_deref() == Some(one.system.as_str());
            let authority = if known { settings.authority.clone() } else { None }.unwrap_or_else(|| one.system.clone());
            let number = PatientNumber { authority, value: one.value.clone(), class: "" };
            if known { numbers.insert(0, number) } else { numbers.push(number) }
        }
        match numbers.first_mut() {
            Some(first) => first.class = "MR",
            None => numbers.push(PatientNumber {
                authority: settings.namespace.clone(),
                value: source.patient.to_string(),
                class: "PI",
            }),
        }
        let patient = Patient {
            numbers,
            name: identity.map(|identity| identity.name.clone()).unwrap_or_default(),
            birth_date: identity.and_then(|identity| identity.birth_date.clone()),
            gender: identity.and_then(|identity| identity.gender.clone()),
        };
        let audience = book.access().channels.get(&channel).map(|channel| channel.audience);
        let restricted = audience == Some(Audience::Named);
        let (name, takes_cancel) = (book.channel_name(channel), settings.cancel);
        let (vouched, partial) = (request.vouched.as_ref(), request.is_partial());
        Self { book, channel, patient, restricted, name, takes_cancel, vouched, acknowledged, partial }
    }

    /// Whose documents they are.
    pub fn patient(&self) -> &Patient {
        &self.patient
    }

    /// What is known of the record.
    pub fn book(&self) -> &'b Book {
        self.book
    }

    /// The time of the messages. What people attest is the same whenever it is made: as of when the last of them did.
    pub fn now(&self) -> Micros {
        let attested = self.attested().into_iter().map(|(_, at)| at).max();
        attested.unwrap_or_else(|| self.book.now())
    }

    /// What a document says, but for who stands for it. Of one that takes the place of another, by which export: it is filed once in each.
    fn said(&self, text: &str, title: &str, item: Option<&(Uuid, String)>) -> [u8; 32] {
        let by = self.vouched.filter(|vouched| !vouched.replaces.is_empty()).map(|vouched| vouched.export);
        let (item, by) = (item.map(|(id, _)| id.to_string()), by.map(|by| by.to_string()));
        hash(
            [title, item.as_deref().unwrap_or_default(), by.as_deref().unwrap_or_default(), text].join("\r").as_bytes(),
        )
    }

    /// The item an entry is about now; what is about none is about the plan as a whole.
    pub fn item(&self, fact: &Fact) -> ItemId {
        self.book.item(fact).or_else(|| self.book.whole()).unwrap_or(ItemId(Uuid::nil()))
    }

    fn titled(&self, id: ItemId) -> Option<(Uuid, String)> {
        Some((id.0, self.book.item_title(id)?.to_owned()))
    }

    fn person(&self, user: UserId) -> Person {
        let (name, profession) = self.book.person(user);
        Person { id: user.0, name, profession, number: self.book.number(user) }
    }

    /// Lines above the text: what a reader has to know who sees the text alone.
    fn head(&self, title: &str, item: Option<&(Uuid, String)>) -> String {
        let named = item.map(|(_, title)| format!("Care plan item: {title}\n")).unwrap_or_default();
        let mut head = format!("{title}\nPatient: {}\n{named}All times are UTC.\n", self.patient.name);
        for one in self.attestations() {
            head.push_str(&format!("{}\n", sentence(&self.person(one.by).described(), one)));
        }
        if self.attestations().is_empty() {
            head.push_str(&format!("{NOBODY}\n"));
        }
        if let Some(summary) = item.and_then(|(id, _)| self.vouched?.summary(ItemId(*id))) {
            let by = summary.by.map(|by| format!(", by {}", self.person(by).described())).unwrap_or_default();
            head.push_str(&format!("In short{by}: {}\n", summary.text));
        }
        head.push('\n');
        chart_text(&head.replace("\r\n", "\n").replace('\r', "\n"))
    }

    fn attestations(&self) -> &[Attestation] {
        self.vouched.map_or(&[], |vouched| vouched.attestations.as_slice())
    }

    /// Who stands for a document, and since when.
    fn attested(&self) -> Vec<(Person, Micros)> {
        let dated = |one: &Attestation| Some((self.person(one.by), parse_rfc3339(&one.at).ok()?));
        self.attestations().iter().filter_map(dated).collect()
    }

    /// The number of a document that takes the place of another: no two are the same (chapter 9).
    fn replacement(&self, original: Uuid, version: i64) -> Uuid {
        let export = self.vouched.filter(|vouched| !vouched.replaces.is_empty()).map(|vouched| vouched.export);
        let by = export.map(|export| format!(" {export}")).unwrap_or_default();
        Uuid::new_v5(&original, format!("{version}{by}").as_bytes())
    }

    /// A note, or what was said of it later.
    /// A note that the receiver `had` is sent again in its place, with who stands for it now.
    pub fn note(&self, fact: &Fact, entry: &Entry, version: i64, had: bool) -> Result<Document, Fault> {
        let body = Body::of(fact)?;
        let author = self.person(fact.by);
        let note = &*fact.event == "note.logged";
        let had = had || self.acknowledged.has(body.id::<ThingId>("note").map_or(fact.id.0, |marker| marker.0));
        let about = body.id::<ThingId>("note").map(|note| note.0);
        let (act, id, parent) = match about {
            // Documented after a marker: the note has the marker's name.
            Some(marker) if note => (Act::Original, marker, None),
            Some(parent) => (Act::Addendum, fact.id.0, Some(parent)),
            None => (Act::Original, fact.id.0, None),
        };
        let (act, id, parent) = match act {
            Act::Original if had => (Act::Replacement, self.replacement(id, fact.seq), Some(id)),
            _ => (act, id, parent),
        };
        let item = self.titled(self.item(fact));
        let heading = entry.heading.plain();
        let title = format!("{heading}, {}", &entry.time[..10]);
        let held = body.some("held_at").and_then(|at| parse_rfc3339(at).ok()).unwrap_or(fact.at);
        let medium = body.text("medium");
        let text = plain::text(entry);
        Ok(Document {
            id,
            // The text of a note never changes; a receipt is no new state of it.
            version: if note { fact.seq } else { version },
            act,
            parent,
            class: if medium == "phone" || medium == "in_person" { "PR" } else { "CN" },
            code: loinc(medium, author.profession.as_deref().unwrap_or_default()),
            activity: held,
            documented: fact.at,
            said: self.said(&text, &title, item.as_ref()),
            text: self.head(&title, item.as_ref()) + &text,
            authors: vec![author],
            attested: self.attested(),
            item,
            restricted: self.restricted,
            title,
        })
    }

    /// What was said of one item in one channel on one day.
    pub fn conversation(&self, item: ItemId, day: &str, block: i64, group: &Group) -> Document {
        let original = conversation_id(self.channel, item, day, block);
        let gone = group.entries.iter().all(|(fact, _)| self.book.is_gone(fact));
        let (act, id, parent) = match group.had || self.acknowledged.has(original) {
            false => (Act::Original, original, None),
            // What is not all of it takes nothing's place.
            true if self.partial => (Act::Addendum, self.replacement(original, group.version), Some(original)),
            true if gone && self.takes_cancel => (Act::Cancel, original, Some(original)),
            // What it replaces is named as it was first.
            true => (Act::Replacement, self.replacement(original, group.version), Some(original)),
        };
        let titled = self.titled(item);
        let title = format!("Care team conversation \"{}\", {day}", self.name);
        let mut text = String::new();
        for (_, entry) in &group.entries {
            text.push_str(&plain::text(entry));
            text.push('\n');
        }
        let times = || group.entries.iter().map(|(fact, _)| fact.at);
        let mut writers: Vec<UserId> = Vec::new();
        for (fact, _) in &group.entries {
            if !writers.contains(&fact.by) {
                writers.push(fact.by);
            }
        }
        Document {
            id,
            version: group.version,
            act,
            parent,
            class: "PR",
            code: CONVERSATION,
            activity: times().min().unwrap_or_default(),
            documented: times().max().unwrap_or_default(),
            authors: writers.into_iter().map(|user| self.person(user)).collect(),
            attested: self.attested(),
            said: self.said(&text, &title, titled.as_ref()),
            text: self.head(&title, titled.as_ref()) + &text,
            item: titled,
            restricted: self.restricted,
            title,
        }
    }
}

/// The LOINC code of a note with its name, by how people talked and the author's profession.
fn loinc(medium: &str, profession: &str) -> Loinc {
    let profession = profession.to_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| profession.contains(word));
    match medium {
        "phone" if is(&["nurse", "nursing"]) => ("34139-6", "Nurse Telephone encounter Note"),
        "phone" if is(&["social work"]) => ("34844-1", "Social worker Telephone encounter Note"),
        "phone" => ("34748-4", "Telephone encounter Note"),
        "video" => ("34098-4", "Conference Note"),
        "email" | "fax" | "letter" => ("52033-8", "General correspondence"),
        _ => ("34109-9", "Note"),
    }
}
