//! The projections, made again from the log: what a damaged view, a new projection and the law "log = projections" need.

use std::collections::HashMap;
use std::sync::Arc;

use super::Shared;
use super::ledger::Ledger;
use crate::kernel::base::Fault;
use crate::kernel::log::{self, Head};
use crate::kernel::{policy, store};

/// Empties every projection and projects every entry again, in the order they were committed, in one transaction.
/// Nothing else may write meanwhile: the caller holds the data folder. Gives the entries projected.
///
/// # Errors
/// The database's, or an entry that does not open: then nothing is changed.
pub async fn rebuild(shared: &Arc<Shared>) -> Result<u64, Fault> {
    store::unhurried(projected(shared)).await
}

async fn projected(shared: &Arc<Shared>) -> Result<u64, Fault> {
    const PAGE: i64 = 1000;
    let mut ledger = Ledger::new(shared.clone());
    let mut tx = shared.db.write().await?;
    policy::sql::clear(&mut tx).await?;
    log::sql::clear(&mut tx).await?;
    super::sql::clear_alarms(&mut tx).await?;
    for feature in shared.registry.features() {
        for sql in feature.face().clear {
            super::sql::clear(&mut tx, sql).await?;
        }
    }
    let heads: HashMap<i64, Head> =
        log::sql::all_heads(&mut tx).await?.into_iter().map(|head| (head.n, head)).collect();
    ledger.begin_rebuild(tx);
    let mut after = 0;
    let mut projected = 0;
    loop {
        let page = log::sql::order(ledger.tx(), after, PAGE).await?;
        let Some((newest, ..)) = page.last() else { break };
        after = *newest;
        for (_, channel, seq) in page {
            let head = heads.get(&channel).ok_or(Fault::Integrity("an entry of a channel that is not there"))?;
            for fact in log::since(ledger.tx(), &shared.vault, head, seq - 1, seq, 1).await? {
                ledger.project(&fact).await?;
                projected += 1;
            }
        }
        // Page by page, so that things do not gather in memory.
        ledger.flush().await?;
    }
    ledger.take_tx()?.commit().await?;
    shared.book.forget_patients();
    Ok(projected)
}
