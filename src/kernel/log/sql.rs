//! Statements of the log: channels' heads, entries, things, the site log. The batched append stands in `store`.

use uuid::Uuid;

use super::append::Head;
use super::scan::SealedLine;
use super::thing::{Thing, ThingColumns, ThingKind};
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, id_list, on_db, statements};

statements! {
    CHANNEL_GET = "SELECT n, id, patient, seq, head, epoch, at FROM channel WHERE id = $1";
    CHANNELS_OF = "SELECT n, id, patient, seq, head, epoch, at FROM channel WHERE patient = $1 ORDER BY n";
    CHANNELS_ALL = "SELECT n, id, patient, seq, head, epoch, at FROM channel ORDER BY n";
    FORWARD = "SELECT entry.seq, entry.id, entry.kind, entry.flags, entry.epoch, entry.event, entry.author, entry.at, entry.item, entry.body, entry.commitment, entry.files, entry.head, (SELECT withheld.reason FROM withheld WHERE withheld.channel = entry.channel AND withheld.seq = entry.seq) AS withheld FROM entry WHERE entry.channel = $1 AND entry.seq > $2 AND entry.seq <= $3 ORDER BY entry.seq LIMIT $4";
    BACKWARD = "SELECT entry.seq, entry.id, entry.kind, entry.flags, entry.epoch, entry.event, entry.author, entry.at, entry.item, entry.body, entry.commitment, entry.files, entry.head, (SELECT withheld.reason FROM withheld WHERE withheld.channel = entry.channel AND withheld.seq = entry.seq) AS withheld FROM entry WHERE entry.channel = $1 AND entry.seq >= $2 AND entry.seq < $3 ORDER BY entry.seq DESC LIMIT $4";
    SEQUELS = "SELECT entry.seq, entry.id, entry.kind, entry.flags, entry.epoch, entry.event, entry.author, entry.at, entry.item, entry.body, entry.commitment, entry.files, entry.head, (SELECT withheld.reason FROM withheld WHERE withheld.channel = entry.channel AND withheld.seq = entry.seq) AS withheld FROM entry WHERE entry.channel = $1 AND entry.seq > $2 AND entry.kind IN (5, 13) ORDER BY entry.seq LIMIT $3";
    LINES = "SELECT entry.seq, entry.id, entry.flags, entry.event, entry.author, entry.at, entry.body, (SELECT withheld.reason FROM withheld WHERE withheld.channel = entry.channel AND withheld.seq = entry.seq) AS withheld FROM entry WHERE entry.channel = $1 AND entry.seq >= $2 AND entry.seq < $3 ORDER BY entry.seq DESC LIMIT $4";
    LINES_OF_CHANGES = "SELECT entry.seq, entry.id, entry.flags, entry.event, entry.author, entry.at, entry.body, (SELECT withheld.reason FROM withheld WHERE withheld.channel = entry.channel AND withheld.seq = entry.seq) AS withheld FROM entry WHERE entry.channel = $1 AND entry.seq >= $2 AND entry.seq < $3 AND entry.kind NOT IN (1, 3) ORDER BY entry.seq DESC LIMIT $4";
    TIME_OF = "SELECT at FROM entry WHERE channel = $1 AND seq = $2";
    ORDER = "SELECT n, channel, seq FROM entry WHERE n > $1 ORDER BY n LIMIT $2";
    FIRST_AFTER = "SELECT MIN(seq) AS first FROM entry WHERE channel = $1 AND at >= $2";
    COUNT_OTHERS = "SELECT COUNT(*) AS count FROM entry WHERE channel = $1 AND seq > $2 AND author <> $3 AND kind IN (1, 3) AND event IN ('message.posted', 'note.logged')";
    STRAYS = "SELECT COALESCE(MIN(seq), 0) AS first FROM entry WHERE channel NOT IN (SELECT n FROM channel)";
    ENTRIES = "SELECT COUNT(*) AS count FROM entry WHERE channel = $1";
    WITH_FILES = "SELECT seq, files FROM entry WHERE channel = $1 AND seq > $2 AND files IS NOT NULL ORDER BY seq LIMIT 1";
    THING_GET = "SELECT id, kind, patient, channel, item, author, seq, open, shared, state, entry FROM thing WHERE id = $1";
    THINGS_GET = "SELECT id, kind, patient, channel, item, author, seq, open, shared, state, entry FROM thing WHERE id IN (SELECT unhex(value) FROM json_each($1))";
    THING_SET = "UPDATE thing SET item = $2, open = $3, shared = $4, state = $5 WHERE id = $1";
    LINKED = "SELECT item, channel, kind, COUNT(*) AS count FROM thing WHERE item IN (SELECT unhex(value) FROM json_each($1)) AND open AND id < $2 GROUP BY item, channel, kind";
    LINKED_WITHIN = "SELECT item, channel, kind, COUNT(*) AS count FROM thing WHERE item IN (SELECT unhex(value) FROM json_each($1)) AND open AND id < $2 AND channel = $3 AND seq >= $4 AND seq <= $5 GROUP BY item, channel, kind";
    CLEAR_THING = "DELETE FROM thing";
    WITHHOLD = "INSERT INTO withheld (channel, seq, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    CLEAR_WITHHELD = "DELETE FROM withheld";
    CHANNEL_BY_NUMBER = "SELECT id FROM channel WHERE n = $1";
    HEADS_AFTER = "SELECT n, id, patient, seq, head, epoch, at FROM channel WHERE n > $1 ORDER BY n LIMIT $2";
    HEAD_BY_NUMBER = "SELECT n, id, patient, seq, head, epoch, at FROM channel WHERE n = $1";
    HEAD_AND_NEWEST = "SELECT channel.n, channel.id, channel.patient, channel.seq, channel.head, channel.epoch, channel.at, entry.head AS newest FROM channel LEFT JOIN entry ON entry.channel = channel.n AND entry.seq = channel.seq WHERE channel.id = $1";
    SIZES = "SELECT id, seq FROM channel WHERE id IN (SELECT unhex(value) FROM json_each($1))";
    NEWEST_ENTRY = "SELECT COALESCE(MAX(n), 0) AS newest FROM entry";
    WRITTEN = "SELECT entry.n, entry.channel, entry.seq, entry.id, entry.kind, entry.flags, entry.epoch, entry.event, entry.author, entry.at, entry.item, entry.body, entry.commitment, entry.files, entry.head, CAST(NULL AS TEXT) AS withheld FROM entry WHERE entry.n > $1 ORDER BY entry.n LIMIT $2";
    NUMBER_AFTER = "SELECT MIN(channel) AS number FROM entry WHERE channel > $1";
    LINK = "SELECT kind, head FROM entry WHERE channel = $1 AND seq = $2";
    AUDIT_STREAM_AFTER = "SELECT MIN(stream) AS stream FROM audit WHERE stream > $1";
    AUDIT_NEWEST = "SELECT n, head FROM audit WHERE stream = $1 ORDER BY n DESC LIMIT 1";
    AUDIT_PAGE = "SELECT n, line, head FROM audit WHERE stream = $1 AND n > $2 ORDER BY n LIMIT $3";
    AUDIT_BEFORE = "SELECT n, line, head FROM audit WHERE stream = $1 AND n < $2 ORDER BY n DESC LIMIT $3";
}

