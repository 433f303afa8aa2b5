//! What a database error means for what happens next.

use sqlx::Error;

/// The disk, the file or the server failed, so what was committed is unknown: stop writing, [`super::Db::reopen`], verify, then go on.
#[must_use]
pub fn is_storage_failure(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::WorkerCrashed | Error::Protocol(_) | Error::Tls(_) | Error::Configuration(_) => true,
        Error::Database(refused) => {
            let code = refused.code().unwrap_or_default();
            match sqlite_primary(error) {
                // IOERR, CORRUPT, FULL, CANTOPEN, NOTADB (https://www.sqlite.org/rescode.html)
                Some(primary) => matches!(primary, 10 | 11 | 13 | 14 | 26),
                // 08 connection, 25P03 idle in transaction for too long, 53 resources (100 disk full), 57P admin shutdown, 58 system
                // error, XX internal or corrupted (PostgreSQL documentation, appendix A)
                None => ["08", "25P03", "53", "57P", "58", "XX"].iter().any(|class| code.starts_with(class)),
            }
        }
        _ => false,
    }
}

/// The disk is full: refuse content with `busy`, raise the alarm.
#[must_use]
pub fn is_disk_full(error: &Error) -> bool {
    match error {
        Error::Database(refused) => sqlite_primary(error) == Some(13) || refused.code().as_deref() == Some("53100"),
        Error::Io(failed) => failed.kind() == std::io::ErrorKind::StorageFull,
        _ => false,
    }
}

/// A unique index or primary key said no: somebody else was first.
#[must_use]
pub fn is_conflict(error: &Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// SQLite's primary result code: the low byte of the extended one.
fn sqlite_primary(error: &Error) -> Option<i32> {
    let refused = error.as_database_error()?.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    let code: i32 = sqlx::error::DatabaseError::code(refused)?.parse().ok()?;
    Some(code & 0xff)
}
