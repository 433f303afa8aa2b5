//! Absence and cover: a member says who stands in for a responsibility from when to when. It is said in the channels they read, where
//! staff talk: who stands in for whom is not for family. Invariant: nobody holds a responsibility less by it; whoever stands in acts
//! with it, and whoever addresses it reaches them, in that time alone.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::entries::{CHANGED, Covered, Membership};
use super::team::{family_reads, plan_of, role_of, standing, with_plan_first};
use crate::kernel::base::limits::REASON_CHARS_MAX;
use crate::kernel::base::world::{MINUTE, parse_rfc3339, rfc3339};
use crate::kernel::base::{Fault, Micros, PatientId, Refusal, Stop, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::nudge::{self, Nudge, Waiting};
use crate::kernel::engine::shape::{Reason, Time};
use crate::kernel::engine::{Data, Ledger, Reply, Write};
use crate::kernel::log::Fact;
use crate::kernel::policy::{Access, Cover, Responsibility, Right};

/// The longest a cover lasts: who is away for longer hands over.
const LENGTH_MAX: Micros = 366 * 24 * 60 * MINUTE;

/// Names who stands in for a responsibility.
#[derive(JsonSchema)]
pub struct NameCover {
    /// Whose team.
    pub patient: PatientId,
    /// In what.
    pub responsibility: Responsibility,
    /// Who stands in; null or absent ends what was said before.
    pub user: Option<UserId>,
    /// Who is away; you, unless you lead and name another.
    pub absent: Option<UserId>,
    /// From when; now if absent.
    #[schemars(with = "Option<Time>")]
    pub from: Option<Micros>,
    /// Until when; required with `user`, at most 366 days after `from`.
    #[schemars(with = "Option<Time>")]
    pub until: Option<Micros>,
    /// Why.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

impl NameCover {
    /// Reads `team.cover`.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        let responsibility = fields
            .word("responsibility", Responsibility::from_text, "lead, plan, barriers")?
            .ok_or_else(|| Refusal::invalid("responsibility", "Say what is stood in for: lead, plan or barriers."))?;
        Ok(Self {
            patient: fields.required_id("patient")?,
            responsibility,
            user: fields.id("user")?,
            absent: fields.id("absent")?,
            from: fields.time("from")?,
            until: fields.time("until")?,
            reason: fields.text("reason", REASON_CHARS_MAX)?,
        })
    }

    /// What is said from now on; no cover where it ends.
    ///
    /// # Errors
    /// `not_found` for people who are not staff of the team, `invalid` for what is not held or a time that does not fit.
    fn decide(&self, access: &Access, absent: UserId, id: uuid::Uuid, now: Micros) -> Result<Option<Cover>, Refusal> {
        let staff = |user| access.member(user, now).filter(|member| !member.family);
        let away = staff(absent).ok_or_else(|| Refusal::not_found().field("absent"))?;
        let Some(stand_in) = self.user else { return Ok(None) };
        if !self.responsibility.is_held_by(away) {
            return Err(Refusal::invalid("responsibility", "Whoever is away does not hold this responsibility."));
        }
        staff(stand_in).ok_or_else(|| Refusal::not_found().field("user"))?;
        if stand_in == absent {
            return Err(Refusal::invalid("user", "Somebody else stands in."));
        }
        let since = self.from.unwrap_or(now).max(now);
        let until = self.until.ok_or_else(|| Refusal::invalid("until", "Say until when."))?;
        if until <= since || until.saturating_sub(since) > LENGTH_MAX {
            return Err(Refusal::invalid("until", "A cover ends after it begins and after now, within 366 days."));
        }
        Ok(Some(Cover { id, responsibility: self.responsibility, absent, stand_in, since, until }))
    }
}

/// `team.cover`
pub(super) async fn name(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let command = NameCover::parse(data)?;
    let absent = command.absent.unwrap_or(cx.subject().user);
    cx.permit_patient(Right::Cover(absent), command.patient).await?;
    let access = standing(cx.ledger(), command.patient).await?;
    let plan = plan_of(&access)?;
    if let Some(reply) = cx.repeated(plan).await? {
        return Ok(reply);
    }
    let entry = cx.new_id();
    let cover = command.decide(&access, absent, entry, cx.now())?;
    let member = *access.members.get(&absent).ok_or(Fault::Integrity("a member without a membership"))?;
    let role = role_of(cx.ledger(), command.patient, absent).await?.1;
    let said = Covered {
        responsibility: command.responsibility,
        user: cover.map(|cover| cover.stand_in),
        from: cover.map(|cover| rfc3339(cover.since)),
        until: cover.map(|cover| rfc3339(cover.until)),
    };
    let membership =
        Membership { cover: Some(said), ..Membership::of(command.patient, absent, role, &member, command.reason) };
    let read = access.channels.iter().filter(|(_, channel)| channel.readable_by(absent).is_some());
    let staff = read.map(|(id, _)| *id).filter(|id| !family_reads(&access, *id));
    for (at, channel) in with_plan_first(plan, staff).into_iter().enumerate() {
        let id = if at == 0 { entry } else { cx.new_id() };
        cx.record(channel, CHANGED, kind::MEMBERSHIP, None, id, &membership).await?;
    }
    if let Some(cover) = cover.filter(|cover| cover.stand_in != cx.subject().user) {
        let nudge = Nudge::of(command.patient, Waiting::Responsibility(command.responsibility)).within(plan);
        cx.nudge(cover.stand_in, nudge::ASSIGNED, &nudge.because("cover")).await?;
    }
    Ok(Reply::Recorded)
}

/// Follows the part of `team.changed` that is about a cover.
pub(super) async fn project(ledger: &mut Ledger, fact: &Fact, body: &Membership) -> Result<(), Fault> {
    let Some(said) = &body.cover else { return Ok(()) };
    let time = |text: &Option<String>| {
        let text = text.as_deref().ok_or(Fault::Integrity("a cover without a time"))?;
        parse_rfc3339(text).map_err(|_| Fault::Integrity("the time of a cover is no time"))
    };
    let cover = match said.user {
        None => None,
        Some(stand_in) => Some(Cover {
            id: fact.id.0,
            responsibility: said.responsibility,
            absent: body.user,
            stand_in,
            since: time(&said.from)?,
            until: time(&said.until)?,
        }),
    };
    ledger.set_cover(fact.patient, said.responsibility, body.user, cover).await
}

/// The covers of a member that are not over, for `team.list`.
pub(super) fn shown(access: &Access, absent: UserId, now: Micros) -> Vec<Value> {
    let own = access.covers.iter().filter(|cover| cover.absent == absent && now < cover.until);
    own.map(|cover| {
        json!({
            "responsibility": cover.responsibility,
            "user": cover.stand_in,
            "from": rfc3339(cover.since),
            "until": rfc3339(cover.until),
        })
    })
    .collect()
}
