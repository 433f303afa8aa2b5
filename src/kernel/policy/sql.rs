//! Statements of policy: persons, memberships, audiences, readers. No other module reads or writes these tables.

use std::sync::Arc;

use super::access::{Access, Audience, ChannelAccess, ChannelKind, Interval, Member};
use super::responsibility::{Cover, Responsibility};
use crate::kernel::base::{ChannelId, Fault, Micros, PatientId, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    PERSONS = "SELECT id, kind, roles, active, epoch FROM person";
    PERSON_ADD = "INSERT INTO person (id, kind, roles, active, epoch) VALUES ($1, $2, $3, $4, 1)";
    PERSON_SET = "UPDATE person SET kind = $2, roles = $3, active = $4, epoch = epoch + 1 WHERE id = $1";
    PERSON_RAISE = "UPDATE person SET epoch = epoch + 1 WHERE id = $1";
    PERSON_GET = "SELECT id, kind, roles, active, epoch FROM person WHERE id = $1";
    PATIENT_ADD = "INSERT INTO patient (id, version, key_version) VALUES ($1, 1, 1)";
    PATIENT_GET = "SELECT version FROM patient WHERE id = $1";
    PATIENT_RAISE = "UPDATE patient SET version = $2 WHERE id = $1";
    PATIENTS_ALL = "SELECT id FROM patient ORDER BY id";
    PATIENTS_OF = "SELECT DISTINCT patient FROM membership WHERE member = $1 AND ended IS NULL ORDER BY patient";
    MEMBERS = "SELECT member, family, lead, plan, barriers, until FROM membership WHERE patient = $1 AND ended IS NULL";
    MEMBER_ROWS = "SELECT member, family, lead, plan, barriers, since, until, ended, role, id FROM membership WHERE patient = $1 ORDER BY since, id";
    MEMBER_BEFORE = "SELECT COUNT(*) AS count FROM membership WHERE patient = $1 AND member = $2 AND ended IS NOT NULL";
    MEMBER_ADD = "INSERT INTO membership (id, patient, member, family, lead, plan, barriers, since, until, ended, role) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, $10)";
    MEMBER_SET = "UPDATE membership SET family = $3, lead = $4, plan = $5, barriers = $6, until = $7, role = $8 WHERE patient = $1 AND member = $2 AND ended IS NULL";
    MEMBER_LEAD = "UPDATE membership SET lead = $3 WHERE patient = $1 AND member = $2 AND ended IS NULL";
    MEMBER_END = "UPDATE membership SET ended = $3 WHERE patient = $1 AND member = $2 AND ended IS NULL";
    MEMBERS_DUE = "SELECT patient, member FROM membership WHERE ended IS NULL AND until IS NOT NULL AND until <= $1 ORDER BY until LIMIT 100";
    AUDIENCES = "SELECT channel, audience, kind, archived FROM audience WHERE patient = $1 ORDER BY channel";
    AUDIENCE_OF = "SELECT patient FROM audience WHERE channel = $1";
    AUDIENCE_ADD = "INSERT INTO audience (channel, patient, audience, kind, archived) VALUES ($1, $2, $3, $4, FALSE)";
    AUDIENCE_SET = "UPDATE audience SET audience = $2, archived = $3 WHERE channel = $1";
    READERS = "SELECT reader.channel, reader.member, reader.since, reader.until FROM reader JOIN audience ON audience.channel = reader.channel WHERE audience.patient = $1 ORDER BY reader.since";
    READER_ADD = "INSERT INTO reader (channel, member, since, until) VALUES ($1, $2, $3, NULL)";
    READER_END = "UPDATE reader SET until = $3 WHERE channel = $1 AND member = $2 AND until IS NULL";
    COVERS = "SELECT id, responsibility, absent, stand_in, since, until FROM cover WHERE patient = $1 ORDER BY since, id";
    COVER_ADD = "INSERT INTO cover (id, patient, responsibility, absent, stand_in, since, until) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    COVER_DROP = "DELETE FROM cover WHERE patient = $1 AND responsibility = $2 AND absent = $3";
    CLOSED = "SELECT patient FROM closed_record WHERE patient = $1";
    CLOSE = "INSERT INTO closed_record (patient) VALUES ($1)";
    REOPEN = "DELETE FROM closed_record WHERE patient = $1";
    CLEAR_COVER = "DELETE FROM cover";
    CLEAR_CLOSED = "DELETE FROM closed_record";
    CLEAR_MEMBERSHIP = "DELETE FROM membership";
    CLEAR_AUDIENCE = "DELETE FROM audience";
    CLEAR_READER = "DELETE FROM reader";
}

