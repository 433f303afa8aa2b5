//! PostgreSQL: one writing connection, a few reading ones, and the server settings without which a reply would not mean durable.
//! Invariants: no connection is used before its settings were checked; a connection on which a statement did not end is dropped, never
//! used again; every wait for the server ends (see [`super::bounded`]); once claimed, the writing connection holds the node's lock.

pub mod append;
mod connect;
mod node;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::migrate::{OpenError, Schema};
use super::{bounded, bounded_by};
use crate::kernel::base::Secret;
pub use connect::{holds_deployment, holds_keys};
pub use node::{forget_made, tables};

/// Readers at once; each is a process of the server.
const READERS_MAX: usize = 12;
/// Of them, how many stay connected when nothing is read.
const IDLE_MAX: usize = 4;
/// How long the beginning of a transaction may take, with its turn and a new connection, before the caller is told to come back.
const BEGIN_WAIT: Duration = Duration::from_secs(5);
/// How long a commit may take before its outcome counts as unknown.
const COMMIT_WAIT: Duration = Duration::from_secs(5);
/// How long a transaction that was given up may take to roll back before its connection is cut.
const ROLLBACK_WAIT: Duration = Duration::from_secs(1);
/// Any number, the same in every version of this program: who migrates holds it.
const MIGRATION_LOCK: i64 = 0x6361_7265_7468_7264;

const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// Whoever appends to the site log holds this (ASCII `caresite`).
const SITE_LOG_LOCK: i64 = i64::from_be_bytes(*b"caresite");
const LOCK_PATIENTS: &str = "SELECT id FROM patient WHERE id = ANY($1) ORDER BY id FOR UPDATE";

/// An open PostgreSQL database.
#[derive(Clone)]
pub struct Postgres(Arc<Shared>);

struct Shared {
    options: PgConnectOptions,
    /// Fair: transactions are served in the order asked for.
    writer: Arc<Turn<Writer>>,
    readers: Readers,
    /// Who claimed the database for itself.
    claim: OnceLock<Uuid>,
    /// Somebody else claimed it since.
    lost: AtomicBool,
}

#[derive(Default)]
struct Writer {
    /// None before the first transaction, while one is open, and after a failure.
    connection: Option<PgConnection>,
    /// The server's process behind the latest connection.
    backend: Option<i32>,
    closed: bool,
}

struct Readers {
    idle: Idle,
    places: Arc<Semaphore>,
}

type Idle = Arc<Mutex<Vec<PgConnection>>>;

/// A transaction on PostgreSQL.
pub struct PostgresTx {
    /// None only once it ended.
    held: Option<Held>,
    /// The database is claimed: nothing else writes to it.
    alone: bool,
}

struct Held {
    connection: PgConnection,
    home: Home,
}

/// Where a connection goes when its transaction ended well.
enum Home {
    Reader(Idle, #[expect(dead_code, reason = "held for as long as the reader has its place")] OwnedSemaphorePermit),
    Writer(OwnedMutexGuard<Writer>),
}

impl Postgres {
    pub(super) async fn open(url: &Secret<String>, schema: Schema) -> Result<Self, OpenError> {
        let options = connect::options(url.expose(), schema)?;
        let mut first = connect::connect(&options).await?.0;
        connect::warn_about_standbys(&mut first).await?;
        if schema == Schema::Keys {
            connect::make_keys_schema(&mut first).await?;
        }
        first.close().await?;
        let readers = Readers { idle: Arc::default(), places: Arc::new(Semaphore::new(READERS_MAX)) };
        let (claim, lost) = (OnceLock::new(), AtomicBool::new(false));
        Ok(Self(Arc::new(Shared { options, writer: Arc::default(), readers, claim, lost })))
    }

    /// From now on this process is the only one that writes: every connection that writes holds the node's lock first, and gives up for
    /// good when another process claimed the database in between.
    ///
    /// # Errors
    /// Another process holds it.
    pub(super) async fn claim(&self, node: Uuid) -> Result<(), OpenError> {
        let mut writer = Arc::clone(&self.0.writer).lock_owned().await;
        writer.connection = None;
        let (mut connection, backend) = connect::connect(&self.0.options).await?;
        // A connection of this process may hold it still.
        node::take_lock(&mut connection, writer.backend).await?;
        node::enter(&mut connection, node).await?;
        let _ = self.0.claim.set(node);
        (writer.connection, writer.backend) = (Some(connection), Some(backend));
        Ok(())
    }

    /// Whether another process claimed the database: nothing known of it is true any more.
    pub(super) fn is_lost(&self) -> bool {
        self.0.lost.load(Ordering::Acquire)
    }

    pub(super) async fn read(&self) -> sqlx::Result<PostgresTx> {
        bounded_by(BEGIN_WAIT, self.begin_read()).await
    }

    async fn begin_read(&self) -> sqlx::Result<PostgresTx> {
        let Readers { idle, places } = &self.0.readers;
        let place = Arc::clone(places).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let home = Home::Reader(Arc::clone(idle), place);
        let kept = lock(idle).pop();
        if let Some(mut connection) = kept {
            if run(&mut connection, BEGIN_READ).await.is_ok() {
                return Ok(PostgresTx { held: Some(Held { connection, home }), alone: false });
            }
            // What broke it broke those that rested beside it, too.
            lock(idle).clear();
        }
        let mut connection = connect::connect(&self.0.options).await?.0;
        run(&mut connection, BEGIN_READ).await?;
        Ok(PostgresTx { held: Some(Held { connection, home }), alone: false })
    }

    pub(super) async fn write(&self) -> sqlx::Result<PostgresTx> {
        // Its turn comes when those before it have ended, and each statement of theirs does.
        let writer = Arc::clone(&self.0.writer).lock_owned().await;
        bounded_by(BEGIN_WAIT, self.begin_write(writer)).await
    }

