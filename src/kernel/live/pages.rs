//! What a session reads of the record: a survey of what the person may read now, heads, and pages of one channel.
//! Does not know queues or sessions. Invariant: decision and entries come from one snapshot, so no page shows an entry after a removal.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::queue::ME;
use crate::kernel::base::{ChannelId, Code, Fault, Micros, PatientId, Refusal, SessionId, Stop, UserId};
use crate::kernel::engine::{Engine, Read, sql as me};
use crate::kernel::log::{self, Cursor};
use crate::kernel::policy::{Interval, Right, SessionState, Subject, gaps, spans};
use crate::kernel::wire::{Frame, event_bytes};

/// Entries of one page: enough to be worth a snapshot, little enough to be held for each of many sessions that catch up at once.
const PAGE_ENTRIES: i64 = 100;

/// Whose connection it is.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) engine: Engine,
    pub(super) user: UserId,
    pub(super) session: SessionId,
    pub(super) address: Option<IpAddr>,
    /// As every holder of the session sees it: a factor entered on this connection counts at once.
    pub(super) state: Arc<SessionState>,
}

impl Caller {
    /// The person as policy sees them now; none if the account may not be used.
    pub(super) fn subject(&self) -> Option<Subject> {
        let subject = self.engine.subject(self.user)?;
        Some(Subject {
            session: Some(self.session),
            address: self.address,
            stepped_up_until: self.state.stepped_up_until(),
            ..subject
        })
    }

    /// A snapshot, and the epoch that was in force before it was taken.
    pub(super) async fn reader(&self) -> Result<(Read, i64), Stop> {
        let subject = self.subject().ok_or_else(|| Refusal::new(Code::Unauthenticated))?;
        let epoch = subject.epoch;
        Ok((self.engine.reader(subject).await?, epoch))
    }
}

/// One channel the person may read.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    pub(super) patient: PatientId,
    /// Newest `seq`.
    pub(super) head: i64,
    /// What of it may be read.
    pub(super) spans: Vec<Interval>,
    /// When the membership ends by itself.
    pub(super) until: Option<Micros>,
}

/// What the person may read.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// Decided under this epoch.
    pub(super) epoch: i64,
    pub(super) readable: BTreeMap<ChannelId, Stand>,
    /// Newest `seq` of channel `me`, and the one before the oldest that is kept.
    pub(super) me: i64,
    pub(super) me_dropped: i64,
}

/// Every channel the person may read, and where each stands.
pub(super) async fn survey(caller: &Caller) -> Result<Survey, Stop> {
    let (mut read, epoch) = caller.reader().await?;
    let mut readable = BTreeMap::new();
    for (permit, access) in read.patients().await? {
        let allowed = read.readable(&access);
        for head in log::sql::heads_of(read.tx(), access.patient).await? {
            let spans = access.channels.get(&head.channel).and_then(|channel| channel.readable_by(caller.user));
            if let Some(spans) = spans.filter(|_| allowed.contains(&head.channel)) {
                let until = permit.member().until;
                let stand = Stand { patient: access.patient, head: head.seq, spans: spans.to_vec(), until };
                readable.insert(head.channel, stand);
            }
        }
    }
    let newest = me::me_head(read.tx(), caller.user).await?;
    let oldest = me::me_page(read.tx(), caller.user, 0, 1).await?;
    let me_dropped = oldest.first().map_or(newest, |row| row.seq - 1);
    Ok(Survey { epoch, readable, me: newest, me_dropped })
}

/// Where each channel of `patients`, and channel `me`, stands now. What is not read of them is not asked for later.
pub(super) async fn heads(caller: &Caller, patients: &[PatientId]) -> Result<Vec<(ChannelId, i64)>, Stop> {
    let (mut read, _) = caller.reader().await?;
    let mut found = vec![(ME, me::me_head(read.tx(), caller.user).await?)];
    for patient in patients {
        let heads = log::sql::heads_of(read.tx(), *patient).await?;
        found.extend(heads.into_iter().map(|head| (head.channel, head.seq)));
    }
    Ok(found)
}

/// A part of one channel, ready to go out.
pub(super) struct Page {
    pub(super) channel: ChannelId,
    /// Decided under this epoch.
    pub(super) epoch: i64,
    pub(super) frames: VecDeque<(i64, Frame)>,
    /// With the frames, everything up to here is sent or lies in a gap.
    pub(super) through: i64,
    pub(super) gaps: Vec<[i64; 2]>,
}

/// The entries of `channel` after `after` that the person may read; none if they may not read it any more.
pub(super) async fn page(caller: &Caller, channel: ChannelId, after: i64) -> Result<Option<Page>, Stop> {
    let (mut read, epoch) = caller.reader().await?;
    if channel == ME {
        return Ok(Some(me_page(&mut read, caller.user, epoch, after).await?));
    }
    let access = match read.permit_channel(Right::Read, channel).await {
        Ok((_, access)) => access,
        Err(Stop::Refused(_)) => return Ok(None),
        Err(stop) => return Err(stop),
    };
    let Some(readable) = access.channels.get(&channel).and_then(|channel| channel.readable_by(caller.user)) else {
        return Ok(None);
    };
    let head = read.head(channel).await?.ok_or(Fault::Integrity("a readable channel has no head"))?;
    let (tx, vault) = read.log();
    let parts = spans(readable, after + 1, head.seq);
    let (facts, more) = log::page(tx, vault, &head, &parts, Cursor::After(after), PAGE_ENTRIES).await?;
    let through = facts.last().filter(|_| more).map_or(head.seq, |fact| fact.seq);
    let gaps = gaps(readable, after + 1, through);
    let frames = facts.iter().map(|fact| (fact.seq, fact.frame())).collect();
    Ok(Some(Page { channel, epoch, frames, through, gaps }))
}

async fn me_page(read: &mut Read, user: UserId, epoch: i64, after: i64) -> Result<Page, Stop> {
    let rows = me::me_page(read.tx(), user, after, PAGE_ENTRIES).await?;
    let through = rows.last().map_or(after, |row| row.seq);
    let frames = rows
        .into_iter()
        .map(|row| {
            let body = RawValue::from_string(row.body).map_err(|_| Fault::Integrity("a fact of `me` is not JSON"))?;
            Ok((row.seq, event_bytes(&row.event, Some("me"), Some(row.seq), row.at, None, &body)))
        })
        .collect::<Result<_, Fault>>()?;
    Ok(Page { channel: ME, epoch, frames, through, gaps: Vec::new() })
}
