//! Acknowledgements, check-backs and confirmations: entries that name the message they answer, and who has answered it so far.
//! Invariant: who has answered is projected from the entries alone.

use uuid::Uuid;

use super::ask::{self, Acknowledged, Answer, CheckedBack, Confirmed, Step};
use super::message::Standing;
use super::posting::{Found, find};
use super::sql::{self, AnswerRow};
use super::waiting;
use crate::kernel::base::{ChannelId, EntryId, Fault, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Ledger, Reply, Write};
use crate::kernel::log::Fact;
use crate::kernel::policy::{Permit, Right};
use crate::kernel::store::Tx;

/// A reader has seen a message.
pub const ACKNOWLEDGED: &str = "message.acknowledged";
/// A reader said what they understood.
pub const CHECKED_BACK: &str = "message.checked_back";
/// The author confirmed it.
pub const CONFIRMED: &str = "message.confirmed";

/// Number of an acknowledgement in the database.
const ACKNOWLEDGEMENT: i16 = 1;
/// Number of a check-back in the database.
const CHECK_BACK: i16 = 2;

impl From<AnswerRow> for Answer {
    fn from(row: AnswerRow) -> Self {
        let AnswerRow { person: user, kind, entry, seq, at, confirmed: confirmed_at, .. } = row;
        let step = match (kind, confirmed_at) {
            (ACKNOWLEDGEMENT, _) => Step::Acknowledged,
            (_, None) => Step::CheckedBack,
            (_, Some(_)) => Step::Confirmed,
        };
        Self { user, step, entry, seq, at, confirmed_at }
    }
}

/// Who has answered a message, in the order of their answers. Everyone else who reads its channel, but its author, is open.
///
/// # Errors
/// The database's.
pub async fn answers(tx: &mut Tx, message: ThingId) -> sqlx::Result<Vec<Answer>> {
    Ok(sql::answers(tx, message).await?.into_iter().map(Answer::from).collect())
}

/// The message a command answers, who asks, and who has answered it so far; or the answer of a repeat.
enum Asked {
    Repeated(Reply),
    Message(Permit, ChannelId, Standing, Vec<Answer>),
}

async fn asked(cx: &mut Write<'_>, data: &Data, right: fn(UserId) -> Right) -> Result<Asked, Stop> {
    let (permit, channel, standing) = match find(cx, data, right).await? {
        Found::Repeated(reply) => return Ok(Asked::Repeated(reply)),
        Found::Message(permit, channel, standing) => (permit, channel, standing),
    };
    // Nothing was asked, nothing was answered.
    let held = match standing.ask {
        None => Vec::new(),
        Some(_) => answers(cx.ledger().tx(), standing.message).await?,
    };
    Ok(Asked::Message(permit, channel, standing, held))
}

fn of(answers: &[Answer], user: UserId) -> Option<&Answer> {
    answers.iter().find(|answer| answer.user == user)
}

/// `message.acknowledge`
pub async fn acknowledge(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let (permit, channel, standing, held) = match asked(cx, data, Right::Answer).await? {
        Asked::Repeated(reply) => return Ok(reply),
        Asked::Message(permit, channel, standing, held) => (permit, channel, standing, held),
    };
    let id: Uuid = cx.new_id();
    let body: Acknowledged = ask::acknowledge(&standing, EntryId(id), of(&held, permit.actor()))?;
    cx.record(channel, ACKNOWLEDGED, kind::ACKNOWLEDGEMENT, Some(standing.item), id, &body).await?;
    Ok(Reply::Recorded)
}

/// `message.check_back`
pub async fn check_back(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let chars_max = cx.ledger().shared().config.limits.text_chars;
    let text = Fields(data).text("text", chars_max)?;
    let text = text.ok_or_else(|| Refusal::invalid("text", "Say in your words what you understood."))?;
    let (permit, channel, standing, held) = match asked(cx, data, Right::Answer).await? {
        Asked::Repeated(reply) => return Ok(reply),
        Asked::Message(permit, channel, standing, held) => (permit, channel, standing, held),
    };
    let id: Uuid = cx.new_id();
    let body: CheckedBack = ask::check_back(&standing, EntryId(id), of(&held, permit.actor()), text)?;
    cx.record(channel, CHECKED_BACK, kind::ACKNOWLEDGEMENT, Some(standing.item), id, &body).await?;
    Ok(Reply::Recorded)
}

/// `message.confirm`
pub async fn confirm(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let named: Option<EntryId> = Fields(data).id("check_back")?;
    let (channel, standing, held) = match asked(cx, data, Right::Confirm).await? {
        Asked::Repeated(reply) => return Ok(reply),
        Asked::Message(_, channel, standing, held) => (channel, standing, held),
    };
    let id: Uuid = cx.new_id();
    let body: Confirmed = ask::confirm(&standing, EntryId(id), &held, named)?;
    cx.record(channel, CONFIRMED, kind::ACKNOWLEDGEMENT, Some(standing.item), id, &body).await?;
    Ok(Reply::Recorded)
}

async fn project(ledger: &mut Ledger, fact: &Fact, message: ThingId, kind: i16) -> Result<(), Fault> {
    let row = AnswerRow { message, person: fact.by, kind, entry: fact.id, seq: fact.seq, at: fact.at, confirmed: None };
    sql::put_answer(ledger.change(), &row).await?;
    waiting::answered(ledger, fact, message).await
}

/// One more has seen it.
pub async fn project_acknowledged(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Acknowledged { message, .. } = fact.read()?;
    project(ledger, fact, message, ACKNOWLEDGEMENT).await
}

/// What they understood, instead of what they understood before.
pub async fn project_checked_back(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let CheckedBack { message, .. } = fact.read()?;
    project(ledger, fact, message, CHECK_BACK).await
}

/// The loop is closed.
pub async fn project_confirmed(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Confirmed { message, check_backs, .. } = fact.read()?;
    for entry in check_backs {
        sql::confirm_answer(ledger.change(), message, entry, fact.at).await?;
    }
    Ok(())
}