/// A row of `person`.
#[derive(sqlx::FromRow)]
pub struct PersonRow {
    /// The account.
    pub id: UserId,
    /// [`super::PersonKind`] as a number.
    pub kind: i16,
    /// [`super::Roles`] as a number.
    pub roles: i16,
    /// Not suspended.
    pub active: bool,
    /// `authz_epoch`.
    pub epoch: i64,
}

/// A membership, past or present, with its sealed role text.
#[derive(sqlx::FromRow)]
pub struct MemberRow {
    /// Row id: the place its role is sealed to.
    pub id: uuid::Uuid,
    /// Who.
    pub member: UserId,
    /// Shared channels only.
    pub family: bool,
    /// The lead.
    pub lead: bool,
    /// Holds `plan`.
    pub plan: bool,
    /// Holds `barriers`.
    pub barriers: bool,
    /// From when.
    pub since: Micros,
    /// Ends by itself.
    pub until: Option<Micros>,
    /// Ended.
    pub ended: Option<Micros>,
    /// The role text, sealed.
    pub role: Vec<u8>,
}

/// Every account, for the start.
///
/// # Errors
/// The database's.
pub async fn persons(tx: &mut Tx) -> sqlx::Result<Vec<PersonRow>> {
    on_db!(tx, |c| sqlx::query_as(PERSONS).fetch_all(c).await)
}

/// One account.
///
/// # Errors
/// The database's.
pub async fn person(tx: &mut Tx, id: UserId) -> sqlx::Result<Option<PersonRow>> {
    on_db!(tx, |c| sqlx::query_as(PERSON_GET).bind(id).fetch_optional(c).await)
}

/// A new account.
///
/// # Errors
/// The database's.
pub async fn add_person(tx: &mut Tx, id: UserId, kind: i16, roles: i16, active: bool) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(PERSON_ADD).bind(id).bind(kind).bind(roles).bind(active).execute(c).await.map(drop))
}

/// Changes an account and raises its epoch.
///
/// # Errors
/// The database's.
pub async fn set_person(tx: &mut Tx, id: UserId, kind: i16, roles: i16, active: bool) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(PERSON_SET).bind(id).bind(kind).bind(roles).bind(active).execute(c).await.map(drop))
}

/// Raises the epoch of an account: whatever was decided for it before is decided again.
///
/// # Errors
/// The database's.
pub async fn raise(tx: &mut Tx, id: UserId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(PERSON_RAISE).bind(id).execute(c).await.map(drop))
}

