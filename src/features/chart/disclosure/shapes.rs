//! What `disclosure.list` takes and answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::features::chart::filing::Told;
use crate::kernel::base::limits::HISTORY_MAX;
use crate::kernel::base::{EntryId, PatientId, UserId};

/// Data of `disclosure.list`.
#[derive(JsonSchema)]
pub struct ListDisclosures {
    /// Whose record.
    pub patient: PatientId,
    /// At or after this time (RFC 3339).
    pub from: Option<String>,
    /// At or before this time (RFC 3339).
    pub to: Option<String>,
    /// Before this `seq`: the `seq` of the last one of the page before.
    pub before: Option<i64>,
    /// At most so many; 50 unless said otherwise.
    #[schemars(range(min = 1, max = HISTORY_MAX))]
    pub limit: Option<i64>,
}

/// The record of a patient left the server once.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Disclosure {
    /// Where the plan channel says so.
    pub seq: i64,
    /// The entry.
    pub id: EntryId,
    /// When (RFC 3339).
    pub at: String,
    /// Who took it out.
    pub by: UserId,
    /// Their name, where they are staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why the receiver did not take all of it, as `outcome.code` of the export; it may have a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// What left, to whom and why. Without `target` it was a file, handed to whoever took it out.
    #[serde(flatten)]
    pub told: Told,
}

/// Reply of `disclosure.list`.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Disclosures {
    /// The newest first.
    pub disclosures: Vec<Disclosure>,
    /// There are older ones.
    pub more: bool,
}
