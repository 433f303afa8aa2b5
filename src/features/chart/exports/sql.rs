//! Statements of exports on their way: drafts and what became of them, parcels, and the gap ledger.

use uuid::Uuid;

use crate::kernel::base::{Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    EXPORT_ADD = "INSERT INTO chart_export (id, patient, drafter, state, target, form, at, changed_at, rev, revision, parcels, sent, attempts, next_at, draft_key, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    EXPORT_SET = "UPDATE chart_export SET state = $2, target = $3, form = $4, changed_at = $5, rev = $6, revision = $7, parcels = $8, sent = $9, attempts = $10, next_at = $11, sealed = $12 WHERE id = $1";
    EXPORT_GET = "SELECT id, patient, drafter, state, target, form, at, changed_at, rev, revision, parcels, sent, attempts, next_at, draft_key, sealed FROM chart_export WHERE id = $1";
    EXPORT_KEY = "SELECT id, patient, drafter, state, target, form, at, changed_at, rev, revision, parcels, sent, attempts, next_at, draft_key, sealed FROM chart_export WHERE drafter = $1 AND draft_key = $2";
    EXPORT_NEWEST = "SELECT id, patient, drafter, state, target, form, at, changed_at, rev, revision, parcels, sent, attempts, next_at, draft_key, sealed FROM chart_export WHERE patient = $1 ORDER BY at DESC, id DESC LIMIT $2";
    EXPORT_DUE = "SELECT id, patient, drafter, state, target, form, at, changed_at, rev, revision, parcels, sent, attempts, next_at, draft_key, sealed FROM chart_export WHERE next_at <= $1 ORDER BY next_at, id LIMIT $2";
    PARCEL_ADD = "INSERT INTO chart_parcel (export, n, state, revision, sealed) VALUES ($1, $2, $3, $4, $5)";
    PARCEL_SET = "UPDATE chart_parcel SET state = $3, revision = $4, sealed = $5 WHERE export = $1 AND n = $2";
    PARCEL_NEXT = "SELECT export, n, state, revision, sealed FROM chart_parcel WHERE export = $1 AND state < 2 ORDER BY n LIMIT 1";
    PARCEL_FORGET = "DELETE FROM chart_parcel WHERE export = $1";
    LEDGER_OF = "SELECT target, resource, patient, export, state, attempts, at, hash, revision, sealed FROM chart_ledger WHERE patient = $1 AND target = $2 ORDER BY resource";
    LEDGER_GET = "SELECT target, resource, patient, export, state, attempts, at, hash, revision, sealed FROM chart_ledger WHERE target = $1 AND resource = $2";
    LEDGER_PUT = "INSERT INTO chart_ledger (target, resource, patient, export, state, attempts, at, hash, revision, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (target, resource) DO UPDATE SET export = excluded.export, state = excluded.state, attempts = excluded.attempts, at = excluded.at, hash = excluded.hash, revision = excluded.revision, sealed = excluded.sealed";
}

/// A row of `chart_export`.
#[derive(Clone, sqlx::FromRow)]
pub struct ExportRow {
    /// The export.
    pub id: ThingId,
    /// Whose record.
    pub patient: PatientId,
    /// Who drafted it.
    pub drafter: UserId,
    /// [`super::model::State`] as a number.
    pub state: i16,
    /// The configured target; a file if none.
    pub target: Option<String>,
    /// The form of the file; of a target, what it takes.
    pub form: String,
    /// When it was drafted.
    pub at: Micros,
    /// When it last changed.
    pub changed_at: Micros,
    /// What a change names.
    pub rev: i64,
    /// What the view is sealed to.
    pub revision: i64,
    /// How many parcels it is.
    pub parcels: i64,
    /// How many of them the receiver has.
    pub sent: i64,
    /// Attempts of the parcel that is next.
    pub attempts: i64,
    /// When the job looks at it next; never if none.
    pub next_at: Option<Micros>,
    /// The key it was drafted with.
    pub draft_key: Option<Uuid>,
    /// the view, sealed.
    pub sealed: Vec<u8>,
}

/// A row of `chart_parcel`.
#[derive(Clone, sqlx::FromRow)]
pub struct ParcelRow {
    /// Of this export.
    pub export: ThingId,
    /// Its place, from 0.
    pub n: i64,
    /// 0 planned, 1 its bytes are made, 2 the receiver has it.
    pub state: i16,
    /// What it is sealed to.
    pub revision: i64,
    /// The parcel, sealed.
    pub sealed: Vec<u8>,
}

/// A row of `chart_ledger`.
#[derive(Clone, sqlx::FromRow)]
pub struct LedgerRow {
    /// The receiver.
    pub target: String,
    /// Our id of the resource.
    pub resource: Uuid,
    /// Of whose record.
    pub patient: PatientId,
    /// The export that sent it last.
    pub export: ThingId,
    /// 0 on its way, 1 there.
    pub state: i16,
    /// How often it was sent.
    pub attempts: i64,
    /// When that was.
    pub at: Micros,
    /// SHA-256 of what was sent.
    pub hash: Vec<u8>,
    /// What it is sealed to.
    pub revision: i64,
    /// Where the receiver holds it and its own words, sealed.
    pub sealed: Vec<u8>,
}

