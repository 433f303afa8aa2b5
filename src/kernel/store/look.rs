//! A look at a database from beside the program that uses it: nothing is changed, no schema is made, no lock is kept. For `doctor`, which
//! must be able to say what is wrong with a database that cannot be opened.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection};

use super::migrate::{OpenError, Schema};
use super::{Backend, Location, on_db};
use crate::kernel::base::Micros;

/// How long a server may take to answer at all.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// A file that is larger is walked only when that is asked for: it is read as a whole.
const WALKED_BYTES_MAX: u64 = 1 << 30;

/// What a database says of itself.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Name and version.
    pub version: String,
    /// The highest migration that was applied; none in an empty database.
    pub schema: Option<i64>,
    /// The time of the newest entry of any channel.
    pub newest_at: Option<Micros>,
    /// The server's own clock.
    pub clock: Option<Micros>,
    /// Settings that matter, fit or not.
    pub settings: Vec<Setting>,
    /// What the walk through all pages found; none when it was not walked.
    pub walked: Option<String>,
    /// Bytes of the file and of its write-ahead log; 0 on a server.
    pub bytes: (u64, u64),
    /// What a server says that a file does not.
    pub server: Option<Server>,
}

/// A setting as it is and as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub found: String,
    /// What it has to be.
    pub wanted: &'static str,
    /// Whether it is.
    pub fit: bool,
}

/// A database server.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Server {
    /// Whether this connection is encrypted.
    pub encrypted: bool,
    /// Whether it came over a socket of this machine.
    pub local: bool,
    /// Whether the role may do everything, such as switching triggers off.
    pub superuser: bool,
    /// Connections there are.
    pub connections: i64,
    /// Connections there may be.
    pub connections_max: i64,
    /// Standbys that follow.
    pub standbys: i64,
    /// Whether commits wait for one.
    pub waits_for_standby: bool,
}

const SQLITE_MIGRATED: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'migration')";
const POSTGRES_MIGRATED: &str = "SELECT to_regclass('migration') IS NOT NULL";
const APPLIED: &str = "SELECT CAST(MAX(number) AS BIGINT) AS newest FROM migration";
const NEWEST_ENTRY: &str = "SELECT CAST(MAX(at) AS BIGINT) AS newest FROM channel";
const SETTINGS: &str = "SELECT current_setting('server_version_num'), current_setting('server_encoding'), \
    CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END, current_setting('fsync'), current_setting('full_page_writes'), \
    current_setting('synchronous_commit'), current_setting('data_sync_retry')";
const SERVER: &str = "SELECT COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted, \
    COALESCE(inet_client_addr() IS NULL OR inet_client_addr() <<= '127.0.0.0/8'::inet OR inet_client_addr() = '::1'::inet, true) AS local, \
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser, \
    (SELECT CAST(count(*) AS BIGINT) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections, \
    CAST(current_setting('max_connections') AS BIGINT) AS connections_max, \
    (SELECT CAST(count(*) AS BIGINT) FROM pg_stat_replication) AS standbys, \
    current_setting('synchronous_standby_names') <> '' AS waits_for_standby";
const CLOCK: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// Looks. A large SQLite file is walked page by page only when `thorough`.
///
/// # Errors
/// It cannot be reached or read at all.
pub async fn look(location: &Location, schema: Schema, thorough: bool) -> Result<Look, OpenError> {
    match location {
        Location::File(path) => file(path, schema, thorough).await,
        Location::Postgres(url) => {
            let options = PgConnectOptions::from_str(url.expose()).map_err(|_| OpenError::Url("it cannot be read"))?;
            let mut session = vec![("default_transaction_read_only", "on"), ("statement_timeout", "10s")];
            if schema == Schema::Keys {
                session.push(("search_path", "carethread_keys"));
            }
            let options = options.application_name("carethread doctor").options(session).disable_statement_logging();
            let connecting = tokio::time::timeout(CONNECT_WAIT, options.connect());
            let mut connection = connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
            let found = server(&mut connection, schema).await?;
            // Read to its end: how it is closed changes nothing.
            let _ = connection.close().await;
            Ok(found)
        }
    }
}

async fn file(path: &Path, schema: Schema, thorough: bool) -> Result<Look, OpenError> {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_secs(5));
    let mut connection = options.disable_statement_logging().connect().await?;
    let mut look = Look { bytes: (size(path), size(&path.with_extension("db-wal"))), ..Look::default() };
    look.version = sqlx::query_scalar("SELECT 'SQLite ' || sqlite_version()").fetch_one(&mut connection).await?;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await?;
    look.settings.push(setting("journal_mode", journal, &["wal"], "wal"));
    if thorough || look.bytes.0 <= WALKED_BYTES_MAX {
        look.walked = Some(sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?);
    }
    let migrated = sqlx::query_scalar(SQLITE_MIGRATED).fetch_one(&mut connection).await?;
    look.history(migrated, Connected::Sqlite(&mut connection), schema).await?;
    connection.close().await?;
    Ok(look)
}

async fn server(connection: &mut PgConnection, schema: Schema) -> Result<Look, OpenError> {
    let version = "SELECT 'PostgreSQL ' || current_setting('server_version')";
    let version = sqlx::query_scalar(version).fetch_one(&mut *connection).await?;
    let mut look = Look { version, ..Look::default() };
    type Found = (String, String, String, String, String, String, String);
    let (version, encoding, standby, fsync, pages, commits, retry): Found =
        sqlx::query_as(SETTINGS).fetch_one(&mut *connection).await?;
    let known = version.parse::<u32>().is_ok_and(|version| version >= 150_000);
    look.settings = vec![
        Setting { name: "server_version_num", found: version, wanted: "150000 or more", fit: known },
        setting("server_encoding", encoding, &["UTF8"], "UTF8"),
        setting("in_recovery", standby, &["off"], "off"),
        setting("fsync", fsync, &["on"], "on"),
        setting("full_page_writes", pages, &["on"], "on"),
        setting("synchronous_commit", commits, &["on", "remote_apply"], "on or remote_apply"),
        setting("data_sync_retry", retry, &["off"], "off"),
    ];
    look.server = Some(sqlx::query_as(SERVER).fetch_one(&mut *connection).await?);
    look.clock = Some(sqlx::query_scalar(CLOCK).fetch_one(&mut *connection).await?);
    let migrated = sqlx::query_scalar(POSTGRES_MIGRATED).fetch_one(&mut *connection).await?;
    look.history(migrated, Connected::Postgres(connection), schema).await?;
    Ok(look)
}

fn setting(name: &'static str, found: String, fit: &[&str], wanted: &'static str) -> Setting {
    let fit = fit.contains(&found.to_ascii_lowercase().as_str()) || fit.contains(&found.as_str());
    Setting { name, found, wanted, fit }
}

enum Connected<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Connected<'_> {
    fn backend(&mut self) -> Backend<'_> {
        match self {
            Self::Sqlite(connection) => Backend::Sqlite(connection),
            Self::Postgres(connection) => Backend::Postgres(connection),
        }
    }
}

impl Look {
    /// What was applied, and when the newest entry was written.
    async fn history(&mut self, migrated: bool, mut on: Connected<'_>, schema: Schema) -> Result<(), OpenError> {
        if !migrated {
            return Ok(());
        }
        self.schema = on_db!(on, |c| sqlx::query_scalar(APPLIED).fetch_one(c).await)?;
        if schema == Schema::Record && self.schema.is_some_and(|schema| schema >= 1) {
            self.newest_at = on_db!(on, |c| sqlx::query_scalar(NEWEST_ENTRY).fetch_one(c).await)?;
        }
        Ok(())
    }
}
