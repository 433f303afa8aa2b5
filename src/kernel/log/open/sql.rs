//! Statements that find open things.

use crate::kernel::base::{Fault, ItemId, PatientId};
use crate::kernel::log::Thing;
use crate::kernel::log::thing::ThingColumns;
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    THINGS_OPEN = "SELECT id, kind, patient, channel, item, author, seq, open, shared, state, entry FROM thing WHERE patient = $1 AND open AND kind IN (3, 4, 5) ORDER BY id";
    THINGS_ABOUT = "SELECT id, kind, patient, channel, item, author, seq, open, shared, state, entry FROM thing WHERE item = $1 AND open ORDER BY id LIMIT $2";
}

/// Notes, tasks and handoffs of a patient that are open.
///
/// # Errors
/// The database's, or an unknown kind.
pub async fn open_work(tx: &mut Tx, patient: PatientId) -> Result<Vec<Thing>, Fault> {
    let rows: Vec<ThingColumns> = on_db!(tx, |c| sqlx::query_as(THINGS_OPEN).bind(patient).fetch_all(c).await)?;
    rows.into_iter().map(Thing::try_from).collect()
}

/// Open things that are linked to an item, oldest first, at most `limit`.
///
/// # Errors
/// The database's, or an unknown kind.
pub async fn open_about(tx: &mut Tx, item: ItemId, limit: i64) -> Result<Vec<Thing>, Fault> {
    let rows: Vec<ThingColumns> =
        on_db!(tx, |c| sqlx::query_as(THINGS_ABOUT).bind(item).bind(limit).fetch_all(c).await)?;
    rows.into_iter().map(Thing::try_from).collect()
}
