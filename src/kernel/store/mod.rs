//! The store: one SQL text for two databases, transactions, migrations, and the batched append. Floor 1.
//! Does not know: features, keys, chains. It keeps rows and blobs it cannot read.
//! Invariant: `sqlite` and `postgres` are the only dialect code; everything else is written once, with `$1` placeholders.
//!
//! A statement is listed by [`statements!`], so that a test can prepare it on both databases, and run through [`on_db!`]:
//! ```ignore
//! statements! {
//!     PAGE = "SELECT seq, head FROM entry WHERE channel = $1 AND seq > $2 ORDER BY seq LIMIT $3";
//! }
//! #[derive(sqlx::FromRow)]
//! struct Row { seq: i64, head: Vec<u8> }
//! async fn page(tx: &mut Tx, channel: i64, after: i64) -> sqlx::Result<Vec<Row>> {
//!     on_db!(tx, |c| sqlx::query_as(PAGE).bind(channel).bind(after).bind(200_i64).fetch_all(c).await)
//! }
//! ```
//! Column and Rust types must agree exactly, PostgreSQL does not convert: BIGINT `i64`, INTEGER `i32`, SMALLINT `i16`, BOOLEAN `bool`,
//! UUID an id newtype or `Uuid`, blob `Vec<u8>`, TEXT (and JSON) `String`. A forgotten `.bind` is NULL on SQLite.

pub mod append;
pub mod failure;
pub mod files;
pub mod keys;
pub mod look;
pub mod migrate;
pub mod postgres;
pub mod setting;
pub mod sqlite;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::{Column as _, Executor, PgConnection, SqlStr, SqliteConnection, TypeInfo as _};
use uuid::Uuid;

use super::base::Secret;
pub use failure::{is_conflict, is_disk_full, is_storage_failure};
pub use files::Files;
pub use keys::{Keys, WrappedKey};
pub use migrate::{Migration, OpenError, Schema};

/// Where a database lies.
#[derive(Clone, Debug)]
pub enum Location {
    /// A SQLite file; made when missing. Its folder is there and locked by the caller.
    File(PathBuf),
    /// A PostgreSQL URL that names a user. Holds a password, hence never shown.
    Postgres(Secret<String>),
}

/// A listed statement, see [`statements!`].
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// Module path and constant.
    pub name: &'static str,
    /// Its text, with `$1` placeholders.
    pub sql: &'static str,
}

/// What a database says of a prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// How many values it wants bound.
    pub binds: usize,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// The types of its columns as this database calls them; `NULL` where SQLite cannot tell before a row is there.
    pub types: Vec<String>,
}

/// An open database. Cheap to clone; all clones are one database.
#[derive(Clone)]
pub enum Db {
    /// One file, one writer.
    Sqlite(sqlite::Sqlite),
    /// A server that others reach, too.
    Postgres(postgres::Postgres),
}

/// A transaction. Dropped without [`Tx::commit`] it is rolled back. After any error from a statement it is only fit to be dropped:
/// PostgreSQL has aborted it, and on SQLite the batched appends end it on failure (`OR ROLLBACK`).
pub enum Tx {
    /// On SQLite.
    Sqlite(sqlite::SqliteTx),
    /// On PostgreSQL.
    Postgres(postgres::PostgresTx),
}

/// The concrete connection under a [`Tx`]: what [`on_db!`] matches on.
pub enum Backend<'t> {
    /// On SQLite.
    Sqlite(&'t mut SqliteConnection),
    /// On PostgreSQL.
    Postgres(&'t mut PgConnection),
}

/// Runs one expression on whichever database a [`Tx`] stands on; the name between the bars is the connection
/// (`&mut SqliteConnection` or `&mut PgConnection`). Use `&mut *c` when it is needed twice.
#[macro_export]
macro_rules! on_db {
    ($tx:expr, |$c:ident| $body:expr) => {
        match $tx.backend() {
            $crate::kernel::store::Backend::Sqlite($c) => $body,
            $crate::kernel::store::Backend::Postgres($c) => $crate::kernel::store::bounded(async { $body }).await,
        }
    };
}

/// Names SQL texts and lists them as `STATEMENTS` of the module, for the test that prepares every one on both databases.
#[macro_export]
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $(
            #[doc = concat!("Statement `", stringify!($name), "`.")]
            $(#[$doc])*
            pub const $name: &str = $sql;
        )*
        /// Every statement of this module.
        pub const STATEMENTS: &[$crate::kernel::store::Statement] = &[$(
            $crate::kernel::store::Statement { name: concat!(module_path!(), "::", stringify!($name)), sql: $name },
        )*];
    };
}

