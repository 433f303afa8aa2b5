//! Statements of the site log: leaves, subtree roots, the newest signed head of each channel and audit stream.

use crate::kernel::base::{ChannelId, Fault, Micros};
use crate::kernel::store::{Tx, id_list, number_list, on_db, statements};

statements! {
    SIZE = "SELECT COALESCE(MAX(n) + 1, 0) AS size FROM site_leaf";
    LEAF = "SELECT hash, note FROM site_leaf WHERE n = $1";
    PAGE = "SELECT n, hash, note FROM site_leaf WHERE n >= $1 ORDER BY n LIMIT $2";
    NODES = "SELECT n, hash FROM site_node WHERE n IN (SELECT CAST(value AS BIGINT) FROM json_each($1))";
    CLEAR_NODES = "DELETE FROM site_node";
    SIGNED = "SELECT seq, leaf FROM signed_head WHERE channel = $1";
    SIGNED_OF = "SELECT channel, seq FROM signed_head WHERE channel IN (SELECT unhex(value) FROM json_each($1))";
    SIGNED_PUT = "INSERT INTO signed_head (channel, seq, leaf) VALUES ($1, $2, $3)
        ON CONFLICT (channel) DO UPDATE SET seq = excluded.seq, leaf = excluded.leaf";
    SIGNED_PUT_ALL = "INSERT INTO signed_head (channel, seq, leaf)
        SELECT unhex(json_extract(value, '$[0]')), CAST(json_extract(value, '$[1]') AS BIGINT), CAST(json_extract(value, '$[2]') AS BIGINT)
        FROM json_each($1) WHERE value IS NOT NULL
        ON CONFLICT (channel) DO UPDATE SET seq = excluded.seq, leaf = excluded.leaf";
    STREAM_SIGNED = "SELECT n, leaf FROM signed_stream WHERE stream = $1";
    STREAM_PUT = "INSERT INTO signed_stream (stream, n, leaf) VALUES ($1, $2, $3)
        ON CONFLICT (stream) DO UPDATE SET n = excluded.n, leaf = excluded.leaf";
    HELD = "SELECT channel, seq, reason FROM held_channel ORDER BY channel";
    HOLD = "INSERT INTO held_channel (channel, seq, reason, at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (channel) DO UPDATE SET seq = excluded.seq, reason = excluded.reason";
    RELEASE = "DELETE FROM held_channel WHERE channel = $1";
}

/// Leaves of the site log.
///
/// # Errors
/// The database's.
pub async fn size(tx: &mut Tx) -> sqlx::Result<i64> {
    on_db!(tx, |c| sqlx::query_scalar(SIZE).fetch_one(c).await)
}

/// Hash and note of a leaf.
///
/// # Errors
/// The database's.
pub async fn leaf(tx: &mut Tx, n: i64) -> sqlx::Result<Option<(Vec<u8>, String)>> {
    on_db!(tx, |c| sqlx::query_as(LEAF).bind(n).fetch_optional(c).await)
}

/// Leaves from `n` on, ascending: place, hash, note.
///
/// # Errors
/// The database's.
pub async fn page(tx: &mut Tx, n: i64, limit: i64) -> sqlx::Result<Vec<(i64, Vec<u8>, String)>> {
    on_db!(tx, |c| sqlx::query_as(PAGE).bind(n).bind(limit).fetch_all(c).await)
}

/// Roots of complete subtrees by their numbers; those that are not there are left out.
///
/// # Errors
/// The database's.
pub async fn nodes(tx: &mut Tx, numbers: impl IntoIterator<Item = i64>) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    let numbers = number_list(numbers);
    on_db!(tx, |c| sqlx::query_as(NODES).bind(&numbers).fetch_all(c).await)
}

/// Empties the tree above the leaves: it is made again from them.
///
/// # Errors
/// The database's.
pub async fn clear_nodes(tx: &mut Tx) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(CLEAR_NODES).execute(c).await.map(drop))
}

/// Size and leaf of the newest signed head of a channel.
///
/// # Errors
/// The database's.
pub async fn signed(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<Option<(i64, i64)>> {
    on_db!(tx, |c| sqlx::query_as(SIGNED).bind(channel).fetch_optional(c).await)
}

/// Sizes of the newest signed heads of these channels; those without one are left out.
///
/// # Errors
/// The database's.
pub async fn signed_of(tx: &mut Tx, channels: &[ChannelId]) -> sqlx::Result<Vec<(ChannelId, i64)>> {
    let channels = id_list(channels.iter().map(|channel| channel.0));
    on_db!(tx, |c| sqlx::query_as(SIGNED_OF).bind(&channels).fetch_all(c).await)
}

/// Keeps which heads were signed last: channel, size, leaf. Each channel at most once.
///
/// # Errors
/// The database's.
pub async fn put_signed(tx: &mut Tx, rows: &[(ChannelId, i64, i64)]) -> sqlx::Result<()> {
    match rows {
        [] => Ok(()),
        [(channel, seq, leaf)] => {
            on_db!(tx, |c| sqlx::query(SIGNED_PUT).bind(*channel).bind(*seq).bind(*leaf).execute(c).await.map(drop))
        }
        rows => {
            let rows: Vec<String> =
                rows.iter().map(|(channel, seq, leaf)| format!("[\"{}\",{seq},{leaf}]", channel.0.simple())).collect();
            let rows = format!("[{}]", rows.join(","));
            on_db!(tx, |c| sqlx::query(SIGNED_PUT_ALL).bind(&rows).execute(c).await.map(drop))
        }
    }
}

/// Size and leaf of the newest signed head of an audit stream.
///
/// # Errors
/// The database's.
pub async fn signed_stream(tx: &mut Tx, stream: i64) -> sqlx::Result<Option<(i64, i64)>> {
    on_db!(tx, |c| sqlx::query_as(STREAM_SIGNED).bind(stream).fetch_optional(c).await)
}

/// Keeps which head of an audit stream was signed last.
///
/// # Errors
/// The database's.
pub async fn put_signed_stream(tx: &mut Tx, stream: i64, n: i64, leaf: i64) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(STREAM_PUT).bind(stream).bind(n).bind(leaf).execute(c).await.map(drop))
}

/// A channel that was found broken.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct HeldRow {
    /// Which.
    pub channel: ChannelId,
    /// The first entry that does not hold.
    pub seq: i64,
    /// A sentence without content.
    pub reason: String,
}

/// Channels that are held.
///
/// # Errors
/// The database's.
pub async fn held(tx: &mut Tx) -> sqlx::Result<Vec<HeldRow>> {
    on_db!(tx, |c| sqlx::query_as(HELD).fetch_all(c).await)
}

/// Holds a channel.
///
/// # Errors
/// The database's.
pub async fn hold(tx: &mut Tx, channel: ChannelId, seq: i64, reason: &str, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(HOLD).bind(channel).bind(seq).bind(reason).bind(at).execute(c).await.map(drop))
}

/// Lets go of a channel.
///
/// # Errors
/// The database's.
pub async fn release(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(RELEASE).bind(channel).execute(c).await.map(drop))
}

/// 32 bytes of a column.
///
/// # Errors
/// Another length: an integrity fault.
pub fn hash(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    bytes.try_into().map_err(|_| Fault::Integrity("a hash of the site log is not 32 bytes"))
}