/// Adds an export.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, row: &ExportRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(EXPORT_ADD)
            .bind(row.id)
            .bind(row.patient)
            .bind(row.drafter)
            .bind(row.state)
            .bind(&row.target)
            .bind(&row.form)
            .bind(row.at)
            .bind(row.changed_at)
            .bind(row.rev)
            .bind(row.revision)
            .bind(row.parcels)
            .bind(row.sent)
            .bind(row.attempts)
            .bind(row.next_at)
            .bind(row.draft_key)
            .bind(&row.sealed)
            .execute(c)
            .await
            .map(drop)
    })
}

/// Writes what may change of an export.
///
/// # Errors
/// The database's.
pub async fn set(tx: &mut Tx, row: &ExportRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(EXPORT_SET)
            .bind(row.id)
            .bind(row.state)
            .bind(&row.target)
            .bind(&row.form)
            .bind(row.changed_at)
            .bind(row.rev)
            .bind(row.revision)
            .bind(row.parcels)
            .bind(row.sent)
            .bind(row.attempts)
            .bind(row.next_at)
            .bind(&row.sealed)
            .execute(c)
            .await
            .map(drop)
    })
}

/// One export.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, id: ThingId) -> sqlx::Result<Option<ExportRow>> {
    on_db!(tx, |c| sqlx::query_as(EXPORT_GET).bind(id).fetch_optional(c).await)
}

/// The export somebody drafted with that key.
///
/// # Errors
/// The database's.
pub async fn by_key(tx: &mut Tx, drafter: UserId, key: Uuid) -> sqlx::Result<Option<ExportRow>> {
    on_db!(tx, |c| sqlx::query_as(EXPORT_KEY).bind(drafter).bind(key).fetch_optional(c).await)
}

/// Exports of a patient, the newest first.
///
/// # Errors
/// The database's.
pub async fn newest(tx: &mut Tx, patient: PatientId, limit: i64) -> sqlx::Result<Vec<ExportRow>> {
    on_db!(tx, |c| sqlx::query_as(EXPORT_NEWEST).bind(patient).bind(limit).fetch_all(c).await)
}

/// Exports the job has to look at now.
///
/// # Errors
/// The database's.
pub async fn due(tx: &mut Tx, now: Micros, limit: i64) -> sqlx::Result<Vec<ExportRow>> {
    on_db!(tx, |c| sqlx::query_as(EXPORT_DUE).bind(now).bind(limit).fetch_all(c).await)
}

/// Adds a parcel.
///
/// # Errors
/// The database's.
pub async fn add_parcel(tx: &mut Tx, row: &ParcelRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        let query = sqlx::query(PARCEL_ADD).bind(row.export).bind(row.n).bind(row.state);
        query.bind(row.revision).bind(&row.sealed).execute(c).await.map(drop)
    })
}

/// Writes what may change of a parcel.
///
/// # Errors
/// The database's.
pub async fn set_parcel(tx: &mut Tx, row: &ParcelRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        let query = sqlx::query(PARCEL_SET).bind(row.export).bind(row.n).bind(row.state);
        query.bind(row.revision).bind(&row.sealed).execute(c).await.map(drop)
    })
}

/// The parcel that is next.
///
/// # Errors
/// The database's.
pub async fn next_parcel(tx: &mut Tx, export: ThingId) -> sqlx::Result<Option<ParcelRow>> {
    on_db!(tx, |c| sqlx::query_as(PARCEL_NEXT).bind(export).fetch_optional(c).await)
}

/// Forgets the parcels of an export.
///
/// # Errors
/// The database's.
pub async fn forget_parcels(tx: &mut Tx, export: ThingId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(PARCEL_FORGET).bind(export).execute(c).await.map(drop))
}

/// What a receiver holds of a patient.
///
/// # Errors
/// The database's.
pub async fn ledger(tx: &mut Tx, patient: PatientId, target: &str) -> sqlx::Result<Vec<LedgerRow>> {
    on_db!(tx, |c| sqlx::query_as(LEDGER_OF).bind(patient).bind(target).fetch_all(c).await)
}

/// What a receiver holds of one resource.
///
/// # Errors
/// The database's.
pub async fn ledger_row(tx: &mut Tx, target: &str, resource: Uuid) -> sqlx::Result<Option<LedgerRow>> {
    on_db!(tx, |c| sqlx::query_as(LEDGER_GET).bind(target).bind(resource).fetch_optional(c).await)
}

/// Writes what a receiver holds of one resource.
///
/// # Errors
/// The database's.
pub async fn put_ledger(tx: &mut Tx, row: &LedgerRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(LEDGER_PUT)
            .bind(&row.target)
            .bind(row.resource)
            .bind(row.patient)
            .bind(row.export)
            .bind(row.state)
            .bind(row.attempts)
            .bind(row.at)
            .bind(&row.hash)
            .bind(row.revision)
            .bind(&row.sealed)
            .execute(c)
            .await
            .map(drop)
    })
}