pub use crate::{on_db, statements};

/// How long a server of its own is waited for by one statement before the connection is given up: none of ours takes as long.
const STATEMENT_WAIT: Duration = Duration::from_secs(5);

tokio::task_local! {
    /// Set while statements may take as long as they take.
    static UNHURRIED: ();
}

/// The outcome of a statement on a database that may be away: one that hangs ends as one whose connection broke.
///
/// # Errors
/// The statement's, or `Io` with `TimedOut`: the connection is then to be dropped.
pub async fn bounded<T>(statement: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    if UNHURRIED.try_with(|()| ()).is_ok() {
        return statement.await;
    }
    bounded_by(STATEMENT_WAIT, statement).await
}

/// As [`bounded`], for what has a time of its own.
async fn bounded_by<T>(wait: Duration, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let done = tokio::time::timeout(wait, work).await;
    done.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

/// Runs work whose statements go over everything there is, and are waited for.
pub async fn unhurried<T>(work: impl Future<Output = T>) -> T {
    UNHURRIED.scope((), work).await
}

/// Statements sent since the process began, over every transaction.
static STATEMENTS_SENT: AtomicU64 = AtomicU64::new(0);

fn count_statement() {
    STATEMENTS_SENT.fetch_add(1, Ordering::Relaxed);
}

/// Statements sent since the process began: what `bench append` divides by the entries it wrote.
#[must_use]
pub fn statements_sent() -> u64 {
    STATEMENTS_SENT.load(Ordering::Relaxed)
}

impl Db {
    /// Opens a database and brings its schema up to what this binary knows.
    ///
    /// # Errors
    /// When it cannot be opened, holds a schema this binary does not know, or is a server that may lose what it committed.
    pub async fn open(location: &Location, schema: Schema) -> Result<Self, OpenError> {
        let db = match location {
            Location::File(path) => Self::Sqlite(sqlite::Sqlite::open(path, schema).await?),
            Location::Postgres(url) => Self::Postgres(postgres::Postgres::open(url, schema).await?),
        };
        unhurried(migrate::run(&db, schema)).await?;
        Ok(db)
    }

    /// A read transaction: one snapshot from its first statement to its end.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn read(&self) -> sqlx::Result<Tx> {
        match self {
            Self::Sqlite(db) => db.read().await.map(Tx::Sqlite),
            Self::Postgres(db) => db.read().await.map(Tx::Postgres),
        }
    }

    /// A write transaction. On SQLite there is one at a time, handed out in the order asked for; the checkpointer takes its gap in the
    /// same queue, so it runs between two transactions and never inside one.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn write(&self) -> sqlx::Result<Tx> {
        count_statement();
        match self {
            Self::Sqlite(db) => db.write().await.map(Tx::Sqlite),
            Self::Postgres(db) => db.write().await.map(Tx::Postgres),
        }
    }

    /// After [`is_storage_failure`] on a commit: drops the handles and opens new ones. A failed sync is never repeated on the old handle,
    /// because the kernel may have marked the lost pages clean. The caller then verifies heads before it writes again.
    ///
    /// # Errors
    /// When it cannot be opened again.
    pub async fn reopen(&self) -> Result<(), OpenError> {
        match self {
            Self::Sqlite(db) => db.reopen().await,
            Self::Postgres(db) => db.reopen().await,
        }
    }

    /// Claims a database that is a server of its own for this process: nothing else is to write to it from now on. A file is claimed
    /// by its folder.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when another process has it.
    pub async fn claim(&self, node: Uuid) -> Result<(), OpenError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(db) => db.claim(node).await,
        }
    }

    /// Whether another process took the database over: what is held of it in memory is not true any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(db) => db.is_lost(),
        }
    }

    /// Whether the database goes and comes back by itself, and what it said is committed stays so.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Starts what keeps the write-ahead log short (SQLite); ends with `cancel`. Nothing to do on PostgreSQL.
    pub fn spawn_checkpointer(&self, cancel: tokio_util::sync::CancellationToken) -> tokio::task::JoinHandle<()> {
        match self {
            Self::Sqlite(db) => tokio::spawn(sqlite::checkpoint::run(db.clone(), cancel)),
            Self::Postgres(_) => tokio::spawn(std::future::ready(())),
        }
    }

    /// Closes every connection; waits for those in use.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(db) => db.close().await,
            Self::Postgres(db) => db.close().await,
        }
    }

    /// Prepares a statement without running it.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn prepare(&self, sql: &'static str) -> sqlx::Result<Prepared> {
        fn told<S: sqlx::Statement>(statement: &S) -> Prepared {
            let binds = match statement.parameters() {
                Some(sqlx::Either::Left(types)) => types.len(),
                Some(sqlx::Either::Right(count)) => count,
                None => 0,
            };
            let columns = statement.columns();
            Prepared {
                binds,
                columns: columns.iter().map(|column| column.name().to_owned()).collect(),
                types: columns.iter().map(|column| column.type_info().name().to_owned()).collect(),
            }
        }
        let mut tx = self.read().await?;
        on_db!(tx, |c| c.prepare(SqlStr::from_static(sql)).await.map(|statement| told(&statement)))
    }

    /// The database's name and version, for a person to read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn version(&self) -> sqlx::Result<String> {
        match self.read().await? {
            Tx::Sqlite(mut tx) => {
                sqlx::query_scalar("SELECT 'SQLite ' || sqlite_version()").fetch_one(tx.connection()).await
            }
            Tx::Postgres(mut tx) => {
                let sql = "SELECT 'PostgreSQL ' || current_setting('server_version')";
                bounded(sqlx::query_scalar(sql).fetch_one(tx.connection())).await
            }
        }
    }
}

