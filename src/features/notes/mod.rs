//! Notes of discussions held outside: who talked, when, how, what came of it, and whether it was written down late.
//! Does not know: sockets, who is told of an entry. It has no table: a note is its entry and its name.
//! Invariant: a note's text never changes.

mod chart;
mod mail;
mod model;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use chart::communication_id;
pub use mail::{FromMail, Mail, log_from_mail};
pub use model::{Logged, Medium, Participant};

use crate::features::files;
use crate::kernel::base::{Fault, Refusal, Stop, ThingId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::{Boxed, Data, Event, Face, Feature, Ledger, Op, Read, Reply, Utterance, Write};
use crate::kernel::log::scan::Line;
use crate::kernel::log::{Fact, Thing, ThingKind};
use crate::kernel::policy::Right;

/// A discussion is documented.
const LOGGED: &str = "note.logged";
/// The state of a note that is documented, and neither confirmed nor disputed.
const DOCUMENTED: i16 = 1;
const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

/// What else a documented discussion answers.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct NoteReply {
    /// Logged later than the site allows for.
    late: bool,
}

/// The record kind `note.*`.
pub struct Notes;

impl Feature for Notes {
    fn face(&self) -> Face {
        const EVENTS: &[Event] = &[Event::of::<Logged>(LOGGED)];
        const OPS: &[Op] = &[Op::write("note.log", "note").takes::<model::Log>().records::<NoteReply>()];
        Face { name: "notes", ops: OPS, events: EVENTS, reacts_to: &[], clear: &[] }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, _op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(log(cx, data))
    }

    fn read<'a>(&'a self, _cx: &'a mut Read, _op: &'static str, _data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async { Err(UNKNOWN.into()) })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async move {
            ledger.name_thing(Thing {
                id: fact.id.into(),
                kind: ThingKind::Note,
                patient: fact.patient,
                channel: fact.channel,
                item: fact.item,
                author: fact.by,
                seq: fact.seq,
                open: true,
                shared: false,
                state: DOCUMENTED,
                entry: fact.id,
            });
            files::attach(ledger, fact).await
        })
    }

    fn reply(&self, fact: &Fact) -> Data {
        let mut more = Data::new();
        if let Ok(Logged { late, .. }) = fact.read() {
            more.insert("late".into(), late.into());
        }
        more
    }

    fn chart(&self, fact: &Fact, context: &Value) -> Vec<Value> {
        chart::resources(fact, context)
    }

    fn words(&self, line: &Line) -> Result<Option<Utterance>, Fault> {
        match &*line.event {
            LOGGED => said(line).map(Some),
            _ => Ok(None),
        }
    }
}

/// What a note says, for a search: its words, what was decided, and who took part.
fn said(line: &Line) -> Result<Utterance, Fault> {
    let Logged { id, words, decisions, with, .. } = line.read()?;
    let people = with.into_iter().flat_map(|one| std::iter::once(one.name).chain(one.role));
    Ok(Utterance::first(id).says(words.texts()).says(decisions).says(people))
}

/// `note.log`
async fn log(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let shared = cx.ledger().shared().clone();
    let log = model::Log::parse(data, shared.config.limits.text_chars)?;
    let channel = log.channel;
    let permit = cx.permit_channel(Right::Document, channel).await?;
    if let Some(reply) = cx.repeated(channel).await? {
        return Ok(reply);
    }
    if log.note.is_some() {
        // Nothing opens a marker yet, so there is none of this id.
        return Err(Refusal::not_found().field("note").into());
    }
    let item = cx.link(&permit, log.item).await?.item();
    let access = cx.ledger().access(permit.patient()).await?.ok_or_else(Refusal::not_found)?;
    let taken = files::take(cx, &permit, &log.files).await?;
    let (id, now) = (ThingId(cx.new_id()), cx.now());
    let member = |user| access.member(user, now).is_some();
    let logged = log.decide(id, item, now, shared.config.notes.late_after_minutes, member)?;
    cx.record_with(channel, LOGGED, kind::NOTE, Some(item), id.0, &logged, &taken.commitments).await?;
    Ok(Reply::Recorded)
}
