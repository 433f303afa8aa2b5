//! The board: what is to be done for a patient, or by a person over all their patients, as columns of tasks with what else waits.
//! Does not know: how a task moves, what a note or handoff says. It asks their features and puts the answers side by side.
//! Invariant: a board is what its caller may read at that moment; the events of the channels it stands on are its updates, and it
//! needs no others.

mod model;
pub mod shapes;
#[cfg(test)]
mod tests;
mod views;

use serde_json::Value;

use self::shapes::{Board as BoardShape, OfBoard};
use crate::kernel::base::{Fault, Stop};
use crate::kernel::engine::{Boxed, Data, Face, Feature, Ledger, Op, Read, Reply, Write};
use crate::kernel::log::Fact;

/// The op `board.get`. It has no entries and no table.
pub struct Board;

const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

impl Feature for Board {
    fn face(&self) -> Face {
        const OPS: &[Op] = &[Op::read("board.get", "task").takes::<OfBoard>().answers::<BoardShape>()];
        Face { name: "board", ops: OPS, events: &[], reacts_to: &[], clear: &[] }
    }

    fn write<'a>(
        &'a self,
        _cx: &'a mut Write<'_>,
        _op: &'static str,
        _data: &'a Data,
    ) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async { Err(UNKNOWN.into()) })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, _op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(views::get(cx, data))
    }

    fn project<'a>(&'a self, _ledger: &'a mut Ledger, _fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async { Err(UNKNOWN) })
    }

    fn reply(&self, _fact: &Fact) -> Data {
        Data::new()
    }
}