/// A row of `channel`.
#[derive(sqlx::FromRow)]
struct HeadRow {
    n: i64,
    id: ChannelId,
    patient: PatientId,
    seq: i64,
    head: Vec<u8>,
    epoch: i16,
    at: Micros,
}

impl TryFrom<HeadRow> for Head {
    type Error = Fault;
    fn try_from(row: HeadRow) -> Result<Self, Fault> {
        Ok(Self {
            n: row.n,
            channel: row.id,
            patient: row.patient,
            seq: row.seq,
            head: row.head.try_into().map_err(|_| Fault::Integrity("a head is not 32 bytes"))?,
            epoch: u16::try_from(row.epoch).map_err(|_| Fault::Integrity("a negative epoch"))?,
            at: row.at,
        })
    }
}

#[derive(sqlx::FromRow)]
struct HeadAndNewest {
    #[sqlx(flatten)]
    head: HeadRow,
    newest: Option<Vec<u8>>,
}

/// An entry in the order of writing, still sealed.
#[derive(sqlx::FromRow)]
pub struct Written {
    /// Its number in the order of writing.
    pub n: i64,
    /// The number of its channel.
    pub channel: i64,
    /// The entry.
    #[sqlx(flatten)]
    pub row: Row,
}

/// A row of `entry`, still sealed.
#[derive(sqlx::FromRow)]
pub struct Row {
    /// Place in the channel.
    pub seq: i64,
    /// Entry id.
    pub id: EntryId,
    /// Leaf kind.
    pub kind: i16,
    /// Leaf flags.
    pub flags: i16,
    /// Epoch.
    pub epoch: i16,
    /// Event name.
    pub event: String,
    /// Author.
    pub author: UserId,
    /// Time.
    pub at: Micros,
    /// Plan item.
    pub item: Option<ItemId>,
    /// Sealed body.
    pub body: Vec<u8>,
    /// Commitment.
    pub commitment: Vec<u8>,
    /// Files field, none = zero.
    pub files: Option<Vec<u8>>,
    /// Chain after it.
    pub head: Vec<u8>,
    /// Why its content is not read any more.
    pub withheld: Option<String>,
}

