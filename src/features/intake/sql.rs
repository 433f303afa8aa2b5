//! Statements of intake: codes of channels, mails that are notes, mails that wait.

use uuid::Uuid;

use crate::kernel::base::{ChannelId, ItemId, Micros, PatientId, ThingId, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    CODE_GET = "SELECT sealed FROM mail_code WHERE channel = $1";
    CODE_CHANNEL = "SELECT channel FROM mail_code WHERE mac = $1";
    CODE_ADD = "INSERT INTO mail_code (channel, patient, mac, sealed) VALUES ($1, $2, $3, $4)";
    SEEN_GET = "SELECT seq FROM mail_seen WHERE channel = $1 AND mac = $2";
    SEEN_ADD = "INSERT INTO mail_seen (channel, mac, seq) VALUES ($1, $2, $3)";
    WAITING_ADD = "INSERT INTO mail_waiting (id, mac, patient, channel, item, sender, reason, at, bytes, state, domain, original) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11)";
    WAITING_GET = "SELECT id, patient, channel, item, sender, reason, at, bytes, domain, original FROM mail_waiting WHERE id = $1 AND state = 0";
    WAITING_SAME = "SELECT id, channel FROM mail_waiting WHERE mac = $1 AND state = 0";
    WAITING_OF = "SELECT id, patient, channel, item, sender, reason, at, bytes, domain, original FROM mail_waiting WHERE patient = $1 AND state = 0 ORDER BY at, id LIMIT $2";
    WAITING_ASTRAY = "SELECT id, patient, channel, item, sender, reason, at, bytes, domain, original FROM mail_waiting WHERE patient IS NULL AND state = 0 ORDER BY at, id LIMIT $1";
    WAITING_COUNT = "SELECT COUNT(*) AS mails FROM mail_waiting WHERE patient = $1 AND state = 0";
    WAITING_COUNT_ASTRAY = "SELECT COUNT(*) AS mails FROM mail_waiting WHERE patient IS NULL AND state = 0";
    WAITING_SETTLE = "UPDATE mail_waiting SET state = $2, settled_by = $3, settled_at = $4, word = $5, original = $6 WHERE id = $1 AND state = 0";
}

/// A mail that waits.
#[derive(sqlx::FromRow)]
pub struct WaitingRow {
    /// The mail.
    pub id: Uuid,
    /// Whose record it was sent to.
    pub patient: Option<PatientId>,
    /// The channel it was sent to.
    pub channel: Option<ChannelId>,
    /// The plan item its address named.
    pub item: Option<ItemId>,
    /// The account whose address it was sent from.
    pub sender: Option<UserId>,
    /// Why it waits.
    pub reason: String,
    /// When it came.
    pub at: Micros,
    /// How long it is.
    pub bytes: i64,
    /// The domain it was sent from, sealed.
    pub domain: Vec<u8>,
    /// The mail, sealed.
    pub original: Option<Vec<u8>>,
}

/// The code of a channel, sealed.
///
/// # Errors
/// The database's.
pub async fn code(tx: &mut Tx, channel: ChannelId) -> sqlx::Result<Option<Vec<u8>>> {
    on_db!(tx, |c| sqlx::query_scalar(CODE_GET).bind(channel).fetch_optional(c).await)
}

/// The channel of a code.
///
/// # Errors
/// The database's.
pub async fn channel_of_code(tx: &mut Tx, mac: &[u8]) -> sqlx::Result<Option<ChannelId>> {
    on_db!(tx, |c| sqlx::query_scalar(CODE_CHANNEL).bind(mac).fetch_optional(c).await)
}

/// Keeps the code of a channel.
///
/// # Errors
/// The database's.
pub async fn add_code(
    tx: &mut Tx,
    channel: ChannelId,
    patient: PatientId,
    mac: &[u8],
    sealed: &[u8],
) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(CODE_ADD).bind(channel).bind(patient).bind(mac).bind(sealed).execute(c).await.map(drop))
}

/// Where a channel has a mail as a note.
///
/// # Errors
/// The database's.
pub async fn seen(tx: &mut Tx, channel: ChannelId, mac: &[u8]) -> sqlx::Result<Option<i64>> {
    on_db!(tx, |c| sqlx::query_scalar(SEEN_GET).bind(channel).bind(mac).fetch_optional(c).await)
}

/// A mail is a note from now on.
///
/// # Errors
/// The database's.
pub async fn add_seen(tx: &mut Tx, channel: ChannelId, mac: &[u8], seq: i64) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(SEEN_ADD).bind(channel).bind(mac).bind(seq).execute(c).await.map(drop))
}

/// A mail waits.
///
/// # Errors
/// The database's.
pub async fn add_waiting(tx: &mut Tx, mac: &[u8], row: &WaitingRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(WAITING_ADD)
            .bind(row.id)
            .bind(mac)
            .bind(row.patient)
            .bind(row.channel)
            .bind(row.item)
            .bind(row.sender)
            .bind(&row.reason)
            .bind(row.at)
            .bind(row.bytes)
            .bind(&row.domain)
            .bind(&row.original)
            .execute(c)
            .await
            .map(drop)
    })
}

/// A mail that waits.
///
/// # Errors
/// The database's.
pub async fn waiting(tx: &mut Tx, id: ThingId) -> sqlx::Result<Option<WaitingRow>> {
    on_db!(tx, |c| sqlx::query_as(WAITING_GET).bind(id).fetch_optional(c).await)
}

/// The same mail where it waits already, and to which channels it was sent.
///
/// # Errors
/// The database's.
pub async fn same(tx: &mut Tx, mac: &[u8]) -> sqlx::Result<Vec<(Uuid, Option<ChannelId>)>> {
    on_db!(tx, |c| sqlx::query_as(WAITING_SAME).bind(mac).fetch_all(c).await)
}

/// Mails that wait at a patient, or, without one, those whose address is none of ours; the oldest first.
///
/// # Errors
/// The database's.
pub async fn waiting_at(tx: &mut Tx, patient: Option<PatientId>, limit: i64) -> sqlx::Result<Vec<WaitingRow>> {
    match patient {
        Some(patient) => on_db!(tx, |c| sqlx::query_as(WAITING_OF).bind(patient).bind(limit).fetch_all(c).await),
        None => on_db!(tx, |c| sqlx::query_as(WAITING_ASTRAY).bind(limit).fetch_all(c).await),
    }
}

/// How many wait there.
///
/// # Errors
/// The database's.
pub async fn count(tx: &mut Tx, patient: Option<PatientId>) -> sqlx::Result<i64> {
    match patient {
        Some(patient) => on_db!(tx, |c| sqlx::query_scalar(WAITING_COUNT).bind(patient).fetch_one(c).await),
        None => on_db!(tx, |c| sqlx::query_scalar(WAITING_COUNT_ASTRAY).fetch_one(c).await),
    }
}

/// What became of a mail.
pub struct Settled<'a> {
    /// 1 filed, 2 discarded.
    pub state: i16,
    /// By whom.
    pub by: UserId,
    /// When.
    pub at: Micros,
    /// Why it was discarded, sealed.
    pub word: Option<&'a [u8]>,
    /// What is kept of the mail, sealed.
    pub original: Option<&'a [u8]>,
}

/// A mail waits no more.
///
/// # Errors
/// The database's.
pub async fn settle(tx: &mut Tx, id: ThingId, settled: &Settled<'_>) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(WAITING_SETTLE)
            .bind(id)
            .bind(settled.state)
            .bind(settled.by)
            .bind(settled.at)
            .bind(settled.word)
            .bind(settled.original)
            .execute(c)
            .await
            .map(drop)
    })
}
