//! Statements of receipts: moves of read positions, and what was delivered.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::kernel::base::{ChannelId, Micros, UserId};
use crate::kernel::store::{Tx, on_db, statements};

statements! {
    STEP_ADD = "INSERT INTO read_step (person, channel, seq, at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (person, channel, seq) DO NOTHING";
    READ_AT = "SELECT held.person, (SELECT step.at FROM read_step AS step
            WHERE step.person = held.person AND step.channel = held.channel AND step.seq >= $2 ORDER BY step.seq LIMIT 1) AS at
        FROM read_position AS held WHERE held.channel = $1 AND held.seq >= $2";
    PAGES_GET = "SELECT held.channel, held.page, held.person, held.spans FROM json_each($1) AS asked
        JOIN delivered AS held ON held.channel = unhex(json_extract(asked.value, '$[0]'))
        AND held.page = CAST(json_extract(asked.value, '$[1]') AS BIGINT) AND held.person = unhex(json_extract(asked.value, '$[2]'))";
    PAGES_SET = "INSERT INTO delivered (channel, page, person, spans)
        SELECT unhex(json_extract(fresh.value, '$[0]')), CAST(json_extract(fresh.value, '$[1]') AS BIGINT),
            unhex(json_extract(fresh.value, '$[2]')), json_extract(fresh.value, '$[3]') FROM json_each($1) AS fresh WHERE true
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

/// Where a page of what was delivered stands.
pub type PageKey = (ChannelId, i64, UserId);

/// Those of the pages asked for that are there. One statement, however many they are.
///
/// # Errors
/// The database's.
pub async fn pages_of(
    tx: &mut Tx,
    keys: impl Iterator<Item = PageKey>,
) -> sqlx::Result<Vec<(ChannelId, i64, UserId, String)>> {
    let asked = list(keys.map(|(channel, page, person)| json!([hex(channel.0), page, hex(person.0)])));
    on_db!(tx, |c| sqlx::query_as(PAGES_GET).bind(asked).fetch_all(c).await)
}

/// Writes pages, new ones and others. One statement, however many they are.
///
/// # Errors
/// The database's.
pub async fn set_pages(tx: &mut Tx, pages: impl Iterator<Item = (PageKey, String)>) -> sqlx::Result<()> {
    let fresh = list(pages.map(|((channel, page, person), spans)| json!([hex(channel.0), page, hex(person.0), spans])));
    on_db!(tx, |c| sqlx::query(PAGES_SET).bind(fresh).execute(c).await.map(drop))
}

fn hex(id: Uuid) -> String {
    id.simple().to_string()
}

fn list(rows: impl Iterator<Item = Value>) -> String {
    Value::Array(rows.collect()).to_string()
}

/// Everybody's page of what was delivered.
///
/// # Errors
/// The database's.
pub async fn pages(tx: &mut Tx, channel: ChannelId, page: i64) -> sqlx::Result<Vec<(UserId, String)>> {
    on_db!(tx, |c| sqlx::query_as(PAGE_OF_ALL).bind(channel).bind(page).fetch_all(c).await)
}
