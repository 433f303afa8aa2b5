//! Migrations: embedded in the binary, each applied once, in order, in a transaction of its own, under the writers' lock.
//! A binary refuses a schema it does not know, and one whose past was edited.

use std::borrow::Cow;
use std::fmt::Write as _;

use sqlx::migrate::MigrationType;
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::{Backend, Db, Tx, on_db};

/// Which set of tables a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// The record and all projections: `record.db`.
    Record,
    /// Wrapped keys only: `keys.db`, or the schema `carethread_keys` on PostgreSQL.
    Keys,
}

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its place, never reused.
    pub number: i64,
    /// What its files are called, under `migrations/`.
    pub name: &'static str,
    /// Its texts, in the order they run.
    pub parts: &'static [Part],
}

/// One file of a migration.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// `NAME.sql`, read alike by both databases.
    Both(&'static str),
    /// `NAME.sqlite.sql`
    Sqlite(&'static str),
    /// `NAME.postgres.sql`
    Postgres(&'static str),
}

/// One line per migration: number, name, which files there are.
macro_rules! migrations {
    ($($number:literal $name:literal $($part:ident)+;)*) => {
        &[$(Migration { number: $number, name: $name, parts: &[$(Part::$part(migrations!(@text $name $part))),+] },)*]
    };
    (@text $name:literal Both) => { include_str!(concat!("../../../migrations/", $name, ".sql")) };
    (@text $name:literal Sqlite) => { include_str!(concat!("../../../migrations/", $name, ".sqlite.sql")) };
    (@text $name:literal Postgres) => { include_str!(concat!("../../../migrations/", $name, ".postgres.sql")) };
}

/// The record's migrations: add a line for each; a test finds files that no line names.
const RECORD: &[Migration] = migrations! {
    0 "0000_dialect" Postgres;
    1 "0001_record" Both Sqlite Postgres;
    2 "0002_policy" Both;
    3 "0003_engine" Both;
    4 "0004_identity" Both;
    5 "0005_patients" Both;
    6 "0006_care_plan" Both;
    7 "0007_channels" Both;
    9 "0009_chart" Both;
    10 "0010_receipts" Both;
    11 "0011_answers" Both;
    13 "0013_growth" Both;
    14 "0014_alarm" Both;
    15 "0015_standing" Both;
    16 "0016_tasks" Both;
    17 "0017_notes" Both;
    18 "0018_files" Both;
    19 "0019_handoffs" Both;
    20 "0020_checkins" Both;
    21 "0021_escalation" Both;
    22 "0022_intake" Both;
    23 "0023_claims" Both;
    24 "0024_drift" Both;
    25 "0025_open_work" Both;
    26 "0026_exports" Both;
    27 "0027_again" Both;
    28 "0028_disclosure" Both;
    29 "0029_open_checkin" Both;
    30 "0030_identifiers" Both;
};

/// The keys' migrations.
const KEYS: &[Migration] = migrations! {
    0 "0000_dialect" Postgres;
    1 "keys/0001_keys" Both;
};

impl Schema {
    /// Its migrations, in order.
    #[must_use]
    pub const fn migrations(self) -> &'static [Migration] {
        match self {
            Self::Record => RECORD,
            Self::Keys => KEYS,
        }
    }
}

impl Migration {
    /// What is remembered of it, so that an edit of the past is noticed: SHA-384 in hex over its texts.
    #[must_use]
    pub fn checksum(&self) -> String {
        // A zero byte cannot stand in SQL, so the joined text shows where each part ends.
        let parts: Vec<&str> = self.parts.iter().map(Part::text).collect();
        let sql = AssertSqlSafe(parts.join("\0")).into_sql_str();
        let digest =
            sqlx::migrate::Migration::new(self.number, Cow::Borrowed(self.name), MigrationType::Simple, sql, false)
                .checksum;
        digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl Part {
    /// Its SQL.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Both(text) | Self::Sqlite(text) | Self::Postgres(text) => text,
        }
    }
}

/// Why a database was not opened. Names settings and files, never what is in them.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database refused or failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// Made by a newer version of this program.
    #[error(
        "the database has schema {found}, this program knows up to {known}: use the version that made it, or a newer one"
    )]
    Unknown {
        /// The highest migration in the database.
        found: i64,
        /// The highest this binary knows.
        known: i64,
    },
    /// A migration that was applied reads differently now.
    #[error("migration {0} was applied with another text: this program did not make this database")]
    Edited(i64),
    /// The server could lose what it said was committed.
    #[error("PostgreSQL runs with {name} = {found}; it must be {wanted}, else replied messages can be lost")]
    Setting {
        /// Which setting.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// Older than what was tested.
    #[error("the server says its version is {0}; PostgreSQL 15 or newer is needed")]
    Version(String),
    /// Writes would be refused, and what is read would be old.
    #[error("the server is a standby: name the primary")]
    Standby,
    /// Not every text would come back as it went.
    #[error("the database has encoding {0}; it must be UTF8 (CREATE DATABASE .. ENCODING 'UTF8' TEMPLATE template0)")]
    Encoding(String),
    /// One process at a time serves a database.
    #[error("another carethread process uses the database; this version serves a database from one process at a time")]
    InUse,
    /// What this process knows of the database is not true any more.
    #[error("another carethread process has used the database since this one lost its connection")]
    TakenOver,
    /// The URL cannot be used.
    #[error("database URL: {0}")]
    Url(&'static str),
}

impl From<OpenError> for sqlx::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Database(error) => error,
            unfit => Self::Configuration(Box::new(unfit)),
        }
    }
}

