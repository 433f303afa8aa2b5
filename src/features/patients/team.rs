//! The care team: who joins, changes and leaves, each time as one entry in every channel the person may read.

use std::collections::BTreeSet;

use super::cover;
use super::entries::{CHANGED, Departure, JOINED, LEFT, Membership};
use super::model::{self, Add, Change, Remove};
use crate::kernel::base::world::{parse_rfc3339, rfc3339};
use crate::kernel::base::{ChannelId, EntryId, Fault, Micros, PatientId, Refusal, Stop, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::{Data, Ledger, Reply, Write};
use crate::kernel::log::{self, Fact};
use crate::kernel::policy::{self, Access, Audience, Member, Responsibility, Right};

/// What a role text is sealed to; its row is the membership's.
pub(super) const ROLE_REVISION: i64 = 0;

impl Membership {
    /// As policy sees it.
    ///
    /// # Errors
    /// The entry holds no time where one should stand.
    pub fn member(&self) -> Result<Member, Fault> {
        let until = self.until.as_deref().map(parse_rfc3339).transpose();
        Ok(Member {
            family: self.family,
            lead: self.responsibilities.contains(&Responsibility::Lead),
            plan: self.responsibilities.contains(&Responsibility::Plan),
            barriers: self.responsibilities.contains(&Responsibility::Barriers),
            until: until.map_err(|_| Fault::Integrity("a membership's end is no time"))?,
        })
    }

    pub(super) fn of(patient: PatientId, user: UserId, role: String, member: &Member, reason: Option<String>) -> Self {
        Self {
            id: None,
            patient,
            user,
            role,
            responsibilities: Responsibility::of(member),
            family: member.family,
            until: member.until.map(rfc3339),
            reason,
            cover: None,
        }
    }
}

/// Whether somebody of that standing reads a channel by it; a named channel is read by who is listed.
fn reads(audience: Audience, family: bool) -> bool {
    match audience {
        Audience::Staff => !family,
        Audience::Shared => true,
        Audience::Named => false,
    }
}

pub(super) fn family_reads(access: &Access, channel: ChannelId) -> bool {
    access.channels.get(&channel).is_some_and(|channel| channel.audience == Audience::Shared)
}

/// What is said in a channel: why a colleague comes or goes is not for family.
fn told(access: &Access, channel: ChannelId, membership: &Membership) -> Membership {
    let reason = membership.reason.clone().filter(|_| !family_reads(access, channel));
    Membership { reason, ..membership.clone() }
}

/// The plan channel first, whoever it is about: there stands the entry that the projection follows and the reply names.
pub(super) fn with_plan_first(plan: ChannelId, others: impl IntoIterator<Item = ChannelId>) -> Vec<ChannelId> {
    let others: BTreeSet<ChannelId> = others.into_iter().filter(|id| *id != plan).collect();
    std::iter::once(plan).chain(others).collect()
}

pub(super) fn plan_of(access: &Access) -> Result<ChannelId, Fault> {
    access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))
}

pub(super) async fn standing(ledger: &mut Ledger, patient: PatientId) -> Result<std::sync::Arc<Access>, Stop> {
    Ok(ledger.access(patient).await?.ok_or_else(Refusal::not_found)?)
}

/// Records that somebody joins. Decided before.
pub(super) async fn join(cx: &mut Write<'_>, mut membership: Membership, member: &Member) -> Result<(), Stop> {
    let (patient, user) = (membership.patient, membership.user);
    let access = standing(cx.ledger(), patient).await?;
    let id = cx.new_id();
    membership.id = Some(EntryId(id));
    let readable = access.channels.iter().filter(|(_, channel)| reads(channel.audience, member.family));
    let channels = with_plan_first(plan_of(&access)?, readable.map(|(id, _)| *id));
    for (at, channel) in channels.iter().enumerate() {
        let entry = if at == 0 { id } else { cx.new_id() };
        cx.record(*channel, JOINED, kind::MEMBERSHIP, None, entry, &told(&access, *channel, &membership)).await?;
    }
    if user != cx.subject().user {
        let mut invited = Data::new();
        invited.insert("patient".into(), patient.to_string().into());
        // A family's first channel is not the plan channel: they are not told of it.
        if let Some(channel) = channels.get(usize::from(member.family)) {
            invited.insert("channel".into(), channel.to_string().into());
        }
        cx.tell(user, "invited", &invited).await?;
    }
    Ok(())
}

