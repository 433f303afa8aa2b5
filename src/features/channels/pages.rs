//! What is read of conversations: the list, and pages of the past.
//! Invariant: nothing outside the spans the caller may read leaves here, neither as an entry nor as a count.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::attention;
use super::conversation::View;
use super::model;
use super::sql::{self, ViewRow};
use crate::kernel::base::limits::{HISTORY_DEFAULT, HISTORY_MAX};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, Micros, PatientId, Refusal, Stop};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{self, Data, Read};
use crate::kernel::log::{self, Cursor, Fact, Head};
use crate::kernel::policy::{self, Access, ChannelKind, Interval, Right, Subject};

/// All of a channel, for callers with the authority of the host.
const WHOLE: [Interval; 1] = [Interval { from: 1, to: None }];

/// The spans of a channel the subject may read at `now`; none if it may not be read.
#[must_use]
pub fn spans_of<'a>(access: &'a Access, subject: &Subject, channel: ChannelId, now: Micros) -> &'a [Interval] {
    if subject.command_line {
        return &WHOLE;
    }
    let member = access.member(subject.user, now).is_some();
    let held = access.channels.get(&channel).filter(|_| member);
    held.and_then(|held| held.readable_by(subject.user)).unwrap_or(&[])
}

/// Whether the subject may read the entry `seq` of a channel at `now`.
#[must_use]
pub fn in_view(access: &Access, subject: &Subject, channel: ChannelId, seq: i64, now: Micros) -> bool {
    !policy::spans(spans_of(access, subject, channel, now), seq, seq).is_empty()
}

/// `channel.list`
pub async fn answer_list(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let channels = match Fields(data).id::<PatientId>("patient")? {
        None => list(cx).await?,
        Some(patient) => {
            let (_, access) = cx.permit_patient(Right::SeePatient, patient).await?;
            let own = own(cx).await?;
            list_of(cx, &access, &own).await?
        }
    };
    Ok(json!({ "channels": channels }))
}

/// Every channel the caller may read, archived ones too: also what a sign-in is answered with.
///
/// # Errors
/// The database's, or a name that does not open.
pub async fn list(cx: &mut Read) -> Result<Vec<Value>, Fault> {
    let own = own(cx).await?;
    let mut channels = Vec::new();
    for (_, access) in cx.patients().await? {
        channels.extend(list_of(cx, &access, &own).await?);
    }
    Ok(channels)
}

/// What the caller keeps of channels for themselves.
struct Own {
    positions: HashMap<ChannelId, i64>,
    muted: HashMap<ChannelId, Option<Micros>>,
}

async fn own(cx: &mut Read) -> Result<Own, Fault> {
    let (user, now) = (cx.subject().user, cx.now());
    let positions = sql::positions(cx.tx(), user).await?.into_iter().collect();
    Ok(Own { positions, muted: attention::muted_by(cx.tx(), user, now).await? })
}

async fn list_of(cx: &mut Read, access: &Access, own: &Own) -> Result<Vec<Value>, Fault> {
    let readable = cx.readable(access);
    if readable.is_empty() {
        return Ok(Vec::new());
    }
    let views: HashMap<Uuid, ViewRow> =
        sql::views_of(cx.tx(), access.patient).await?.into_iter().map(|row| (row.id, row)).collect();
    let mut channels = Vec::with_capacity(readable.len());
    for head in log::sql::heads_of(cx.tx(), access.patient).await? {
        let Some(held) = access.channels.get(&head.channel).filter(|_| readable.contains(&head.channel)) else {
            continue;
        };
        let view = match views.get(&head.channel.0) {
            None => View { name: model::PLAN.into(), purpose: None },
            Some(row) => {
                let opened = cx.open_view(access.patient, row.id, row.revision, &row.sealed).await?;
                serde_json::from_slice(&opened).map_err(|_| Fault::Integrity("a view is not JSON"))?
            }
        };
        let read_seq = own.positions.get(&head.channel).copied().unwrap_or(0);
        let spans = spans_of(access, cx.subject(), head.channel, cx.now());
        let unread = unread(cx, &head, spans, read_seq).await?;
        let muted = own.muted.get(&head.channel);
        channels.push(json!({
            "id": head.channel,
            "patient": access.patient,
            "name": view.name,
            "purpose": view.purpose,
            "audience": held.audience,
            "kind": if held.kind == ChannelKind::Plan { "plan" } else { "conversation" },
            "archived": held.archived,
            "last_seq": head.seq,
            "read_seq": read_seq,
            "unread": unread,
            "muted": muted.is_some(),
            "muted_until": muted.copied().flatten().map(rfc3339),
        }));
    }
    Ok(channels)
}