const IS_THERE: &str = "SELECT to_regclass('migration') IS NOT NULL";
const TABLE: &str = "CREATE TABLE IF NOT EXISTS migration (number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)";
const APPLIED: &str = "SELECT number, checksum FROM migration ORDER BY number";
const RECORD_ONE: &str = "INSERT INTO migration (number, name, checksum) VALUES ($1, $2, $3)";

/// Applies what is missing. Two processes may call it at once: each step takes the lock and looks again.
///
/// # Errors
/// When the database holds a schema this binary does not know, or a step fails; steps before it stay applied.
pub async fn run(db: &Db, schema: Schema) -> Result<(), OpenError> {
    loop {
        let mut tx = db.write().await?;
        // A role that serves need not be one that may make tables.
        let mut there = false;
        if let Backend::Postgres(connection) = tx.backend() {
            super::postgres::lock_migrations(connection).await?;
            there = sqlx::query_scalar(IS_THERE).fetch_one(connection).await?;
        }
        if !there {
            on_db!(tx, |c| sqlx::raw_sql(TABLE).execute(c).await.map(|_| ()))?;
        }
        let Some(next) = next(&mut tx, schema.migrations()).await? else {
            return Ok(tx.commit().await?);
        };
        apply(&mut tx, next).await?;
        tx.commit().await?;
    }
}

/// The first migration that is not in the database yet.
async fn next(tx: &mut Tx, known: &'static [Migration]) -> Result<Option<&'static Migration>, OpenError> {
    let applied: Vec<(i64, String)> = on_db!(tx, |c| sqlx::query_as(APPLIED).fetch_all(c).await)?;
    let newest = known.last().map_or(-1, |last| last.number);
    for (number, checksum) in &applied {
        let Some(ours) = known.iter().find(|migration| migration.number == *number) else {
            return Err(OpenError::Unknown { found: *number, known: newest });
        };
        if ours.checksum() != *checksum {
            return Err(OpenError::Edited(*number));
        }
    }
    Ok(known.iter().find(|migration| applied.iter().all(|(number, _)| *number != migration.number)))
}

async fn apply(tx: &mut Tx, migration: &'static Migration) -> sqlx::Result<()> {
    for part in migration.parts {
        if matches!(
            (part, tx.backend()),
            (Part::Sqlite(_), Backend::Postgres(_)) | (Part::Postgres(_), Backend::Sqlite(_))
        ) {
            continue;
        }
        on_db!(tx, |c| sqlx::raw_sql(part.text()).execute(c).await.map(|_| ()))?;
    }
    let checksum = migration.checksum();
    on_db!(tx, |c| sqlx::query(RECORD_ONE)
        .bind(migration.number)
        .bind(migration.name)
        .bind(&checksum)
        .execute(c)
        .await
        .map(|_| ()))
}
