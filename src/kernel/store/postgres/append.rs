//! The batched append on PostgreSQL: one array a column, `UNNEST` makes rows of them, so the text never changes with the number of rows.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::kernel::store::append::{
    AuditRow, EntryRow, HeadRow, KeyAsked, SeenRow, SiteLeafRow, SiteNodeRow, ThingRow, all_taken,
};

crate::statements! {
    ENTRIES = "INSERT INTO entry (channel, seq, id, kind, flags, event, author, at, item, body, commitment, files, \
    head, epoch, key, key_scope, mac, mac_version) SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::uuid[], $4::smallint[], \
    $5::smallint[], $6::text[], $7::uuid[], $8::bigint[], $9::uuid[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], \
    $14::smallint[], $15::uuid[], $16::bigint[], $17::bytea[], $18::integer[])";
    AUDIT = "INSERT INTO audit (stream, n, at, line, head) \
    SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[])";
    THINGS = "INSERT INTO thing (id, kind, patient, channel, item, author, seq, open, shared, state, entry) \
    SELECT * FROM UNNEST($1::uuid[], $2::smallint[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::bigint[], $8::boolean[], \
    $9::boolean[], $10::smallint[], $11::uuid[])";
    HEADS = "UPDATE channel SET seq = v.seq, head = v.head, at = v.at \
    FROM UNNEST($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[]) AS v (n, seq, head, at) WHERE channel.n = v.n";
    SITE_LEAVES = "INSERT INTO site_leaf (n, hash, note) SELECT * FROM UNNEST($1::bigint[], $2::bytea[], $3::text[])";
    SITE_NODES = "INSERT INTO site_node (n, hash) SELECT * FROM UNNEST($1::bigint[], $2::bytea[])";
    KEYS_SEEN = "SELECT e.author, e.key, e.key_scope, e.mac, e.mac_version, e.channel, e.seq, e.id \
    FROM UNNEST($1::uuid[], $2::uuid[]) AS k (author, key) CROSS JOIN LATERAL (SELECT entry.author, entry.key, entry.key_scope, \
    entry.mac, entry.mac_version, entry.channel, entry.seq, entry.id FROM entry \
    WHERE entry.author = k.author AND entry.key = k.key AND entry.key IS NOT NULL OFFSET 0) AS e";
}

/// One column of all rows.
fn column<R, T>(rows: &[R], of: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// As [`column`], borrowed from the rows.
fn borrowed<'r, R, T: ?Sized>(rows: &'r [R], of: impl Fn(&'r R) -> &'r T) -> Vec<&'r T> {
    rows.iter().map(of).collect()
}

/// See [`crate::kernel::store::append::entries`].
pub(in crate::kernel::store) async fn entries(connection: &mut PgConnection, rows: &[EntryRow]) -> sqlx::Result<()> {
    let key_of = |row: &EntryRow| row.key.as_ref().map(|key| key.key);
    let scope_of = |row: &EntryRow| row.key.as_ref().map(|key| key.scope);
    let macs: Vec<Option<&[u8]>> = rows.iter().map(|row| row.key.as_ref().map(|key| key.mac.as_slice())).collect();
    let mac_version_of = |row: &EntryRow| row.key.as_ref().map(|key| key.mac_version);
    let files: Vec<Option<&[u8]>> = rows.iter().map(|row| row.files.as_deref()).collect();
    let done = sqlx::query(ENTRIES)
        .bind(column(rows, |row| row.channel))
        .bind(column(rows, |row| row.seq))
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.kind))
        .bind(column(rows, |row| row.flags))
        .bind(borrowed(rows, |row| row.event))
        .bind(column(rows, |row| row.author))
        .bind(column(rows, |row| row.at))
        .bind(column(rows, |row| row.item))
        .bind(borrowed(rows, |row| row.body.as_slice()))
        .bind(borrowed(rows, |row| &row.commitment[..]))
        .bind(files)
        .bind(borrowed(rows, |row| &row.head[..]))
        .bind(column(rows, |row| row.epoch))
        .bind(column(rows, key_of))
        .bind(column(rows, scope_of))
        .bind(macs)
        .bind(column(rows, mac_version_of))
        .execute(connection)
        .await?;
    all_taken(done.rows_affected(), rows.len())
}

/// See [`crate::kernel::store::append::audit`].
pub(in crate::kernel::store) async fn audit(connection: &mut PgConnection, rows: &[AuditRow]) -> sqlx::Result<()> {
    let done = sqlx::query(AUDIT)
        .bind(column(rows, |row| row.stream))
        .bind(column(rows, |row| row.n))
        .bind(column(rows, |row| row.at))
        .bind(borrowed(rows, |row| row.line.as_str()))
        .bind(borrowed(rows, |row| &row.head[..]))
        .execute(connection)
        .await?;
    all_taken(done.rows_affected(), rows.len())
}

/// See [`crate::kernel::store::append::things`].
pub(in crate::kernel::store) async fn things(connection: &mut PgConnection, rows: &[ThingRow]) -> sqlx::Result<()> {
    let done = sqlx::query(THINGS)
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.kind))
        .bind(column(rows, |row| row.patient))
        .bind(column(rows, |row| row.channel))
        .bind(column(rows, |row| row.item))
        .bind(column(rows, |row| row.author))
        .bind(column(rows, |row| row.seq))
        .bind(column(rows, |row| row.open))
        .bind(column(rows, |row| row.shared))
        .bind(column(rows, |row| row.state))
        .bind(column(rows, |row| row.entry))
        .execute(connection)
        .await?;
    all_taken(done.rows_affected(), rows.len())
}

/// See [`crate::kernel::store::append::heads`].
pub(in crate::kernel::store) async fn heads(connection: &mut PgConnection, rows: &[HeadRow]) -> sqlx::Result<()> {
    let done = sqlx::query(HEADS)
        .bind(column(rows, |row| row.n))
        .bind(column(rows, |row| row.seq))
        .bind(borrowed(rows, |row| &row.head[..]))
        .bind(column(rows, |row| row.at))
        .execute(connection)
        .await?;
    all_taken(done.rows_affected(), rows.len())
}

/// See [`crate::kernel::store::append::site_leaves`].
pub(in crate::kernel::store) async fn site_leaves(
    connection: &mut PgConnection,
    rows: &[SiteLeafRow],
) -> sqlx::Result<()> {
    let done = sqlx::query(SITE_LEAVES)
        .bind(column(rows, |row| row.n))
        .bind(borrowed(rows, |row| &row.hash[..]))
        .bind(borrowed(rows, |row| row.note.as_str()))
        .execute(connection)
        .await?;
    all_taken(done.rows_affected(), rows.len())
}

/// See [`crate::kernel::store::append::site_nodes`].
pub(in crate::kernel::store) async fn site_nodes(
    connection: &mut PgConnection,
    rows: &[SiteNodeRow],
) -> sqlx::Result<()> {
    let done = sqlx::query(SITE_NODES)
        .bind(column(rows, |row| row.n))
        .bind(borrowed(rows, |row| &row.hash[..]))
        .execute(connection)
        .await?;
    all_taken(done.rows_affected(), rows.len())
}

/// See [`crate::kernel::store::append::keys_seen`].
pub(in crate::kernel::store) async fn keys_seen(
    connection: &mut PgConnection,
    keys: &[KeyAsked],
) -> sqlx::Result<Vec<SeenRow>> {
    let (authors, asked): (Vec<Uuid>, Vec<Uuid>) = keys.iter().map(|key| (key.author, key.key)).unzip();
    sqlx::query_as(KEYS_SEEN).bind(authors).bind(asked).fetch_all(connection).await
}
