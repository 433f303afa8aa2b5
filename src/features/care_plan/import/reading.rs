//! What a reading answers. Clinical text stands in [`Phi`], so none of it can be printed by accident.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use super::bundle::Source;
use super::known::Sought;
use crate::kernel::base::{Micros, Phi};

/// One file as it was handed in.
#[derive(Clone, Copy)]
pub struct SourceFile<'a> {
    /// Its name, for the listing and to tell NDJSON (`.ndjson`) apart.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What tells a resource from all others, the same on every import: `Type/id`, its absolute URL where two servers use the
/// same `Type/id` in one call, the `urn:uuid:` of its entry, `Type?identifier=system|value`, or a hash of its content. A
/// contained resource is `parent#id`, an activity told in place `plan#activity-<uuid>`, a thing only named `plan#named-<uuid>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey(String);

impl ResourceKey {
    /// A key as it was answered by an earlier reading, or made by the caller for a patient who was never imported.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As text, for storing. May hold what the source put into its ids: treat as clinical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn within(&self, id: &str) -> Self {
        Self(format!("{}#{id}", self.0))
    }
}

impl fmt::Debug for ResourceKey {
    /// Sources put names into ids, so not even the id is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceKey({} bytes)", self.0.len())
    }
}

/// Where something stood: a file and a FHIRPath within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name as handed in.
    pub file: String,
    /// Such as `Bundle.entry[3].resource`; NDJSON puts `line 4: ` before it (lines from 1).
    pub path: String,
}

/// Something that was not understood, and that nothing was guessed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotUnderstood {
    /// The file's name.
    pub file: String,
    /// Where in it.
    pub path: String,
    /// Why, without any text of the source.
    pub reason: Cow<'static, str>,
    /// The whole resource or entry, byte for byte, where it was left out because of this. None where only a part is wrong:
    /// the resource it belongs to then stands among the patients, items or kept.
    pub verbatim: Option<Phi<String>>,
}

/// A resource that is preserved but not shown as an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptResource {
    /// Where it stood.
    pub place: Place,
    /// Its key.
    pub key: ResourceKey,
    /// Its FHIR type.
    pub kind: &'static str,
    /// Its JSON, byte for byte.
    pub json: Phi<String>,
}

impl KeptResource {
    pub(super) fn of(source: &Source<'_>) -> Self {
        Self {
            place: source.place(),
            key: source.key.clone(),
            kind: source.kind,
            json: Phi::new(source.raw.to_owned()),
        }
    }
}

/// The four kinds of a plan item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKind {
    /// A Condition.
    Problem,
    /// A Goal.
    Goal,
    /// Something planned or ordered.
    Activity,
    /// A Condition about social determinants of health.
    Barrier,
}

impl ItemKind {
    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Goal => "goal",
            Self::Activity => "activity",
            Self::Barrier => "barrier",
        }
    }
}

/// One coding of a concept.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Code {
    /// The code system's URI.
    pub system: Option<Phi<String>>,
    /// The code.
    pub code: Option<Phi<String>>,
    /// Its words.
    pub display: Option<Phi<String>>,
}

/// A note of the source (an Annotation): to be shown, never to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSource {
    /// Who wrote it, as far as the source says so in words.
    pub author: Option<Phi<String>>,
    /// When, as the source wrote it.
    pub at: Option<String>,
    /// The words (FHIR markdown).
    pub text: Phi<String>,
}