/// Records how somebody stands from here on, in the channels they read.
async fn record_change(cx: &mut Write<'_>, access: &Access, membership: &Membership) -> Result<(), Stop> {
    let readable = access.channels.iter().filter(|(_, channel)| channel.readable_by(membership.user).is_some());
    for channel in with_plan_first(plan_of(access)?, readable.map(|(id, _)| *id)) {
        let entry = cx.new_id();
        cx.record(channel, CHANGED, kind::MEMBERSHIP, None, entry, &told(access, channel, membership)).await?;
    }
    Ok(())
}

/// The lead that was: their own entries say that they are it no more.
async fn record_former(
    cx: &mut Write<'_>,
    access: &Access,
    former: Option<(UserId, Member, String)>,
) -> Result<(), Stop> {
    let Some((user, member, role)) = former else { return Ok(()) };
    let member = Member { lead: false, ..member };
    record_change(cx, access, &Membership::of(access.patient, user, role, &member, None)).await
}

/// Responsibilities that pass from one member to another: decided, and not recorded yet.
pub struct Passing {
    patient: PatientId,
    between: [UserId; 2],
    passed: model::Passed,
}

impl Passing {
    /// What passes, in order: of what was wanted, what the giver holds.
    #[must_use]
    pub fn moved(&self) -> &[Responsibility] {
        &self.passed.moved
    }
}

/// Decides which responsibilities pass from one member to another. Whoever asks was permitted to have them pass.
///
/// # Errors
/// `conflict` where the other one cannot hold them.
pub fn passing(
    access: &Access,
    from: UserId,
    to: UserId,
    wanted: &[Responsibility],
    now: Micros,
) -> Result<Passing, Refusal> {
    let passed = model::decide_pass(&access.members, [from, to], wanted, now)?;
    Ok(Passing { patient: access.patient, between: [from, to], passed })
}

/// Records that responsibilities pass: a `team.changed` of whoever takes them and one of whoever had them, in every channel they read.
/// Nothing where none pass.
///
/// # Errors
/// The database's.
pub async fn move_responsibilities(cx: &mut Write<'_>, passing: Passing, reason: &str) -> Result<(), Stop> {
    let Passing { patient, between: [from, to], passed } = passing;
    if passed.moved.is_empty() {
        return Ok(());
    }
    let access = standing(cx.ledger(), patient).await?;
    // Who takes the lead first: that moves it, and there is no moment without one.
    for (user, member) in [(to, passed.taker), (from, passed.giver)] {
        let role = role_of(cx.ledger(), patient, user).await?.1;
        let membership = Membership::of(patient, user, role, &member, Some(reason.to_owned()));
        record_change(cx, &access, &membership).await?;
    }
    Ok(())
}

/// Who loses the lead to `user`, with their role as it stands.
async fn former(
    cx: &mut Write<'_>,
    access: &Access,
    user: UserId,
    member: &Member,
) -> Result<Option<(UserId, Member, String)>, Stop> {
    let Some(former) = model::former_lead(&access.members, user).filter(|_| member.lead) else { return Ok(None) };
    let role = role_of(cx.ledger(), access.patient, former).await?.1;
    Ok(access.members.get(&former).map(|member| (former, *member, role)))
}

