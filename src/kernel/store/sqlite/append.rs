//! The batched append on SQLite. Each detail was measured:
//! `OR ROLLBACK` spares the statement journal a multi-row statement opens otherwise; bare `?` because `$n` is scanned for in a list;
//! row counts padded to a few sizes, so that few texts are prepared; unbound `?` are NULL and dropped by the `WHERE`.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use crate::kernel::store::append::{
    AuditRow, EntryRow, HeadRow, KeyAsked, SeenRow, SiteLeafRow, SiteNodeRow, ThingRow, all_taken,
};

/// Rows a statement is prepared for. More rows go in several statements.
const SIZES: [usize; 11] = [1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256];
const ROWS_MAX: usize = SIZES[SIZES.len() - 1];

/// The key check: the list drives, the unique index answers.
pub const KEYS_SEEN: &str = "SELECT e.author, e.key, e.key_scope, e.mac, e.mac_version, e.channel, e.seq, e.id
    FROM json_each(?) AS k CROSS JOIN entry AS e INDEXED BY entry_key
    ON e.author = unhex(k.value ->> 0) AND e.key = unhex(k.value ->> 1) WHERE e.key IS NOT NULL";

/// A statement over a `VALUES` list, one text per size.
pub struct Padded {
    before: &'static str,
    columns: usize,
    after: &'static str,
    texts: [OnceLock<Arc<str>>; SIZES.len()],
}

/// Of `entry`.
pub static ENTRIES: Padded = Padded::new(
    "INSERT OR ROLLBACK INTO entry (channel, seq, id, kind, flags, event, author, at, item, body, commitment, files, head, epoch, \
     key, key_scope, mac, mac_version) SELECT * FROM (VALUES ",
    18,
    ") WHERE column1 IS NOT NULL",
);
/// Of `audit`.
pub static AUDIT: Padded = Padded::new(
    "INSERT OR ROLLBACK INTO audit (stream, n, at, line, head) SELECT * FROM (VALUES ",
    5,
    ") WHERE column1 IS NOT NULL",
);
/// Of `thing`.
pub static THINGS: Padded = Padded::new(
    "INSERT OR ROLLBACK INTO thing (id, kind, patient, channel, item, author, seq, open, shared, state, entry) SELECT * FROM (VALUES ",
    11,
    ") WHERE column1 IS NOT NULL",
);
/// Of the heads in `channel`.
pub static HEADS: Padded = Padded::new(
    "UPDATE OR ROLLBACK channel SET seq = v.column2, head = v.column3, at = v.column4 FROM (VALUES ",
    4,
    ") AS v WHERE channel.n = v.column1",
);

/// Of `site_leaf`.
pub static SITE_LEAVES: Padded = Padded::new(
    "INSERT OR ROLLBACK INTO site_leaf (n, hash, note) SELECT * FROM (VALUES ",
    3,
    ") WHERE column1 IS NOT NULL",
);
/// Of `site_node`.
pub static SITE_NODES: Padded =
    Padded::new("INSERT OR ROLLBACK INTO site_node (n, hash) SELECT * FROM (VALUES ", 2, ") WHERE column1 IS NOT NULL");

impl Padded {
    const fn new(before: &'static str, columns: usize, after: &'static str) -> Self {
        Self { before, columns, after, texts: [const { OnceLock::new() }; SIZES.len()] }
    }

    /// The text for at least `rows` rows, 256 at most.
    ///
    /// # Panics
    /// When more are asked for.
    #[must_use]
    pub fn text(&self, rows: usize) -> Arc<str> {
        let at = SIZES.iter().position(|size| *size >= rows).expect("chunks are no longer than the largest size");
        Arc::clone(self.texts[at].get_or_init(|| {
            let row = format!("(?{})", ",?".repeat(self.columns - 1));
            let list = vec![row; SIZES[at]].join(",");
            format!("{}{list}{}", self.before, self.after).into()
        }))
    }

