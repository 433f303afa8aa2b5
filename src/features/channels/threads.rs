//! Threads: the messages that name a task. One that was taken back is in none.
//! Does not know: what a task is, who asks.

use std::collections::HashMap;

use super::sql;
use crate::kernel::base::{ChannelId, Fault, ThingId};
use crate::kernel::engine::Ledger;
use crate::kernel::log::Fact;
use crate::kernel::store::Tx;

/// How many messages name each of these tasks, of those the caller may read; tasks that none names are absent.
///
/// # Errors
/// The database's.
pub async fn thread_counts(
    tx: &mut Tx,
    tasks: &[ThingId],
    readable: impl Fn(ChannelId, i64) -> bool,
) -> sqlx::Result<HashMap<ThingId, i64>> {
    let mut counts = HashMap::new();
    if tasks.is_empty() {
        return Ok(counts);
    }
    for (task, _, _) in sql::threads(tx, tasks).await?.into_iter().filter(|(_, channel, seq)| readable(*channel, *seq))
    {
        *counts.entry(task).or_default() += 1;
    }
    Ok(counts)
}

/// Where the messages stand that name a task, in its channel, ascending, of those the caller may read.
///
/// # Errors
/// The database's.
pub async fn thread(tx: &mut Tx, task: ThingId, readable: impl Fn(ChannelId, i64) -> bool) -> sqlx::Result<Vec<i64>> {
    let found = sql::threads(tx, &[task]).await?.into_iter();
    Ok(found.filter(|(_, channel, seq)| readable(*channel, *seq)).map(|(_, _, seq)| seq).collect())
}

pub(super) async fn begin(ledger: &mut Ledger, posted: &Fact, task: ThingId) -> Result<(), Fault> {
    Ok(sql::add_to_thread(ledger.change(), posted.id.into(), task, posted.channel, posted.seq).await?)
}

pub(super) async fn end(ledger: &mut Ledger, message: ThingId) -> Result<(), Fault> {
    Ok(sql::drop_from_thread(ledger.change(), message).await?)
}
