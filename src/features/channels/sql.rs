//! Statements of channels: sealed names, how far each person has read, and who has answered what.

use uuid::Uuid;

use crate::kernel::base::{ChannelId, EntryId, Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, id_list, on_db, statements};

statements! {
    VIEW_ADD = "INSERT INTO channel_view (id, patient, revision, sealed) VALUES ($1, $2, $3, $4)";
    VIEW_SET = "UPDATE channel_view SET revision = $2, sealed = $3 WHERE id = $1";
    VIEW_GET = "SELECT id, revision, sealed FROM channel_view WHERE id = $1";
    VIEWS_OF = "SELECT id, revision, sealed FROM channel_view WHERE patient = $1";
    CLEAR_VIEW = "DELETE FROM channel_view";
    POSITION_GET = "SELECT seq FROM read_position WHERE person = $1 AND channel = $2";
    POSITIONS_OF = "SELECT channel, seq FROM read_position WHERE person = $1";
    POSITION_SET = "INSERT INTO read_position (person, channel, seq) VALUES ($1, $2, $3)
        ON CONFLICT (person, channel) DO UPDATE SET seq = excluded.seq";
    ANSWERS = "SELECT message, person, kind, entry, seq, at, confirmed FROM message_answer WHERE message = $1 ORDER BY seq";
    ANSWER_PUT = "INSERT INTO message_answer (message, person, kind, entry, seq, at, confirmed) VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (message, person) DO UPDATE SET kind = excluded.kind, entry = excluded.entry, seq = excluded.seq, at = excluded.at, confirmed = excluded.confirmed";
    ANSWER_CONFIRM = "UPDATE message_answer SET confirmed = $3 WHERE message = $1 AND entry = $2";
    CLEAR_ANSWERS = "DELETE FROM message_answer";
    THREAD_ADD = "INSERT INTO message_task (message, task, channel, seq) VALUES ($1, $2, $3, $4)";
    THREAD_DROP = "DELETE FROM message_task WHERE message = $1";
    THREADS = "SELECT task, channel, seq FROM message_task WHERE task IN (SELECT unhex(value) FROM json_each($1)) ORDER BY seq";
    CLEAR_THREADS = "DELETE FROM message_task";
}

/// The answer of one reader to one message.
#[derive(sqlx::FromRow)]
pub struct AnswerRow {
    /// What is answered.
    pub message: ThingId,
    /// Who answered.
    pub person: UserId,
    /// 1 an acknowledgement, 2 a check-back.
    pub kind: i16,
    /// The entry of it.
    pub entry: EntryId,
    /// Its place in the channel.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// When the author confirmed it.
    pub confirmed: Option<Micros>,
}

/// The answers to a message, in the order they were made.
///
/// # Errors
/// The database's.
pub async fn answers(tx: &mut Tx, message: ThingId) -> sqlx::Result<Vec<AnswerRow>> {
    on_db!(tx, |c| sqlx::query_as(ANSWERS).bind(message).fetch_all(c).await)
}

/// Somebody's answer, instead of an earlier one of theirs.
///
/// # Errors
/// The database's.
pub async fn put_answer(tx: &mut Tx, row: &AnswerRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ANSWER_PUT)
            .bind(row.message)
            .bind(row.person)
            .bind(row.kind)
            .bind(row.entry)
            .bind(row.seq)
            .bind(row.at)
            .bind(row.confirmed)
            .execute(c)
            .await
            .map(drop)
    })
}

/// The answer that stands in this entry was confirmed.
///
/// # Errors
/// The database's.
pub async fn confirm_answer(tx: &mut Tx, message: ThingId, entry: EntryId, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(ANSWER_CONFIRM).bind(message).bind(entry).bind(at).execute(c).await.map(drop))
}

/// Name and purpose of a channel, sealed.
#[derive(sqlx::FromRow)]
pub struct ViewRow {
    /// The channel.
    pub id: Uuid,
    /// The revision it is sealed under: `seq` of the entry it comes from.
    pub revision: i64,
    /// Sealed JSON.
    pub sealed: Vec<u8>,
}

/// A new channel's name.
///
/// # Errors
/// The database's.
pub async fn add_view(tx: &mut Tx, patient: PatientId, row: &ViewRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(VIEW_ADD).bind(row.id).bind(patient).bind(row.revision).bind(&row.sealed).execute(c).await.map(drop)
    })
}

/// A changed channel's name.
///
/// # Errors
/// The database's.
pub async fn set_view(tx: &mut Tx, row: &ViewRow) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(VIEW_SET).bind(row.id).bind(row.revision).bind(&row.sealed).execute(c).await.map(drop))
}

/// A channel's name.
///
/// # Errors
/// The database's.
pub async fn view(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<Option<ViewRow>> {
    on_db!(tx, |c| sqlx::query_as(VIEW_GET).bind(channel).fetch_optional(c).await)
}

/// The names of a patient's channels.
///
/// # Errors
/// The database's.
pub async fn views_of(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<ViewRow>> {
    on_db!(tx, |c| sqlx::query_as(VIEWS_OF).bind(patient).fetch_all(c).await)
}

/// How far a person has read a channel, 0 if never.
///
/// # Errors
/// The database's.
pub async fn position(tx: &mut Tx, person: UserId, channel: ChannelId) -> sqlx::Result<i64> {
    let row: Option<(i64,)> =
        on_db!(tx, |c| sqlx::query_as(POSITION_GET).bind(person).bind(channel).fetch_optional(c).await)?;
    Ok(row.map_or(0, |(seq,)| seq))
}

/// How far a person has read, channel by channel.
///
/// # Errors
/// The database's.
pub async fn positions(tx: &mut Tx, person: UserId) -> sqlx::Result<Vec<(ChannelId, i64)>> {
    on_db!(tx, |c| sqlx::query_as(POSITIONS_OF).bind(person).fetch_all(c).await)
}

/// Remembers how far a person has read a channel.
///
/// # Errors
/// The database's.
pub async fn set_position(tx: &mut Tx, person: UserId, channel: ChannelId, seq: i64) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(POSITION_SET).bind(person).bind(channel).bind(seq).execute(c).await.map(drop))
}

/// A message names a task.
///
/// # Errors
/// The database's.
pub async fn add_to_thread(
    tx: &mut Tx,
    message: ThingId,
    task: ThingId,
    channel: ChannelId,
    seq: i64,
) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(THREAD_ADD).bind(message).bind(task).bind(channel).bind(seq).execute(c).await.map(drop)
    })
}

/// A message names no task any more.
///
/// # Errors
/// The database's.
pub async fn drop_from_thread(tx: &mut Tx, message: ThingId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(THREAD_DROP).bind(message).execute(c).await.map(drop))
}

/// Where the messages stand that name these tasks. One statement, however many they are.
///
/// # Errors
/// The database's.
pub async fn threads(tx: &mut Tx, tasks: &[ThingId]) -> sqlx::Result<Vec<(ThingId, ChannelId, i64)>> {
    let tasks = id_list(tasks.iter().map(|task| task.0));
    on_db!(tx, |c| sqlx::query_as(THREADS).bind(tasks).fetch_all(c).await)
}
