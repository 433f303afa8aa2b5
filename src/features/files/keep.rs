//! Housekeeping of files: what no entry carries after a day goes, and what lies on the disk without a row; a walk that holds every
//! stored file against the record.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::{open, sql};
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{ChannelId, Fault, FileId, Micros, Stop};
use crate::kernel::crypto::Hash;
use crate::kernel::crypto::chain::files_hash;
use crate::kernel::engine::{Data, Engine, Reply, Write};
use crate::kernel::log;
use crate::kernel::policy::{Right, Subject};

/// Forgets files that nothing carries.
pub(super) const SWEEP: &str = "file.sweep";
/// How often.
const EVERY: Duration = Duration::from_secs(600);
/// How long a file may wait for its entry.
const WAITS: Micros = 24 * 60 * MINUTE;
/// Files of one write, and of one look.
const SWEPT_MAX: i64 = 500;

/// Sweeps until it is dropped. `by` has the authority of the host. Start once a server.
pub async fn keep(engine: Engine, by: Subject) {
    loop {
        if let Err(stop) = sweep(&engine, &by).await {
            tracing::warn!(code = stop.refusal().code.text(), "Files that nothing carries were not swept");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// One round; gives how many files went.
///
/// # Errors
/// The database's or the disk's.
pub async fn sweep(engine: &Engine, by: &Subject) -> Result<usize, Stop> {
    let shared = engine.shared();
    let before = engine.world().now().saturating_sub(WAITS);
    let mut gone = 0;
    while !sql::loose(&mut shared.db.read().await?, before, 1).await?.is_empty() {
        let swept = engine.run_internal(by.clone(), SWEEP, Data::new()).await?;
        let ids = swept["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        for id in ids.iter().filter_map(|id| id.as_str()?.parse::<Uuid>().ok()) {
            shared.files.remove(id).await?;
        }
        if ids.is_empty() {
            break;
        }
        gone += ids.len();
    }
    // A crash may leave a file that has no row, or not any more. The time of its making is in its id.
    let mut old: Vec<Uuid> = Vec::new();
    shared.files.each(|id| old.extend(Some(id).filter(|id| made_at(*id) < before))).await?;
    for ids in old.chunks(500) {
        let there: HashSet<FileId> = sql::there(&mut shared.db.read().await?, ids).await?.into_iter().collect();
        for id in ids.iter().filter(|id| !there.contains(&FileId(**id))) {
            shared.files.remove(*id).await?;
            gone += 1;
        }
    }
    Ok(gone)
}

/// When an id was drawn.
fn made_at(id: Uuid) -> Micros {
    let stamp = id.get_timestamp().map_or((u64::MAX, 0), |stamp| stamp.to_unix());
    i64::try_from(stamp.0).map_or(Micros::MAX, |seconds| seconds.saturating_mul(1_000_000))
}

/// `file.sweep`: rows first; their bytes follow the commit.
pub(super) async fn forget(cx: &mut Write<'_>) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let before = cx.now().saturating_sub(WAITS);
    let loose = sql::loose(cx.ledger().tx(), before, SWEPT_MAX).await?;
    for id in &loose {
        sql::forget(cx.ledger().change(), *id).await?;
    }
    let mut data = Data::new();
    data.insert("files".into(), loose.iter().map(|id| Value::from(id.to_string())).collect());
    Ok(Reply::Plain(data))
}

/// Holds every file of every entry of a channel against what the entry committed to; gives the first that does not hold.
///
/// # Errors
/// The database's, or sealed.
pub async fn check(engine: &Engine, channel: ChannelId) -> Result<Option<(i64, &'static str)>, Fault> {
    let shared = engine.shared();
    let mut after = 0;
    loop {
        let mut tx = shared.db.read().await?;
        let Some(head) = log::sql::head(&mut tx, channel).await? else { return Ok(None) };
        let Some((seq, files)) = log::sql::next_with_files(&mut tx, head.n, after).await? else { return Ok(None) };
        let ids = sql::carried(&mut tx, channel, seq).await?;
        let mut commitments: Vec<Hash> = Vec::with_capacity(ids.len());
        for id in &ids {
            let Some(row) = sql::get(&mut tx, *id).await? else { break };
            let manifest = super::attach::manifest(&shared.vault, &row).await;
            match manifest.and_then(|manifest| super::attach::proof(&manifest)) {
                Ok((_, commitment)) => commitments.push(commitment),
                Err(Fault::Integrity(reason)) => return Ok(Some((seq, reason))),
                Err(other) => return Err(other),
            }
        }
        drop(tx);
        if files_hash(&commitments).as_slice() != files {
            return Ok(Some((seq, "the files are not those the entry committed to")));
        }
        for id in ids {
            if let Some(reason) = open::flaw(shared, id).await? {
                return Ok(Some((seq, reason)));
            }
        }
        after = seq;
    }
}