    async fn begin_write(&self, mut writer: OwnedMutexGuard<Writer>) -> sqlx::Result<PostgresTx> {
        if writer.closed {
            return Err(sqlx::Error::PoolClosed);
        }
        let kept = match writer.connection.take() {
            Some(mut kept) => run(&mut kept, BEGIN_WRITE).await.ok().map(|()| kept),
            None => None,
        };
        let connection = match kept {
            Some(connection) => connection,
            // Nothing was begun on one that broke while it rested, so nothing is in doubt.
            None => {
                let mut connection = self.connect_writer(&mut writer).await?;
                run(&mut connection, BEGIN_WRITE).await?;
                connection
            }
        };
        let alone = self.0.claim.get().is_some();
        Ok(PostgresTx { held: Some(Held { connection, home: Home::Writer(writer) }), alone })
    }

    /// A new connection for writing. With the node's lock on it, the former one is over on the server as well: what it sent last is
    /// committed or undone, and stays so.
    async fn connect_writer(&self, writer: &mut Writer) -> Result<PgConnection, OpenError> {
        let (mut connection, backend) = connect::connect(&self.0.options).await?;
        if let Some(node) = self.0.claim.get() {
            let held = node::hold(&mut connection, *node, writer.backend).await;
            if matches!(held, Err(OpenError::TakenOver)) {
                self.0.lost.store(true, Ordering::Release);
            }
            held?;
        }
        writer.backend = Some(backend);
        Ok(connection)
    }

    /// Drops every connection that is not in use, and tries whether the server takes new ones and is still fit.
    pub(super) async fn reopen(&self) -> Result<(), OpenError> {
        lock(&self.0.readers.idle).clear();
        let mut writer = Arc::clone(&self.0.writer).lock_owned().await;
        writer.connection = None;
        writer.connection = Some(self.connect_writer(&mut writer).await?);
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.0.readers.places.close();
        let idle = std::mem::take(&mut *lock(&self.0.readers.idle));
        for connection in idle {
            let _ = bounded_by(ROLLBACK_WAIT, connection.close()).await;
        }
        let mut writer = self.0.writer.lock().await;
        writer.closed = true;
        if let Some(connection) = writer.connection.take() {
            let _ = bounded_by(ROLLBACK_WAIT, connection.close()).await;
        }
    }

    /// Overwrites what was deleted from the key table.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn vacuum_keys(&self) -> sqlx::Result<()> {
        let mut writer = self.0.writer.lock().await;
        let mut connection = match writer.connection.take() {
            Some(connection) => connection,
            None => self.connect_writer(&mut writer).await?,
        };
        // As long as it takes: it is not in the way of anything but other keys.
        sqlx::query("VACUUM (FULL) wrapped_key").execute(&mut connection).await?;
        writer.connection = Some(connection);
        Ok(())
    }
}

/// Holds back every other process that would migrate, until the end of the transaction; waits as long as that takes.
pub(super) async fn lock_migrations(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SET LOCAL lock_timeout = 0").execute(&mut *connection).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(connection).await.map(|_| ())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One statement without values, in one message.
async fn run(connection: &mut PgConnection, sql: &'static str) -> sqlx::Result<()> {
    bounded(async { sqlx::raw_sql(sql).execute(connection).await.map(drop) }).await
}

impl PostgresTx {
    /// The connection it runs on.
    ///
    /// # Panics
    /// Never: the connection leaves only when the transaction ends, which takes it by value.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.held.as_mut().expect("a transaction has its connection until it ends").connection
    }

    /// Whether nothing else writes to this database.
    pub(super) const fn is_alone(&self) -> bool {
        self.alone
    }

    /// On any failure the connection is dropped: the server then ends what it holds, whichever way.
    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        match self.held.take() {
            Some(held) => held.end("COMMIT", COMMIT_WAIT).await,
            None => Ok(()),
        }
    }

    pub(super) async fn rollback(mut self) {
        if let Some(held) = self.held.take() {
            let _ = held.end("ROLLBACK", ROLLBACK_WAIT).await;
        }
    }

    /// The site log has one appender at a time.
    pub(super) async fn lock_site_log(&mut self) -> sqlx::Result<()> {
        let connection = self.connection();
        let sql = "SELECT pg_advisory_xact_lock($1)";
        bounded(async { sqlx::query(sql).bind(SITE_LOG_LOCK).execute(connection).await.map(drop) }).await
    }

    /// In id order: two nodes that lock the same patients in different orders would deadlock.
    pub(super) async fn lock_patients(&mut self, patients: &[Uuid]) -> sqlx::Result<()> {
        let connection = self.connection();
        bounded(async { sqlx::query(LOCK_PATIENTS).bind(patients).execute(connection).await.map(drop) }).await
    }
}

impl Held {
    /// Ends the transaction; the connection is kept only if that went well.
    async fn end(self, sql: &'static str, wait: Duration) -> sqlx::Result<()> {
        let Self { mut connection, home } = self;
        bounded_by(wait, async { sqlx::raw_sql(sql).execute(&mut connection).await.map(drop) }).await?;
        match home {
            Home::Reader(idle, _) => {
                let mut idle = lock(&idle);
                if idle.len() < IDLE_MAX {
                    idle.push(connection);
                }
            }
            Home::Writer(mut writer) => writer.connection = Some(connection),
        }
        Ok(())
    }
}

impl Drop for PostgresTx {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        // Out of a runtime there is nothing to roll back with: the connection goes, and the server rolls back.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(held.end("ROLLBACK", ROLLBACK_WAIT));
        }
    }
}
