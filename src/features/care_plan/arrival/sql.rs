//! Statements of what is read again: conflicts between a source and the plan, and what a collection of a source named last.

use uuid::Uuid;

use crate::kernel::base::{ItemId, Micros, PatientId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    CONFLICT_ADD = "INSERT INTO plan_conflict (id, patient, item, base, theirs, at, settled_at) VALUES ($1, $2, $3, $4, $5, $6, NULL)";
    CONFLICT_THEIRS = "UPDATE plan_conflict SET theirs = $2, at = $3 WHERE id = $1";
    CONFLICT_SETTLE = "UPDATE plan_conflict SET settled_at = $2 WHERE id = $1";
    CONFLICT_GET = "SELECT id, patient, item, base, theirs, at, settled_at FROM plan_conflict WHERE id = $1";
    CONFLICT_OF = "SELECT id, patient, item, base, theirs, at, settled_at FROM plan_conflict WHERE item = $1 AND settled_at IS NULL";
    CONFLICTS = "SELECT id, patient, item, base, theirs, at, settled_at FROM plan_conflict WHERE patient = $1 AND settled_at IS NULL ORDER BY at, id";
    CONFLICTS_COUNT = "SELECT count(*) AS conflicts FROM plan_conflict WHERE patient = $1 AND settled_at IS NULL";
    MEMBERS = "SELECT item FROM imported_member WHERE patient = $1 AND collection = $2 ORDER BY item";
    MEMBER_ADD = "INSERT INTO imported_member (patient, collection, item) VALUES ($1, $2, $3)";
    MEMBER_END = "DELETE FROM imported_member WHERE patient = $1 AND collection = $2 AND item = $3";
    MEMBER_COUNT = "SELECT count(*) AS others FROM imported_member WHERE patient = $1 AND item = $2 AND collection <> $3";
}

/// A row of `plan_conflict`.
#[derive(sqlx::FromRow)]
pub struct ConflictRow {
    /// The conflict.
    pub id: Uuid,
    /// Whose plan.
    pub patient: PatientId,
    /// The item that was changed on both sides.
    pub item: ItemId,
    /// The imported resource both sides began with, where it is known what it said.
    pub base: Option<Uuid>,
    /// The newest one.
    pub theirs: Uuid,
    /// Since when.
    pub at: Micros,
    /// When somebody settled it.
    pub settled_at: Option<Micros>,
}

/// Adds a conflict.
///
/// # Errors
/// The database's.
pub async fn add_conflict(tx: &mut Tx, row: &ConflictRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(CONFLICT_ADD)
            .bind(row.id)
            .bind(row.patient)
            .bind(row.item)
            .bind(row.base)
            .bind(row.theirs)
            .bind(row.at)
            .execute(c)
            .await
            .map(drop)
    })
}

/// The source changed once more.
///
/// # Errors
/// The database's.
pub async fn renew_conflict(tx: &mut Tx, conflict: Uuid, theirs: Uuid, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(CONFLICT_THEIRS).bind(conflict).bind(theirs).bind(at).execute(c).await.map(drop))
}

/// It is settled.
///
/// # Errors
/// The database's.
pub async fn settle_conflict(tx: &mut Tx, conflict: Uuid, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(CONFLICT_SETTLE).bind(conflict).bind(at).execute(c).await.map(drop))
}

/// One conflict, settled or not.
///
/// # Errors
/// The database's.
pub async fn conflict(tx: &mut Tx, conflict: Uuid) -> sqlx::Result<Option<ConflictRow>> {
    on_db!(tx, |c| sqlx::query_as(CONFLICT_GET).bind(conflict).fetch_optional(c).await)
}

/// The open conflict of an item.
///
/// # Errors
/// The database's.
pub async fn conflict_of(tx: &mut Tx, item: ItemId) -> sqlx::Result<Option<ConflictRow>> {
    on_db!(tx, |c| sqlx::query_as(CONFLICT_OF).bind(item).fetch_optional(c).await)
}

/// The open conflicts of a plan, oldest first.
///
/// # Errors
/// The database's.
pub async fn conflicts(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<ConflictRow>> {
    on_db!(tx, |c| sqlx::query_as(CONFLICTS).bind(patient).fetch_all(c).await)
}

/// How many there are.
///
/// # Errors
/// The database's.
pub async fn count_conflicts(tx: &mut Tx, patient: PatientId) -> sqlx::Result<i64> {
    on_db!(tx, |c| sqlx::query_scalar(CONFLICTS_COUNT).bind(patient).fetch_one(c).await)
}

/// What a collection named last.
///
/// # Errors
/// The database's.
pub async fn members(tx: &mut Tx, patient: PatientId, collection: &[u8; 32]) -> sqlx::Result<Vec<ItemId>> {
    on_db!(tx, |c| sqlx::query_scalar(MEMBERS).bind(patient).bind(collection.as_slice()).fetch_all(c).await)
}

/// A collection names an item.
///
/// # Errors
/// The database's.
pub async fn add_member(tx: &mut Tx, patient: PatientId, collection: &[u8; 32], item: ItemId) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(MEMBER_ADD).bind(patient).bind(collection.as_slice()).bind(item).execute(c).await.map(drop)
    })
}

/// A collection names an item no more.
///
/// # Errors
/// The database's.
pub async fn end_member(tx: &mut Tx, patient: PatientId, collection: &[u8; 32], item: ItemId) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(MEMBER_END).bind(patient).bind(collection.as_slice()).bind(item).execute(c).await.map(drop)
    })
}

/// How many collections name an item, but for one.
///
/// # Errors
/// The database's.
pub async fn count_others(tx: &mut Tx, patient: PatientId, item: ItemId, but: &[u8; 32]) -> sqlx::Result<i64> {
    on_db!(tx, |c| sqlx::query_scalar(MEMBER_COUNT).bind(patient).bind(item).bind(but.as_slice()).fetch_one(c).await)
}