/// One plan item to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemSource {
    /// Stable over imports.
    pub key: ResourceKey,
    /// Which of the four.
    pub kind: ItemKind,
    /// At most [`super::TITLE_CHARS_MAX`] characters, never empty, one line.
    pub title: Phi<String>,
    /// What else there is to say, at most [`super::DETAIL_CHARS_MAX`] characters.
    pub detail: Option<Phi<String>>,
    /// What the source coded it as.
    pub codes: Vec<Code>,
    /// It arrives closed: the source says it is over, or was an error.
    pub closed: bool,
    /// The source's own word for its state, where FHIR knows that word.
    pub source_status: Option<&'static str>,
    /// When it is due; a due date without a time ends with that day in UTC.
    pub due: Option<Micros>,
    /// Keys of other items of the same patient that it serves (of this call or known).
    pub addresses: Vec<ResourceKey>,
    /// Keys of the CarePlans that name it.
    pub plans: Vec<ResourceKey>,
    /// It was only named (a reference with nothing but a display), so there is no resource behind it.
    pub flagged: bool,
    /// Notes and progress of the source, read-only.
    pub notes: Vec<NoteSource>,
    /// Where it stood; none when it is made of a resource kept by an earlier import.
    pub place: Option<Place>,
    /// The JSON it was made of, byte for byte: resource, contained resource, activity or reference.
    pub raw: Phi<String>,
}

/// A role in words and codes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Role {
    /// Words.
    pub text: Option<Phi<String>>,
    /// Codes.
    pub codes: Vec<Code>,
}

/// One participant of a CareTeam. To be matched with an account by identifier, never by name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Participant {
    /// In which roles.
    pub roles: Vec<Role>,
    /// Who, where that resource is of this call or known.
    pub member: Option<ResourceKey>,
    /// The member's (system, value) pairs, from its resource or the reference itself.
    pub identifiers: Vec<(Phi<String>, Phi<String>)>,
    /// What the source calls the member.
    pub display: Option<Phi<String>>,
    /// For which organization, in words.
    pub on_behalf_of: Option<Phi<String>>,
    /// From when, as written.
    pub start: Option<String>,
    /// Until when, as written.
    pub end: Option<String>,
}

/// A CareTeam of the source, for display beside our own team. The resource itself is among the kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamSource {
    /// Its key.
    pub key: ResourceKey,
    /// Its name.
    pub name: Option<Phi<String>>,
    /// Who is in it.
    pub participants: Vec<Participant>,
}

/// One patient with everything that was read of them in this call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatientSource {
    /// Stable over imports.
    pub key: ResourceKey,
    /// The server the source says they are of, to be handed back as [`super::KnownResource::server`].
    pub server: Option<String>,
    /// Their name, or "Unnamed patient".
    pub name: Phi<String>,
    /// A FHIR date: a year, a month or a day.
    pub birth_date: Option<Phi<String>>,
    /// The administrative gender's code.
    pub gender: Option<&'static str>,
    /// The language they prefer, as a BCP 47 code where the source coded it.
    pub language: Option<Phi<String>>,
    /// Those with both system and value.
    pub identifiers: Vec<(Phi<String>, Phi<String>)>,
    /// What becomes of their plan.
    pub items: Vec<ItemSource>,
    /// Resources of theirs that make no item, CarePlans and CareTeams among them.
    pub kept: Vec<KeptResource>,
    /// Their care teams as the source has them.
    pub team: Vec<TeamSource>,
    /// Notes of their CarePlans, read-only, each with the plan's key.
    pub notes: Vec<(ResourceKey, NoteSource)>,
    /// Where the Patient stood; none when it is known from an earlier import only.
    pub place: Option<Place>,
    /// The Patient resource, byte for byte, where it was in this call.
    pub raw: Option<Phi<String>>,
}

/// The answer of [`super::read`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reading {
    /// Ordered by key.
    pub patients: Vec<PatientSource>,
    /// What was not understood, in the order of files and places.
    pub not_understood: Vec<NotUnderstood>,
    /// Resources that belong to no patient (organizations, practitioners, questionnaires), preserved.
    pub kept_without_patient: Vec<KeptResource>,
    /// Resources that stood a second time, the same in every member.
    pub repeats: Vec<Place>,
    /// What was looked up in [`super::Known`], whether found or not.
    pub sought: BTreeSet<Sought>,
}
