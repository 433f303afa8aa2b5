//! PostgreSQL: a pool of readers, a pool of writers, and the server settings without which a reply would not mean durable.
//! Invariant: no connection is used before its settings were checked.

pub mod append;

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Transaction};
use tracing::warn;
use uuid::Uuid;

use super::migrate::{OpenError, Schema};
use crate::kernel::base::Secret;

/// Readers at once on one node.
const READERS_MAX: u32 = 16;
/// Writers at once on one node: the committer, and administration beside it.
const WRITERS_MAX: u32 = 4;
/// How long one waits for a connection before the caller is told to come back.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);
/// A connection that rested longer is asked whether it still lives before it is handed out.
const RESTED: Duration = Duration::from_secs(5);
/// Any number, the same in every version of this program: who migrates holds it.
const MIGRATION_LOCK: i64 = 0x6361_7265_7468_7264;
/// The schema of the wrapped keys.
const KEYS_SCHEMA: &str = "carethread_keys";

const SETTINGS: &str = "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'), \
    current_setting('data_sync_retry'), current_setting('synchronous_standby_names')";
/// Whoever appends to the site log holds this (ASCII `caresite`).
const SITE_LOG_LOCK: i64 = i64::from_be_bytes(*b"caresite");
const HOLDS_DEPLOYMENT: &str = "SELECT EXISTS (SELECT 1 FROM setting WHERE name = 'deployment')";
const HOLDS_KEYS: &str = "SELECT EXISTS (SELECT 1 FROM wrapped_key)";
const LOCK_PATIENTS: &str = "SELECT id FROM patient WHERE id = ANY($1) ORDER BY id FOR UPDATE";

/// An open PostgreSQL database.
#[derive(Clone)]
pub struct Postgres {
    readers: PgPool,
    writers: PgPool,
}

/// A transaction on PostgreSQL.
pub struct PostgresTx(Transaction<'static, sqlx::Postgres>);

impl Postgres {
    pub(super) async fn open(url: &Secret<String>, schema: Schema) -> Result<Self, OpenError> {
        let options = options(url.expose(), schema)?;
        // By hand first: a pool would try again until its time is up, and hide the reason.
        let mut first = options.connect().await?;
        check(&mut first).await?;
        warn_about_standbys(&mut first).await?;
        if schema == Schema::Keys {
            sqlx::query("CREATE SCHEMA IF NOT EXISTS carethread_keys").execute(&mut first).await?;
        }
        first.close().await?;
        Ok(Self { readers: pool(&options, READERS_MAX), writers: pool(&options, WRITERS_MAX) })
    }

    pub(super) async fn read(&self) -> sqlx::Result<PostgresTx> {
        self.readers.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map(PostgresTx)
    }

    pub(super) async fn write(&self) -> sqlx::Result<PostgresTx> {
        self.writers.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map(PostgresTx)
    }

    /// The server holds the handles that matter; broken connections leave the pools by themselves. Asks whether it answers and is still fit.
    pub(super) async fn reopen(&self) -> Result<(), OpenError> {
        let mut connection = self.writers.acquire().await?;
        connection.ping().await?;
        check(&mut connection).await
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }

    /// Overwrites what was deleted from the key table.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn vacuum_keys(&self) -> sqlx::Result<()> {
        let mut connection = self.writers.acquire().await?;
        sqlx::query("VACUUM (FULL) wrapped_key").execute(&mut *connection).await.map(|_| ())
    }
}

/// Whether the deployment of a record is there. Changes nothing.
///
/// # Errors
/// As opening it.
pub async fn holds_deployment(url: &Secret<String>) -> Result<bool, OpenError> {
    holds(url, Schema::Record, "setting", HOLDS_DEPLOYMENT).await
}

/// Whether anybody's keys are there. Changes nothing.
///
/// # Errors
/// As opening it.
pub async fn holds_keys(url: &Secret<String>) -> Result<bool, OpenError> {
    holds(url, Schema::Keys, "wrapped_key", HOLDS_KEYS).await
}

