//! Single values of the deployment: its id, its document key. Few, small, and opaque here.

use super::{Tx, on_db, statements};

statements! {
    GET = "SELECT value FROM setting WHERE name = $1";
    PUT = "INSERT INTO setting (name, value) VALUES ($1, $2)";
    REPLACE = "UPDATE setting SET value = $2 WHERE name = $1";
}

/// The 16 bytes of the deployment's id, drawn once by `init`.
pub const DEPLOYMENT: &str = "deployment";
/// The PKCS #8 bytes of the key that signs documents, sealed (purpose `Integration`).
pub const DOCUMENT_KEY: &str = "document_key";

/// When a commit of unknown outcome was last found out, microseconds.
pub const RESOLVED: &str = "resolved";
/// When the last checkpoint of the site log was kept (8 bytes, microseconds), and its note.
pub const CHECKPOINT: &str = "checkpoint";
/// `entry.n` up to which every entry is under a signed head (8 bytes).
pub const ATTESTED: &str = "attested";
/// How far the walk of the whole record has come.
pub const PATROL: &str = "patrol";

/// A value, if it was put.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, name: &str) -> sqlx::Result<Option<Vec<u8>>> {
    let row: Option<(Vec<u8>,)> = on_db!(tx, |c| sqlx::query_as(GET).bind(name).fetch_optional(c).await)?;
    Ok(row.map(|(value,)| value))
}

/// Puts a value, or another one in its place.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, name: &str, value: &[u8]) -> sqlx::Result<()> {
    let replaced =
        on_db!(tx, |c| sqlx::query(REPLACE).bind(name).bind(value).execute(c).await.map(|done| done.rows_affected()))?;
    if replaced == 0 {
        on_db!(tx, |c| sqlx::query(PUT).bind(name).bind(value).execute(c).await.map(drop))?;
    }
    Ok(())
}
