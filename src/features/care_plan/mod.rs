//! The living plan of a patient: problems, goals, activities, barriers, and the two items every plan has.
//! Does not know: what is said about an item, beyond how many open things the log names for it.
//! Invariant: an item's `rev` is how often it was written; the entry in the plan channel counts, those in shared channels say to
//! family what they may see of it.

pub mod arrival;
mod change;
mod chart;
mod claims;
mod entries;
pub mod import;
mod meaning;
mod model;
pub mod shapes;
pub mod sql;
#[cfg(test)]
mod tests;
mod views;

use serde_json::Value;

pub use arrival::{
    ImportFile, ImportReport, ImportedPatient, KeptSource, LeftOut, Pulled, import_files, import_pulled, kept,
};
pub use chart::with_source;
pub use claims::{Claim, Next, Weight, Why, claim, release};
pub use entries::{Added, Changed, Closed, Code, Content, Kind, Source, SourceNote, Standing};
pub use meaning::{Meaning, meaning, meanings};
pub use shapes::Unsorted;
pub use sql::{unsorted_item, version};
pub use views::{standing, unsorted};

use crate::kernel::base::{Fault, Stop};
use crate::kernel::engine::{Boxed, Data, Face, Feature, Ledger, Op, Read, Reply, Utterance, Write};
use crate::kernel::log::Fact;
use crate::kernel::log::scan::Line;

/// The record kind.
pub struct CarePlan;

const UNKNOWN: Fault = Fault::Defect("an op or event of another feature");

const FACE: Face = Face {
    name: "care_plan",
    ops: &[
        Op::read("plan.items", "plan").takes::<shapes::OfPlan>().answers::<shapes::Plan>(),
        Op::write("plan_item.add", "plan").takes::<shapes::AddItem>().records::<shapes::ItemReply>(),
        Op::write("plan_item.change", "plan").takes::<shapes::ChangeItem>().records::<shapes::ItemReply>(),
        Op::write("plan_item.close", "plan").takes::<shapes::CloseItem>().records::<shapes::ItemReply>(),
        Op::read("plan.conflicts", "plan").takes::<shapes::OfConflicts>().answers::<shapes::Conflicts>(),
        Op::write("plan.conflict.settle", "plan").takes::<shapes::SettleConflict>().records::<shapes::ItemReply>(),
        Op::write(arrival::OP, "import").internal(),
    ],
    events: entries::EVENTS,
    reacts_to: &["patient.registered"],
    clear: &[sql::CLEAR_ITEM, sql::CLEAR_CLAIM, sql::CLEAR_MEANING],
};

impl Feature for CarePlan {
    fn face(&self) -> Face {
        FACE
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "plan_item.add" => change::add(cx, data).await,
                "plan_item.change" => change::change(cx, data).await,
                "plan_item.close" => change::close(cx, data).await,
                "plan.conflict.settle" => arrival::conflicts::settle(cx, data).await,
                arrival::OP => arrival::bring(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "plan.items" => views::items(cx, data).await,
                "plan.conflicts" => arrival::conflicts::list(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(change::project(ledger, fact))
    }

    fn reply(&self, fact: &Fact) -> Data {
        let mut reply = Data::new();
        let Ok(body) = fact.read::<Data>() else { return reply };
        if let Some(item) = body.get("item") {
            reply.insert("id".into(), item.clone());
        }
        reply.insert("rev".into(), body.get("rev").cloned().unwrap_or_else(|| 1.into()));
        if let Some(status) = body.get("status") {
            reply.insert("status".into(), status.clone());
        }
        reply
    }

    fn chart(&self, fact: &Fact, context: &Value) -> Vec<Value> {
        chart::resources(fact, context)
    }

    fn words(&self, line: &Line) -> Result<Option<Utterance>, Fault> {
        entries::words(line)
    }

    fn react<'a>(&'a self, cx: &'a mut Write<'_>, fact: &'a Fact) -> Boxed<'a, Result<(), Stop>> {
        Box::pin(change::start(cx, fact))
    }
}
