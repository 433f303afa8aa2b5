//! SQLite: one writer connection, a pool of readers, a connection for checkpoints, all on one file in WAL mode.
//! Invariant: the record's writer never checkpoints (`wal_autocheckpoint=0`), and a write transaction is open only while its [`SqliteTx`] lives.

pub mod append;
pub mod checkpoint;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use super::migrate::{OpenError, Schema};

/// Readers at once; each is a thread with a page cache. More gain nothing on a few cores, and wait for the same disk.
const READERS_MAX: u32 = 8;
/// How long a reader waits for its turn before the caller is told to come back.
const READER_WAIT: Duration = Duration::from_secs(5);
/// Statement texts a connection keeps prepared: the batched appends alone are five tables times eleven sizes.
const STATEMENTS_CACHED_MAX: usize = 512;

/// An open SQLite database.
#[derive(Clone)]
pub struct Sqlite(Arc<Shared>);

struct Shared {
    options: SqliteConnectOptions,
    /// Fair: transactions and the checkpointer's gap are served in the order asked for.
    writer: Arc<Mutex<Writer>>,
    readers: RwLock<SqlitePool>,
    /// Something was committed since the last look of the checkpointer.
    dirty: AtomicBool,
    committed: Notify,
    /// Raised by [`Sqlite::reopen`]: whoever holds another connection opens it again too.
    opened: AtomicU64,
}

struct Writer {
    /// None after [`Sqlite::close`], or while reopening failed.
    connection: Option<SqliteConnection>,
    /// The last transaction ended as far as we know; otherwise it is rolled back before the next.
    settled: bool,
}

/// A transaction on SQLite.
pub struct SqliteTx(Held);

enum Held {
    Read(Transaction<'static, sqlx::Sqlite>),
    Write(Write),
}

struct Write {
    /// Taken only when it ends.
    writer: Option<OwnedMutexGuard<Writer>>,
    shared: Arc<Shared>,
}

impl Sqlite {
    pub(super) async fn open(path: &Path, schema: Schema) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .page_size(4096)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(STATEMENTS_CACHED_MAX)
            .pragma("wal_autocheckpoint", if schema == Schema::Keys { "1000" } else { "0" })
            .pragma("trusted_schema", "OFF")
            // Without it INSERT OR REPLACE would delete a row past its DELETE trigger.
            .pragma("recursive_triggers", "ON")
            // Nothing of the record in temporary files.
            .pragma("temp_store", "MEMORY")
            // A shredded key must not stay on a free page.
            .pragma("secure_delete", if schema == Schema::Keys { "ON" } else { "OFF" })
            .disable_statement_logging();
        // The writer first: it makes the file and its log, which readers cannot.
        let connection = options.connect().await?;
        let readers = readers(&options);
        let writer = Arc::new(Mutex::new(Writer { connection: Some(connection), settled: true }));
        let readers = RwLock::new(readers);
        Ok(Self(Arc::new(Shared {
            options,
            writer,
            readers,
            dirty: AtomicBool::new(true),
            committed: Notify::new(),
            opened: AtomicU64::new(0),
        })))
    }

    pub(super) async fn read(&self) -> sqlx::Result<SqliteTx> {
        let pool = self.0.readers.read().unwrap_or_else(PoisonError::into_inner).clone();
        pool.begin().await.map(|tx| SqliteTx(Held::Read(tx)))
    }

    pub(super) async fn write(&self) -> sqlx::Result<SqliteTx> {
        let mut writer = Arc::clone(&self.0.writer).lock_owned().await;
        let settled = std::mem::replace(&mut writer.settled, false);
        let connection = writer.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        if !settled {
            // Refused when there is nothing to roll back: then all is well.
            let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
        }
        sqlx::query("BEGIN IMMEDIATE").execute(connection).await?;
        Ok(SqliteTx(Held::Write(Write { writer: Some(writer), shared: Arc::clone(&self.0) })))
    }

    pub(super) async fn reopen(&self) -> Result<(), OpenError> {
        let mut writer = self.0.writer.lock().await;
        self.0.opened.fetch_add(1, Ordering::AcqRel);
        // Dropped, not closed: closing would try to write again. Its thread ends by itself.
        drop(writer.connection.take());
        writer.connection = Some(self.0.options.connect().await?);
        writer.settled = true;
        let fresh = readers(&self.0.options);
        let old = std::mem::replace(&mut *self.0.readers.write().unwrap_or_else(PoisonError::into_inner), fresh);
        // Readers that are still out finish on their old snapshot; none is handed out again.
        tokio::spawn(async move { old.close().await });
        Ok(())
    }

    /// Copies the whole log back and empties it: what was deleted is then in neither file. Waits for writers and readers.
    ///
    /// # Errors
    /// When the file cannot be written, or a reader holds on to the old log.
    pub async fn truncate_log(&self) -> sqlx::Result<()> {
        let mut writer = self.0.writer.lock().await;
        let connection = writer.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        let (busy, _, _): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await?;
        if busy == 0 { Ok(()) } else { Err(sqlx::Error::PoolTimedOut) }
    }

    pub(super) async fn close(&self) {
        let readers = self.0.readers.read().unwrap_or_else(PoisonError::into_inner).clone();
        readers.close().await;
        let connection = self.0.writer.lock().await.connection.take();
        if let Some(connection) = connection {
            // The last connection to close writes the log back; a failure leaves the log, which the next start reads.
            let _ = connection.close().await;
        }
    }
}

fn readers(options: &SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(READER_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(options.clone().read_only(true).create_if_missing(false))
}

impl SqliteTx {
    /// The connection it runs on.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        match &mut self.0 {
            Held::Read(tx) => tx,
            Held::Write(write) => {
                let writer = write.writer.as_mut().expect("a transaction holds the writer until it ends");
                writer.connection.as_mut().expect("the connection is taken only under the lock this transaction holds")
            }
        }
    }

    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        if let Held::Read(tx) = self.0 {
            return tx.rollback().await;
        }
        sqlx::query("COMMIT").execute(self.connection()).await?;
        if let Held::Write(mut write) = self.0 {
            write.end();
        }
        Ok(())
    }

    pub(super) async fn rollback(mut self) {
        if let Held::Read(tx) = self.0 {
            // A reader that cannot roll back is broken and leaves the pool.
            let _ = tx.rollback().await;
            return;
        }
        // Refused after a statement ended the transaction by itself (`OR ROLLBACK`), which is what was wanted.
        let _ = sqlx::query("ROLLBACK").execute(self.connection()).await;
        if let Held::Write(mut write) = self.0 {
            write.end();
        }
    }
}

impl Write {
    /// Gives the writer back, settled.
    fn end(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            writer.settled = true;
        }
        self.shared.dirty.store(true, Ordering::Release);
        self.shared.committed.notify_one();
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        // Rolled back now rather than before the next write, so that no lock and no snapshot outlives the transaction.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Some(connection) = writer.connection.as_mut() {
                    let _ = sqlx::query("ROLLBACK").execute(connection).await;
                    writer.settled = true;
                }
            });
        }
    }
}
