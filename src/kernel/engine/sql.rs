//! Statements of the engine: channel `me`, alarms, and the clearing of projections for a rebuild.

use serde_json::value::RawValue;

use uuid::Uuid;

use super::alarm::Alarm;
use crate::kernel::base::{Fault, Micros, PatientId, UserId};
use crate::kernel::store::{Tx, on_db, statements};
use crate::kernel::wire::{self, Frame};

statements! {
    ALARM_GET = "SELECT alarm.thing, alarm.op, alarm.patient, alarm.at FROM alarm LEFT JOIN alarm_run ON alarm_run.thing = alarm.thing AND alarm_run.op = alarm.op AND alarm_run.at = alarm.at WHERE alarm.thing = $1 AND alarm.op = $2 AND alarm_run.at IS NULL";
    ALARM_DROP = "DELETE FROM alarm WHERE thing = $1 AND op = $2";
    ALARM_ADD = "INSERT INTO alarm (thing, op, patient, at) VALUES ($1, $2, $3, $4)";
    ALARM_CLEAR = "DELETE FROM alarm";
    ALARM_RAN_DROP = "DELETE FROM alarm_run WHERE thing = $1 AND op = $2";
    ALARM_RAN = "INSERT INTO alarm_run (thing, op, at) VALUES ($1, $2, $3)";
    ALARMS_DUE = "SELECT alarm.thing, alarm.op, alarm.patient, alarm.at FROM alarm LEFT JOIN alarm_run ON alarm_run.thing = alarm.thing AND alarm_run.op = alarm.op AND alarm_run.at = alarm.at WHERE alarm.at <= $1 AND alarm_run.at IS NULL ORDER BY alarm.at, alarm.thing, alarm.op LIMIT $2";
    ME_HEAD = "SELECT MAX(seq) AS newest FROM me_event WHERE person = $1";
    ME_ADD = "INSERT INTO me_event (person, seq, at, event, body) VALUES ($1, $2, $3, $4, $5)";
    ME_PAGE = "SELECT seq, at, event, body FROM me_event WHERE person = $1 AND seq > $2 ORDER BY seq LIMIT $3";
    ME_DROP = "DELETE FROM me_event WHERE at < $1 AND seq < (SELECT MAX(newest.seq) FROM me_event AS newest WHERE newest.person = me_event.person)";
}

/// A fact of channel `me`.
#[derive(sqlx::FromRow)]
pub struct MeRow {
    /// Place in the channel.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// Event name.
    pub event: String,
    /// JSON, ids only.
    pub body: String,
}

impl MeRow {
    /// The event frame: the same as sent live.
    ///
    /// # Errors
    /// The row is not what was written: an integrity fault.
    pub fn frame(&self) -> Result<Frame, Fault> {
        let body: &RawValue =
            serde_json::from_str(&self.body).map_err(|_| Fault::Integrity("a fact of channel `me` is not JSON"))?;
        Ok(wire::event_bytes(&self.event, Some("me"), Some(self.seq), self.at, None, body))
    }
}

/// Newest `seq` of a person's channel `me`, 0 if empty.
///
/// # Errors
/// The database's.
pub async fn me_head(tx: &mut Tx, user: UserId) -> sqlx::Result<i64> {
    let (newest,): (Option<i64>,) = on_db!(tx, |c| sqlx::query_as(ME_HEAD).bind(user).fetch_one(c).await)?;
    Ok(newest.unwrap_or(0))
}

/// Adds a fact to a person's channel `me`.
///
/// # Errors
/// The database's.
pub async fn add_me(tx: &mut Tx, user: UserId, seq: i64, at: Micros, event: &str, body: &str) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(ME_ADD).bind(user).bind(seq).bind(at).bind(event).bind(body).execute(c).await.map(drop))
}

/// Facts of a person's channel `me` after `seq`, ascending.
///
/// # Errors
/// The database's.
pub async fn me_page(tx: &mut Tx, user: UserId, after: i64, limit: i64) -> sqlx::Result<Vec<MeRow>> {
    on_db!(tx, |c| sqlx::query_as(ME_PAGE).bind(user).bind(after).bind(limit).fetch_all(c).await)
}

/// Drops facts older than `before`, but the newest of each person: its `seq` goes on from there.
///
/// # Errors
/// The database's.
pub async fn drop_me(tx: &mut Tx, before: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(ME_DROP).bind(before).execute(c).await.map(drop))
}

/// The alarm of a thing that was not run yet.
///
/// # Errors
/// The database's.
pub async fn alarm(tx: &mut Tx, thing: Uuid, op: &str) -> sqlx::Result<Option<Alarm>> {
    on_db!(tx, |c| sqlx::query_as(ALARM_GET).bind(thing).bind(op).fetch_optional(c).await)
}

/// What is due and was not run yet, the longest due first.
///
/// # Errors
/// The database's.
pub async fn alarms_due(tx: &mut Tx, now: Micros, limit: i64) -> sqlx::Result<Vec<Alarm>> {
    on_db!(tx, |c| sqlx::query_as(ALARMS_DUE).bind(now).bind(limit).fetch_all(c).await)
}

/// Sets the alarm of a thing, or ends it.
///
/// # Errors
/// The database's.
pub async fn set_alarm(tx: &mut Tx, thing: Uuid, op: &str, patient: PatientId, at: Option<Micros>) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(ALARM_DROP).bind(thing).bind(op).execute(c).await.map(drop))?;
    let Some(at) = at else { return Ok(()) };
    on_db!(tx, |c| sqlx::query(ALARM_ADD).bind(thing).bind(op).bind(patient).bind(at).execute(c).await.map(drop))
}

/// Nothing is known any more of when an alarm was run.
///
/// # Errors
/// The database's.
pub async fn forget_run(tx: &mut Tx, thing: Uuid, op: &str) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(ALARM_RAN_DROP).bind(thing).bind(op).execute(c).await.map(drop))
}

/// An alarm was run for the time it was set for.
///
/// # Errors
/// The database's.
pub async fn ran(tx: &mut Tx, alarm: &Alarm) -> sqlx::Result<()> {
    forget_run(tx, alarm.thing, &alarm.op).await?;
    on_db!(tx, |c| {
        sqlx::query(ALARM_RAN).bind(alarm.thing).bind(&alarm.op).bind(alarm.at).execute(c).await.map(drop)
    })
}

/// Empties the alarms for a rebuild; that they were run stays.
///
/// # Errors
/// The database's.
pub async fn clear_alarms(tx: &mut Tx) -> sqlx::Result<()> {
    clear(tx, ALARM_CLEAR).await
}

/// Runs a feature's statement that empties a projection of its own ([`super::Face::clear`]).
///
/// # Errors
/// The database's.
pub async fn clear(tx: &mut Tx, statement: &'static str) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(statement).execute(c).await.map(drop))
}
