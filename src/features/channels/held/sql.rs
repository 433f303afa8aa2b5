//! Statements of messages that wait, and of how long a channel holds them back.

use uuid::Uuid;

use crate::kernel::base::{ChannelId, Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    UNTIL_SET = "INSERT INTO message_hold (channel, until) VALUES ($1, $2)
        ON CONFLICT (channel) DO UPDATE SET until = excluded.until";
    UNTIL_END = "DELETE FROM message_hold WHERE channel = $1";
    UNTIL_GET = "SELECT until FROM message_hold WHERE channel = $1";
    CLEAR_HOLD = "DELETE FROM message_hold";
    HELD_ADD = "INSERT INTO held_message (id, channel, patient, author, n, at, until, state, command, mac, mac_version, sealed)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, $11)";
    HELD_GET = "SELECT id, channel, patient, author, at, until, state, sealed FROM held_message WHERE id = $1";
    HELD_IN = "SELECT id, channel, patient, author, at, until, state, sealed FROM held_message
        WHERE channel = $1 AND state = 0 ORDER BY n";
    HELD_PLACE = "SELECT COALESCE(MAX(n), 0) AS newest, COUNT(CASE WHEN state = 0 THEN 1 END) AS held FROM held_message WHERE channel = $1";
    HELD_BY = "SELECT id, until, mac, mac_version FROM held_message WHERE author = $1 AND command = $2 AND channel = $3";
    HELD_END = "UPDATE held_message SET state = $2, sealed = NULL WHERE id = $1";
}

/// A message that waits, or did.
#[derive(sqlx::FromRow)]
pub struct HeldRow {
    /// The message.
    pub id: ThingId,
    /// Where it is to stand.
    pub channel: ChannelId,
    /// At whose record.
    pub patient: PatientId,
    /// Who wrote it.
    pub author: UserId,
    /// When it was written.
    pub at: Micros,
    /// Until when it was to wait, as its author was told.
    pub until: Micros,
    /// 0 waits, 1 was posted, 2 was dropped, 3 was withdrawn.
    pub state: i16,
    /// The body, sealed; none once it waits no more.
    pub sealed: Option<Vec<u8>>,
}

/// The command that made a held message.
#[derive(sqlx::FromRow)]
pub struct KeptRow {
    /// The message.
    pub id: ThingId,
    /// Until when it was to wait.
    pub until: Micros,
    /// What the command said, as a MAC.
    pub mac: Vec<u8>,
    /// Of which version of the key.
    pub mac_version: i64,
}

/// From here on a channel holds back until then, or no more.
///
/// # Errors
/// The database's.
pub async fn set_until(tx: &mut Tx, channel: ChannelId, until: Option<Micros>) -> sqlx::Result<()> {
    match until {
        Some(until) => {
            on_db!(tx, |c| sqlx::query(UNTIL_SET).bind(channel).bind(until).execute(c).await.map(drop))
        }
        None => on_db!(tx, |c| sqlx::query(UNTIL_END).bind(channel).execute(c).await.map(drop)),
    }
}

/// Until when a channel holds back, if it does.
///
/// # Errors
/// The database's.
pub async fn until(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<Option<Micros>> {
    let row: Option<(Micros,)> = on_db!(tx, |c| sqlx::query_as(UNTIL_GET).bind(channel).fetch_optional(c).await)?;
    Ok(row.map(|(until,)| until))
}

/// A message waits.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, row: &HeldRow, place: i64, key: Option<(Uuid, Vec<u8>, i64)>) -> sqlx::Result<()> {
    let (command, mac, version) =
        key.map_or((None, None, None), |(command, mac, version)| (Some(command), Some(mac), Some(version)));
    on_db!(tx, |c| {
        sqlx::query(HELD_ADD)
            .bind(row.id)
            .bind(row.channel)
            .bind(row.patient)
            .bind(row.author)
            .bind(place)
            .bind(row.at)
            .bind(row.until)
            .bind(command)
            .bind(&mac)
            .bind(version)
            .bind(&row.sealed)
            .execute(c)
            .await
            .map(drop)
    })
}

/// One held message.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, id: ThingId) -> sqlx::Result<Option<HeldRow>> {
    on_db!(tx, |c| sqlx::query_as(HELD_GET).bind(id).fetch_optional(c).await)
}

/// Those that wait in a channel, in the order they were written.
///
/// # Errors
/// The database's.
pub async fn waiting(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<Vec<HeldRow>> {
    on_db!(tx, |c| sqlx::query_as(HELD_IN).bind(channel).fetch_all(c).await)
}

/// The last place that was given in a channel, and how many wait there.
///
/// # Errors
/// The database's.
pub async fn places(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<(i64, i64)> {
    on_db!(tx, |c| sqlx::query_as(HELD_PLACE).bind(channel).fetch_one(c).await)
}

/// What somebody's command made before in a channel.
///
/// # Errors
/// The database's.
pub async fn made_by(tx: &mut Tx, author: UserId, command: Uuid, channel: ChannelId) -> sqlx::Result<Option<KeptRow>> {
    on_db!(tx, |c| sqlx::query_as(HELD_BY).bind(author).bind(command).bind(channel).fetch_optional(c).await)
}

/// A message waits no more; its content goes.
///
/// # Errors
/// The database's.
pub async fn end(tx: &mut Tx, id: ThingId, state: i16) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(HELD_END).bind(id).bind(state).execute(c).await.map(drop))
}
