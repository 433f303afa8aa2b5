//! The rules of closing a record, pure: it is closed when nothing is open, and reopened for a reason.
//! Does not know: the database, frames, who may (policy decided that before).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::base::limits::REASON_CHARS_MAX;
use crate::kernel::base::{EntryId, PatientId, Refusal, ThingId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::shape::Reason;

/// Makes a patient's record read-only; refused while work is open, which the refusal lists.
#[derive(JsonSchema)]
pub struct Close {
    /// Whose record.
    pub patient: PatientId,
    /// Why: a discharge, a death, a transfer.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// Opens a closed record again.
#[derive(JsonSchema)]
pub struct Reopen {
    /// Whose record.
    pub patient: PatientId,
    /// Why.
    #[schemars(with = "Reason")]
    pub reason: String,
}

/// Body of `patient.changed`; one stands in each open channel of the patient.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// This change.
    pub id: EntryId,
    /// Whose record.
    pub patient: PatientId,
    /// Read-only from here on, or written to again.
    pub closed: bool,
    /// Why; not told to patient and family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What else both ops answer.
#[derive(Serialize, JsonSchema)]
pub struct ClosedReply {
    /// Whose record.
    pub patient: PatientId,
    /// Read-only.
    pub closed: bool,
}

/// What is settled before a record is closed.
#[derive(Default, PartialEq, Serialize)]
pub struct OpenWork {
    /// Tasks that have not ended.
    pub tasks: Vec<ThingId>,
    /// Discussions that are opened and not documented.
    pub notes: Vec<ThingId>,
    /// Handoffs without an answer for good.
    pub handoffs: Vec<ThingId>,
    /// Messages on Unsorted, the first 200.
    pub unsorted: Vec<ThingId>,
}

impl Close {
    /// Reads `patient.close`.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        Ok(Self { patient: fields.required_id("patient")?, reason: fields.text("reason", REASON_CHARS_MAX)? })
    }
}

impl Reopen {
    /// Reads `patient.reopen`.
    ///
    /// # Errors
    /// `invalid`, `reason_required` or `too_large`, naming the field.
    pub fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        Ok(Self { patient: fields.required_id("patient")?, reason: fields.reason()? })
    }
}

/// Whether a record can be closed now.
///
/// # Errors
/// `conflict` for a closed one, or with member `open` that lists what is to be settled.
pub fn closable(closed: bool, open: OpenWork) -> Result<(), Refusal> {
    if closed {
        return Err(Refusal::conflict("This record is closed already."));
    }
    if open == OpenWork::default() {
        return Ok(());
    }
    let listed = serde_json::to_value(&open).unwrap_or_default();
    Err(Refusal::conflict("Work is open. Finish, cancel or hand over what `open` lists, then close the record.")
        .with("open", listed))
}

/// Whether there is anything to reopen.
///
/// # Errors
/// `conflict` for an open record.
pub fn reopenable(closed: bool) -> Result<(), Refusal> {
    if closed { Ok(()) } else { Err(Refusal::conflict("This record is not closed.")) }
}
