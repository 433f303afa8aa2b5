//! Keeps the write-ahead log short without ever making a commit pay for it: a connection of its own copies pages back while writers
//! write, and takes a gap between two transactions when the log has to start over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::{ConnectOptions, SqliteConnection};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Sqlite;

/// Pause between two looks. Longer lets the log grow, shorter costs syncs.
const PAUSE: Duration = Duration::from_millis(20);
/// Pages in the log past which a gap is asked for: 32 MiB. Measured: a larger log gains nothing.
const LOG_PAGES_MAX: i64 = 8_000;
/// How long the gap may wait for a reader of the old log before writers go on.
const GAP_WAIT: Duration = Duration::from_millis(200);
/// After a gap that a reader prevented: writers are not held up again for so long.
const GAP_RETRY: Duration = Duration::from_secs(1);

/// Runs until `cancel`.
pub async fn run(db: Sqlite, cancel: CancellationToken) {
    let mut connection = None;
    let mut gap_not_before = Instant::now();
    loop {
        let idle = async {
            if !db.0.dirty.load(Ordering::Acquire) {
                db.0.committed.notified().await;
            }
            sleep(PAUSE).await;
        };
        tokio::select! {
            () = cancel.cancelled() => break,
            () = idle => {}
        }
        if !db.0.dirty.swap(false, Ordering::AcqRel) {
            continue;
        }
        if let Err(error) = look(&db, &mut connection, &mut gap_not_before).await {
            warn!(%error, "Checkpoint failed, the log grows until one succeeds");
            connection = None;
            db.0.dirty.store(true, Ordering::Release);
            sleep(GAP_RETRY).await;
        }
    }
    if let Some((connection, _)) = connection {
        // What fails here is done again by the next that opens the file.
        let _ = sqlx::Connection::close(connection).await;
    }
}

async fn look(
    db: &Sqlite,
    held: &mut Option<(SqliteConnection, u64)>,
    gap_not_before: &mut Instant,
) -> sqlx::Result<()> {
    let opened = db.0.opened.load(Ordering::Acquire);
    if held.as_ref().is_none_or(|(_, at)| *at != opened) {
        *held = Some((db.0.options.clone().busy_timeout(GAP_WAIT).connect().await?, opened));
    }
    let Some((connection, _)) = held else { return Ok(()) };
    let (_, log_pages, _) = checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)").await?;
    if log_pages <= LOG_PAGES_MAX || Instant::now() < *gap_not_before {
        return Ok(());
    }
    let gap = Arc::clone(&db.0.writer).lock_owned().await;
    // RESTART keeps the file: overwriting syncs faster than extending.
    let (busy, _, _) = checkpoint(connection, "PRAGMA wal_checkpoint(RESTART)").await?;
    drop(gap);
    if busy != 0 {
        *gap_not_before = Instant::now() + GAP_RETRY;
        db.0.dirty.store(true, Ordering::Release);
    }
    Ok(())
}

/// Busy or not, pages in the log, pages copied (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).
async fn checkpoint(connection: &mut SqliteConnection, sql: &'static str) -> sqlx::Result<(i64, i64, i64)> {
    sqlx::query_as(sql).fetch_one(connection).await
}
