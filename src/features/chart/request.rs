//! What can be asked of an export, and what is answered.

use serde::Deserialize;

use super::vouched::{Attestation, Vouched};
use crate::features::channels::Class;
use crate::kernel::base::{ChannelId, EntryId, ItemId, Micros, PatientId, Refusal, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::log::Fact;

/// The record class in the body of an entry.
#[derive(Default, Deserialize)]
struct Classed {
    #[serde(default)]
    class: Option<Class>,
}

/// The form of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One event a line: every channel, every event.
    Ndjson,
    /// A transaction Bundle of FHIR R4.
    FhirTransaction,
    /// A signed document Bundle of FHIR R4.
    FhirDocument,
    /// The readable transcript as one page.
    Html,
    /// The readable transcript on paper.
    Pdf,
    /// Messages of HL7 v2.5.1, a file each.
    Hl7v2,
    /// The proof folder.
    Proof,
}

impl Format {
    /// Every form this build knows.
    pub const ALL: [Self; 7] =
        [Self::Ndjson, Self::FhirTransaction, Self::FhirDocument, Self::Html, Self::Pdf, Self::Hl7v2, Self::Proof];

    /// As on the command line and in the record.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::FhirTransaction => "fhir-transaction",
            Self::FhirDocument => "fhir-document",
            Self::Html => "html",
            Self::Pdf => "pdf",
            Self::Hl7v2 => "hl7v2",
            Self::Proof => "proof",
        }
    }

    /// From the command line.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.text() == text)
    }

    /// Whether it is a folder of files rather than one file.
    #[must_use]
    pub const fn is_folder(self) -> bool {
        matches!(self, Self::Hl7v2 | Self::Proof)
    }
}

/// What is to be taken out.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// Whose record.
    pub patient: PatientId,
    /// In which form.
    pub format: Format,
    /// These channels only; all the caller may read if none. In a proof the others stay as leaves.
    pub channels: Option<Vec<ChannelId>>,
    /// Entries about these plan items only.
    pub items: Option<Vec<ItemId>>,
    /// Entries of these record classes only; what has no class is the care record.
    pub classes: Option<Vec<Class>>,
    /// These entries only.
    pub entries: Option<Vec<EntryId>>,
    /// Entries at or after this time only.
    pub from: Option<Micros>,
    /// Entries at or before this time only.
    pub to: Option<Micros>,
    /// Only what this form has not had yet.
    pub since_last: bool,
    /// `fhir-transaction`: with an entry for the patient, to be made in a chart that does not know them.
    pub with_patient: bool,
    /// Why it is taken out, for the accounting of disclosures.
    pub purpose: Option<String>,
    /// The configured target it is for; a file if none.
    pub target: Option<String>,
    /// Only to be read by who looks at what is going to be filed: it leaves nothing, and says so.
    pub preview: bool,
    /// Who stands for it; none for a file that somebody takes out for themself.
    pub vouched: Option<Vouched>,
}

impl ExportRequest {
    /// All of a patient's record in that form.
    #[must_use]
    pub const fn all(patient: PatientId, format: Format) -> Self {
        Self {
            patient,
            format,
            channels: None,
            items: None,
            classes: None,
            entries: None,
            from: None,
            to: None,
            since_last: false,
            with_patient: false,
            purpose: None,
            target: None,
            preview: false,
            vouched: None,
        }
    }

    /// Who attests it.
    pub(super) fn attestations(&self) -> &[Attestation] {
        self.vouched.as_ref().map_or(&[], |vouched| vouched.attestations.as_slice())
    }

    /// Whether it takes the place of what its receiver has.
    pub(super) fn replaces(&self) -> bool {
        self.vouched.as_ref().is_some_and(|vouched| !vouched.replaces.is_empty())
    }

    /// Everybody who stands for it or wrote what is said in short.
    pub(super) fn vouching(&self) -> impl Iterator<Item = UserId> {
        self.vouched.iter().flat_map(Vouched::people)
    }

    /// Refuses what no entry could answer to.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        between(self.from, self.to)
    }

    /// Entries were named, and nothing else narrows what goes out.
    pub(super) const fn names_entries(&self) -> bool {
        let narrowed = self.items.is_some() || self.classes.is_some() || self.channels.is_some();
        self.entries.is_some() && !narrowed && self.from.is_none() && self.to.is_none() && !self.since_last
    }

    /// By what it is known what the receiver has already.
    pub(super) fn key(&self) -> String {
        super::filing::key(self.target.as_deref(), self.format.text())
    }

    /// Whether single entries were chosen, rather than all there is between two points: then "since last" has nothing to go by.
    #[must_use]
    pub const fn is_picked(&self) -> bool {
        self.items.is_some() || self.classes.is_some() || self.entries.is_some()
    }

    /// Whether it may hold some of what was said of an item on a day, and not the rest.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.classes.is_some() || self.entries.is_some() || self.from.is_some()
    }

    /// Whether an entry is asked for; `item` is what it is about now. That something was exported is itself nothing new to export.
    pub(super) fn takes(&self, fact: &Fact, item: Option<ItemId>) -> bool {
        (!self.since_last || fact.kind != kind::EXPORT) && self.takes_whole(fact, item)
    }

    /// As [`Self::takes`], were it not only what is new.
    pub(super) fn takes_whole(&self, fact: &Fact, item: Option<ItemId>) -> bool {
        let class = || {
            let told = fact.read::<Classed>().unwrap_or_default().class;
            told.unwrap_or(Class::CareRecord)
        };
        self.entries.as_ref().is_none_or(|entries| entries.contains(&fact.id))
            && self.items.as_ref().is_none_or(|items| item.is_some_and(|item| items.contains(&item)))
            && self.classes.as_ref().is_none_or(|classes| classes.contains(&class()))
    }
}

/// Refuses a time span that ends before it begins.
pub(super) fn between(from: Option<Micros>, to: Option<Micros>) -> Result<(), Refusal> {
    match (from, to) {
        (Some(from), Some(to)) if from > to => Err(Refusal::invalid("from", "`from` is after `to`.")),
        _ => Ok(()),
    }
}

/// What was taken out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExportSummary {
    /// Entries of the record.
    pub entries: u64,
    /// Channels they stand in.
    pub channels: u64,
}
