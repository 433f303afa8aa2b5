//! Files that go with messages and notes: taken in sealed, chunk by chunk, served the same way, swept when nothing carries them.
//! Does not know: HTTP, which kinds of entry carry files (they call [`take`] and [`attach`]), what is in a file.
//! Invariants: before an entry carries it a file is its uploader's, from then on it is read by whoever reads such an entry; no plaintext
//! on disk; one chunk in memory.

mod attach;
mod keep;
mod model;
mod open;
pub mod shapes;
pub mod sql;
mod upload;
mod within;

use serde_json::Value;

pub use attach::{Files, attach, proofs, take, withhold};
pub use keep::{check, keep, sweep};
pub use model::{FILES_MAX, parse};
pub use open::{Opened, open};
pub use shapes::Stored;
pub use upload::store;
pub use within::{put, room};

use crate::kernel::base::{Fault, Stop};
use crate::kernel::engine::{Boxed, Data, Face, Feature, Ledger, Op, Read, Reply, Write};
use crate::kernel::log::Fact;

/// Uploaded files.
pub struct Attachments;

const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

const OPS: &[Op] = &[
    Op::read("file.info", "file").takes::<shapes::AskFiles>().answers::<shapes::FileList>(),
    Op::read(open::OPEN, "file").internal(),
    Op::read(upload::ROOM, "file").internal(),
    Op::write(upload::UPLOAD, "file").internal(),
    Op::write(keep::SWEEP, "file").internal(),
];

impl Feature for Attachments {
    fn face(&self) -> Face {
        Face { name: "files", ops: OPS, events: &[], reacts_to: &[], clear: &[sql::CLEAR_PLACES] }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                upload::UPLOAD => upload::upload(cx, data).await,
                keep::SWEEP => keep::forget(cx).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "file.info" => open::info(cx, data).await,
                open::OPEN => open::answer(cx, data).await,
                upload::ROOM => upload::room(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn project<'a>(&'a self, _ledger: &'a mut Ledger, _fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        // No entry is of this kind: those of others carry files.
        Box::pin(async { Ok(()) })
    }

    fn reply(&self, _fact: &Fact) -> Data {
        Data::new()
    }
}