/// The row and the role text of a current membership.
pub(super) async fn role_of(
    ledger: &mut Ledger,
    patient: PatientId,
    user: UserId,
) -> Result<(uuid::Uuid, String), Fault> {
    let rows = policy::sql::member_rows(ledger.tx(), patient).await?;
    let row = rows.into_iter().find(|row| row.member == user && row.ended.is_none());
    let row = row.ok_or(Fault::Integrity("a member without a membership"))?;
    let role = ledger.open_view(patient, row.id, ROLE_REVISION, &row.role).await?;
    Ok((row.id, text(&role)?))
}

/// A role text, opened.
pub(super) fn text(bytes: &[u8]) -> Result<String, Fault> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Fault::Integrity("a role is not UTF-8"))
}

/// `team.add`
pub(super) async fn add(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let command: Add = model::add(data)?;
    cx.permit_patient(Right::ManageTeam, command.patient).await?;
    let access = standing(cx.ledger(), command.patient).await?;
    if let Some(reply) = cx.repeated(plan_of(&access)?).await? {
        return Ok(reply);
    }
    let person = cx.ledger().shared().book.person(command.user);
    let person = person.ok_or_else(|| Refusal::not_found().field("user"))?;
    let member = model::decide_add(&access.members, &command, person.kind.is_family(), cx.now())?;
    let former = former(cx, &access, command.user, &member).await?;
    let Add { patient, user, role, reason, .. } = command;
    join(cx, Membership::of(patient, user, role, &member, reason), &member).await?;
    record_former(cx, &access, former).await?;
    Ok(Reply::Recorded)
}

/// `team.change`
pub(super) async fn change(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let command: Change = model::change(data)?;
    cx.permit_patient(Right::ManageTeam, command.patient).await?;
    let access = standing(cx.ledger(), command.patient).await?;
    if let Some(reply) = cx.repeated(plan_of(&access)?).await? {
        return Ok(reply);
    }
    let member = model::decide_change(&access.members, &command, cx.now())?;
    let former = former(cx, &access, command.user, &member).await?;
    let role = match command.role {
        Some(role) => role,
        None => role_of(cx.ledger(), command.patient, command.user).await?.1,
    };
    let membership = Membership::of(command.patient, command.user, role, &member, command.reason);
    record_change(cx, &access, &membership).await?;
    record_former(cx, &access, former).await?;
    Ok(Reply::Recorded)
}

/// `team.remove`
pub(super) async fn remove(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let command: Remove = model::remove(data)?;
    cx.permit_patient(Right::EndMembership(command.user), command.patient).await?;
    let access = standing(cx.ledger(), command.patient).await?;
    if let Some(reply) = cx.repeated(plan_of(&access)?).await? {
        return Ok(reply);
    }
    let member = model::decide_remove(&access.members, command.user)?;
    leave(cx, &access, command.user, &member, command.reason).await?;
    Ok(Reply::Recorded)
}

/// `team.expire`: records the end of a membership whose time is over. Nothing where there is none: it was removed meanwhile.
pub(super) async fn expire(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let command: Remove = model::remove(data)?;
    cx.permit_patient(Right::EndMembership(command.user), command.patient).await?;
    let access = standing(cx.ledger(), command.patient).await?;
    let now = cx.now();
    match access.members.get(&command.user) {
        Some(member) if !member.holds(now) => {
            cx.repeated(plan_of(&access)?).await?;
            leave(cx, &access, command.user, member, None).await?;
            Ok(Reply::Recorded)
        }
        _ => Ok(Reply::Plain(Data::new())),
    }
}

