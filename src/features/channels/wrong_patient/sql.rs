//! Statements of messages that went to the wrong patient, and of those they had come before.

use crate::kernel::base::{ChannelId, Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    MISFILED_ADD = "INSERT INTO misfiled (message, patient, channel, seq, retracted, author, mover, at, moved, moved_patient, moved_channel, moved_seq, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    MISFILED_OF_MOVED = "SELECT message, patient, channel, seq, retracted, author, mover, at, moved, moved_patient, moved_channel, moved_seq, reason FROM misfiled WHERE moved = $1";
    MISFILED_GET = "SELECT message, patient, channel, seq, retracted, author, mover, at, moved, moved_patient, moved_channel, moved_seq, reason FROM misfiled WHERE message = $1";
    MISFILED_PAGE = "SELECT message, patient, channel, seq, retracted, author, mover, at, moved, moved_patient, moved_channel, moved_seq, reason FROM misfiled WHERE at < $1 OR (at = $1 AND message < $2) ORDER BY at DESC, message DESC LIMIT $3";
    MISFILED_PAGE_OF = "SELECT message, patient, channel, seq, retracted, author, mover, at, moved, moved_patient, moved_channel, moved_seq, reason FROM misfiled WHERE (patient = $4 OR moved_patient = $4) AND (at < $1 OR (at = $1 AND message < $2)) ORDER BY at DESC, message DESC LIMIT $3";
    EXPOSURE_ADD = "INSERT INTO misfiled_exposure (message, person, sent, has_read, read_at) VALUES ($1, $2, $3, $4, $5)";
    EXPOSURES = "SELECT message, person, sent, has_read, read_at FROM misfiled_exposure WHERE message = $1 ORDER BY person";
    READ_BY = "SELECT person FROM read_position WHERE channel = $1 AND seq >= $2";
}

/// A message that was moved.
#[derive(sqlx::FromRow)]
pub struct MisfiledRow {
    /// It, where it did not belong.
    pub message: ThingId,
    /// Whose record that is.
    pub patient: PatientId,
    /// In which channel.
    pub channel: ChannelId,
    /// Its place there.
    pub seq: i64,
    /// The place of its retraction.
    pub retracted: i64,
    /// Who wrote it.
    pub author: UserId,
    /// Who moved it.
    pub mover: UserId,
    /// When.
    pub at: Micros,
    /// The message that says the same where it belongs.
    pub moved: ThingId,
    /// Whose record that is.
    pub moved_patient: PatientId,
    /// In which channel.
    pub moved_channel: ChannelId,
    /// Its place there.
    pub moved_seq: i64,
    /// What the mover said, sealed.
    pub reason: Vec<u8>,
}

/// Somebody it had come before.
#[derive(Clone, Copy, sqlx::FromRow)]
pub struct ExposureRow {
    /// The message.
    pub message: ThingId,
    /// Who.
    pub person: UserId,
    /// When it was sent to them; none if that is not known.
    pub sent: Option<Micros>,
    /// Marked as read.
    pub has_read: bool,
    /// When; none if that is not known.
    pub read_at: Option<Micros>,
}

/// Keeps a move.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, row: &MisfiledRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(MISFILED_ADD)
            .bind(row.message)
            .bind(row.patient)
            .bind(row.channel)
            .bind(row.seq)
            .bind(row.retracted)
            .bind(row.author)
            .bind(row.mover)
            .bind(row.at)
            .bind(row.moved)
            .bind(row.moved_patient)
            .bind(row.moved_channel)
            .bind(row.moved_seq)
            .bind(&row.reason)
            .execute(c)
            .await
            .map(drop)
    })
}

/// Keeps before whose eyes a message had come.
///
/// # Errors
/// The database's.
pub async fn add_exposure(tx: &mut Tx, row: &ExposureRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(EXPOSURE_ADD)
            .bind(row.message)
            .bind(row.person)
            .bind(row.sent)
            .bind(row.has_read)
            .bind(row.read_at)
            .execute(c)
            .await
            .map(drop)
    })
}

/// The move that made a message.
///
/// # Errors
/// The database's.
pub async fn of_moved(tx: &mut Tx, moved: ThingId) -> sqlx::Result<Option<MisfiledRow>> {
    on_db!(tx, |c| sqlx::query_as(MISFILED_OF_MOVED).bind(moved).fetch_optional(c).await)
}

/// The move that took a message away.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, message: ThingId) -> sqlx::Result<Option<MisfiledRow>> {
    on_db!(tx, |c| sqlx::query_as(MISFILED_GET).bind(message).fetch_optional(c).await)
}

/// Moves before `(at, message)`, the newest first; of one patient, or of all.
///
/// # Errors
/// The database's.
pub async fn page(
    tx: &mut Tx,
    patient: Option<PatientId>,
    (at, message): (Micros, ThingId),
    limit: i64,
) -> sqlx::Result<Vec<MisfiledRow>> {
    match patient {
        None => {
            on_db!(tx, |c| sqlx::query_as(MISFILED_PAGE).bind(at).bind(message).bind(limit).fetch_all(c).await)
        }
        Some(patient) => on_db!(tx, |c| {
            sqlx::query_as(MISFILED_PAGE_OF).bind(at).bind(message).bind(limit).bind(patient).fetch_all(c).await
        }),
    }
}

/// Before whose eyes a message had come.
///
/// # Errors
/// The database's.
pub async fn exposures(tx: &mut Tx, message: ThingId) -> sqlx::Result<Vec<ExposureRow>> {
    on_db!(tx, |c| sqlx::query_as(EXPOSURES).bind(message).fetch_all(c).await)
}

/// Whose read position is at an entry or beyond it.
///
/// # Errors
/// The database's.
pub async fn read_by(tx: &mut Tx, channel: ChannelId, seq: i64) -> sqlx::Result<Vec<UserId>> {
    let rows: Vec<(UserId,)> = on_db!(tx, |c| sqlx::query_as(READ_BY).bind(channel).bind(seq).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(person,)| person).collect())
}
