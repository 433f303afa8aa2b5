//! Statements of check-ins: the schedule of a channel, each check-in, who has answered.

use crate::kernel::base::{ChannelId, Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    SCHEDULE_PUT = "INSERT INTO checkin_schedule (channel, patient, seq, next_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (channel) DO UPDATE SET seq = excluded.seq, next_at = excluded.next_at";
    SCHEDULE_NEXT = "UPDATE checkin_schedule SET next_at = $2 WHERE channel = $1";
    SCHEDULE_END = "DELETE FROM checkin_schedule WHERE channel = $1";
    SCHEDULE_GET = "SELECT channel, patient, seq, next_at FROM checkin_schedule WHERE channel = $1";
    CHECKIN_ADD = "INSERT INTO checkin (id, channel, patient, seq, open) VALUES ($1, $2, $3, $4, TRUE)";
    CHECKIN_END = "UPDATE checkin SET open = FALSE WHERE id = $1";
    CHECKIN_GET = "SELECT id, channel, patient, seq, open FROM checkin WHERE id = $1";
    CHECKIN_NEWEST = "SELECT id, channel, patient, seq, open FROM checkin WHERE channel = $1 ORDER BY seq DESC LIMIT 1";
    CHECKINS_OPEN = "SELECT id, channel, patient, seq, open FROM checkin WHERE patient = $1 AND open ORDER BY id";
    ANSWER_ADD = "INSERT INTO checkin_answer (checkin, person, seq, at) VALUES ($1, $2, $3, $4)";
    ANSWERS = "SELECT person, seq, at FROM checkin_answer WHERE checkin = $1 ORDER BY seq";
    CLEAR_SCHEDULE = "DELETE FROM checkin_schedule";
    CLEAR_CHECKIN = "DELETE FROM checkin";
    CLEAR_ANSWER = "DELETE FROM checkin_answer";
}

/// The schedule of a channel.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct ScheduleRow {
    /// Where.
    pub channel: ChannelId,
    /// At whose record.
    pub patient: PatientId,
    /// The entry that says it.
    pub seq: i64,
    /// When the next check-in opens; none if the rule has ended.
    pub next_at: Option<Micros>,
}

/// A check-in.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct CheckinRow {
    /// Which.
    pub id: ThingId,
    /// Where.
    pub channel: ChannelId,
    /// At whose record.
    pub patient: PatientId,
    /// The entry that opened it.
    pub seq: i64,
    /// It is not closed yet.
    pub open: bool,
}

/// Somebody's answer.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct AnswerRow {
    /// Who.
    pub person: UserId,
    /// The entry that says it.
    pub seq: i64,
    /// When.
    pub at: Micros,
}

/// A channel has this schedule from here on.
///
/// # Errors
/// The database's.
pub async fn put_schedule(tx: &mut Tx, row: &ScheduleRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(SCHEDULE_PUT)
            .bind(row.channel)
            .bind(row.patient)
            .bind(row.seq)
            .bind(row.next_at)
            .execute(c)
            .await
            .map(drop)
    })
}

/// When the next check-in of a channel opens.
///
/// # Errors
/// The database's.
pub async fn set_next(tx: &mut Tx, channel: ChannelId, next: Option<Micros>) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(SCHEDULE_NEXT).bind(channel).bind(next).execute(c).await.map(drop))
}

/// A channel has no schedule any more.
///
/// # Errors
/// The database's.
pub async fn end_schedule(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(SCHEDULE_END).bind(channel).execute(c).await.map(drop))
}

/// The schedule of a channel.
///
/// # Errors
/// The database's.
pub async fn schedule(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<Option<ScheduleRow>> {
    on_db!(tx, |c| sqlx::query_as(SCHEDULE_GET).bind(channel).fetch_optional(c).await)
}

/// A check-in is open.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, row: &CheckinRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(CHECKIN_ADD)
            .bind(row.id)
            .bind(row.channel)
            .bind(row.patient)
            .bind(row.seq)
            .execute(c)
            .await
            .map(drop)
    })
}

/// A check-in is closed.
///
/// # Errors
/// The database's.
pub async fn end(tx: &mut Tx, id: ThingId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(CHECKIN_END).bind(id).execute(c).await.map(drop))
}

/// A check-in.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, id: ThingId) -> sqlx::Result<Option<CheckinRow>> {
    on_db!(tx, |c| sqlx::query_as(CHECKIN_GET).bind(id).fetch_optional(c).await)
}

/// The newest check-in of a channel.
///
/// # Errors
/// The database's.
pub async fn newest(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<Option<CheckinRow>> {
    on_db!(tx, |c| sqlx::query_as(CHECKIN_NEWEST).bind(channel).fetch_optional(c).await)
}

/// The check-ins of a patient that can be answered.
///
/// # Errors
/// The database's.
pub async fn open(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<CheckinRow>> {
    on_db!(tx, |c| sqlx::query_as(CHECKINS_OPEN).bind(patient).fetch_all(c).await)
}

/// Somebody has answered.
///
/// # Errors
/// The database's.
pub async fn add_answer(tx: &mut Tx, checkin: ThingId, row: &AnswerRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ANSWER_ADD).bind(checkin).bind(row.person).bind(row.seq).bind(row.at).execute(c).await.map(drop)
    })
}

/// Who has answered, in the order they did.
///
/// # Errors
/// The database's.
pub async fn answers(tx: &mut Tx, checkin: ThingId) -> sqlx::Result<Vec<AnswerRow>> {
    on_db!(tx, |c| sqlx::query_as(ANSWERS).bind(checkin).fetch_all(c).await)
}
