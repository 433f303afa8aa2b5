//! Search: what was said, found again by a part of its words. Entries are opened and compared, newest first, over the channels the caller
//! may read; there is no index, on disk or in memory.
//! Does not know: what an event says (its feature tells), sockets.
//! Invariants: what is looked for stands in no audit row and no log; nothing superseded or taken back is a hit, and nothing the caller
//! may not read at the moment of the answer; no snapshot is kept for longer than a turn.

mod fold;
mod ground;
mod hits;
mod lanes;
mod look;
mod query;
mod run;
pub mod shapes;
#[cfg(test)]
mod tests;
mod track;

#[cfg(test)]
pub(crate) use lanes::turn;

use serde_json::Value;

use self::shapes::{Found, SearchWords};
use crate::kernel::base::{Fault, Stop};
use crate::kernel::engine::{Boxed, Data, Face, Feature, Ledger, Op, Read, Reply, Write};
use crate::kernel::log::Fact;

/// The op `search`. It has no entries and no table.
pub struct Search;

const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

impl Feature for Search {
    fn face(&self) -> Face {
        const OPS: &[Op] = &[Op::read("search", "message").takes::<SearchWords>().answers::<Found>()];
        Face { name: "search", ops: OPS, events: &[], reacts_to: &[], clear: &[] }
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
        Box::pin(run::search(cx, data))
    }

    fn project<'a>(&'a self, _ledger: &'a mut Ledger, _fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async { Err(UNKNOWN) })
    }

    fn reply(&self, _fact: &Fact) -> Data {
        Data::new()
    }
}