async fn holds(url: &Secret<String>, schema: Schema, table: &str, found: &'static str) -> Result<bool, OpenError> {
    let mut connection = options(url.expose(), schema)?.connect().await?;
    check(&mut connection).await?;
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(&mut connection).await?;
    let held = there && sqlx::query_scalar(found).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(held)
}

/// Holds back every other process that would migrate, until the end of the transaction; waits as long as that takes.
pub(super) async fn lock_migrations(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("SET LOCAL lock_timeout = 0").execute(&mut *connection).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(connection).await.map(|_| ())
}

fn options(url: &str, schema: Schema) -> Result<PgConnectOptions, OpenError> {
    if !names_a_user(url) {
        return Err(OpenError::Url("it must name a user (postgres://USER@HOST/DATABASE)"));
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| OpenError::Url("it cannot be read"))?;
    let mut session = vec![
        // A node that hangs inside a transaction must not hold patients' rows for ever.
        ("idle_in_transaction_session_timeout", "60s"),
        ("lock_timeout", "10s"),
        ("TimeZone", "UTC"),
    ];
    if schema == Schema::Keys {
        session.push(("search_path", KEYS_SCHEMA));
    }
    Ok(options
        .application_name("carethread")
        .statement_cache_capacity(512)
        .options(session)
        .disable_statement_logging())
}

/// Without one the driver would ask for a role called `anonymous`.
fn names_a_user(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = authority.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user.split(':').next().unwrap_or_default());
    user.is_some_and(|user| !user.is_empty())
        || query.split('&').any(|pair| pair.strip_prefix("user=").is_some_and(|user| !user.is_empty()))
}

fn pool(options: &PgConnectOptions, connections_max: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(CONNECTION_WAIT)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                match check(connection).await {
                    Ok(()) => Ok(()),
                    Err(OpenError::Database(error)) => Err(error),
                    Err(unfit) => Err(sqlx::Error::Configuration(Box::new(unfit))),
                }
            })
        })
        .connect_lazy_with(options.clone())
}

/// Refuses a server that could lose what it said was committed.
async fn check(connection: &mut PgConnection) -> Result<(), OpenError> {
    let (fsync, pages, commit, retry, _): Settings = sqlx::query_as(SETTINGS).fetch_one(connection).await?;
    for (name, found, fit, wanted) in [
        ("fsync", fsync, &["on"][..], "on"),
        ("full_page_writes", pages, &["on"], "on"),
        ("synchronous_commit", commit, &["on", "remote_apply"], "on or remote_apply"),
        ("data_sync_retry", retry, &["off"], "off"),
    ] {
        if !fit.contains(&found.as_str()) {
            return Err(OpenError::Setting { name, found, wanted });
        }
    }
    Ok(())
}

type Settings = (String, String, String, String, String);

/// Standbys that no commit waits for: allowed, but said.
async fn warn_about_standbys(connection: &mut PgConnection) -> sqlx::Result<()> {
    let (_, _, _, _, names): Settings = sqlx::query_as(SETTINGS).fetch_one(&mut *connection).await?;
    let standbys: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_stat_replication").fetch_one(connection).await?;
    if standbys > 0 && names.is_empty() {
        warn!(
            standbys,
            "synchronous_standby_names is empty: a failover to a standby may lose messages that were replied to"
        );
    }
    Ok(())
}

impl PostgresTx {
    /// The connection it runs on.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }

    pub(super) async fn commit(self) -> sqlx::Result<()> {
        self.0.commit().await
    }

    pub(super) async fn rollback(self) {
        // A connection that cannot roll back is broken and leaves the pool; the server rolls back when it is gone.
        let _ = self.0.rollback().await;
    }

    /// The site log has one appender at a time.
    pub(super) async fn lock_site_log(&mut self) -> sqlx::Result<()> {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(SITE_LOG_LOCK).execute(self.connection()).await.map(|_| ())
    }

    /// In id order: two nodes that lock the same patients in different orders would deadlock.
    pub(super) async fn lock_patients(&mut self, patients: &[Uuid]) -> sqlx::Result<()> {
        sqlx::query(LOCK_PATIENTS).bind(patients).execute(self.connection()).await.map(|_| ())
    }
}
