//! Conversations and their messages: opening, narrowing and archiving channels, posting, correcting and answering messages, pages of
//! the past, how far everyone has read, what reached them and whom it alerts. A patient's first conversation opens with the patient.
//! Does not know: sockets, who is told of an entry, what else is linked to a plan item.
//! Invariant: posting writes nothing but its entry and its name; a correction never touches what it corrects.

mod answers;
mod ask;
pub mod attention;
mod chart;
mod conversation;
mod escalation;
pub mod held;
mod message;
mod model;
mod pages;
mod posting;
pub mod receipts;
pub mod shapes;
pub mod sql;
#[cfg(test)]
mod tests;
mod threads;
pub mod waiting;
mod words;
pub mod wrong_patient;

use serde_json::Value;

pub use answers::{CHECKED_BACK, answers};
pub use ask::{Acknowledged, Answer, Ask, CheckedBack, Confirmed, Step};
use attention::shapes as attended;
pub use attention::{Hearing, hearing, recall, rings};
pub use chart::{Offered, Said, attachment, chart_text, date_time, narrative, participation_mode, without_empty};
pub use held::{Held, drop_held, held_in, hold_until, release_held};
pub use message::{Amended, Posted, Priority, Relinked, Retracted};
pub use pages::{in_view, list, spans_of};
pub use receipts::{Receipt, keep, of_entry, settle};
pub use threads::{thread, thread_counts};
pub use waiting::{Awaited, OpenAsk, awaited, end_asks, open_ask, open_asks, relink_ask, settle_ask};
pub use words::{Class, Form, Sbar, Words};

#[cfg(test)]
pub(crate) use tests::{Ward, charted, with};

use crate::kernel::base::{Fault, Stop};
use crate::kernel::engine::shape::Nothing;
use crate::kernel::engine::{Boxed, Data, Event, Face, Feature, Ledger, Op, Read, Reply, Utterance, Write};
use crate::kernel::log::Fact;
use crate::kernel::log::scan::Line;

/// The record kinds `channel.*` and `message.*`.
pub struct Channels;

const UNKNOWN: Fault = Fault::Defect("an op or event that is not in the face");

const OPS: &[Op] = &[
    Op::write("channel.open", "channel").takes::<shapes::OpenChannel>().records::<Nothing>(),
    Op::write("channel.change", "channel").takes::<shapes::ChangeChannel>().records::<Nothing>(),
    Op::write("channel.archive", "channel").takes::<shapes::ArchiveChannel>().records::<Nothing>(),
    Op::read("channel.list", "channel").takes::<shapes::ListChannels>().answers::<shapes::ChannelList>(),
    Op::read("history", "message").takes::<shapes::HistoryPage>().answers::<shapes::History>(),
    Op::write("read", "message").takes::<shapes::ReadPosition>().answers::<shapes::ReadPosition>(),
    Op::read("receipts", "message")
        .takes::<receipts::shapes::AskReceipts>()
        .answers::<receipts::shapes::Receipts>()
        .polled(),
    Op::write(receipts::KEEP, "message").internal(),
    Op::write("channel.mute", "channel").takes::<attended::MuteChannel>().answers::<attended::MuteChannel>(),
    Op::read("presence", "channel").takes::<attended::AskPresence>().answers::<attended::ChannelPresence>().polled(),
    Op::write("presence.set", "identity").takes::<attended::SetPresence>().answers::<attended::SetPresence>(),
    Op::write("message.post", "message").takes::<message::Post>().answers::<shapes::PostReply>(),
    Op::read("message.held", "message").takes::<held::AskHeld>().answers::<held::HeldList>().polled(),
    Op::write("message.unhold", "message").takes::<held::Unhold>().answers::<held::Unheld>(),
    Op::write("message.amend", "message").takes::<shapes::AmendMessage>().records::<Nothing>(),
    Op::write("message.retract", "message").takes::<shapes::RetractMessage>().records::<Nothing>(),
    Op::write("message.relink", "message").takes::<shapes::RelinkMessage>().records::<Nothing>(),
    Op::write("message.move", "message").takes::<message::Move>().records::<shapes::Moved>(),
    Op::read("wrong_patient.list", "audit").takes::<shapes::ListWrongPatient>().answers::<shapes::WrongPatientList>(),
    Op::write("message.acknowledge", "message").takes::<shapes::AcknowledgeMessage>().records::<Nothing>(),
    Op::write("message.check_back", "message").takes::<shapes::CheckBackMessage>().records::<Nothing>(),
    Op::write("message.confirm", "message").takes::<shapes::ConfirmMessage>().records::<Nothing>(),
    Op::write("message.settle", "message").takes::<waiting::shapes::SettleMessage>().records::<Nothing>(),
    Op::write(waiting::DUE, "message").internal(),
];

