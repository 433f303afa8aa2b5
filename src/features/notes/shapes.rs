//! What the ops on notes take, as types for the published documents. Does not know how a command is parsed.

use schemars::JsonSchema;

use crate::kernel::base::ThingId;
use crate::kernel::engine::shape::Reason;

/// Names a note.
#[derive(JsonSchema)]
pub struct OfNote {
    /// Which.
    pub note: ThingId,
}

/// Names a note, with a reason.
#[derive(JsonSchema)]
pub struct OfNoteWhy {
    /// Which.
    pub note: ThingId,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}
