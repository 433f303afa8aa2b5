//! Check-ins: a channel asks its staff the same few questions at set times, and each answers when they can.
//! Does not know: tasks, notes, handoffs, how a message that waits is kept.
//! Invariants: a schedule, a check-in and its answers are their entries, and the tables only say where these stand; each person
//! answers once; what waited is posted in the transaction that opens the check-in.

mod chart;
mod model;
mod running;
pub mod shapes;
pub mod sql;
#[cfg(test)]
mod tests;
mod views;

use serde_json::Value;

pub use model::{Answered, Closed, Opened, Schedule, Scheduled};
pub use shapes::Due;
pub use views::due;

use crate::kernel::base::{Fault, Stop};
use crate::kernel::engine::shape::Nothing;
use crate::kernel::engine::{Boxed, Data, Event, Face, Feature, Ledger, Op, Read, Reply, Utterance, Write};
use crate::kernel::log::Fact;
use crate::kernel::log::scan::Line;

/// The record kind `checkin.*`.
pub struct Checkins;

const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

/// A channel has a schedule, or none any more.
const SCHEDULED: &str = "checkin.scheduled";
/// A check-in can be answered.
const OPENED: &str = "checkin.opened";
/// Somebody has.
const ANSWERED: &str = "checkin.answered";
/// It cannot be answered any more.
const CLOSED: &str = "checkin.closed";
/// The op of a schedule's alarm.
const DUE: &str = "checkin.due";
/// The op of an open check-in's alarm.
const CLOSE: &str = "checkin.close";

const OPS: &[Op] = &[
    Op::write("checkin.schedule", "checkin").takes::<shapes::ScheduleCheckin>().records::<Nothing>(),
    Op::write("checkin.answer", "checkin").takes::<shapes::AnswerCheckin>().records::<Nothing>(),
    Op::read("checkin.get", "checkin").takes::<shapes::OfChannel>().answers::<shapes::Checkin>(),
    Op::write(DUE, "checkin").internal(),
    Op::write(CLOSE, "checkin").internal(),
];

const EVENTS: &[Event] = &[
    Event::of::<Scheduled>(SCHEDULED),
    Event::of::<Opened>(OPENED),
    Event::of::<Answered>(ANSWERED),
    Event::of::<Closed>(CLOSED),
];

impl Feature for Checkins {
    fn face(&self) -> Face {
        let clear = &[sql::CLEAR_SCHEDULE, sql::CLEAR_CHECKIN, sql::CLEAR_ANSWER];
        Face { name: "checkins", ops: OPS, events: EVENTS, reacts_to: &[], clear }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "checkin.schedule" => running::schedule(cx, data).await,
                "checkin.answer" => running::answer(cx, data).await,
                DUE => running::due(cx, data).await,
                CLOSE => running::close(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "checkin.get" => views::get(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async move {
            match &*fact.event {
                SCHEDULED => running::project_scheduled(ledger, fact).await,
                OPENED => running::project_opened(ledger, fact).await,
                ANSWERED => running::project_answered(ledger, fact).await,
                CLOSED => running::project_closed(ledger, fact).await,
                _ => Err(UNKNOWN),
            }
        })
    }

    fn reply(&self, _fact: &Fact) -> Data {
        Data::new()
    }

    fn chart(&self, fact: &Fact, context: &Value) -> Vec<Value> {
        chart::resources(fact, context)
    }

    fn words(&self, line: &Line) -> Result<Option<Utterance>, Fault> {
        Ok(match &*line.event {
            OPENED => Some(Utterance::first(line.id.into()).says(line.read::<Opened>()?.questions)),
            ANSWERED => {
                let Answered { answers, sbar, .. } = line.read()?;
                let parts = sbar.iter().flat_map(|sbar| sbar.parts()).map(|(_, part)| part.to_owned());
                Some(Utterance::first(line.id.into()).says(answers).says(parts.collect::<Vec<_>>()))
            }
            _ => None,
        })
    }
}
