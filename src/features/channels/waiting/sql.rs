//! Statements of messages that wait for an answer, and of each time that was said again.

use uuid::Uuid;

use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, id_list, on_db, statements};

statements! {
    ASK_ADD = "INSERT INTO message_ask (message, patient, channel, seq, item, item_version, author, priority, every, posted, asked, reached, rounds, step, ended) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    ASK_GET = "SELECT message, patient, channel, seq, item, item_version, author, priority, every, posted, asked, reached, rounds, step, ended FROM message_ask WHERE message = $1";
    ASK_STEP = "UPDATE message_ask SET reached = $2, rounds = $3, step = $4 WHERE message = $1";
    ASK_ITEM = "UPDATE message_ask SET item = $2, item_version = $3 WHERE message = $1";
    ASK_END = "UPDATE message_ask SET ended = $2 WHERE message = $1";
    ASKS_OPEN = "SELECT message, channel, seq, item, item_version, author FROM message_ask WHERE ended IS NULL AND item IN (SELECT unhex(value) FROM json_each($1)) ORDER BY message";
    ASKS_OF_PATIENT = "SELECT message, patient, channel, seq, item, item_version, author, priority, every, posted, asked, reached, rounds, step, ended FROM message_ask WHERE ended IS NULL AND patient = $1 ORDER BY message";
    ASKS_OF_CHANNEL = "SELECT message, patient, channel, seq, item, item_version, author, priority, every, posted, asked, reached, rounds, step, ended FROM message_ask WHERE ended IS NULL AND channel = $1 ORDER BY message";
    CLEAR_ASKS = "DELETE FROM message_ask";
    ASK_STEP_ADD = "INSERT INTO message_ask_step (message, seq, at, step, people) VALUES ($1, $2, $3, $4, $5)";
    ASK_STEPS = "SELECT message, seq, at, step, people FROM message_ask_step WHERE message = $1 ORDER BY seq";
    CLEAR_ASK_STEPS = "DELETE FROM message_ask_step";
}

/// A message that asks for an answer.
#[derive(sqlx::FromRow)]
pub struct AskRow {
    /// It.
    pub message: ThingId,
    /// Whose record.
    pub patient: PatientId,
    /// Where.
    pub channel: ChannelId,
    /// Its place there.
    pub seq: i64,
    /// The item it is linked to now.
    pub item: ItemId,
    /// The version of the item when it was linked.
    pub item_version: i64,
    /// Who asks.
    pub author: UserId,
    /// The number of its priority.
    pub priority: i16,
    /// Its deadline.
    pub every: Micros,
    /// When it was posted.
    pub posted: Micros,
    /// Who was asked.
    pub asked: String,
    /// Who it was escalated to.
    pub reached: String,
    /// How often it was said again.
    pub rounds: i64,
    /// The highest step so far.
    pub step: i64,
    /// When it came to an end.
    pub ended: Option<Micros>,
}

/// A message whose answer is awaited, for whoever looks after its item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct OpenAsk {
    /// It.
    pub message: ThingId,
    /// Where.
    pub channel: ChannelId,
    /// Its place there.
    pub seq: i64,
    /// The item it is linked to now.
    pub item: ItemId,
    /// The version of the item when it was linked.
    pub item_version: i64,
    /// Who asks.
    pub author: UserId,
}

/// One time that it was said again.
#[derive(sqlx::FromRow)]
pub struct StepRow {
    /// Of which message.
    pub message: ThingId,
    /// The place of the entry.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// 0 to those asked, 1 to the responsible, from 2 on to the lead.
    pub step: i64,
    /// To whom.
    pub people: String,
}

/// A list of people as it is kept.
#[must_use]
pub fn list(people: &[UserId]) -> String {
    id_list(people.iter().map(|user| user.0))
}

/// Reads what [`list`] wrote.
///
/// # Errors
/// It is something else: an integrity fault.
pub fn people(list: &str) -> Result<Vec<UserId>, Fault> {
    let ids: Vec<Uuid> = serde_json::from_str(list).map_err(|_| Fault::Integrity("a list of people is none"))?;
    Ok(ids.into_iter().map(UserId).collect())
}

/// A message asks.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, row: &AskRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ASK_ADD)
            .bind(row.message)
            .bind(row.patient)
            .bind(row.channel)
            .bind(row.seq)
            .bind(row.item)
            .bind(row.item_version)
            .bind(row.author)
            .bind(row.priority)
            .bind(row.every)
            .bind(row.posted)
            .bind(&row.asked)
            .bind(&row.reached)
            .bind(row.rounds)
            .bind(row.step)
            .bind(row.ended)
            .execute(c)
            .await
            .map(drop)
    })
}

/// What a message asks.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, message: ThingId) -> sqlx::Result<Option<AskRow>> {
    on_db!(tx, |c| sqlx::query_as(ASK_GET).bind(message).fetch_optional(c).await)
}

/// It was said again.
///
/// # Errors
/// The database's.
pub async fn advance(tx: &mut Tx, row: &AskRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ASK_STEP)
            .bind(row.message)
            .bind(&row.reached)
            .bind(row.rounds)
            .bind(row.step)
            .execute(c)
            .await
            .map(drop)
    })
}

/// It is linked to another item.
///
/// # Errors
/// The database's.
pub async fn set_item(tx: &mut Tx, message: ThingId, item: ItemId, version: i64) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(ASK_ITEM).bind(message).bind(item).bind(version).execute(c).await.map(drop))
}

/// No answer is awaited any more.
///
/// # Errors
/// The database's.
pub async fn end(tx: &mut Tx, message: ThingId, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(ASK_END).bind(message).bind(at).execute(c).await.map(drop))
}

/// Those that are linked to one of these items and wait. One statement, however many they are.
///
/// # Errors
/// The database's.
pub async fn open(tx: &mut Tx, items: &[ItemId]) -> sqlx::Result<Vec<OpenAsk>> {
    let items = id_list(items.iter().map(|item| item.0));
    on_db!(tx, |c| sqlx::query_as(ASKS_OPEN).bind(items).fetch_all(c).await)
}

/// Those of a patient's record that wait.
///
/// # Errors
/// The database's.
pub async fn of_patient(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<AskRow>> {
    on_db!(tx, |c| sqlx::query_as(ASKS_OF_PATIENT).bind(patient).fetch_all(c).await)
}

/// Those of a channel that wait.
///
/// # Errors
/// The database's.
pub async fn of_channel(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<Vec<AskRow>> {
    on_db!(tx, |c| sqlx::query_as(ASKS_OF_CHANNEL).bind(channel).fetch_all(c).await)
}

/// Keeps one time that it was said again.
///
/// # Errors
/// The database's.
pub async fn add_step(tx: &mut Tx, row: &StepRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ASK_STEP_ADD)
            .bind(row.message)
            .bind(row.seq)
            .bind(row.at)
            .bind(row.step)
            .bind(&row.people)
            .execute(c)
            .await
            .map(drop)
    })
}

/// Each time that it was said again, ascending.
///
/// # Errors
/// The database's.
pub async fn steps(tx: &mut Tx, message: ThingId) -> sqlx::Result<Vec<StepRow>> {
    on_db!(tx, |c| sqlx::query_as(ASK_STEPS).bind(message).fetch_all(c).await)
}
