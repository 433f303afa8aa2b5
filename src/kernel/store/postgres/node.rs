//! One node a database: the writing connection of whoever serves holds a lock of the server, and the database names who that is.
//! The lock goes with the connection. A process that comes back after a failure gets it once the server has ended its former
//! connection, so that nothing it sent before can still be committed then.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::Instant;
use uuid::Uuid;

use super::connect;
use crate::kernel::base::Secret;
use crate::kernel::store::bounded;
use crate::kernel::store::migrate::{OpenError, Schema};

/// Any number, the same in every version of this program: who serves holds it.
const NODE_LOCK: i64 = 0x6361_7265_6e6f_6465;
/// How long another process may take to end.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(50);

const TRY_LOCK: &str = "SELECT pg_try_advisory_lock($1)";
const ENTER: &str =
    "INSERT INTO setting (name, value) VALUES ('node', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const ENTERED: &str = "SELECT value FROM setting WHERE name = 'node'";
/// A connection that is cut is not always noticed by the server. Ours is told to end, unless a statement runs on it: then its end is
/// near, and a commit among them is not to be disturbed.
const END_FORMER: &str = "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a JOIN pg_locks AS l ON l.pid = a.pid \
    WHERE a.pid = $1 AND l.locktype = 'advisory' AND l.granted AND (a.state <> 'active' OR a.wait_event_type = 'Client')";

/// Takes the node's lock on this connection.
///
/// # Errors
/// [`OpenError::InUse`] when another process keeps it.
pub(super) async fn take_lock(connection: &mut PgConnection, former: Option<i32>) -> Result<(), OpenError> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        if bounded(sqlx::query_scalar(TRY_LOCK).bind(NODE_LOCK).fetch_one(&mut *connection)).await? {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(OpenError::InUse);
        }
        if let Some(former) = former {
            bounded(sqlx::query(END_FORMER).bind(former).execute(&mut *connection)).await?;
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}

/// Names `node` as the one that holds the lock.
pub(super) async fn enter(connection: &mut PgConnection, node: Uuid) -> Result<(), OpenError> {
    let bytes = &node.as_bytes()[..];
    bounded(sqlx::query(ENTER).bind(bytes).execute(connection)).await?;
    Ok(())
}

/// As [`take_lock`] for a node that held it before. Its knowledge of the database is good only if nobody else had it meanwhile.
///
/// # Errors
/// [`OpenError::TakenOver`] when somebody else did.
pub(super) async fn hold(connection: &mut PgConnection, node: Uuid, former: Option<i32>) -> Result<(), OpenError> {
    demand_entered(connection, node).await?;
    take_lock(connection, former).await?;
    demand_entered(connection, node).await
}

async fn demand_entered(connection: &mut PgConnection, node: Uuid) -> Result<(), OpenError> {
    let entered: Option<Vec<u8>> = bounded(sqlx::query_scalar(ENTERED).fetch_optional(connection)).await?;
    if entered.as_deref() == Some(node.as_bytes()) { Ok(()) } else { Err(OpenError::TakenOver) }
}

const TABLES: &str = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1";
/// Every schema has it, and the first migration makes it.
const OURS: &str = "migration";

/// The tables that are there.
///
/// # Errors
/// As opening the database.
pub async fn tables(url: &Secret<String>, schema: Schema) -> Result<Vec<String>, OpenError> {
    let (mut connection, _) = connect::connect(&connect::options(url.expose(), schema)?).await?;
    let tables = bounded(sqlx::query_scalar(TABLES).fetch_all(&mut connection)).await?;
    connection.close().await?;
    Ok(tables)
}

/// Takes away what was made of a schema since there were only the tables `before`, none of them ours.
///
/// # Errors
/// As opening the database.
pub async fn forget_made(url: &Secret<String>, schema: Schema, before: &[String]) -> Result<(), OpenError> {
    let mut made = tables(url, schema).await?;
    made.retain(|table| !before.contains(table));
    if !made.iter().any(|table| table == OURS) {
        return Ok(());
    }
    let (mut connection, _) = connect::connect(&connect::options(url.expose(), schema)?).await?;
    let drops = format!(
        "DROP TABLE {}; DROP FUNCTION IF EXISTS refuse_rewriting, json_each(text), unhex(text), json_extract(text, text); \
         DROP DOMAIN IF EXISTS blob;",
        made.join(", ")
    );
    let mut tx = connection.begin().await?;
    bounded(sqlx::raw_sql(sqlx::AssertSqlSafe(drops)).execute(&mut *tx)).await?;
    tx.commit().await?;
    connection.close().await?;
    Ok(())
}