    /// Runs it over all rows, in chunks.
    async fn run<R>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[R],
        bind: for<'q> fn(Bound<'q>, &R) -> Bound<'q>,
    ) -> sqlx::Result<()> {
        for chunk in rows.chunks(ROWS_MAX) {
            // Safe: the text is built here from constants and question marks.
            let query = chunk.iter().fold(sqlx::query(AssertSqlSafe(self.text(chunk.len()))), bind);
            let done = query.execute(&mut *connection).await?;
            all_taken(done.rows_affected(), chunk.len())?;
        }
        Ok(())
    }
}

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// See [`crate::kernel::store::append::entries`].
pub(in crate::kernel::store) async fn entries(
    connection: &mut SqliteConnection,
    rows: &[EntryRow],
) -> sqlx::Result<()> {
    ENTRIES
        .run(connection, rows, |query, row| {
            let key = row.key.as_ref();
            query
                .bind(row.channel)
                .bind(row.seq)
                .bind(row.id)
                .bind(row.kind)
                .bind(row.flags)
                .bind(row.event)
                .bind(row.author)
                .bind(row.at)
                .bind(row.item)
                .bind(row.body.as_slice())
                .bind(&row.commitment[..])
                .bind(row.files.as_deref())
                .bind(&row.head[..])
                .bind(row.epoch)
                .bind(key.map(|key| key.key))
                .bind(key.map(|key| key.scope))
                .bind(key.map(|key| key.mac.as_slice()))
                .bind(key.map(|key| key.mac_version))
        })
        .await
}

/// See [`crate::kernel::store::append::audit`].
pub(in crate::kernel::store) async fn audit(connection: &mut SqliteConnection, rows: &[AuditRow]) -> sqlx::Result<()> {
    AUDIT
        .run(connection, rows, |query, row| {
            query.bind(row.stream).bind(row.n).bind(row.at).bind(row.line.as_str()).bind(&row.head[..])
        })
        .await
}

/// See [`crate::kernel::store::append::things`].
pub(in crate::kernel::store) async fn things(connection: &mut SqliteConnection, rows: &[ThingRow]) -> sqlx::Result<()> {
    THINGS
        .run(connection, rows, |query, row| {
            query
                .bind(row.id)
                .bind(row.kind)
                .bind(row.patient)
                .bind(row.channel)
                .bind(row.item)
                .bind(row.author)
                .bind(row.seq)
                .bind(row.open)
                .bind(row.shared)
                .bind(row.state)
                .bind(row.entry)
        })
        .await
}

/// See [`crate::kernel::store::append::heads`].
pub(in crate::kernel::store) async fn heads(connection: &mut SqliteConnection, rows: &[HeadRow]) -> sqlx::Result<()> {
    HEADS.run(connection, rows, |query, row| query.bind(row.n).bind(row.seq).bind(&row.head[..]).bind(row.at)).await
}

/// See [`crate::kernel::store::append::site_leaves`].
pub(in crate::kernel::store) async fn site_leaves(
    connection: &mut SqliteConnection,
    rows: &[SiteLeafRow],
) -> sqlx::Result<()> {
    SITE_LEAVES.run(connection, rows, |query, row| query.bind(row.n).bind(&row.hash[..]).bind(row.note.as_str())).await
}

/// See [`crate::kernel::store::append::site_nodes`].
pub(in crate::kernel::store) async fn site_nodes(
    connection: &mut SqliteConnection,
    rows: &[SiteNodeRow],
) -> sqlx::Result<()> {
    SITE_NODES.run(connection, rows, |query, row| query.bind(row.n).bind(&row.hash[..])).await
}

/// See [`crate::kernel::store::append::keys_seen`].
pub(in crate::kernel::store) async fn keys_seen(
    connection: &mut SqliteConnection,
    keys: &[KeyAsked],
) -> sqlx::Result<Vec<SeenRow>> {
    let mut list = String::with_capacity(keys.len() * 96);
    for key in keys {
        list.push(if list.is_empty() { '[' } else { ',' });
        let _ = write!(list, "[\"{}\",\"{}\"]", key.author.simple(), key.key.simple());
    }
    list.push(']');
    sqlx::query_as(KEYS_SEEN).bind(list).fetch_all(connection).await
}