const EVENTS: &[Event] = &[
    Event::of::<model::Opened>(conversation::OPENED),
    Event::of::<model::Changed>(conversation::CHANGED),
    Event::of::<model::Archived>(conversation::ARCHIVED),
    Event::of::<shapes::OrWithheld<Posted>>(posting::POSTED),
    Event::of::<shapes::OrWithheld<Amended>>(posting::AMENDED),
    Event::of::<Retracted>(posting::RETRACTED),
    Event::of::<Relinked>(posting::RELINKED),
    Event::of::<Acknowledged>(answers::ACKNOWLEDGED),
    Event::of::<shapes::OrWithheld<CheckedBack>>(answers::CHECKED_BACK),
    Event::of::<Confirmed>(answers::CONFIRMED),
    Event::of::<waiting::shapes::Reminded>(waiting::REMINDED),
    Event::of::<waiting::shapes::Escalated>(waiting::ESCALATED),
    Event::of::<waiting::shapes::Settled>(waiting::SETTLED),
    Event::personal::<shapes::ReadPosition>("read"),
    Event::personal::<shapes::Mentioned>("mentioned"),
];

impl Feature for Channels {
    fn face(&self) -> Face {
        Face {
            name: "channels",
            ops: OPS,
            events: EVENTS,
            reacts_to: &[conversation::REGISTERED],
            clear: &[
                sql::CLEAR_VIEW,
                sql::CLEAR_ANSWERS,
                held::sql::CLEAR_HOLD,
                sql::CLEAR_THREADS,
                waiting::sql::CLEAR_ASKS,
                waiting::sql::CLEAR_ASK_STEPS,
            ],
        }
    }

    fn write<'a>(&'a self, cx: &'a mut Write<'_>, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Reply, Stop>> {
        Box::pin(async move {
            match op {
                "message.post" => posting::post(cx, data).await,
                "message.unhold" => held::withdraw(cx, data).await,
                "message.amend" => posting::amend(cx, data).await,
                "message.retract" => posting::retract(cx, data).await,
                "message.relink" => posting::relink(cx, data).await,
                "message.move" => wrong_patient::relocate(cx, data).await,
                "message.acknowledge" => answers::acknowledge(cx, data).await,
                "message.check_back" => answers::check_back(cx, data).await,
                "message.confirm" => answers::confirm(cx, data).await,
                "message.settle" => waiting::settle(cx, data).await,
                waiting::DUE => waiting::due(cx, data).await,
                "channel.open" => conversation::open(cx, data).await,
                "channel.change" => conversation::change(cx, data).await,
                "channel.archive" => conversation::archive(cx, data).await,
                "read" => conversation::read(cx, data).await,
                "channel.mute" => attention::mute(cx, data).await,
                "presence.set" => attention::set(cx, data).await,
                receipts::KEEP => receipts::write(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn read<'a>(&'a self, cx: &'a mut Read, op: &'static str, data: &'a Data) -> Boxed<'a, Result<Value, Stop>> {
        Box::pin(async move {
            match op {
                "history" => pages::history(cx, data).await,
                "wrong_patient.list" => wrong_patient::list(cx, data).await,
                "channel.list" => pages::answer_list(cx, data).await,
                "message.held" => held::list(cx, data).await,
                "receipts" => receipts::receipts(cx, data).await,
                "presence" => attention::presence(cx, data).await,
                _ => Err(UNKNOWN.into()),
            }
        })
    }

    fn project<'a>(&'a self, ledger: &'a mut Ledger, fact: &'a Fact) -> Boxed<'a, Result<(), Fault>> {
        Box::pin(async move {
            match &*fact.event {
                posting::POSTED => posting::project_posted(ledger, fact).await,
                posting::AMENDED => Ok(()),
                posting::RETRACTED => posting::project_retracted(ledger, fact).await,
                posting::RELINKED => posting::project_relinked(ledger, fact).await,
                answers::ACKNOWLEDGED => answers::project_acknowledged(ledger, fact).await,
                answers::CHECKED_BACK => answers::project_checked_back(ledger, fact).await,
                answers::CONFIRMED => answers::project_confirmed(ledger, fact).await,
                waiting::REMINDED => waiting::project_reminded(ledger, fact).await,
                waiting::ESCALATED => waiting::project_escalated(ledger, fact).await,
                waiting::SETTLED => waiting::project_settled(ledger, fact).await,
                conversation::OPENED => conversation::project_opened(ledger, fact).await,
                conversation::CHANGED => conversation::project_changed(ledger, fact).await,
                conversation::ARCHIVED => conversation::project_archived(ledger, fact).await,
                _ => Err(UNKNOWN),
            }
        })
    }

    fn reply(&self, fact: &Fact) -> Data {
        let mut more = Data::new();
        // What is changed is the channel itself; a message's correction has an id of its own.
        if [conversation::CHANGED, conversation::ARCHIVED].contains(&&*fact.event) {
            more.insert("id".into(), fact.channel.to_string().into());
        }
        more
    }

    fn react<'a>(&'a self, cx: &'a mut Write<'_>, fact: &'a Fact) -> Boxed<'a, Result<(), Stop>> {
        Box::pin(conversation::open_first(cx, fact))
    }

    fn chart(&self, fact: &Fact, context: &Value) -> Vec<Value> {
        chart::resources(fact, context)
    }

    fn words(&self, line: &Line) -> Result<Option<Utterance>, Fault> {
        posting::words(line)
    }
}
