//! Work that somebody is asked to do, from the moment it is asked for to its end: states, owners, due times, steps, and what comes again.
//! Does not know: boards, notes, handoffs; they are made of its tasks. What is said of a task are messages that name it.
//! Invariants: a task never rests with somebody who left the team; it is what its entries add up to; the clock takes no step for anybody.

mod change;
mod chart;
mod clock;
mod command;
pub mod drift;
mod due;
mod entries;
mod hands;
mod keep;
mod model;
mod people;
mod place;
pub mod shapes;
pub mod sql;
#[cfg(test)]
mod tests;
mod views;

use serde_json::Value;

pub use change::{Origin, Ready, prepare, record_new as record};
pub use command::NewTask;
pub use entries::{Change, Changed, Created, Members, Repeat, State, Tick};
pub use hands::{Handover, hand_over, handover, open_of};
pub use model::Task;
pub use shapes::{TaskShown, Work};
pub use views::{Filter, Listed, Owner, listed};

use crate::kernel::base::{Fault, Stop};
use crate::kernel::engine::{Boxed, Data, Event, Face, Feature, Ledger, Op, Read, Reply, Utterance, Write};
use crate::kernel::log::Fact;
use crate::kernel::log::scan::Line;

/// The record kind `task.*`.
pub struct Tasks;

const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

const OPS: &[Op] = &[
    Op::write("task.create", "task").takes::<shapes::CreateTask>().records::<shapes::TaskReply>(),
    Op::write("task.update", "task").takes::<shapes::UpdateTask>().records::<shapes::TaskReply>(),
    Op::write("task.assign", "task").takes::<shapes::AssignTask>().records::<shapes::TaskReply>(),
    Op::write("task.accept", "task").takes::<shapes::StepTask>().records::<shapes::TaskReply>(),
    Op::write("task.decline", "task").takes::<shapes::StopTask>().records::<shapes::TaskReply>(),
    Op::write("task.start", "task").takes::<shapes::StepTask>().records::<shapes::TaskReply>(),
    Op::write("task.hold", "task").takes::<shapes::StopTask>().records::<shapes::TaskReply>(),
    Op::write("task.complete", "task").takes::<shapes::StepTask>().records::<shapes::TaskReply>(),
    Op::write("task.fail", "task").takes::<shapes::StopTask>().records::<shapes::TaskReply>(),
    Op::write("task.cancel", "task").takes::<shapes::StopTask>().records::<shapes::TaskReply>(),
    Op::write("task.move", "task").takes::<shapes::MoveTask>().records::<shapes::TaskReply>(),
    Op::read("task.get", "task").takes::<shapes::OfTask>().answers::<shapes::OneTask>(),
    Op::read("task.made_from", "task").takes::<shapes::MadeFrom>().answers::<shapes::Tasks>(),
    Op::read("drift.list", "task").takes::<drift::shapes::OfDrift>().answers::<drift::shapes::Drifts>(),
    Op::write("drift.settle", "task").takes::<drift::shapes::SettleDrift>().records::<drift::shapes::SettledReply>(),
    Op::write(clock::REMIND, "task").internal(),
    Op::write(clock::OVERDUE, "task").internal(),
];

const EVENTS: &[Event] = &[Event::of::<Created>(entries::CREATED), Event::of::<Changed>(entries::CHANGED)];

impl Feature for Tasks {
    fn face(&self) -> Face {
        let reacts_to = &["team.left", "plan_item.changed", "plan_item.closed"];
        Face { name: "tasks", ops: OPS, events: EVENTS, reacts_to, clear: &[sql::CLEAR] }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "task.create" => change::create(cx, data).await,
                "drift.settle" => drift::settle(cx, data).await,
                clock::REMIND => clock::remind(cx, data).await,
                clock::OVERDUE => clock::mark(cx, data).await,
                _ => change::step(cx, op, data).await,
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "task.get" => views::get(cx, data).await,
                "drift.list" => drift::list(cx, data).await,
                "task.made_from" => views::made_from(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(keep::project(ledger, fact))
    }

    fn reply(&self, fact: &Fact) -> Data {
        let mut more = Data::new();
        let Ok(body) = fact.read::<Data>() else { return more };
        if let Some(task) = body.get("task") {
            more.insert("id".into(), task.clone());
        }
        more.insert("rev".into(), body.get("rev").cloned().unwrap_or_else(|| 1.into()));
        if let Some(state) = body.get("state") {
            more.insert("state".into(), state.clone());
        }
        more
    }

    fn react<'a>(&'a self, cx: &'a mut Write<'_>, fact: &'a Fact) -> Boxed<'a, Result<(), Stop>> {
        Box::pin(async move {
            match &*fact.event {
                "team.left" => hands::leave(cx, fact).await,
                _ => drift::follow(cx, fact).await,
            }
        })
    }

    fn chart(&self, fact: &Fact, context: &Value) -> Vec<Value> {
        chart::resources(fact, context)
    }

    fn words(&self, line: &Line) -> Result<Option<Utterance>, Fault> {
        entries::words(line)
    }
}
