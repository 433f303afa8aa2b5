//! The batched append: many rows, one statement a table. The rows here, the statements in each dialect.
//! After any error the transaction is over on both databases (`OR ROLLBACK` on SQLite): drop it, build the batch again from its commands.

use uuid::Uuid;

use super::{Tx, on_db, postgres, sqlite, statements};

statements! {
    CHANNEL = "INSERT INTO channel (id, patient, seq, head, epoch, at)
        VALUES ($1, $2, 0, $3, $4, $5) RETURNING n";
}

/// A row of `entry`, without the number the database gives it.
#[derive(Clone)]
pub struct EntryRow {
    /// `channel.n`
    pub channel: i64,
    /// 1, 2, 3 ... within the channel.
    pub seq: i64,
    /// The entry's id.
    pub id: Uuid,
    /// Kind of the leaf.
    pub kind: i16,
    /// Flags of the leaf.
    pub flags: i16,
    /// The event's name, `message.posted`.
    pub event: &'static str,
    /// Who.
    pub author: Uuid,
    /// Microseconds.
    pub at: i64,
    /// The plan item.
    pub item: Option<Uuid>,
    /// Sealed.
    pub body: Vec<u8>,
    /// What the leaf says of the body.
    pub commitment: [u8; 32],
    /// The sealed file manifest.
    pub files: Option<Vec<u8>>,
    /// The chain up to here.
    pub head: [u8; 32],
    /// Raised by a restore.
    pub epoch: i16,
    /// For the entry that answers a command with a `key`.
    pub key: Option<KeyColumns>,
}

/// How a repeated command is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumns {
    /// The command's `key`.
    pub key: Uuid,
    /// Within what it is unique for its author: `channel.n`, or 0.
    pub scope: i64,
    /// HMAC of the command.
    pub mac: Vec<u8>,
    /// Version of the key of the HMAC.
    pub mac_version: i32,
}

/// A row of `audit`.
#[derive(Clone)]
pub struct AuditRow {
    /// Which chain.
    pub stream: i64,
    /// 1, 2, 3 ... within the stream.
    pub n: i64,
    /// Microseconds.
    pub at: i64,
    /// JSON; what is secret in it is sealed.
    pub line: String,
    /// The chain up to here.
    pub head: [u8; 32],
}

/// A row of `thing`.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct ThingRow {
    /// The thing's id.
    pub id: Uuid,
    /// Which kind of thing, by the registry.
    pub kind: i16,
    /// Whose.
    pub patient: Uuid,
    /// Where it was made.
    pub channel: Uuid,
    /// Its plan item.
    pub item: Option<Uuid>,
    /// Who made it.
    pub author: Uuid,
    /// Of the entry that made it.
    pub seq: i64,
    /// Still open (items, tasks).
    pub open: bool,
    /// Seen by the family.
    pub shared: bool,
    /// The feature's own state.
    pub state: i16,
    /// The entry that made it.
    pub entry: Uuid,
}

/// Where a channel stands after the batch.
#[derive(Clone)]
pub struct HeadRow {
    /// `channel.n`
    pub n: i64,
    /// Its newest entry.
    pub seq: i64,
    /// Its head.
    pub head: [u8; 32],
    /// Time of the newest entry, microseconds.
    pub at: i64,
}

/// A row of `site_leaf`.
#[derive(Clone)]
pub struct SiteLeafRow {
    /// Place in the site log, from 0.
    pub n: i64,
    /// What the tree is over.
    pub hash: [u8; 32],
    /// The signed note.
    pub note: String,
}

/// A row of `site_node`.
#[derive(Clone)]
pub struct SiteNodeRow {
    /// Place times 64, and the level.
    pub n: i64,
    /// The root of that subtree.
    pub hash: [u8; 32],
}

/// A channel to be made, at `seq` 0.
#[derive(Clone)]
pub struct NewChannel {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub patient: Uuid,
    /// `h_0`
    pub head: [u8; 32],
    /// The deployment's epoch.
    pub epoch: i16,
    /// Microseconds.
    pub at: i64,
}

/// A key to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAsked {
    /// Who repeats.
    pub author: Uuid,
    /// The command's `key`.
    pub key: Uuid,
}

/// An entry that already answered a command.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct SeenRow {
    /// Who sent it.
    pub author: Uuid,
    /// The command's `key`.
    pub key: Uuid,
    /// As in [`KeyColumns::scope`].
    #[sqlx(rename = "key_scope")]
    pub scope: i64,
    /// HMAC of the first command.
    pub mac: Vec<u8>,
    /// Version of the key of the HMAC.
    pub mac_version: i32,
    /// `channel.n`
    pub channel: i64,
    /// Where the entry stands.
    pub seq: i64,
    /// The entry's id.
    pub id: Uuid,
}

/// Makes a channel and returns its `n`.
///
/// # Errors
/// When its id is there already, or the database fails.
pub async fn channel(tx: &mut Tx, new: &NewChannel) -> sqlx::Result<i64> {
    on_db!(tx, |c| sqlx::query_scalar(CHANNEL)
        .bind(new.id)
        .bind(new.patient)
        .bind(&new.head[..])
        .bind(new.epoch)
        .bind(new.at)
        .fetch_one(c)
        .await)
}

macro_rules! appends {
    ($($(#[$doc:meta])* $name:ident($row:ty);)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// When the database refuses a row or fails; the transaction is then over.
        pub async fn $name(tx: &mut Tx, rows: &[$row]) -> sqlx::Result<()> {
            rows.chunks(256).for_each(|_| super::count_statement());
            match tx {
                Tx::Sqlite(tx) => sqlite::append::$name(tx.connection(), rows).await,
                Tx::Postgres(tx) => super::bounded(postgres::append::$name(tx.connection(), rows)).await,
            }
        }
    )*};
}

appends! {
    /// Appends entries, in this order.
    entries(EntryRow);
    /// Appends audit rows.
    audit(AuditRow);
    /// Adds named things.
    things(ThingRow);
    /// Moves the heads of channels; each channel at most once.
    heads(HeadRow);
    /// Adds leaves to the site log.
    site_leaves(SiteLeafRow);
    /// Adds roots of complete subtrees of the site log.
    site_nodes(SiteNodeRow);
}

/// Which of these keys were answered before.
///
/// # Errors
/// When the database fails.
pub async fn keys_seen(tx: &mut Tx, keys: &[KeyAsked]) -> sqlx::Result<Vec<SeenRow>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    super::count_statement();
    match tx {
        Tx::Sqlite(tx) => sqlite::append::keys_seen(tx.connection(), keys).await,
        Tx::Postgres(tx) => super::bounded(postgres::append::keys_seen(tx.connection(), keys)).await,
    }
}

/// A statement took fewer or more rows than it was given: a defect, never a state of the record.
pub(super) fn all_taken(taken: u64, given: usize) -> sqlx::Result<()> {
    if taken == given as u64 {
        return Ok(());
    }
    Err(sqlx::Error::Protocol(format!("{given} rows were given, {taken} taken")))
}
