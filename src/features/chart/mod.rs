//! The record on its way to the chart: exports in several forms, proofs that anyone can check, and their verification.
//! Does not know: sockets, disks (an export is written to an [`Out`]), any table but its own.
//! Invariants: heads are signed before the first byte leaves; an export that was written is an entry `export.filed`; nothing is
//! written that policy would not show the caller at that moment.
//!
//! Only this folder, the files `chart.rs` of other features and the import reader know FHIR. A feature gives the resources of one
//! of its entries by [`Feature::chart`]; the exporter offers the same `context` to every kind:
//!
//! ```json
//! {
//!   "system": "urn:uuid:…",          // system of our identifiers; `identifier[0]` of a resource is {system, value: our id}
//!   "subject": {"reference"},        // the patient
//!   "plan": {"reference"},           // the CarePlan
//!   "header": {"reference"},         // header Communication of the entry's channel
//!   "organization": {"reference"},   // owner of the deployment; null if none is set up
//!   "device": {"reference"},         // this server
//!   "author": {"reference", "display"}, "profession": "…", "family": false,   // of the entry
//!   "recipients": [{"reference", "display"}],                                  // readers of the channel when it was written
//!   "item": {"reference", "display", "identifier"?},      // the plan item it is about now
//!   "based_on": [{"reference"}],     // the CarePlan, and the Task the item is
//!   "goals": [{"reference", "display"}],                  // goals the item is or serves
//!   "recorded": "2026-03-02T14:31:07.412Z",               // when the entry was accepted
//!   "restricted": false,             // the channel is for a listed part of the team
//!   "update": false,                 // the receiver has an older state of it: it is sent again
//!   "changes": [{"event", "id", "recorded", "author", "had": true, "data": {…}}],   // later entries about it, oldest first; `had`:
//!                                    // the receiver has that change
//!   "files": [{"id", "name", "type", "size", "sha256", "sha1"?, "data"?}],   // of the entry; `data` (base64) where there is room for it,
//!                                    // the id alone where whoever exports may not read it
//!   "questions": ["…"],              // of the check-in it answers
//!   "received": "…",                 // when it reached its one reader, if there was one and it is known
//!   "source": {…},                   // of a plan item: the resource it was imported from, as it came
//!   "known": {"<our id>": {"reference", "display"}}       // what the ids in the entry and its changes stand for in the chart
//! }
//! ```
//!
//! A reference is written `Type/<our id>` there and in what a feature gives; the exporter turns it into the `fullUrl` of the Bundle's
//! entry, or into a conditional reference where the thing is not in the Bundle. A resource without identifier (Provenance) carries our
//! id as its own.

mod coverage;
pub mod disclosure;
mod export;
pub mod exports;
mod fhir;
mod filing;
mod hl7v2;
mod lines;
mod out;
mod progress;
pub mod proof;
mod request;
mod source;
pub mod sql;
mod survey;
pub mod targets;
#[cfg(test)]
mod tests;
mod transcript;
mod vouched;

use serde_json::Value;

use disclosure::shapes::{Disclosures, ListDisclosures};
pub use export::export;
pub use fhir::{DocumentVerdict, verify_document};
pub use lines::{LinesVerdict, verify_lines};
pub use out::{Memory, Out};
pub use progress::Progress;
pub use proof::{Flaw, Verdict, verify};
pub use request::{ExportRequest, ExportSummary, Format};
pub use vouched::Vouched;

use crate::kernel::base::{Fault, Stop};
use crate::kernel::engine::{Boxed, Data, Event, Face, Feature, Ledger, Op, Read, Reply, Write};
use crate::kernel::log::Fact;

/// The record kind `export.*`.
pub struct Chart;

const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

const OPS: &[Op] = &[
    Op::write(filing::BEGIN, "export").internal(),
    Op::write(filing::FILE, "export").internal(),
    Op::read(disclosure::LIST, "audit").takes::<ListDisclosures>().answers::<Disclosures>(),
];

const EVENTS: &[Event] = &[Event::of::<filing::Filed>(filing::FILED)];

impl Feature for Chart {
    fn face(&self) -> Face {
        Face { name: "chart", ops: OPS, events: EVENTS, reacts_to: &[], clear: &[disclosure::sql::CLEAR_DISCLOSURE] }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                filing::BEGIN => filing::begin(cx, data).await,
                filing::FILE => filing::file(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                disclosure::LIST => disclosure::list(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async move {
            match &*fact.event {
                filing::FILED => disclosure::project(ledger, fact).await,
                _ => Ok(()),
            }
        })
    }

    fn reply(&self, _fact: &Fact) -> Data {
        Data::new()
    }
}
