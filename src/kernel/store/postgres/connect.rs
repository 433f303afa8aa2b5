//! A connection to PostgreSQL: what is asked of the URL, of the session and of the server before anything rests on it.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tracing::warn;

use crate::kernel::base::Secret;
use crate::kernel::store::migrate::{OpenError, Schema};
use crate::kernel::store::{bounded, bounded_by};

/// How long a server may take to answer at all.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// The schema of the wrapped keys.
const KEYS_SCHEMA: &str = "carethread_keys";
/// PostgreSQL 15, as `server_version_num` says it.
const VERSION_MIN: u32 = 150_000;

const SETTINGS: &str = "SELECT current_setting('server_version_num') AS version, current_setting('server_encoding') AS encoding, \
    pg_is_in_recovery() AS standby, current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages, \
    current_setting('synchronous_commit') AS commits, current_setting('data_sync_retry') AS retry, pg_backend_pid() AS backend";
const STANDBYS: &str =
    "SELECT current_setting('synchronous_standby_names'), CAST(count(*) AS BIGINT) FROM pg_stat_replication";
const IS_THERE: &str = "SELECT to_regclass($1) IS NOT NULL";
const SCHEMA_IS_THERE: &str = "SELECT to_regnamespace('carethread_keys') IS NOT NULL";
const HOLDS_DEPLOYMENT: &str = "SELECT EXISTS (SELECT 1 FROM setting WHERE name = 'deployment')";
const HOLDS_KEYS: &str = "SELECT EXISTS (SELECT 1 FROM wrapped_key)";

/// What a server says of itself.
#[derive(Clone, sqlx::FromRow)]
struct Settings {
    version: String,
    encoding: String,
    standby: bool,
    fsync: String,
    pages: String,
    commits: String,
    retry: String,
    backend: i32,
}

pub(super) fn options(url: &str, schema: Schema) -> Result<PgConnectOptions, OpenError> {
    if !names_a_user(url) {
        return Err(OpenError::Url("it must name a user (postgres://USER@HOST/DATABASE)"));
    }
    let options = PgConnectOptions::from_str(url).map_err(|_| OpenError::Url("it cannot be read"))?;
    let mut session = vec![
        // A node that hangs inside a transaction must not hold patients' rows for ever.
        ("idle_in_transaction_session_timeout", "60s"),
        // Below the time that a statement is waited for: the server says what is in the way before the connection is given up.
        ("lock_timeout", "4s"),
        // A node that is gone without a word: found out within a quarter of a minute. Without meaning on a socket of this machine.
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "3"),
        ("tcp_keepalives_count", "3"),
        ("TimeZone", "UTC"),
        // Plans are kept with their statements. One made while a table was empty would scan it still when it is not.
        ("enable_seqscan", "off"),
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

/// Connects, and refuses a server that could lose what it said was committed. With the server's process behind the connection.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<(PgConnection, i32), OpenError> {
    let mut connection = bounded_by(CONNECT_WAIT, options.connect()).await?;
    let settings: Settings = bounded(sqlx::query_as(SETTINGS).fetch_one(&mut connection)).await?;
    check(&settings)?;
    Ok((connection, settings.backend))
}

fn check(settings: &Settings) -> Result<(), OpenError> {
    if settings.version.parse::<u32>().unwrap_or(0) < VERSION_MIN {
        return Err(OpenError::Version(settings.version.clone()));
    }
    if settings.standby {
        return Err(OpenError::Standby);
    }
    if settings.encoding != "UTF8" {
        return Err(OpenError::Encoding(settings.encoding.clone()));
    }
    for (name, found, fit, wanted) in [
        ("fsync", &settings.fsync, &["on"][..], "on"),
        ("full_page_writes", &settings.pages, &["on"], "on"),
        ("synchronous_commit", &settings.commits, &["on", "remote_apply"], "on or remote_apply"),
        ("data_sync_retry", &settings.retry, &["off"], "off"),
    ] {
        if !fit.contains(&found.as_str()) {
            return Err(OpenError::Setting { name, found: found.clone(), wanted });
        }
    }
    Ok(())
}

/// Standbys that no commit waits for: allowed, but said.
pub(super) async fn warn_about_standbys(connection: &mut PgConnection) -> sqlx::Result<()> {
    let (names, standbys): (String, i64) = bounded(sqlx::query_as(STANDBYS).fetch_one(connection)).await?;
    if standbys > 0 && names.is_empty() {
        warn!(
            standbys,
            "synchronous_standby_names is empty: a failover to a standby may lose messages that were replied to"
        );
    }
    Ok(())
}

/// Made only where it is missing: the role that serves need not be one that may make schemas.
pub(super) async fn make_keys_schema(connection: &mut PgConnection) -> sqlx::Result<()> {
    let there: bool = bounded(sqlx::query_scalar(SCHEMA_IS_THERE).fetch_one(&mut *connection)).await?;
    if !there {
        bounded(sqlx::query("CREATE SCHEMA IF NOT EXISTS carethread_keys").execute(connection)).await?;
    }
    Ok(())
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
    let (mut connection, _) = connect(&options(url.expose(), schema)?).await?;
    let there: bool = bounded(sqlx::query_scalar(IS_THERE).bind(table).fetch_one(&mut connection)).await?;
    let held = there && bounded(sqlx::query_scalar(found).fetch_one(&mut connection)).await?;
    connection.close().await?;
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit() -> Settings {
        let text = str::to_owned;
        Settings {
            version: text("150014"),
            encoding: text("UTF8"),
            standby: false,
            fsync: text("on"),
            pages: text("on"),
            commits: text("remote_apply"),
            retry: text("off"),
            backend: 1,
        }
    }

    #[test]
    fn a_server_that_could_lose_something_is_refused_by_name() {
        type Change = fn(&mut Settings);
        assert!(check(&fit()).is_ok());
        let changes: [(Change, &str); 9] = [
            (|settings| settings.version = "149999".into(), "PostgreSQL 15 or newer"),
            (|settings| settings.version = "soon".into(), "PostgreSQL 15 or newer"),
            (|settings| settings.standby = true, "standby"),
            (|settings| settings.encoding = "SQL_ASCII".into(), "SQL_ASCII"),
            (|settings| settings.fsync = "off".into(), "fsync = off"),
            (|settings| settings.pages = "off".into(), "full_page_writes = off"),
            (|settings| settings.commits = "local".into(), "synchronous_commit = local"),
            (|settings| settings.commits = "remote_write".into(), "synchronous_commit = remote_write"),
            (|settings| settings.retry = "on".into(), "data_sync_retry = on"),
        ];
        for (change, word) in changes {
            let mut settings = fit();
            change(&mut settings);
            let refused = check(&settings).unwrap_err().to_string();
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn a_url_names_a_user() {
        for url in ["postgres://a@h/d", "postgres://a:b@h:5432/d?sslmode=require", "postgres:///d?user=a"] {
            assert!(names_a_user(url), "{url}");
        }
        for url in ["postgres://h/d", "postgres:///d", "postgres://@h/d", "postgres://h/d?user="] {
            assert!(!names_a_user(url), "{url}");
        }
    }
}