/// Messages and notes by others after `read_seq`, in the spans the caller may read.
async fn unread(cx: &mut Read, head: &Head, spans: &[Interval], read_seq: i64) -> Result<i64, Fault> {
    let user = cx.subject().user;
    let mut count = 0;
    for [first, last] in policy::spans(spans, read_seq + 1, head.seq) {
        count += log::sql::count_others(cx.tx(), head.n, first - 1, user).await?;
        if last < head.seq {
            count -= log::sql::count_others(cx.tx(), head.n, last, user).await?;
        }
    }
    Ok(count)
}

/// `history`
pub async fn history(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let fields = Fields(data);
    let cursor = match (fields.integer("before")?, fields.integer("after")?) {
        (None, None) => Cursor::Newest,
        (Some(before), None) => Cursor::Before(before),
        (None, Some(after)) => Cursor::After(after.max(0)),
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid("before", "Name either `before` or `after`, not both.").into());
        }
    };
    let limit = fields.integer("limit")?.unwrap_or(HISTORY_DEFAULT);
    if !(1..=HISTORY_MAX).contains(&limit) {
        return Err(Refusal::invalid("limit", "A page holds 1 to 200 entries.").into());
    }
    if fields.string("channel")? == Some("me") {
        return own_history(cx, cursor, limit).await;
    }
    let channel = fields.required_id("channel")?;
    let (_, access) = cx.permit_channel(Right::Read, channel).await?;
    let head = cx.head(channel).await?.ok_or_else(Refusal::not_found)?;
    let spans = spans_of(&access, cx.subject(), channel, cx.now());
    let readable = policy::spans(spans, 1, head.seq);
    let (tx, vault) = cx.log();
    let (facts, more) = log::page(tx, vault, &head, &readable, cursor, limit).await?;
    let [from, to] = asked(cursor, head.seq, &facts, more);
    if let (Some(first), Some(last)) = (facts.first(), facts.last()) {
        cx.audit.seq = Some([first.seq, last.seq]);
    }
    let gaps = policy::gaps(spans, from, to);
    let events = facts.iter().map(|fact| value(&fact.frame())).collect::<Result<Vec<Value>, Fault>>()?;
    Ok(json!({ "events": events, "more": more, "gaps": gaps }))
}

/// The part of the channel a page speaks for, both ends inclusive: from its cursor to its far end, or to the end of the channel.
fn asked(cursor: Cursor, newest: i64, facts: &[Fact], more: bool) -> [i64; 2] {
    match cursor {
        Cursor::After(after) => {
            let end = facts.last().filter(|_| more).map_or(newest, |last| last.seq);
            [after.saturating_add(1), end]
        }
        Cursor::Newest | Cursor::Before(_) => {
            let start = facts.first().filter(|_| more).map_or(1, |first| first.seq);
            let end = if let Cursor::Before(before) = cursor { before.saturating_sub(1).min(newest) } else { newest };
            [start, end]
        }
    }
}

fn value(frame: &str) -> Result<Value, Fault> {
    serde_json::from_str(frame).map_err(|_| Fault::Defect("a frame is not JSON"))
}

/// Pages of the caller's channel `me`: what is kept of it has no holes.
async fn own_history(cx: &mut Read, cursor: Cursor, limit: i64) -> Result<Value, Stop> {
    let user = cx.permit_server(Right::OwnAccount)?.actor();
    let after = match cursor {
        Cursor::After(after) => after,
        Cursor::Newest | Cursor::Before(_) => {
            let end = engine::sql::me_head(cx.tx(), user).await?.saturating_add(1);
            let before = if let Cursor::Before(before) = cursor { before.clamp(1, end) } else { end };
            before - 1 - (limit + 1)
        }
    };
    let mut rows = engine::sql::me_page(cx.tx(), user, after, limit + 1).await?;
    let forward = matches!(cursor, Cursor::After(_));
    if let Cursor::Before(before) = cursor {
        rows.retain(|row| row.seq < before);
    }
    let more = rows.len() as i64 > limit;
    if more {
        rows.remove(if forward { rows.len() - 1 } else { 0 });
    }
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        events.push(value(&row.frame()?)?);
    }
    let none: [[i64; 2]; 0] = [];
    Ok(json!({ "events": events, "more": more, "gaps": none }))
}
