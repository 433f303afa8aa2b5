//! The life of an export: drafted, attested by a person, filed with a receiver, told apart from what that receiver had before.
//! Does not know: sockets, how a resource is made, how a receiver is reached.
//! Invariants: only what was attested is filed; a parcel is the same bytes at each attempt and is kept before it is first sent; what a
//! receiver holds unchanged is not sent again.

mod advance;
mod attest;
mod draft;
mod job;
mod keep;
mod layers;
mod ledger;
mod making;
pub mod model;
mod outsized;
mod planning;
pub mod preview;
mod replacing;
mod setbacks;
pub mod shapes;
mod shown;
mod spool;
pub mod sql;
pub mod status;
mod superseding;

use serde_json::Value;

pub use job::Filings;
pub use keep::attested;
pub use shown::preview;
pub use spool::{Fetched, Found as Waiting, Spool};

use super::disclosure;
use crate::kernel::base::{Fault, PatientId, Stop};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Boxed, Data, Event, Face, Feature, Ledger, Op, Read, Reply, Write};
use crate::kernel::log::Fact;

/// Exports on their way. What one was filed as is the record kind of [`super::Chart`].
pub struct Exports;

const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

const OPS: &[Op] = &[
    Op::write("export.draft", "export").takes::<shapes::DraftExport>().answers::<shapes::Standing>(),
    Op::write("export.change", "export").takes::<shapes::ChangeExport>().answers::<shapes::Standing>(),
    Op::write("export.attest", "export").takes::<shapes::AttestExport>().records::<shapes::AttestReply>(),
    Op::write("export.withdraw", "export").takes::<shapes::WithdrawExport>().answers::<shapes::Standing>(),
    Op::write("export.retry", "export").takes::<shapes::OfExport>().answers::<shapes::Standing>(),
    Op::write(advance::ADVANCE, "export").internal(),
    Op::read("export.get", "export").takes::<shapes::OfExport>().answers::<shapes::Shown>().polled(),
    Op::read("export.preview", "export").takes::<shapes::OfExport>().answers::<preview::Preview>(),
    Op::read("chart.status", "export").takes::<status::AskStatus>().answers::<status::ChartStatus>(),
    Op::read("export.list", "export").takes::<shapes::ListExports>().answers::<shapes::ExportList>(),
    Op::read(shown::READ, "export").internal(),
];

const EVENTS: &[Event] = &[
    Event::of::<shapes::Attested>(attest::ATTESTED),
    Event::of::<shapes::Withdrawn>(draft::WITHDRAWN),
    Event::of::<shapes::Superseded>(advance::SUPERSEDED),
    Event::of::<shapes::Failed>(advance::FAILED),
];

fn answer<T: serde::Serialize>(answer: T) -> Result<Value, Stop> {
    serde_json::to_value(answer).map_err(|_| Fault::Defect("an answer is not JSON").into())
}

impl Feature for Exports {
    fn face(&self) -> Face {
        Face { name: "exports", ops: OPS, events: EVENTS, reacts_to: &[], clear: &[] }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "export.draft" => draft::draft(cx, data).await,
                "export.change" => draft::change(cx, data).await,
                "export.attest" => attest::attest(cx, data).await,
                "export.withdraw" => draft::withdraw(cx, data).await,
                advance::ADVANCE => advance::advance(cx, data).await,
                "export.retry" => draft::retry(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "export.preview" => answer(preview::preview(cx, data).await?),
                "chart.status" => answer(status::status(cx, data).await?),
                "export.get" => answer(keep::seen(cx, Fields(data).required_id("export")?).await?.shown()?),
                "export.list" => {
                    let patient: PatientId = Fields(data).required_id("patient")?;
                    let found = keep::all(cx, patient).await?;
                    let exports = found.into_iter().map(keep::Found::shown).collect::<Result<_, _>>()?;
                    answer(shapes::ExportList { exports })
                }
                shown::READ => answer(shown::begin(cx, data).await?),
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        // How an export stands is no projection of the log: its entries say what became of it.
        Box::pin(async move {
            match &*fact.event {
                advance::FAILED => disclosure::project(ledger, fact).await,
                _ => Ok(()),
            }
        })
    }

    fn reply(&self, fact: &Fact) -> Data {
        match &*fact.event {
            attest::ATTESTED => attest::reply(fact).unwrap_or_default(),
            _ => Data::new(),
        }
    }
}
