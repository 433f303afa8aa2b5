//! Where a search may go: the channels the caller may read now, and which part of each. Policy decides; a filter that names something
//! the caller may not see is refused as if it had never been.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::query::Query;
use crate::features::channels;
use crate::kernel::base::{ChannelId, Code, Fault, ItemId, Micros, PatientId, Refusal, Stop, ThingId};
use crate::kernel::engine::{Read, subject_sees_item};
use crate::kernel::log::{self, Head, ThingKind};
use crate::kernel::policy::{Access, Interval, Permit, Right};

/// One channel that may be read.
#[derive(Clone)]
pub struct Ground {
    /// Where it stands.
    pub head: Head,
    /// What of it may be read.
    pub spans: Vec<Interval>,
    /// The caller sees shared items only.
    pub family: bool,
}

impl Ground {
    /// Whether the caller may read the entry there.
    #[must_use]
    pub fn shows(&self, seq: i64) -> bool {
        self.spans.iter().any(|span| span.from <= seq && span.to.is_none_or(|to| seq <= to))
    }
}

/// Everything a search may go over, and what the decision rests on.
pub struct Grounds {
    /// By channel.
    pub open: BTreeMap<ChannelId, Ground>,
    /// Every channel the caller may read at the patients that are searched, filtered out or not: a copy of what stands in one of
    /// these is no hit of its own.
    pub readable: BTreeSet<ChannelId>,
    /// Why, by patient, for the audit trail.
    pub basis: BTreeMap<PatientId, &'static str>,
    epoch: i64,
    until: Option<Micros>,
}

impl Grounds {
    /// Decides where the search may go.
    ///
    /// # Errors
    /// `not_found` for a filter that names something the caller may not see; the database's.
    pub async fn survey(cx: &mut Read, query: &Query) -> Result<Self, Stop> {
        // Before anything is read: what changes meanwhile is met by the next look.
        let epoch = cx.epoch();
        let patients = patients(cx, query).await?;
        let mut grounds =
            Self { open: BTreeMap::new(), readable: BTreeSet::new(), basis: BTreeMap::new(), epoch, until: None };
        for (permit, access) in patients {
            grounds.add(cx, query, &permit, &access).await?;
        }
        Ok(grounds)
    }

    async fn add(&mut self, cx: &mut Read, query: &Query, permit: &Permit, access: &Access) -> Result<(), Fault> {
        let readable = cx.readable(access);
        for head in log::sql::heads_of(cx.tx(), access.patient).await? {
            let channel = head.channel;
            if readable.contains(&channel) && query.channel.is_none_or(|only| only == channel) {
                let spans = channels::spans_of(access, cx.subject(), channel, cx.now()).to_vec();
                self.open.insert(channel, Ground { head, spans, family: permit.family() });
            }
        }
        self.readable.extend(readable);
        self.basis.insert(access.patient, permit.basis().text());
        self.until = self.until.into_iter().chain(permit.member().until).min();
        Ok(())
    }

    /// Whether what was decided holds still.
    #[must_use]
    pub fn hold(&self, cx: &Read) -> bool {
        self.epoch == cx.epoch() && self.until.is_none_or(|until| cx.now() < until)
    }
}

/// The patients whose records are searched.
async fn patients(cx: &mut Read, query: &Query) -> Result<Vec<(Permit, Arc<Access>)>, Stop> {
    let mut of: Option<(Permit, Arc<Access>)> = None;
    if let Some(patient) = query.patient {
        of = Some(cx.permit_patient(Right::SeePatient, patient).await?);
    }
    if let Some(channel) = query.channel {
        let (_, access) = cx.permit_channel(Right::Read, channel).await?;
        if query.patient.is_some_and(|patient| patient != access.patient) {
            return Err(Refusal::not_found().into());
        }
        of = Some(cx.permit_patient(Right::SeePatient, access.patient).await?);
    }
    if let Some(item) = query.item {
        let seen = item_in_sight(cx, item).await?;
        let other = |access: &Arc<Access>| of.as_ref().is_some_and(|(_, held)| held.patient != access.patient);
        match seen {
            Some((permit, access)) if !other(&access) => of = Some((permit, access)),
            _ => return Err(Refusal::not_found().field("item").into()),
        }
    }
    match of {
        Some(one) => Ok(vec![one]),
        None => Ok(cx.patients().await?),
    }
}

/// The patient of an item, if the caller sees the item.
async fn item_in_sight(cx: &mut Read, item: ItemId) -> Result<Option<(Permit, Arc<Access>)>, Stop> {
    let thing = cx.thing(ThingId(item.0)).await?.filter(|thing| thing.kind == ThingKind::PlanItem);
    let Some(thing) = thing else { return Ok(None) };
    match cx.permit_patient(Right::SeePatient, thing.patient).await {
        Ok((permit, access)) => Ok(subject_sees_item(permit.family(), thing.shared).then_some((permit, access))),
        Err(Stop::Refused(refusal)) if refusal.code == Code::NotFound => Ok(None),
        Err(stop) => Err(stop),
    }
}
