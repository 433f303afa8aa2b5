//! Statements of receipts: moves of read positions, and what was delivered.

use crate::kernel::base::{ChannelId, Micros, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    STEP_ADD = "INSERT INTO read_step (person, channel, seq, at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (person, channel, seq) DO NOTHING";
    READ_AT = "SELECT held.person, (SELECT step.at FROM read_step AS step
            WHERE step.person = held.person AND step.channel = held.channel AND step.seq >= $2 ORDER BY step.seq LIMIT 1) AS at
        FROM read_position AS held WHERE held.channel = $1 AND held.seq >= $2";
    PAGE_GET = "SELECT spans FROM delivered WHERE channel = $1 AND page = $2 AND person = $3";
    PAGE_SET = "INSERT INTO delivered (channel, page, person, spans) VALUES ($1, $2, $3, $4)
        ON CONFLICT (channel, page, person) DO UPDATE SET spans = excluded.spans";
    PAGE_OF_ALL = "SELECT person, spans FROM delivered WHERE channel = $1 AND page = $2";
}

/// A read position came to `seq`.
///
/// # Errors
/// The database's.
pub async fn add_step(tx: &mut Tx, person: UserId, channel: ChannelId, seq: i64, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(STEP_ADD).bind(person).bind(channel).bind(seq).bind(at).execute(c).await.map(drop))
}

/// Everybody who has read an entry, and when; no time for what was read before times were kept.
///
/// # Errors
/// The database's.
pub async fn read_at(tx: &mut Tx, channel: ChannelId, seq: i64) -> sqlx::Result<Vec<(UserId, Option<Micros>)>> {
    on_db!(tx, |c| sqlx::query_as(READ_AT).bind(channel).bind(seq).fetch_all(c).await)
}

/// A person's page of what was delivered.
///
/// # Errors
/// The database's.
pub async fn page(tx: &mut Tx, channel: ChannelId, page: i64, person: UserId) -> sqlx::Result<Option<Vec<u8>>> {
    let row: Option<(Vec<u8>,)> =
        on_db!(tx, |c| sqlx::query_as(PAGE_GET).bind(channel).bind(page).bind(person).fetch_optional(c).await)?;
    Ok(row.map(|(spans,)| spans))
}

/// Writes it.
///
/// # Errors
/// The database's.
pub async fn set_page(tx: &mut Tx, channel: ChannelId, page: i64, person: UserId, spans: &[u8]) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(PAGE_SET).bind(channel).bind(page).bind(person).bind(spans).execute(c).await.map(drop)
    })
}

/// Everybody's page of what was delivered.
///
/// # Errors
/// The database's.
pub async fn pages(tx: &mut Tx, channel: ChannelId, page: i64) -> sqlx::Result<Vec<(UserId, Vec<u8>)>> {
    on_db!(tx, |c| sqlx::query_as(PAGE_OF_ALL).bind(channel).bind(page).fetch_all(c).await)
}