impl Tx {
    /// The concrete connection; use it through [`on_db!`].
    pub fn backend(&mut self) -> Backend<'_> {
        count_statement();
        match self {
            Self::Sqlite(tx) => Backend::Sqlite(tx.connection()),
            Self::Postgres(tx) => Backend::Postgres(tx.connection()),
        }
    }

    /// Makes it durable. When this returns `Ok`, it is on disk.
    ///
    /// # Errors
    /// The outcome is then unknown: it may be present after a crash. See [`is_storage_failure`] and [`Db::reopen`].
    pub async fn commit(self) -> sqlx::Result<()> {
        count_statement();
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }

    /// Undoes it, also after an error.
    pub async fn rollback(self) {
        match self {
            Self::Sqlite(tx) => tx.rollback().await,
            Self::Postgres(tx) => tx.rollback().await,
        }
    }

    /// Whether nothing else writes to this database, so that what a writer knows of it stays true between its transactions.
    #[must_use]
    pub const fn is_only_writer(&self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(tx) => tx.is_alone(),
        }
    }

    /// Whether it runs on a new connection to a server, which may be another one than before: one that took over, and lagged.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(tx) => tx.is_fresh(),
        }
    }

    /// Whether [`Tx::lock_patients`] does anything.
    #[must_use]
    pub const fn locks_patients(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Makes this transaction the only one that appends to the site log, until its end; nothing to do on SQLite, which has one writer.
    ///
    /// # Errors
    /// When the database fails or another writer holds it for too long.
    pub async fn lock_site_log(&mut self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(tx) => tx.lock_site_log().await,
        }
    }

    /// Locks patients against other writers until the end of the transaction; nothing to do on SQLite, which has one writer.
    /// Patients without a row are passed over.
    ///
    /// # Errors
    /// When the database fails or another writer holds one for too long.
    pub async fn lock_patients(&mut self, patients: &[Uuid]) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(tx) => tx.lock_patients(patients).await,
        }
    }
}

/// A list of ids as one bind: `WHERE id IN (SELECT unhex(value) FROM json_each($1))`, alike on both databases.
pub fn id_list(ids: impl IntoIterator<Item = Uuid>) -> String {
    let mut list = String::from("[");
    for id in ids {
        if list.len() > 1 {
            list.push(',');
        }
        list.push('"');
        list.push_str(id.simple().encode_lower(&mut Uuid::encode_buffer()));
        list.push('"');
    }
    list.push(']');
    list
}

/// A list of numbers as one bind: `WHERE n IN (SELECT CAST(value AS BIGINT) FROM json_each($1))`, alike on both databases.
pub fn number_list(numbers: impl IntoIterator<Item = i64>) -> String {
    let texts: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", texts.join(","))
}
