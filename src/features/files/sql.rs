//! Statements of files: what was uploaded, and which entries carry it. No other module reads or writes these tables.

use uuid::Uuid;

use super::model::Place;
use crate::kernel::base::{ChannelId, FileId, Micros, PatientId, UserId};
use crate::kernel::store::{Tx, id_list, on_db, statements};

statements! {
    FILE_ADD = "INSERT INTO file (id, patient, channel, uploader, at, bytes, manifest) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    FILE_GET = "SELECT id, patient, channel, uploader, at, bytes, manifest FROM file WHERE id = $1";
    FILES_THERE = "SELECT id FROM file WHERE id IN (SELECT unhex(value) FROM json_each($1))";
    FILES_LOOSE = "SELECT file.id FROM file WHERE file.at < $1 AND NOT EXISTS (SELECT 1 FROM attached_file WHERE attached_file.file = file.id) ORDER BY file.at LIMIT $2";
    FILE_DROP = "DELETE FROM file WHERE id = $1";
    BYTES_OF_CHANNEL = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM file WHERE channel = $1";
    BYTES_OF_USER = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM file WHERE uploader = $1 AND at > $2";
    PLACE_ADD = "INSERT INTO attached_file (channel, seq, place, file, withheld) VALUES ($1, $2, $3, $4, $5)";
    PLACES_OF = "SELECT seq, withheld FROM attached_file WHERE file = $1 ORDER BY seq";
    CARRIED = "SELECT file FROM attached_file WHERE channel = $1 AND seq = $2 ORDER BY place";
    PLACE_WITHHOLD = "UPDATE attached_file SET withheld = $3 WHERE channel = $1 AND seq = $2";
    CLEAR_PLACES = "DELETE FROM attached_file";
}

/// A row of `file`.
#[derive(sqlx::FromRow)]
pub struct FileRow {
    /// Which.
    pub id: FileId,
    /// Whose record.
    pub patient: PatientId,
    /// Where.
    pub channel: ChannelId,
    /// Who brought it.
    pub uploader: UserId,
    /// When.
    pub at: Micros,
    /// How long it is.
    pub bytes: i64,
    /// [`super::model::Manifest`], sealed.
    pub manifest: Vec<u8>,
}

/// Keeps an upload.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, row: &FileRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(FILE_ADD)
            .bind(row.id)
            .bind(row.patient)
            .bind(row.channel)
            .bind(row.uploader)
            .bind(row.at)
            .bind(row.bytes)
            .bind(&row.manifest)
            .execute(c)
            .await
            .map(drop)
    })
}

/// One file.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, id: FileId) -> sqlx::Result<Option<FileRow>> {
    on_db!(tx, |c| sqlx::query_as(FILE_GET).bind(id).fetch_optional(c).await)
}

/// Which of these there are.
///
/// # Errors
/// The database's.
pub async fn there(tx: &mut Tx, ids: &[Uuid]) -> sqlx::Result<Vec<FileId>> {
    let ids = id_list(ids.iter().copied());
    let rows: Vec<(FileId,)> = on_db!(tx, |c| sqlx::query_as(FILES_THERE).bind(&ids).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Files of before a time that no entry carries, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn loose(tx: &mut Tx, before: Micros, limit: i64) -> sqlx::Result<Vec<FileId>> {
    let rows: Vec<(FileId,)> = on_db!(tx, |c| sqlx::query_as(FILES_LOOSE).bind(before).bind(limit).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Forgets a file.
///
/// # Errors
/// The database's.
pub async fn forget(tx: &mut Tx, id: FileId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(FILE_DROP).bind(id).execute(c).await.map(drop))
}

/// Bytes of the files of a channel.
///
/// # Errors
/// The database's.
pub async fn bytes_of_channel(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<i64> {
    let (bytes,): (i64,) = on_db!(tx, |c| sqlx::query_as(BYTES_OF_CHANNEL).bind(channel).fetch_one(c).await)?;
    Ok(bytes)
}

/// Bytes that somebody uploaded after a time.
///
/// # Errors
/// The database's.
pub async fn bytes_of_user(tx: &mut Tx, user: UserId, after: Micros) -> sqlx::Result<i64> {
    let (bytes,): (i64,) = on_db!(tx, |c| sqlx::query_as(BYTES_OF_USER).bind(user).bind(after).fetch_one(c).await)?;
    Ok(bytes)
}

/// An entry carries a file.
///
/// # Errors
/// The database's.
pub async fn attach(tx: &mut Tx, channel: ChannelId, seq: i64, place: i64, file: FileId) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(PLACE_ADD).bind(channel).bind(seq).bind(place).bind(file).bind(false).execute(c).await.map(drop)
    })
}

/// The entries that carry a file.
///
/// # Errors
/// The database's.
pub async fn places(tx: &mut Tx, file: FileId) -> sqlx::Result<Vec<Place>> {
    on_db!(tx, |c| sqlx::query_as(PLACES_OF).bind(file).fetch_all(c).await)
}

/// The files of an entry, in its order.
///
/// # Errors
/// The database's.
pub async fn carried(tx: &mut Tx, channel: ChannelId, seq: i64) -> sqlx::Result<Vec<FileId>> {
    let rows: Vec<(FileId,)> = on_db!(tx, |c| sqlx::query_as(CARRIED).bind(channel).bind(seq).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The content of an entry is read no more, and with it its files.
///
/// # Errors
/// The database's.
pub async fn withhold(tx: &mut Tx, channel: ChannelId, seq: i64) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(PLACE_WITHHOLD).bind(channel).bind(seq).bind(true).execute(c).await.map(drop))
}
