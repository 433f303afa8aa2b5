//! Statements of exports: what each form has had of each channel. No other module reads or writes this table.

use super::coverage::{Coverage, Covered};
use crate::kernel::base::{ChannelId, PatientId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    COVERAGE = "SELECT first, last, horizon FROM export_range WHERE patient = $1 AND form = $2 AND channel = $3 ORDER BY first";
    COVERAGE_FORGET = "DELETE FROM export_range WHERE patient = $1 AND form = $2 AND channel = $3";
    COVERAGE_ADD = "INSERT INTO export_range (patient, form, channel, first, last, horizon) VALUES ($1, $2, $3, $4, $5, $6)";
}

/// What a form has had of a channel.
///
/// # Errors
/// The database's.
pub async fn coverage(tx: &mut Tx, patient: PatientId, form: &str, channel: ChannelId) -> sqlx::Result<Coverage> {
    let rows: Vec<Covered> =
        on_db!(tx, |c| sqlx::query_as(COVERAGE).bind(patient).bind(form).bind(channel).fetch_all(c).await)?;
    Ok(Coverage::new(rows))
}

/// Keeps what a form has had of a channel.
///
/// # Errors
/// The database's.
pub async fn set_coverage(
    tx: &mut Tx,
    patient: PatientId,
    form: &str,
    channel: ChannelId,
    coverage: &Coverage,
) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(COVERAGE_FORGET).bind(patient).bind(form).bind(channel).execute(c).await.map(drop))?;
    for row in coverage.rows() {
        on_db!(tx, |c| {
            sqlx::query(COVERAGE_ADD)
                .bind(patient)
                .bind(form)
                .bind(channel)
                .bind(row.first)
                .bind(row.last)
                .bind(row.horizon)
                .execute(c)
                .await
                .map(drop)
        })?;
    }
    Ok(())
}
