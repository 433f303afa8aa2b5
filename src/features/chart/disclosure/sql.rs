//! Statements of disclosures: where an entry says that the record of a patient left. No other module reads or writes this table.

use crate::kernel::base::{ChannelId, Micros, PatientId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    DISCLOSURE_ADD = "INSERT INTO disclosure (patient, channel, seq, at) VALUES ($1, $2, $3, $4)";
    DISCLOSURE_PAGE = "SELECT channel, seq FROM disclosure WHERE patient = $1 AND seq < $2 AND at >= $3 AND at <= $4 ORDER BY seq DESC LIMIT $5";
    CLEAR_DISCLOSURE = "DELETE FROM disclosure";
}

/// Where a disclosure stands.
#[derive(Clone, Copy, sqlx::FromRow)]
pub struct DisclosureRow {
    /// The plan channel of the patient.
    pub channel: ChannelId,
    /// The entry that says so.
    pub seq: i64,
}

/// Adds one.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, patient: PatientId, row: DisclosureRow, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(DISCLOSURE_ADD).bind(patient).bind(row.channel).bind(row.seq).bind(at).execute(c).await.map(drop)
    })
}

/// Those between two times and before an entry, the newest first.
///
/// # Errors
/// The database's.
pub async fn page(
    tx: &mut Tx,
    patient: PatientId,
    before: i64,
    [from, to]: [Micros; 2],
    limit: i64,
) -> sqlx::Result<Vec<DisclosureRow>> {
    on_db!(tx, |c| {
        sqlx::query_as(DISCLOSURE_PAGE).bind(patient).bind(before).bind(from).bind(to).bind(limit).fetch_all(c).await
    })
}