/// Which version of a patient's standing this transaction sees; none if there is no such patient.
///
/// # Errors
/// The database's.
pub async fn version_of(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Option<i64>> {
    let version: Option<(i64,)> = on_db!(tx, |c| sqlx::query_as(PATIENT_GET).bind(patient).fetch_optional(c).await)?;
    Ok(version.map(|(version,)| version))
}

/// Everything policy knows of a patient; none if there is no such patient.
///
/// # Errors
/// The database's, or an unknown number in a column.
pub async fn load(tx: &mut Tx, patient: PatientId) -> Result<Option<Arc<Access>>, Fault> {
    let Some(version) = version_of(tx, patient).await? else { return Ok(None) };
    let mut access = Access { version, ..Access::new(patient) };
    type MemberTuple = (UserId, bool, bool, bool, bool, Option<Micros>);
    let members: Vec<MemberTuple> = on_db!(tx, |c| sqlx::query_as(MEMBERS).bind(patient).fetch_all(c).await)?;
    for (user, family, lead, plan, barriers, until) in members {
        access.members.insert(user, Member { family, lead, plan, barriers, until });
    }
    let channels: Vec<(ChannelId, i16, i16, bool)> =
        on_db!(tx, |c| sqlx::query_as(AUDIENCES).bind(patient).fetch_all(c).await)?;
    for (id, audience, kind, archived) in channels {
        let audience = Audience::from_number(audience).ok_or(Fault::Integrity("unknown audience"))?;
        let channel =
            ChannelAccess { audience, kind: ChannelKind::from_number(kind), archived, readers: Default::default() };
        access.channels.insert(id, channel);
    }
    let readers: Vec<(ChannelId, UserId, i64, Option<i64>)> =
        on_db!(tx, |c| sqlx::query_as(READERS).bind(patient).fetch_all(c).await)?;
    for (id, user, from, to) in readers {
        if let Some(channel) = access.channels.get_mut(&id) {
            channel.readers.entry(user).or_default().push(Interval { from, to });
        }
    }
    type CoverTuple = (uuid::Uuid, i16, UserId, UserId, Micros, Micros);
    let covers: Vec<CoverTuple> = on_db!(tx, |c| sqlx::query_as(COVERS).bind(patient).fetch_all(c).await)?;
    for (id, responsibility, absent, stand_in, since, until) in covers {
        let responsibility =
            Responsibility::from_number(responsibility).ok_or(Fault::Integrity("unknown responsibility"))?;
        access.covers.push(Cover { id, responsibility, absent, stand_in, since, until });
    }
    let closed: Option<(PatientId,)> = on_db!(tx, |c| sqlx::query_as(CLOSED).bind(patient).fetch_optional(c).await)?;
    access.closed = closed.is_some();
    Ok(Some(Arc::new(access)))
}

/// The patient a channel belongs to.
///
/// # Errors
/// The database's.
pub async fn patient_of(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<Option<PatientId>> {
    let row: Option<(PatientId,)> = on_db!(tx, |c| sqlx::query_as(AUDIENCE_OF).bind(channel).fetch_optional(c).await)?;
    Ok(row.map(|(patient,)| patient))
}

/// Patients where `user` has a membership that is not ended; whether it still holds is for [`super::decide`].
///
/// # Errors
/// The database's.
pub async fn patients_of(tx: &mut Tx, user: UserId) -> sqlx::Result<Vec<PatientId>> {
    let rows: Vec<(PatientId,)> = on_db!(tx, |c| sqlx::query_as(PATIENTS_OF).bind(user).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(patient,)| patient).collect())
}

/// Every patient, for walks of the whole record and the command line.
///
/// # Errors
/// The database's.
pub async fn all_patients(tx: &mut Tx) -> sqlx::Result<Vec<PatientId>> {
    let rows: Vec<(PatientId,)> = on_db!(tx, |c| sqlx::query_as(PATIENTS_ALL).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(patient,)| patient).collect())
}

