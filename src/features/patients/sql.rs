//! Statements of patients: who they are (sealed), and what they are found by.

use crate::kernel::base::{ChannelId, PatientId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    VIEW_ADD = "INSERT INTO patient_view (id, plan_channel, revision, identity) VALUES ($1, $2, $3, $4)";
    VIEW_GET = "SELECT id, plan_channel, revision, identity FROM patient_view WHERE id = $1";
    IDENTIFIER_ADD = "INSERT INTO patient_identifier (mac, patient) VALUES ($1, $2)";
    IDENTIFIER_FIND = "SELECT patient FROM patient_identifier WHERE mac = $1 ORDER BY patient";
    CLEAR_VIEW = "DELETE FROM patient_view";
    CLEAR_IDENTIFIER = "DELETE FROM patient_identifier";
}

/// A row of `patient_view`.
#[derive(sqlx::FromRow)]
pub struct ViewRow {
    /// Who.
    pub id: PatientId,
    /// The channel they have from birth.
    pub plan_channel: ChannelId,
    /// What the identity is sealed to.
    pub revision: i64,
    /// [`super::Identity`], sealed.
    pub identity: Vec<u8>,
}

/// Adds a patient.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, row: &ViewRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(VIEW_ADD)
            .bind(row.id)
            .bind(row.plan_channel)
            .bind(row.revision)
            .bind(&row.identity)
            .execute(c)
            .await
            .map(drop)
    })
}

/// One patient.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Option<ViewRow>> {
    on_db!(tx, |c| sqlx::query_as(VIEW_GET).bind(patient).fetch_optional(c).await)
}

/// Adds what a patient is found by.
///
/// # Errors
/// The database's.
pub async fn add_identifier(tx: &mut Tx, mac: &[u8; 32], patient: PatientId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(IDENTIFIER_ADD).bind(mac.as_slice()).bind(patient).execute(c).await.map(drop))
}

/// Who is found by it, oldest first.
///
/// # Errors
/// The database's.
pub async fn find(tx: &mut Tx, mac: &[u8; 32]) -> sqlx::Result<Vec<PatientId>> {
    let rows: Vec<(PatientId,)> =
        on_db!(tx, |c| sqlx::query_as(IDENTIFIER_FIND).bind(mac.as_slice()).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(patient,)| patient).collect())
}
