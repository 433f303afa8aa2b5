//! Statements of tasks.

use crate::kernel::base::{ChannelId, ItemId, Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    TASK_ADD = "INSERT INTO task (id, patient, channel, item, item_version, state, owner_user, owner_responsibility, place, ended, origin, revision, view)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    TASK_SET = "UPDATE task SET item = $2, item_version = $3, state = $4, owner_user = $5, owner_responsibility = $6, place = $7, ended = $8, revision = $9, view = $10 WHERE id = $1";
    TASK_GET = "SELECT id, patient, channel, item, item_version, state, owner_user, owner_responsibility, place, ended, origin, revision, view FROM task WHERE id = $1";
    TASKS_OPEN = "SELECT id, patient, channel, item, item_version, state, owner_user, owner_responsibility, place, ended, origin, revision, view FROM task WHERE patient = $1 AND ended IS NULL";
    TASKS_ENDED = "SELECT id, patient, channel, item, item_version, state, owner_user, owner_responsibility, place, ended, origin, revision, view FROM task WHERE patient = $1 AND ended >= $2";
    TASKS_FROM = "SELECT id, patient, channel, item, item_version, state, owner_user, owner_responsibility, place, ended, origin, revision, view FROM task WHERE origin = $1 ORDER BY id";
    DRIFTING = "SELECT DISTINCT channel FROM task WHERE patient = $1 AND ended IS NULL AND item = $2 AND item_version < $3";
    COLUMN = "SELECT id, place FROM task WHERE patient = $1 AND state = $2";
    CLEAR = "DELETE FROM task";
}

/// A row of `task`.
#[derive(sqlx::FromRow)]
pub struct TaskRow {
    /// The task.
    pub id: ThingId,
    /// At whose record.
    pub patient: PatientId,
    /// Where.
    pub channel: ChannelId,
    /// The plan item it is for.
    pub item: ItemId,
    /// The item's number when somebody last looked at both.
    pub item_version: i64,
    /// [`super::State`] as a number.
    pub state: i16,
    /// The person it rests with.
    pub owner_user: Option<UserId>,
    /// The responsibility it rests with, as a number.
    pub owner_responsibility: Option<i16>,
    /// What it is ordered by inside its column.
    pub place: String,
    /// When it ended.
    pub ended: Option<Micros>,
    /// The message or note it was made from.
    pub origin: Option<ThingId>,
    /// What the view is sealed to.
    pub revision: i64,
    /// [`super::Task`], sealed.
    pub view: Vec<u8>,
}

/// Adds a task.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, row: &TaskRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(TASK_ADD)
            .bind(row.id)
            .bind(row.patient)
            .bind(row.channel)
            .bind(row.item)
            .bind(row.item_version)
            .bind(row.state)
            .bind(row.owner_user)
            .bind(row.owner_responsibility)
            .bind(&row.place)
            .bind(row.ended)
            .bind(row.origin)
            .bind(row.revision)
            .bind(&row.view)
            .execute(c)
            .await
            .map(drop)
    })
}

/// Writes what may change of a task.
///
/// # Errors
/// The database's.
pub async fn set(tx: &mut Tx, row: &TaskRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(TASK_SET)
            .bind(row.id)
            .bind(row.item)
            .bind(row.item_version)
            .bind(row.state)
            .bind(row.owner_user)
            .bind(row.owner_responsibility)
            .bind(&row.place)
            .bind(row.ended)
            .bind(row.revision)
            .bind(&row.view)
            .execute(c)
            .await
            .map(drop)
    })
}

/// One task.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, task: ThingId) -> sqlx::Result<Option<TaskRow>> {
    on_db!(tx, |c| sqlx::query_as(TASK_GET).bind(task).fetch_optional(c).await)
}

/// A patient's tasks that are not over.
///
/// # Errors
/// The database's.
pub async fn open(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<TaskRow>> {
    on_db!(tx, |c| sqlx::query_as(TASKS_OPEN).bind(patient).fetch_all(c).await)
}

/// A patient's tasks that ended since a time.
///
/// # Errors
/// The database's.
pub async fn ended(tx: &mut Tx, patient: PatientId, since: Micros) -> sqlx::Result<Vec<TaskRow>> {
    on_db!(tx, |c| sqlx::query_as(TASKS_ENDED).bind(patient).bind(since).fetch_all(c).await)
}

/// The tasks that were made from a message or note, in the order they were made.
///
/// # Errors
/// The database's.
pub async fn made_from(tx: &mut Tx, origin: ThingId) -> sqlx::Result<Vec<TaskRow>> {
    on_db!(tx, |c| sqlx::query_as(TASKS_FROM).bind(origin).fetch_all(c).await)
}

/// Where a patient's tasks stand that are not over, serve an item and know it by an older number.
///
/// # Errors
/// The database's.
pub async fn drifting(tx: &mut Tx, patient: PatientId, item: ItemId, version: i64) -> sqlx::Result<Vec<ChannelId>> {
    let rows: Vec<(ChannelId,)> =
        on_db!(tx, |c| sqlx::query_as(DRIFTING).bind(patient).bind(item).bind(version).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(channel,)| channel).collect())
}

/// The places of a column, in order. Texts are ordered by their bytes, whatever the database's language.
///
/// # Errors
/// The database's.
pub async fn column(tx: &mut Tx, patient: PatientId, state: i16) -> sqlx::Result<Vec<(ThingId, String)>> {
    let mut places: Vec<(ThingId, String)> =
        on_db!(tx, |c| sqlx::query_as(COLUMN).bind(patient).bind(state).fetch_all(c).await)?;
    places.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
    Ok(places)
}
