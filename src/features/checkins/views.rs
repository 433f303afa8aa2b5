//! What a channel's check-ins show to whoever reads it. Invariant: an entry in a part one may not read is missing.

use serde_json::Value;

use super::model::{self, Opened, Scheduled};
use super::shapes::{Checkin, Counts, Due, Given, OfChannel, Open, Standing};
use super::sql::{self, AnswerRow, CheckinRow, ScheduleRow};
use crate::features::channels;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, Stop};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read};
use crate::kernel::log::{self, Fact};
use crate::kernel::policy::{Access, Right};

/// A check-in as the rules see it.
pub(super) fn standing(row: &CheckinRow, opened: &Opened, answers: &[AnswerRow]) -> model::Standing {
    model::Standing {
        id: row.id,
        open: row.open,
        questions: opened.questions.len(),
        expected: opened.expected.clone(),
        answered: answers.iter().map(|row| row.person).collect(),
    }
}

/// `checkin.get`
pub(super) async fn get(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let OfChannel { channel } = OfChannel { channel: Fields(data).required_id("channel")? };
    let (_, access) = cx.permit_channel(Right::Read, channel).await?;
    let mut shown = Checkin { schedule: None, open: None };
    if let Some(ScheduleRow { seq, next_at, .. }) = sql::schedule(cx.tx(), channel).await?
        && let Some(fact) = entry(cx, &access, channel, seq).await?
        && let Some(schedule) = fact.read::<Scheduled>()?.schedule
    {
        shown.schedule = Some(Standing { schedule, next: next_at.map(rfc3339) });
    }
    if let Some(row) = sql::newest(cx.tx(), channel).await?.filter(|row| row.open)
        && let Some(fact) = entry(cx, &access, channel, row.seq).await?
    {
        let answers = sql::answers(cx.tx(), row.id).await?;
        shown.open = Some(open(&row, &fact, &answers)?);
    }
    serde_json::to_value(shown).map_err(|_| Fault::Defect("an answer is not JSON").into())
}

fn open(row: &CheckinRow, fact: &Fact, answers: &[AnswerRow]) -> Result<Open, Fault> {
    let opened: Opened = fact.read()?;
    let standing = standing(row, &opened, answers);
    let given = |row: &AnswerRow| Given { user: row.person, at: rfc3339(row.at), seq: row.seq };
    Ok(Open {
        id: row.id,
        at: rfc3339(fact.at),
        closes_at: opened.closes_at,
        questions: opened.questions,
        counts: Counts { expected: standing.expected.len(), answered: answers.len() },
        silent: standing.silent(),
        expected: standing.expected,
        answered: answers.iter().map(given).collect(),
    })
}

/// The check-ins of a patient that can be answered where the caller reads, the oldest first.
///
/// # Errors
/// The database's, or an entry that does not open.
pub async fn due(cx: &mut Read, access: &Access) -> Result<Vec<Due>, Fault> {
    let readable = cx.readable(access);
    let mut found = Vec::new();
    for row in sql::open(cx.tx(), access.patient).await?.into_iter().filter(|row| readable.contains(&row.channel)) {
        let Some(fact) = entry(cx, access, row.channel, row.seq).await? else { continue };
        let answers = sql::answers(cx.tx(), row.id).await?;
        let Open { id, at, closes_at, silent, .. } = open(&row, &fact, &answers)?;
        found.push(Due { id, patient: row.patient, channel: row.channel, seq: row.seq, at, closes_at, silent });
    }
    Ok(found)
}

/// An entry, if the caller may read it.
async fn entry(cx: &mut Read, access: &Access, channel: ChannelId, seq: i64) -> Result<Option<Fact>, Fault> {
    if !channels::in_view(access, cx.subject(), channel, seq, cx.now()) {
        return Ok(None);
    }
    let head = cx.head(channel).await?.ok_or(Fault::Integrity("a check-in in a channel that is not there"))?;
    let (tx, vault) = cx.log();
    Ok(log::since(tx, vault, &head, seq - 1, seq, 1).await?.into_iter().next())
}
