//! Which database a test runs on, and the way of one who holds it: past the program, straight to its tables.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use carethread::kernel::store::Backend;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, PgConnection, SqliteConnection};

use super::postgres::{Cluster, programs};
use super::server::House;

/// Every test runs on each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// Files in the data folder.
    Sqlite,
    /// A database of its own in the cluster of this process.
    Postgres,
}

thread_local! {
    /// A test has a thread and a runtime of its own on it, so what it spawns finds the same choice.
    static CHOSEN: Cell<Option<Database>> = const { Cell::new(None) };
}

/// Runs a test on a database: every house it makes keeps its record there.
pub async fn on(database: Database, test: impl Future<Output = ()>) {
    CHOSEN.set(Some(database));
    Box::pin(test).await;
    CHOSEN.set(None);
}

impl Database {
    /// The one the running test was told. Without `both!` nothing is laid over what the test configures.
    pub fn chosen() -> Self {
        CHOSEN.get().unwrap_or(Self::Sqlite)
    }
}

/// A database of PostgreSQL that is gone when this is dropped.
pub struct Base {
    pub url: String,
}

impl Base {
    /// An empty one.
    pub fn new() -> Self {
        Self { url: Cluster::shared().database() }
    }

    /// One with the same content, whoever is connected to the first.
    pub async fn copied(&self) -> Self {
        let copy = Self::new();
        let text = tempfile::NamedTempFile::new().unwrap();
        let run = async |program: &str, arguments: &[&str]| {
            let mut command = tokio::process::Command::new(programs().join(program));
            let output = command.args(arguments).output().await.unwrap();
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let path = text.path().display().to_string();
        run("pg_dump", &["--file", &path, &self.url]).await;
        run("psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", &path, &copy.url]).await;
        copy
    }

    /// Its name in the cluster.
    pub fn name(&self) -> &str {
        self.url.rsplit_once('/').unwrap().1
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        Cluster::shared().run(&format!("DROP DATABASE {} WITH (FORCE)", self.name()));
    }
}

/// Everything a record at rest consists of, to come back to.
pub enum Snapshot {
    Sqlite(Vec<u8>),
    Postgres(Base),
}

impl Snapshot {
    /// Takes it; nothing serves the house.
    pub fn of(house: &House) -> Self {
        match house.base() {
            None => {
                assert!(!record(house).with_extension("db-wal").exists(), "a clean end leaves no log behind");
                Self::Sqlite(std::fs::read(record(house)).unwrap())
            }
            Some(base) => Self::Postgres(Base { url: Cluster::shared().database_like(base.name()) }),
        }
    }

    /// Puts the house back to it.
    pub fn restore(&self, house: &House) {
        match (self, house.base()) {
            (Self::Sqlite(bytes), _) => {
                for extension in ["db-wal", "db-shm"] {
                    let _ = std::fs::remove_file(record(house).with_extension(extension));
                }
                std::fs::write(record(house), bytes).unwrap();
            }
            (Self::Postgres(clean), Some(base)) => {
                let cluster = Cluster::shared();
                cluster.run(&format!("DROP DATABASE {} WITH (FORCE)", base.name()));
                cluster.run(&format!("CREATE DATABASE {} TEMPLATE {}", base.name(), clean.name()));
            }
            (Self::Postgres(_), None) => panic!("the house has another database"),
        }
    }
}

fn record(house: &House) -> PathBuf {
    Path::new(&house.data()).join("record.db")
}

/// The tables of a house. Used through [`carethread::on_db`], as the program does.
pub enum Tables {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Tables {
    /// Opens them.
    pub async fn of(house: &House) -> Self {
        match house.base() {
            None => {
                let options = SqliteConnectOptions::new().filename(record(house));
                Self::Sqlite(SqliteConnection::connect_with(&options).await.unwrap())
            }
            Some(base) => Self::Postgres(PgConnection::connect(&base.url).await.unwrap()),
        }
    }

    /// The connection.
    pub fn backend(&mut self) -> Backend<'_> {
        match self {
            Self::Sqlite(connection) => Backend::Sqlite(connection),
            Self::Postgres(connection) => Backend::Postgres(connection),
        }
    }

    /// Runs a statement that both databases read alike; `zeroblob(n)` is there on both after [`Tables::disarm`].
    pub async fn run(&mut self, sql: &str) {
        let statement = sqlx::AssertSqlSafe(sql.to_owned());
        let done = carethread::on_db!(self, |c| sqlx::raw_sql(statement).execute(c).await.map(|_| ()));
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Takes away the triggers that keep entries and audit rows from being changed.
    pub async fn disarm(&mut self) {
        match self {
            Self::Sqlite(_) => {
                for trigger in ["entry_keep_update", "entry_keep_delete", "audit_keep_update", "audit_keep_delete"] {
                    self.run(&format!("DROP TRIGGER {trigger}")).await;
                }
            }
            Self::Postgres(_) => {
                for table in ["entry", "audit"] {
                    self.run(&format!("DROP TRIGGER {table}_keep ON {table}")).await;
                }
                let zeroes = "SELECT decode(repeat('00', $1), 'hex')";
                self.run(&format!("CREATE FUNCTION zeroblob(integer) RETURNS bytea LANGUAGE sql AS $${zeroes}$$"))
                    .await;
            }
        }
    }

    /// Lets go of them; on SQLite the last one writes the log back.
    pub async fn close(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}
