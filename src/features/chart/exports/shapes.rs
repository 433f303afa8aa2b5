//! What the ops on exports take, answer and record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::State;
use crate::features::channels::Class;
use crate::features::chart::filing::Told;
pub use crate::features::chart::vouched::{Attestation, Summary};
use crate::kernel::base::{ChannelId, EntryId, ItemId, PatientId, ThingId, UserId};
use crate::kernel::engine::shape::{Reason, Text, Time};

/// Which entries an export is about; all the caller may read if nothing is said.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Selection {
    /// Of these channels only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<ChannelId>>,
    /// About these plan items only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<ItemId>>,
    /// Of these record classes only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<Class>>,
    /// These messages, notes, tasks and handoffs only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<EntryId>>,
    /// At or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub from: Option<String>,
    /// At or before this time; never after it was first attested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub to: Option<String>,
}

/// Drafts an export: to a configured target, or as a file that is taken out once it is attested.
#[derive(JsonSchema)]
pub struct DraftExport {
    /// Whose record.
    pub patient: PatientId,
    /// A configured target.
    pub target: Option<String>,
    /// The form of a file instead: any but `proof`, which shows what is there and needs nobody to stand for it.
    pub format: Option<String>,
    /// Of what.
    #[serde(flatten)]
    pub selection: Selection,
    /// A short summary by plan item; the entries stand as they are where there is none.
    #[schemars(length(max = 200))]
    pub summaries: Option<Vec<Given>>,
    /// Who all have to attest before it is filed; one person is enough if none are named.
    #[schemars(length(max = 20))]
    pub attesters: Option<Vec<UserId>>,
    /// Why it is taken out, for the accounting of disclosures.
    #[schemars(with = "Option<Reason>")]
    pub purpose: Option<String>,
    /// A filed export in whose place this one is filed.
    pub supersedes: Option<ThingId>,
}

/// A summary as it is sent.
#[derive(JsonSchema)]
pub struct Given {
    /// The plan item.
    pub item: ItemId,
    /// In short.
    #[schemars(with = "Text")]
    pub text: String,
}

/// Changes a draft: what is named replaces what was there.
#[derive(JsonSchema)]
pub struct ChangeExport {
    /// Which.
    pub export: ThingId,
    /// As it was read.
    pub rev: i64,
    /// Of what.
    #[serde(flatten)]
    pub selection: Selection,
    /// All summaries.
    #[schemars(length(max = 200))]
    pub summaries: Option<Vec<Given>>,
    /// Who all have to attest.
    #[schemars(length(max = 20))]
    pub attesters: Option<Vec<UserId>>,
    /// Why it is taken out.
    #[schemars(with = "Option<Reason>")]
    pub purpose: Option<String>,
}

/// Names an export.
#[derive(JsonSchema)]
pub struct OfExport {
    /// Which.
    pub export: ThingId,
}

/// Stands for what an export says. Wants a password entered within five minutes.
#[derive(JsonSchema)]
pub struct AttestExport {
    /// Which.
    pub export: ThingId,
    /// As it was read.
    pub rev: i64,
    /// In one's own words.
    #[schemars(with = "Reason")]
    pub statement: String,
}

/// Takes back what was not filed.
#[derive(JsonSchema)]
pub struct WithdrawExport {
    /// Which.
    pub export: ThingId,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// Lists the exports of a patient.
#[derive(JsonSchema)]
pub struct ListExports {
    /// Whose.
    pub patient: PatientId,
}

/// How an export stands.
#[derive(Serialize, JsonSchema)]
pub struct Standing {
    /// Which.
    pub export: ThingId,
    /// How.
    pub state: State,
    /// What a change has to name.
    pub rev: i64,
    /// Done before under the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<bool>,
}

/// What else an attestation answers.
#[derive(Serialize, JsonSchema)]
pub struct AttestReply {
    /// Which.
    pub export: ThingId,
    /// How it stands.
    pub state: State,
}

/// How far a filing is.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Parcels the receiver has.
    pub done: i64,
    /// Of so many.
    pub of: i64,
}

/// What the receiver said last.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// `again`, `held`, `patient_unknown`, `patient_ambiguous`, `unreachable`, `too_large`, or why the receiver does not take it.
    pub code: String,
    /// In its own words: an OperationOutcome, an ERR.
    pub words: String,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
}

/// What was filed.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct FiledAs {
    /// The entry of the plan channel that says so.
    pub seq: i64,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// Entries of the record.
    pub entries: u64,
    /// Channels they stand in.
    pub channels: u64,
    /// Resources, messages or files that were sent: what the receiver had already is not sent again.
    pub resources: u64,
    /// SHA-256 over all that was sent, hex.
    pub sha256: String,
}

/// An export as it stands.
#[derive(Serialize, JsonSchema)]
pub struct Shown {
    /// Which.
    pub export: ThingId,
    /// Whose record.
    pub patient: PatientId,
    /// How it stands.
    pub state: State,
    /// What a change has to name.
    pub rev: i64,
    /// The configured target; a file if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The form of the file; of a target, its profile.
    pub format: String,
    /// Who drafted it.
    pub by: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
    /// When it last changed.
    #[schemars(with = "Time")]
    pub changed_at: String,
    /// Of what.
    pub selection: Selection,
    /// By plan item.
    pub summaries: Vec<Summary>,
    /// Everybody who drafted or changed it.
    pub contributors: Vec<UserId>,
    /// Who all have to attest; one person if none.
    pub attesters: Vec<UserId>,
    /// Who did, the first one first.
    pub attestations: Vec<Attestation>,
    /// Why it is taken out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// In whose place it is filed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<ThingId>,
    /// What was filed in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<ThingId>,
    /// Why it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// How far it is.
    pub progress: Progress,
    /// Attempts at what is next.
    pub attempts: i64,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub next_at: Option<String>,
    /// What the receiver said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Said>,
    /// What was filed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filed: Option<FiledAs>,
}

/// Exports of a patient.
#[derive(Serialize, JsonSchema)]
pub struct ExportList {
    /// The newest first, at most 200.
    pub exports: Vec<Shown>,
}

/// Body of `export.attested`: somebody stands for an export.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Attested {
    /// This entry.
    pub id: EntryId,
    /// The export.
    pub export: ThingId,
    /// Where it goes; a file if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// In which form.
    pub format: String,
    /// In their words.
    pub statement: String,
    /// SHA-256 of the selection and the summaries they saw, hex.
    pub sha256: String,
    /// Somebody attested before.
    pub adds: bool,
}

/// Body of `export.withdrawn`: an attested export was taken back before it was filed.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Withdrawn {
    /// This entry.
    pub id: EntryId,
    /// The export.
    pub export: ThingId,
    /// Why.
    pub reason: String,
}

/// Body of `export.failed`: a receiver did not take all of an attested export. What follows from `format` on is what was to be filed; the
/// receiver may have a part of it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    /// This entry.
    pub id: EntryId,
    /// The export.
    pub export: ThingId,
    /// As `outcome.code` of the export: why. The receiver's own words stand in the export only.
    pub outcome: String,
    /// Requests or messages the receiver acknowledged, of how many.
    pub parcels: Progress,
    #[serde(flatten)]
    /// What was to be filed.
    pub told: Told,
}

/// Body of `export.superseded`: another export was filed in the place of one.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Superseded {
    /// This entry.
    pub id: EntryId,
    /// The one that counted until now.
    pub export: ThingId,
    /// The one that counts.
    pub by: ThingId,
}
