//! Statements of notes: markers, and what was said of a note later.

use crate::kernel::base::{ChannelId, ItemId, Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    MARKER_ADD = "INSERT INTO note_marker (id, patient, channel, item, opener, seq, at, waits, sealed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    MARKER_GET = "SELECT id, patient, channel, item, opener, seq, at, logged, author, sealed FROM note_marker WHERE id = $1";
    MARKERS_WAITING = "SELECT id, patient, channel, item, opener, seq, at, logged, author, sealed FROM note_marker WHERE patient = $1 AND waits ORDER BY at, id";
    MARKER_LOGGED = "UPDATE note_marker SET waits = $2, item = $3, logged = $4, author = $5 WHERE id = $1";
    MARKER_DISMISSED = "UPDATE note_marker SET waits = $2 WHERE id = $1";
    CLEAR_MARKERS = "DELETE FROM note_marker";
    SEQUEL_ADD = "INSERT INTO note_sequel (note, seq, kind, person) VALUES ($1, $2, $3, $4)";
    SEQUELS = "SELECT seq, kind, person FROM note_sequel WHERE note = $1 ORDER BY seq";
    CLEAR_SEQUELS = "DELETE FROM note_sequel";
}

/// A discussion that was opened before it was documented.
#[derive(sqlx::FromRow)]
pub struct MarkerRow {
    /// The note.
    pub id: ThingId,
    /// At whose record.
    pub patient: PatientId,
    /// Where.
    pub channel: ChannelId,
    /// About what.
    pub item: ItemId,
    /// Who opened it.
    pub opener: UserId,
    /// The place of the entry; the view is sealed under it.
    pub seq: i64,
    /// When.
    pub at: Micros,
    /// The place of its documentation.
    pub logged: Option<i64>,
    /// Who documented it.
    pub author: Option<UserId>,
    /// Sealed JSON: how, and with whom.
    pub sealed: Vec<u8>,
}

/// A later entry about a note.
#[derive(sqlx::FromRow)]
pub struct SequelRow {
    /// Its place in the channel.
    pub seq: i64,
    /// 1 confirmed, 2 disputed, 3 an addendum, 4 dismissed, 5 reminded of.
    pub kind: i16,
    /// Whose it is.
    pub person: UserId,
}

/// A marker stands.
///
/// # Errors
/// The database's.
pub async fn add_marker(tx: &mut Tx, row: &MarkerRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(MARKER_ADD)
            .bind(row.id)
            .bind(row.patient)
            .bind(row.channel)
            .bind(row.item)
            .bind(row.opener)
            .bind(row.seq)
            .bind(row.at)
            .bind(true)
            .bind(&row.sealed)
            .execute(c)
            .await
            .map(drop)
    })
}

/// A marker, whatever became of it; none if the note was documented at once.
///
/// # Errors
/// The database's.
pub async fn marker(tx: &mut Tx, id: ThingId) -> sqlx::Result<Option<MarkerRow>> {
    on_db!(tx, |c| sqlx::query_as(MARKER_GET).bind(id).fetch_optional(c).await)
}

/// The markers of a patient that wait, oldest first.
///
/// # Errors
/// The database's.
pub async fn waiting(tx: &mut Tx, patient: PatientId) -> sqlx::Result<Vec<MarkerRow>> {
    on_db!(tx, |c| sqlx::query_as(MARKERS_WAITING).bind(patient).fetch_all(c).await)
}

/// A marker was documented.
///
/// # Errors
/// The database's.
pub async fn logged(tx: &mut Tx, id: ThingId, item: ItemId, seq: i64, author: UserId) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(MARKER_LOGGED).bind(id).bind(false).bind(item).bind(seq).bind(author).execute(c).await.map(drop)
    })
}

/// A marker came to nothing.
///
/// # Errors
/// The database's.
pub async fn dismissed(tx: &mut Tx, id: ThingId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(MARKER_DISMISSED).bind(id).bind(false).execute(c).await.map(drop))
}

/// Something was said of a note.
///
/// # Errors
/// The database's.
pub async fn add_sequel(tx: &mut Tx, note: ThingId, row: &SequelRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(SEQUEL_ADD).bind(note).bind(row.seq).bind(row.kind).bind(row.person).execute(c).await.map(drop)
    })
}

/// What was said of a note, in order.
///
/// # Errors
/// The database's.
pub async fn sequels(tx: &mut Tx, note: ThingId) -> sqlx::Result<Vec<SequelRow>> {
    on_db!(tx, |c| sqlx::query_as(SEQUELS).bind(note).fetch_all(c).await)
}
