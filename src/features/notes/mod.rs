//! Notes of discussions held outside: who talked, when, how, what came of it, and whether it was written down late. A discussion may be
//! opened first, as a marker that reminds until it is documented or dismissed; those who took part confirm or dispute, and staff add.
//! Does not know: sockets, who is told of an entry, how a mail is read.
//! Invariant: a note's text never changes.

mod chart;
mod model;
mod project;
pub mod shapes;
pub mod sql;
#[cfg(test)]
mod tests;
mod views;
mod writing;

use serde_json::Value;

pub use chart::communication_id;
pub use model::life::State;
pub use model::{FromMail, Logged, Mail, Medium, Participant};
pub use views::{Marker, is_documented, is_marker, open_markers};
pub use writing::log_from_mail;

use model::life;

use crate::kernel::base::{Fault, Stop, ThingId};
use crate::kernel::engine::shape::Nothing;
use crate::kernel::engine::{Boxed, Data, Event, Face, Feature, Ledger, Op, Read, Reply, Utterance, Write};
use crate::kernel::log::Fact;
use crate::kernel::log::scan::Line;

/// A discussion is taken elsewhere.
const OPENED: &str = "note.opened";
/// A discussion is documented.
const LOGGED: &str = "note.logged";
/// Whoever opened a marker is reminded of it.
const REMINDED: &str = "note.reminded";
/// Nothing came of a marker.
const DISMISSED: &str = "note.dismissed";
/// Somebody who took part says that it was so.
const CONFIRMED: &str = "note.confirmed";
/// Somebody who took part says that it was not.
const DISPUTED: &str = "note.disputed";
/// Something is added to a note.
const ADDENDED: &str = "note.addended";
const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

/// What else a documented discussion answers. `id` is the note: the marker's, where one was closed.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub struct NoteReply {
    /// Logged later than the site allows for.
    late: bool,
    /// How many minutes after the end of the discussion, where it is late.
    #[serde(skip_serializing_if = "Option::is_none")]
    late_minutes: Option<i64>,
    /// The tasks it made, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tasks: Vec<ThingId>,
}

const OPS: &[Op] = &[
    Op::write("note.open", "note").takes::<life::Open>().records::<Nothing>(),
    Op::write("note.log", "note").takes::<model::Log>().records::<NoteReply>(),
    Op::write("note.dismiss", "note").takes::<shapes::OfNoteWhy>().records::<Nothing>(),
    Op::write("note.confirm", "note").takes::<shapes::OfNote>().records::<Nothing>(),
    Op::write("note.dispute", "note").takes::<shapes::OfNoteWhy>().records::<Nothing>(),
    Op::write("note.addend", "note").takes::<life::Addend>().records::<Nothing>(),
    Op::read("note.get", "note").takes::<shapes::OfNote>().answers::<views::NoteShown>(),
    Op::write(writing::REMIND, "note").internal(),
];

const EVENTS: &[Event] = &[
    Event::of::<life::Opened>(OPENED),
    Event::of::<Logged>(LOGGED),
    Event::of::<life::Reminded>(REMINDED),
    Event::of::<life::Dismissed>(DISMISSED),
    Event::of::<life::Confirmed>(CONFIRMED),
    Event::of::<life::Disputed>(DISPUTED),
    Event::of::<life::Addended>(ADDENDED),
];

/// The record kind `note.*`.
pub struct Notes;

impl Feature for Notes {
    fn face(&self) -> Face {
        let clear = &[sql::CLEAR_MARKERS, sql::CLEAR_SEQUELS];
        Face { name: "notes", ops: OPS, events: EVENTS, reacts_to: &[], clear }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "note.open" => writing::open(cx, data).await,
                "note.log" => writing::log(cx, data).await,
                "note.dismiss" => writing::dismiss(cx, data).await,
                "note.confirm" => writing::confirm(cx, data).await,
                "note.dispute" => writing::dispute(cx, data).await,
                "note.addend" => writing::addend(cx, data).await,
                writing::REMIND => writing::remind(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "note.get" => views::get(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(project::project(ledger, fact))
    }

    fn reply(&self, fact: &Fact) -> Data {
        let mut more = Data::new();
        match &*fact.event {
            OPENED => {
                if let Ok(life::Opened { id, .. }) = fact.read() {
                    more.insert("id".into(), id.to_string().into());
                }
            }
            LOGGED => {
                if let Ok(Logged { late, late_minutes, tasks, .. }) = fact.read()
                    && let Ok(Value::Object(said)) = serde_json::to_value(NoteReply { late, late_minutes, tasks })
                {
                    more = said;
                }
            }
            _ => {}
        }
        more
    }

    fn chart(&self, fact: &Fact, context: &Value) -> Vec<Value> {
        chart::resources(fact, context)
    }

    fn words(&self, line: &Line) -> Result<Option<Utterance>, Fault> {
        match &*line.event {
            OPENED => opened(line).map(Some),
            LOGGED => said(line).map(Some),
            ADDENDED => {
                let life::Addended { note, words, .. } = line.read()?;
                Ok(Some(Utterance::more(note).says(words.texts())))
            }
            _ => Ok(None),
        }
    }
}

/// The part of what a note says that names who took part.
const PEOPLE: &str = "with";

fn people(with: Vec<Participant>) -> impl Iterator<Item = String> {
    with.into_iter().flat_map(|one| std::iter::once(one.name).chain(one.role))
}

/// What a marker says, for a search: with whom.
fn opened(line: &Line) -> Result<Utterance, Fault> {
    let life::Opened { id, with, .. } = line.read()?;
    Ok(Utterance::first(id).has(PEOPLE, people(with)))
}

/// What a note says, for a search: its words, what was decided, who took part, and what the mail was about.
fn said(line: &Line) -> Result<Utterance, Fault> {
    let Logged { id, note, words, decisions, with, mail, .. } = line.read()?;
    let utterance = if note.is_some() { Utterance::more(id) } else { Utterance::first(id) };
    let subject = mail.and_then(|mail| mail.subject);
    Ok(utterance.says(words.texts()).says(decisions).says(subject).has(PEOPLE, people(with)))
}