async fn leave(
    cx: &mut Write<'_>,
    access: &Access,
    user: UserId,
    member: &Member,
    reason: Option<String>,
) -> Result<(), Stop> {
    let readable = access.channels.iter().filter(|(_, channel)| channel.readable_by(user).is_some());
    let channels = with_plan_first(plan_of(access)?, readable.map(|(id, _)| *id));
    let over = member.until.filter(|_| !member.holds(cx.now()));
    let mut ends = Vec::with_capacity(channels.len());
    for channel in channels {
        let to = match over {
            Some(until) => Some(last_before(cx, channel, until).await?),
            None => None,
        };
        ends.push((channel, to));
    }
    for (channel, to) in ends {
        let entry = cx.new_id();
        let reason = reason.clone().filter(|_| !family_reads(access, channel));
        let body = Departure { patient: access.patient, user, reason, to };
        cx.record(channel, LEFT, kind::MEMBERSHIP, None, entry, &body).await?;
    }
    Ok(())
}

/// The newest `seq` of a channel from before a time; 0 if there is none.
async fn last_before(cx: &mut Write<'_>, channel: ChannelId, until: Micros) -> Result<i64, Stop> {
    let head = cx.ledger().head(channel).await?.ok_or(Fault::Integrity("a channel is not there"))?;
    if let Some(first) = log::sql::first_after(cx.ledger().tx(), head.n, until).await? {
        return Ok(first - 1);
    }
    // Entries of this batch are not in the table yet; they are of now, so after `until`.
    let mut seq = head.seq;
    while seq > 0 && cx.entry(channel, seq).await?.at >= until {
        seq -= 1;
    }
    Ok(seq)
}

/// Follows `team.joined`.
pub(super) async fn project_joined(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let body: Membership = fact.read()?;
    let access = known(ledger, fact).await?;
    let member = body.member()?;
    if access.plan_channel() == Some(fact.channel) {
        take_lead(ledger, &access, &body).await?;
        let role = ledger.seal_view(fact.patient, fact.id.0, ROLE_REVISION, body.role.as_bytes()).await?;
        ledger.join(fact.patient, fact.id.0, body.user, member, fact.at, role).await?;
    }
    if access.channels.get(&fact.channel).is_some_and(|channel| reads(channel.audience, member.family)) {
        // Who was never here reads from the first entry; who comes back does not read what they were away for.
        let returns = ledger.was_member(fact.patient, body.user).await?;
        let from = if returns { fact.seq } else { 1 };
        ledger.begin_reading(fact.patient, fact.channel, body.user, from).await?;
    }
    Ok(())
}

/// Follows `team.changed`.
pub(super) async fn project_changed(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let body: Membership = fact.read()?;
    let access = known(ledger, fact).await?;
    if access.plan_channel() != Some(fact.channel) {
        return Ok(());
    }
    take_lead(ledger, &access, &body).await?;
    let (row, _) = role_of(ledger, fact.patient, body.user).await?;
    let role = ledger.seal_view(fact.patient, row, ROLE_REVISION, body.role.as_bytes()).await?;
    ledger.set_member(fact.patient, body.user, body.member()?, role).await?;
    cover::project(ledger, fact, &body).await
}

/// Follows `team.left`.
pub(super) async fn project_left(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let body: Departure = fact.read()?;
    let access = known(ledger, fact).await?;
    if access.channels.get(&fact.channel).is_some_and(|channel| channel.readable_by(body.user).is_some()) {
        let to = body.to.unwrap_or(fact.seq);
        ledger.end_reading(fact.patient, fact.channel, body.user, to).await?;
    }
    if access.plan_channel() == Some(fact.channel) {
        ledger.leave(fact.patient, body.user, fact.at).await?;
    }
    Ok(())
}

async fn known(ledger: &mut Ledger, fact: &Fact) -> Result<std::sync::Arc<Access>, Fault> {
    ledger.access(fact.patient).await?.ok_or(Fault::Integrity("an entry of a patient that is not there"))
}

async fn take_lead(ledger: &mut Ledger, access: &Access, body: &Membership) -> Result<(), Fault> {
    if body.responsibilities.contains(&Responsibility::Lead)
        && let Some(former) = model::former_lead(&access.members, body.user)
    {
        ledger.set_lead(access.patient, former, false).await?;
    }
    Ok(())
}
