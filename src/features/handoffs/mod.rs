//! Handoffs: somebody offers their work at a patient to a colleague, who says back what they understood and then has it.
//! Does not know: sockets, what a task is about, how a board shows an offer.
//! Invariant: until it is accepted nothing moves, and whoever has it knows; what is not answered is brought before whoever leads.

mod answers;
mod chart;
mod entries;
mod keep;
mod model;
mod offering;
pub mod shapes;
pub mod sql;
#[cfg(test)]
mod tests;
mod views;
mod waiting;

use serde::Deserialize;
use serde_json::Value;

pub use model::State;
pub use shapes::Shown;
pub use views::open;

use crate::kernel::base::{Fault, Stop, ThingId};
use crate::kernel::engine::{Boxed, Data, Face, Feature, Ledger, Op, Read, Reply, Utterance, Write};
use crate::kernel::log::Fact;
use crate::kernel::log::scan::Line;

/// The record kind `handoff.*`.
pub struct Handoffs;

const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

const OPS: &[Op] = &[
    Op::write("handoff.offer", "handoff").takes::<model::Offer>().records::<shapes::HandoffReply>(),
    Op::write("handoff.accept", "handoff").takes::<shapes::AcceptHandoff>().records::<shapes::HandoffReply>(),
    Op::write("handoff.decline", "handoff").takes::<shapes::DeclineHandoff>().records::<shapes::HandoffReply>(),
    Op::write("handoff.withdraw", "handoff").takes::<shapes::WithdrawHandoff>().records::<shapes::HandoffReply>(),
    Op::read("handoff.get", "handoff").takes::<shapes::OfHandoff>().answers::<shapes::Shown>(),
    Op::read("handoff.list", "handoff").takes::<shapes::ListHandoffs>().answers::<shapes::HandoffList>(),
    Op::write(waiting::RING, "handoff").internal(),
];

impl Feature for Handoffs {
    fn face(&self) -> Face {
        Face {
            name: "handoffs",
            ops: OPS,
            events: entries::EVENTS,
            reacts_to: &[waiting::LEFT],
            clear: &[sql::CLEAR_HANDOFF],
        }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "handoff.offer" => offering::offer(cx, data).await,
                "handoff.accept" => answers::accept(cx, data).await,
                "handoff.decline" => answers::decline(cx, data).await,
                "handoff.withdraw" => answers::withdraw(cx, data).await,
                waiting::RING => waiting::ring(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "handoff.get" => views::get(cx, data).await,
                "handoff.list" => views::list(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(keep::project(ledger, fact))
    }

    fn reply(&self, fact: &Fact) -> Data {
        #[derive(Deserialize)]
        struct Names {
            handoff: Option<ThingId>,
        }
        let state = match &*fact.event {
            entries::ACCEPTED => State::Accepted,
            entries::DECLINED => State::Declined,
            entries::WITHDRAWN => State::Withdrawn,
            _ => State::Offered,
        };
        let named = fact.read::<Names>().ok().and_then(|names| names.handoff);
        let handoff = named.unwrap_or_else(|| fact.id.into());
        let mut more = Data::new();
        more.insert("handoff".into(), handoff.to_string().into());
        more.insert("state".into(), state.text().into());
        more
    }

    fn react<'a>(&'a self, cx: &'a mut Write<'_>, fact: &'a Fact) -> Boxed<'a, Result<(), Stop>> {
        Box::pin(waiting::left(cx, fact))
    }

    fn chart(&self, fact: &Fact, context: &Value) -> Vec<Value> {
        chart::resources(fact, context)
    }

    fn words(&self, line: &Line) -> Result<Option<Utterance>, Fault> {
        entries::words(line)
    }
}