/// Where a channel stands.
///
/// # Errors
/// The database's, or a malformed row.
pub async fn head(tx: &mut Tx, id: ChannelId) -> Result<Option<Head>, Fault> {
    let row: Option<HeadRow> = on_db!(tx, |c| sqlx::query_as(CHANNEL_GET).bind(id).fetch_optional(c).await)?;
    row.map(Head::try_from).transpose()
}

/// The first entry after `after` that carries files, with its field of the leaf.
///
/// # Errors
/// The database's.
pub async fn next_with_files(tx: &mut Tx, channel: i64, after: i64) -> sqlx::Result<Option<(i64, Vec<u8>)>> {
    on_db!(tx, |c| sqlx::query_as(WITH_FILES).bind(channel).bind(after).fetch_optional(c).await)
}

/// As [`head`], held against the newest entry: what somebody appends to. A chain is never continued from a head that is not its own.
///
/// # Errors
/// As [`head`]; an integrity fault when the newest entry is not there or has another head.
pub async fn head_to_append(tx: &mut Tx, id: ChannelId) -> Result<Option<Head>, Fault> {
    let row: Option<HeadAndNewest> = on_db!(tx, |c| sqlx::query_as(HEAD_AND_NEWEST).bind(id).fetch_optional(c).await)?;
    let Some(HeadAndNewest { head, newest }) = row else { return Ok(None) };
    let head = Head::try_from(head)?;
    if head.seq > 0 && newest.as_deref() != Some(&head.head[..]) {
        tracing::error!(channel.id = %head.channel, seq = head.seq, "A channel's head is not that of its newest entry");
        return Err(Fault::Integrity("a channel's head is not that of its newest entry"));
    }
    Ok(Some(head))
}

/// Where the channels after number `n` stand, in the order of their numbers.
///
/// # Errors
/// The database's, or a malformed row.
pub async fn heads_after(tx: &mut Tx, n: i64, limit: i64) -> Result<Vec<Head>, Fault> {
    let rows: Vec<HeadRow> = on_db!(tx, |c| sqlx::query_as(HEADS_AFTER).bind(n).bind(limit).fetch_all(c).await)?;
    rows.into_iter().map(Head::try_from).collect()
}

/// Where the channel of this number stands.
///
/// # Errors
/// The database's, or a malformed row.
pub async fn head_of_number(tx: &mut Tx, n: i64) -> Result<Option<Head>, Fault> {
    let row: Option<HeadRow> = on_db!(tx, |c| sqlx::query_as(HEAD_BY_NUMBER).bind(n).fetch_optional(c).await)?;
    row.map(Head::try_from).transpose()
}

/// The newest `seq` of each of these channels; those that are not there are left out.
///
/// # Errors
/// The database's.
pub async fn sizes(tx: &mut Tx, channels: &[ChannelId]) -> sqlx::Result<Vec<(ChannelId, i64)>> {
    let channels = id_list(channels.iter().map(|channel| channel.0));
    on_db!(tx, |c| sqlx::query_as(SIZES).bind(&channels).fetch_all(c).await)
}