/// Every membership of a patient, past and present.
///
/// # Errors
/// The database's.
pub async fn member_rows(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<MemberRow>> {
    on_db!(tx, |c| sqlx::query_as(MEMBER_ROWS).bind(patient).fetch_all(c).await)
}

/// Memberships whose time is over and whose end is not recorded yet.
///
/// # Errors
/// The database's.
pub async fn members_due(tx: &mut Tx, now: Micros) -> sqlx::Result<Vec<(PatientId, UserId)>> {
    on_db!(tx, |c| sqlx::query_as(MEMBERS_DUE).bind(now).fetch_all(c).await)
}

/// A new patient nobody stands at.
///
/// # Errors
/// The database's.
pub async fn add_patient(tx: &mut Tx, access: &mut Access) -> sqlx::Result<()> {
    access.version = 1;
    on_db!(tx, |c| sqlx::query(PATIENT_ADD).bind(access.patient).execute(c).await.map(drop))
}

/// Raises the version of a patient's standing.
///
/// # Errors
/// The database's.
pub async fn raise_patient(tx: &mut Tx, access: &mut Access) -> sqlx::Result<()> {
    access.version += 1;
    on_db!(tx, |c| sqlx::query(PATIENT_RAISE).bind(access.patient).bind(access.version).execute(c).await.map(drop))
}

/// A new channel with no readers.
///
/// # Errors
/// The database's.
pub async fn open_channel(
    tx: &mut Tx,
    access: &mut Access,
    channel: ChannelId,
    audience: Audience,
    kind: ChannelKind,
) -> sqlx::Result<()> {
    access.channels.insert(channel, ChannelAccess { audience, kind, archived: false, readers: Default::default() });
    on_db!(tx, |c| {
        sqlx::query(AUDIENCE_ADD)
            .bind(channel)
            .bind(access.patient)
            .bind(audience.number())
            .bind(kind.number())
            .execute(c)
            .await
            .map(drop)
    })
}

/// Changes a channel's audience or archives it.
///
/// # Errors
/// The database's.
pub async fn set_channel(
    tx: &mut Tx,
    access: &mut Access,
    channel: ChannelId,
    audience: Audience,
    archived: bool,
) -> sqlx::Result<()> {
    if let Some(held) = access.channels.get_mut(&channel) {
        held.audience = audience;
        held.archived = archived;
    }
    on_db!(tx, |c| sqlx::query(AUDIENCE_SET)
        .bind(channel)
        .bind(audience.number())
        .bind(archived)
        .execute(c)
        .await
        .map(drop))
}

/// `user` reads `channel` from `from` on.
///
/// # Errors
/// The database's.
pub async fn begin_reading(
    tx: &mut Tx,
    access: &mut Access,
    channel: ChannelId,
    user: UserId,
    from: i64,
) -> sqlx::Result<()> {
    if let Some(held) = access.channels.get_mut(&channel) {
        held.readers.entry(user).or_default().push(Interval { from, to: None });
    }
    on_db!(tx, |c| sqlx::query(READER_ADD).bind(channel).bind(user).bind(from).execute(c).await.map(drop))
}

/// `user` reads `channel` up to `to` and no further.
///
/// # Errors
/// The database's.
pub async fn end_reading(
    tx: &mut Tx,
    access: &mut Access,
    channel: ChannelId,
    user: UserId,
    to: i64,
) -> sqlx::Result<()> {
    if let Some(spans) = access.channels.get_mut(&channel).and_then(|held| held.readers.get_mut(&user))
        && let Some(last) = spans.last_mut()
    {
        last.to = Some(to);
    }
    on_db!(tx, |c| sqlx::query(READER_END).bind(channel).bind(user).bind(to).execute(c).await.map(drop))
}

/// Whether `user` was a member of this patient before and left: then nothing of the time between opens again.
///
/// # Errors
/// The database's.
pub async fn was_member(tx: &mut Tx, patient: PatientId, user: UserId) -> sqlx::Result<bool> {
    let (count,): (i64,) = on_db!(tx, |c| sqlx::query_as(MEMBER_BEFORE).bind(patient).bind(user).fetch_one(c).await)?;
    Ok(count > 0)
}

/// A membership begins. `id` is the entry that recorded it; `role` is sealed by the caller.
///
/// # Errors
/// The database's.
pub async fn join(
    tx: &mut Tx,
    access: &mut Access,
    id: uuid::Uuid,
    user: UserId,
    member: Member,
    since: Micros,
    role: Vec<u8>,
) -> sqlx::Result<()> {
    access.members.insert(user, member);
    on_db!(tx, |c| {
        sqlx::query(MEMBER_ADD)
            .bind(id)
            .bind(access.patient)
            .bind(user)
            .bind(member.family)
            .bind(member.lead)
            .bind(member.plan)
            .bind(member.barriers)
            .bind(since)
            .bind(member.until)
            .bind(&role)
            .execute(c)
            .await
            .map(drop)
    })
}

/// A membership changes.
///
/// # Errors
/// The database's.
pub async fn set_member(
    tx: &mut Tx,
    access: &mut Access,
    user: UserId,
    member: Member,
    role: Vec<u8>,
) -> sqlx::Result<()> {
    access.members.insert(user, member);
    on_db!(tx, |c| {
        sqlx::query(MEMBER_SET)
            .bind(access.patient)
            .bind(user)
            .bind(member.family)
            .bind(member.lead)
            .bind(member.plan)
            .bind(member.barriers)
            .bind(member.until)
            .bind(&role)
            .execute(c)
            .await
            .map(drop)
    })
}

/// The lead is laid on or taken from a member.
///
/// # Errors
/// The database's.
pub async fn set_lead(tx: &mut Tx, access: &mut Access, user: UserId, lead: bool) -> sqlx::Result<()> {
    if let Some(member) = access.members.get_mut(&user) {
        member.lead = lead;
    }
    on_db!(tx, |c| sqlx::query(MEMBER_LEAD).bind(access.patient).bind(user).bind(lead).execute(c).await.map(drop))
}

/// A membership ends.
///
/// # Errors
/// The database's.
pub async fn leave(tx: &mut Tx, access: &mut Access, user: UserId, at: Micros) -> sqlx::Result<()> {
    access.members.remove(&user);
    on_db!(tx, |c| sqlx::query(MEMBER_END).bind(access.patient).bind(user).bind(at).execute(c).await.map(drop))
}

/// Somebody is stood in for from now on as `cover` says, instead of how it was said before; `None` ends every cover of that kind.
///
/// # Errors
/// The database's.
pub async fn set_cover(
    tx: &mut Tx,
    access: &mut Access,
    responsibility: Responsibility,
    absent: UserId,
    cover: Option<Cover>,
) -> sqlx::Result<()> {
    access.covers.retain(|held| held.responsibility != responsibility || held.absent != absent);
    let number = responsibility.number();
    on_db!(tx, |c| {
        sqlx::query(COVER_DROP).bind(access.patient).bind(number).bind(absent).execute(c).await.map(drop)
    })?;
    let Some(cover) = cover else { return Ok(()) };
    access.covers.push(cover);
    on_db!(tx, |c| {
        sqlx::query(COVER_ADD)
            .bind(cover.id)
            .bind(access.patient)
            .bind(number)
            .bind(absent)
            .bind(cover.stand_in)
            .bind(cover.since)
            .bind(cover.until)
            .execute(c)
            .await
            .map(drop)
    })
}

/// The record becomes read-only, or is written to again.
///
/// # Errors
/// The database's.
pub async fn set_closed(tx: &mut Tx, access: &mut Access, closed: bool) -> sqlx::Result<()> {
    access.closed = closed;
    let patient = access.patient;
    on_db!(tx, |c| sqlx::query(REOPEN).bind(patient).execute(c).await.map(drop))?;
    if !closed {
        return Ok(());
    }
    on_db!(tx, |c| sqlx::query(CLOSE).bind(patient).execute(c).await.map(drop))
}

/// Empties what is rebuilt from the log. Patients and persons stay: they are not projections.
///
/// # Errors
/// The database's.
pub async fn clear(tx: &mut Tx) -> sqlx::Result<()> {
    for sql in [CLEAR_MEMBERSHIP, CLEAR_AUDIENCE, CLEAR_READER, CLEAR_COVER, CLEAR_CLOSED] {
        on_db!(tx, |c| sqlx::query(sql).execute(c).await.map(drop))?;
    }
    Ok(())
}
