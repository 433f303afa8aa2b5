//! What people stand for in an export: who attests it and what they declare, what whoever drafted it says in short, and what it takes the
//! place of. Does not know how an export comes to be attested, or where it goes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::transcript::told_time;
use crate::kernel::base::{ItemId, ThingId, UserId};
use crate::kernel::engine::shape::{Text, Time};

/// What is said of one plan item, in the words of whoever drafts.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// The plan item.
    pub item: ItemId,
    /// In short.
    #[schemars(with = "Text")]
    pub text: String,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
}

/// Somebody stands for it.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Attestation {
    /// Who.
    pub by: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// In their words.
    pub statement: String,
}

/// It, as every form shows it.
#[derive(Clone)]
pub struct Vouched {
    /// The export that was drafted and attested.
    pub export: ThingId,
    /// Who attests it, the first one first.
    pub attestations: Vec<Attestation>,
    /// In short, by plan item.
    pub summaries: Vec<Summary>,
    /// Exports whose place it takes: it holds all that they held.
    pub replaces: Vec<ThingId>,
}

impl fmt::Debug for Vouched {
    /// Statements and summaries are words about a patient.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vouched({})", self.export)
    }
}

impl Vouched {
    /// Everybody who is named by it.
    pub(super) fn people(&self) -> impl Iterator<Item = UserId> {
        let attest = self.attestations.iter().map(|one| one.by);
        attest.chain(self.summaries.iter().filter_map(|one| one.by))
    }

    /// What is said of an item in short.
    pub(super) fn summary(&self, item: ItemId) -> Option<&Summary> {
        self.summaries.iter().find(|summary| summary.item == item)
    }

    /// The identifier of the document it is filed as; of the Bundle around it.
    pub(super) fn document(&self) -> (Uuid, Uuid) {
        (composition(self.export), Uuid::new_v5(&self.export.0, b"Bundle"))
    }
}

/// The identifier of the document an export is filed as: the same in each attempt.
pub(super) fn composition(export: ThingId) -> Uuid {
    Uuid::new_v5(&export.0, b"Composition")
}

/// An attestation in one sentence; `who` is its author.
pub(super) fn sentence(who: &str, one: &Attestation) -> String {
    format!("Attested by {who} on {}: {}", told_time(&one.at), one.statement)
}

/// What is said where nobody attested.
pub(super) const NOBODY: &str = "Nobody has attested this.";