/// The number of the newest entry, 0 if there is none.
///
/// # Errors
/// The database's.
pub async fn newest_entry(tx: &mut Tx) -> sqlx::Result<i64> {
    on_db!(tx, |c| sqlx::query_scalar(NEWEST_ENTRY).fetch_one(c).await)
}

/// Entries in the order they were committed, after number `n`.
///
/// # Errors
/// The database's.
pub async fn written(tx: &mut Tx, n: i64, limit: i64) -> sqlx::Result<Vec<Written>> {
    on_db!(tx, |c| sqlx::query_as(WRITTEN).bind(n).bind(limit).fetch_all(c).await)
}

/// The lowest number of a channel after `n` that entries name.
///
/// # Errors
/// The database's.
pub async fn number_after(tx: &mut Tx, n: i64) -> sqlx::Result<Option<i64>> {
    on_db!(tx, |c| sqlx::query_scalar(NUMBER_AFTER).bind(n).fetch_one(c).await)
}

/// Kind and head of one entry.
///
/// # Errors
/// The database's.
pub async fn link(tx: &mut Tx, n: i64, seq: i64) -> sqlx::Result<Option<(i16, Vec<u8>)>> {
    on_db!(tx, |c| sqlx::query_as(LINK).bind(n).bind(seq).fetch_optional(c).await)
}

/// Where each channel of a patient stands.
///
/// # Errors
/// The database's, or a malformed row.
pub async fn heads_of(tx: &mut Tx, patient: PatientId) -> Result<Vec<Head>, Fault> {
    let rows: Vec<HeadRow> = on_db!(tx, |c| sqlx::query_as(CHANNELS_OF).bind(patient).fetch_all(c).await)?;
    rows.into_iter().map(Head::try_from).collect()
}

/// Where every channel stands.
///
/// # Errors
/// The database's, or a malformed row.
pub async fn all_heads(tx: &mut Tx) -> Result<Vec<Head>, Fault> {
    let rows: Vec<HeadRow> = on_db!(tx, |c| sqlx::query_as(CHANNELS_ALL).fetch_all(c).await)?;
    rows.into_iter().map(Head::try_from).collect()
}

/// Rows with `after < seq <= to`, ascending.
///
/// # Errors
/// The database's.
pub async fn forward(tx: &mut Tx, n: i64, after: i64, to: i64, limit: i64) -> sqlx::Result<Vec<Row>> {
    on_db!(tx, |c| sqlx::query_as(FORWARD).bind(n).bind(after).bind(to).bind(limit).fetch_all(c).await)
}

/// Rows with `from <= seq < before`, descending.
///
/// # Errors
/// The database's.
pub async fn backward(tx: &mut Tx, n: i64, from: i64, before: i64, limit: i64) -> sqlx::Result<Vec<Row>> {
    on_db!(tx, |c| sqlx::query_as(BACKWARD).bind(n).bind(from).bind(before).bind(limit).fetch_all(c).await)
}

/// Amendments and answers with `after < seq`, ascending: what may speak of a message again.
///
/// # Errors
/// The database's.
pub async fn sequels(tx: &mut Tx, n: i64, after: i64, limit: i64) -> sqlx::Result<Vec<Row>> {
    on_db!(tx, |c| sqlx::query_as(SEQUELS).bind(n).bind(after).bind(limit).fetch_all(c).await)
}

/// From now on an entry is read without its content.
///
/// # Errors
/// The database's.
pub async fn withhold(tx: &mut Tx, n: i64, seq: i64, reason: &str) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(WITHHOLD).bind(n).bind(seq).bind(reason).execute(c).await.map(drop))
}

/// Entries in the order they were committed: `(n, channel number, seq)`.
///
/// # Errors
/// The database's.
pub async fn order(tx: &mut Tx, after: i64, limit: i64) -> sqlx::Result<Vec<(i64, i64, i64)>> {
    on_db!(tx, |c| sqlx::query_as(ORDER).bind(after).bind(limit).fetch_all(c).await)
}

