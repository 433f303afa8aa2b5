//! Statements of handoffs: each as it stands.

use crate::kernel::base::{ChannelId, Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    HANDOFF_ADD = "INSERT INTO handoff (id, patient, channel, seq, giver, receiver, state, at, since, minutes, escalated, revision, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    HANDOFF_GET = "SELECT id, patient, channel, seq, giver, receiver, state, at, since, minutes, escalated, revision, sealed FROM handoff WHERE id = $1";
    HANDOFF_OPEN = "SELECT id, patient, channel, seq, giver, receiver, state, at, since, minutes, escalated, revision, sealed FROM handoff WHERE patient = $1 AND state IN (0, 2) ORDER BY seq LIMIT $2";
    HANDOFF_NEWEST = "SELECT id, patient, channel, seq, giver, receiver, state, at, since, minutes, escalated, revision, sealed FROM handoff WHERE patient = $1 ORDER BY seq DESC LIMIT $2";
    HANDOFF_SET = "UPDATE handoff SET state = $2, since = $3, escalated = $4, revision = $5, sealed = $6 WHERE id = $1";
    CLEAR_HANDOFF = "DELETE FROM handoff";
}

/// A row of `handoff`.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct HandoffRow {
    /// The handoff.
    pub id: ThingId,
    /// At which patient.
    pub patient: PatientId,
    /// The patient's plan channel.
    pub channel: ChannelId,
    /// Where it was offered.
    pub seq: i64,
    /// Who offered it.
    pub giver: UserId,
    /// To whom.
    pub receiver: UserId,
    /// [`super::State`] as a number.
    pub state: i16,
    /// When it was offered.
    pub at: Micros,
    /// Since when it stands as it does.
    pub since: Micros,
    /// Minutes until whoever has to act is reminded.
    pub minutes: i64,
    /// How often it was escalated since it stands as it does.
    pub escalated: i64,
    /// What the view is sealed to.
    pub revision: i64,
    /// [`super::views::View`], sealed.
    pub sealed: Vec<u8>,
}

/// Adds a handoff.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, row: &HandoffRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(HANDOFF_ADD)
            .bind(row.id)
            .bind(row.patient)
            .bind(row.channel)
            .bind(row.seq)
            .bind(row.giver)
            .bind(row.receiver)
            .bind(row.state)
            .bind(row.at)
            .bind(row.since)
            .bind(row.minutes)
            .bind(row.escalated)
            .bind(row.revision)
            .bind(&row.sealed)
            .execute(c)
            .await
            .map(drop)
    })
}

/// One handoff.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, id: ThingId) -> sqlx::Result<Option<HandoffRow>> {
    on_db!(tx, |c| sqlx::query_as(HANDOFF_GET).bind(id).fetch_optional(c).await)
}

/// What still waits for somebody at a patient, the oldest first.
///
/// # Errors
/// The database's.
pub async fn open(tx: &mut Tx, patient: PatientId, limit: i64) -> sqlx::Result<Vec<HandoffRow>> {
    on_db!(tx, |c| sqlx::query_as(HANDOFF_OPEN).bind(patient).bind(limit).fetch_all(c).await)
}

/// Every handoff of a patient, the newest first.
///
/// # Errors
/// The database's.
pub async fn newest(tx: &mut Tx, patient: PatientId, limit: i64) -> sqlx::Result<Vec<HandoffRow>> {
    on_db!(tx, |c| sqlx::query_as(HANDOFF_NEWEST).bind(patient).bind(limit).fetch_all(c).await)
}

/// Writes what may change of a handoff.
///
/// # Errors
/// The database's.
pub async fn set(tx: &mut Tx, row: &HandoffRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(HANDOFF_SET)
            .bind(row.id)
            .bind(row.state)
            .bind(row.since)
            .bind(row.escalated)
            .bind(row.revision)
            .bind(&row.sealed)
            .execute(c)
            .await
            .map(drop)
    })
}
