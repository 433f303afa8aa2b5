//! Wrapped keys, in a database of their own with short backups, so that no long-lived backup of the record holds a key.
//! Does not know what a key opens: it keeps blobs.

use uuid::Uuid;

use super::{Db, Location, OpenError, Schema, id_list, on_db, statements};

statements! {
    INSERT = "INSERT INTO wrapped_key (owner, version, kek_version, state, created_at, blob) VALUES ($1, $2, $3, $4, $5, $6)";
    LOAD = "SELECT owner, version, kek_version, state, created_at, blob FROM wrapped_key WHERE owner = $1 ORDER BY version";
    LOAD_ALL = "SELECT owner, version, kek_version, state, created_at, blob FROM wrapped_key
        WHERE owner IN (SELECT unhex(value) FROM json_each($1)) ORDER BY owner, version";
    LIST = "SELECT owner, version, kek_version, state, created_at, blob FROM wrapped_key ORDER BY owner, version";
    NEWEST_KEK = "SELECT MAX(kek_version) AS newest FROM wrapped_key";
    REWRAP = "UPDATE wrapped_key SET kek_version = $3, blob = $4 WHERE owner = $1 AND version = $2";
    ERASE = "DELETE FROM wrapped_key WHERE owner = $1";
}

/// A row of `wrapped_key`.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct WrappedKey {
    /// A patient's id, or the filling that stands for the system key, the signer, a backup key.
    pub owner: Uuid,
    /// 1, 2, 3 ... per owner.
    pub version: i64,
    /// Which key-encryption key wraps it.
    pub kek_version: i64,
    /// 0 active, 1 retired.
    pub state: i16,
    /// Microseconds.
    pub created_at: i64,
    /// The wrapped key.
    pub blob: Vec<u8>,
}

/// The database of wrapped keys.
#[derive(Clone)]
pub struct Keys(Db);

impl Keys {
    /// Opens it: a file `keys.db`, or the schema `carethread_keys` on PostgreSQL.
    ///
    /// # Errors
    /// As [`Db::open`].
    pub async fn open(location: &Location) -> Result<Self, OpenError> {
        Db::open(location, Schema::Keys).await.map(Self)
    }

    /// The database under it, for backups and checkpoints.
    #[must_use]
    pub const fn db(&self) -> &Db {
        &self.0
    }

    /// Keeps a key. When this returns, it is on disk: only then may the first transaction use it.
    ///
    /// # Errors
    /// When that version is there already, or the database fails.
    pub async fn insert(&self, key: &WrappedKey) -> sqlx::Result<()> {
        let mut tx = self.0.write().await?;
        on_db!(tx, |c| sqlx::query(INSERT)
            .bind(key.owner)
            .bind(key.version)
            .bind(key.kek_version)
            .bind(key.state)
            .bind(key.created_at)
            .bind(&key.blob)
            .execute(c)
            .await
            .map(|_| ()))?;
        tx.commit().await
    }

    /// The keys of one owner, oldest version first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn load(&self, owner: Uuid) -> sqlx::Result<Vec<WrappedKey>> {
        let mut tx = self.0.read().await?;
        on_db!(tx, |c| sqlx::query_as(LOAD).bind(owner).fetch_all(c).await)
    }

    /// The keys of several owners, by owner and version.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn load_all(&self, owners: impl IntoIterator<Item = Uuid>) -> sqlx::Result<Vec<WrappedKey>> {
        let owners = id_list(owners);
        let mut tx = self.0.read().await?;
        on_db!(tx, |c| sqlx::query_as(LOAD_ALL).bind(&owners).fetch_all(c).await)
    }

    /// The newest version of the key-encryption key that wraps any key; none if there is no key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest_kek(&self) -> sqlx::Result<Option<i64>> {
        let mut tx = self.0.read().await?;
        on_db!(tx, |c| sqlx::query_scalar(NEWEST_KEK).fetch_one(c).await)
    }

    /// Every key, by owner and version.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> sqlx::Result<Vec<WrappedKey>> {
        let mut tx = self.0.read().await?;
        on_db!(tx, |c| sqlx::query_as(LIST).fetch_all(c).await)
    }

    /// Replaces the wrapping of one version: rotation of the key-encryption key. False when there is no such version.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rewrap(&self, owner: Uuid, version: i64, kek_version: i64, blob: &[u8]) -> sqlx::Result<bool> {
        let mut tx = self.0.write().await?;
        let changed = on_db!(tx, |c| sqlx::query(REWRAP)
            .bind(owner)
            .bind(version)
            .bind(kek_version)
            .bind(blob)
            .execute(c)
            .await
            .map(|done| done.rows_affected()))?;
        tx.commit().await?;
        Ok(changed == 1)
    }

    /// Destroys every version of an owner's key: what they sealed is gone for good. Deleted pages are overwritten (`secure_delete`).
    /// Returns how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn erase(&self, owner: Uuid) -> sqlx::Result<u64> {
        let mut tx = self.0.write().await?;
        let erased = on_db!(tx, |c| sqlx::query(ERASE).bind(owner).execute(c).await.map(|done| done.rows_affected()))?;
        tx.commit().await?;
        match &self.0 {
            Db::Sqlite(db) => db.truncate_log().await?,
            Db::Postgres(db) => db.vacuum_keys().await?,
        }
        Ok(erased)
    }
}