/// Rows with `from <= seq < before` without what proves them, newest first; all, or only those that change what was said before.
///
/// # Errors
/// The database's.
pub async fn lines(
    tx: &mut Tx,
    n: i64,
    from: i64,
    before: i64,
    limit: i64,
    changes_only: bool,
) -> sqlx::Result<Vec<SealedLine>> {
    let sql = if changes_only { LINES_OF_CHANGES } else { LINES };
    on_db!(tx, |c| sqlx::query_as(sql).bind(n).bind(from).bind(before).bind(limit).fetch_all(c).await)
}

/// The time of an entry.
///
/// # Errors
/// The database's.
pub async fn time_of(tx: &mut Tx, n: i64, seq: i64) -> sqlx::Result<Option<Micros>> {
    let row: Option<(Micros,)> = on_db!(tx, |c| sqlx::query_as(TIME_OF).bind(n).bind(seq).fetch_optional(c).await)?;
    Ok(row.map(|(at,)| at))
}

/// The first `seq` at or after a time.
///
/// # Errors
/// The database's.
pub async fn first_after(tx: &mut Tx, n: i64, at: Micros) -> sqlx::Result<Option<i64>> {
    let (seq,): (Option<i64>,) = on_db!(tx, |c| sqlx::query_as(FIRST_AFTER).bind(n).bind(at).fetch_one(c).await)?;
    Ok(seq)
}

/// Messages and notes by others after `seq`.
///
/// # Errors
/// The database's.
pub async fn count_others(tx: &mut Tx, n: i64, seq: i64, user: UserId) -> sqlx::Result<i64> {
    let (count,): (i64,) =
        on_db!(tx, |c| sqlx::query_as(COUNT_OTHERS).bind(n).bind(seq).bind(user).fetch_one(c).await)?;
    Ok(count)
}

/// The lowest `seq` of entries whose channel is not there; 0 if there are none.
///
/// # Errors
/// The database's.
pub async fn strays(tx: &mut Tx) -> sqlx::Result<i64> {
    let (first,): (i64,) = on_db!(tx, |c| sqlx::query_as(STRAYS).fetch_one(c).await)?;
    Ok(first)
}

/// How many entries a channel really holds.
///
/// # Errors
/// The database's.
pub async fn count_entries(tx: &mut Tx, n: i64) -> sqlx::Result<i64> {
    let (count,): (i64,) = on_db!(tx, |c| sqlx::query_as(ENTRIES).bind(n).fetch_one(c).await)?;
    Ok(count)
}

/// What an id stands for.
///
/// # Errors
/// The database's, or an unknown kind.
pub async fn thing(tx: &mut Tx, id: ThingId) -> Result<Option<Thing>, Fault> {
    let row: Option<ThingColumns> = on_db!(tx, |c| sqlx::query_as(THING_GET).bind(id).fetch_optional(c).await)?;
    row.map(Thing::try_from).transpose()
}

/// What ids stand for; those that stand for nothing are left out.
///
/// # Errors
/// The database's, or an unknown kind.
pub async fn things(tx: &mut Tx, ids: &[ThingId]) -> Result<Vec<Thing>, Fault> {
    let ids = id_list(ids.iter().map(|id| id.0));
    let rows: Vec<ThingColumns> = on_db!(tx, |c| sqlx::query_as(THINGS_GET).bind(&ids).fetch_all(c).await)?;
    rows.into_iter().map(Thing::try_from).collect()
}

/// Changes what may change of a thing.
///
/// # Errors
/// The database's.
pub async fn set_thing(tx: &mut Tx, thing: &Thing) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(THING_SET)
            .bind(thing.id)
            .bind(thing.item)
            .bind(thing.open)
            .bind(thing.shared)
            .bind(thing.state)
            .execute(c)
            .await
            .map(drop)
    })
}

/// How many open things of one kind in one channel are linked to a plan item.
pub struct Linked {
    /// The plan item.
    pub item: ItemId,
    /// Where they stand.
    pub channel: ChannelId,
    /// What they are.
    pub kind: ThingKind,
    /// How many.
    pub count: i64,
}

type LinkedColumns = (ItemId, ChannelId, i16, i64);

fn linked_rows(rows: Vec<LinkedColumns>) -> Result<Vec<Linked>, Fault> {
    rows.into_iter()
        .map(|(item, channel, kind, count)| {
            let kind = ThingKind::from_number(kind).ok_or(Fault::Integrity("unknown kind of thing"))?;
            Ok(Linked { item, channel, kind, count })
        })
        .collect()
}

/// Open things linked to these items, counted by item, channel and kind; only those whose id is below `before`. Ids begin with the
/// time they were drawn, so a bound on the id is one on the time.
///
/// # Errors
/// The database's.
pub async fn linked(tx: &mut Tx, items: &[ItemId], before: ThingId) -> Result<Vec<Linked>, Fault> {
    let items = id_list(items.iter().map(|item| item.0));
    linked_rows(on_db!(tx, |c| sqlx::query_as(LINKED).bind(&items).bind(before).fetch_all(c).await)?)
}

/// As [`linked`], of one channel and with `from <= seq <= to`.
///
/// # Errors
/// The database's.
pub async fn linked_within(
    tx: &mut Tx,
    items: &[ItemId],
    before: ThingId,
    channel: ChannelId,
    from: i64,
    to: i64,
) -> Result<Vec<Linked>, Fault> {
    let items = id_list(items.iter().map(|item| item.0));
    linked_rows(on_db!(tx, |c| {
        sqlx::query_as(LINKED_WITHIN).bind(&items).bind(before).bind(channel).bind(from).bind(to).fetch_all(c).await
    })?)
}

/// Empties the things, and what is withheld: they are rebuilt from the log.
///
/// # Errors
/// The database's.
pub async fn clear(tx: &mut Tx) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(CLEAR_THING).execute(c).await.map(drop))?;
    on_db!(tx, |c| sqlx::query(CLEAR_WITHHELD).execute(c).await.map(drop))
}

/// The channel of a small number.
///
/// # Errors
/// The database's, or there is none.
pub async fn channel_of(tx: &mut Tx, n: i64) -> Result<ChannelId, Fault> {
    let row: Option<(ChannelId,)> = on_db!(tx, |c| sqlx::query_as(CHANNEL_BY_NUMBER).bind(n).fetch_optional(c).await)?;
    row.map(|(id,)| id).ok_or(Fault::Integrity("an entry of a channel that is not there"))
}

/// A row of `audit`.
#[derive(sqlx::FromRow)]
pub struct AuditLine {
    /// Place in the stream.
    pub n: i64,
    /// The line as chained.
    pub line: String,
    /// The chain after it.
    pub head: Vec<u8>,
}

/// Every audit stream. Looks at one row of each.
///
/// # Errors
/// The database's.
pub async fn audit_streams(tx: &mut Tx) -> sqlx::Result<Vec<i64>> {
    let mut streams = Vec::new();
    let mut after = i64::MIN;
    loop {
        let next: Option<i64> = on_db!(tx, |c| sqlx::query_scalar(AUDIT_STREAM_AFTER).bind(after).fetch_one(c).await)?;
        let Some(stream) = next else { return Ok(streams) };
        streams.push(stream);
        after = stream;
    }
}

/// Number and head of the newest row of an audit stream.
///
/// # Errors
/// The database's.
pub async fn audit_newest(tx: &mut Tx, stream: i64) -> sqlx::Result<Option<(i64, Vec<u8>)>> {
    on_db!(tx, |c| sqlx::query_as(AUDIT_NEWEST).bind(stream).fetch_optional(c).await)
}

/// Rows of a stream before `n`, the newest first.
///
/// # Errors
/// The database's.
pub async fn audit_before(tx: &mut Tx, stream: i64, n: i64, limit: i64) -> sqlx::Result<Vec<AuditLine>> {
    on_db!(tx, |c| sqlx::query_as(AUDIT_BEFORE).bind(stream).bind(n).bind(limit).fetch_all(c).await)
}

/// Rows of a stream after `n`, ascending.
///
/// # Errors
/// The database's.
pub async fn audit_page(tx: &mut Tx, stream: i64, n: i64, limit: i64) -> sqlx::Result<Vec<AuditLine>> {
    on_db!(tx, |c| sqlx::query_as(AUDIT_PAGE).bind(stream).bind(n).bind(limit).fetch_all(c).await)
}

/// An id as the bare UUID that the batched append takes.
#[must_use]
pub const fn bare(id: ThingId) -> Uuid {
    id.0
}
