//! Statements of attention: muted channels, and what people say of themselves. Each step stays; the newest one holds.

use uuid::Uuid;

use crate::kernel::base::{ChannelId, Micros, UserId};
use crate::kernel::store::{Tx, id_list, on_db, statements};

statements! {
    MUTE_ADD = "INSERT INTO mute_step (channel, person, at, muted, until) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (channel, person, at) DO UPDATE SET muted = excluded.muted, until = excluded.until";
    MUTES_IN = "SELECT step.person, step.muted, step.until FROM mute_step AS step WHERE step.channel = $1
        AND step.at = (SELECT MAX(newer.at) FROM mute_step AS newer
            WHERE newer.channel = step.channel AND newer.person = step.person AND newer.at <= $2)";
    MUTES_OF = "SELECT step.channel, step.muted, step.until FROM mute_step AS step WHERE step.person = $1
        AND step.at = (SELECT MAX(newer.at) FROM mute_step AS newer
            WHERE newer.person = step.person AND newer.channel = step.channel)";
    MUTE_GET = "SELECT muted, until FROM mute_step WHERE channel = $1 AND person = $2 ORDER BY at DESC LIMIT 1";
    ATTENTION_ADD = "INSERT INTO attention_step (person, at, attention, until) VALUES ($1, $2, $3, $4)
        ON CONFLICT (person, at) DO UPDATE SET attention = excluded.attention, until = excluded.until";
    ATTENTION_OF = "SELECT step.person, step.attention, step.until FROM attention_step AS step
        WHERE step.person IN (SELECT unhex(value) FROM json_each($1))
        AND step.at = (SELECT MAX(newer.at) FROM attention_step AS newer WHERE newer.person = step.person AND newer.at <= $2)";
    ATTENTION_ALL = "SELECT step.person, step.attention, step.until FROM attention_step AS step WHERE step.attention > 0
        AND step.at = (SELECT MAX(newer.at) FROM attention_step AS newer WHERE newer.person = step.person)";
    ATTENTION_GET = "SELECT attention, until FROM attention_step WHERE person = $1 ORDER BY at DESC LIMIT 1";
}

/// Somebody mutes a channel, or hears it again.
///
/// # Errors
/// The database's.
pub async fn add_mute(
    tx: &mut Tx,
    channel: ChannelId,
    person: UserId,
    at: Micros,
    muted: bool,
    until: Option<Micros>,
) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(MUTE_ADD).bind(channel).bind(person).bind(at).bind(muted).bind(until).execute(c).await.map(drop)
    })
}

/// Who had said what of a channel at `at`.
///
/// # Errors
/// The database's.
pub async fn mutes_in(
    tx: &mut Tx,
    channel: ChannelId,
    at: Micros,
) -> sqlx::Result<Vec<(UserId, bool, Option<Micros>)>> {
    on_db!(tx, |c| sqlx::query_as(MUTES_IN).bind(channel).bind(at).fetch_all(c).await)
}

/// What a person says of each channel.
///
/// # Errors
/// The database's.
pub async fn mutes_of(tx: &mut Tx, person: UserId) -> sqlx::Result<Vec<(ChannelId, bool, Option<Micros>)>> {
    on_db!(tx, |c| sqlx::query_as(MUTES_OF).bind(person).fetch_all(c).await)
}

/// What a person says of a channel.
///
/// # Errors
/// The database's.
pub async fn mute(tx: &mut Tx, channel: ChannelId, person: UserId) -> sqlx::Result<Option<(bool, Option<Micros>)>> {
    on_db!(tx, |c| sqlx::query_as(MUTE_GET).bind(channel).bind(person).fetch_optional(c).await)
}

/// Somebody says how they are to be reached.
///
/// # Errors
/// The database's.
pub async fn add_attention(
    tx: &mut Tx,
    person: UserId,
    at: Micros,
    attention: i16,
    until: Option<Micros>,
) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ATTENTION_ADD).bind(person).bind(at).bind(attention).bind(until).execute(c).await.map(drop)
    })
}

/// What these people had said at `at`.
///
/// # Errors
/// The database's.
pub async fn attention_of(
    tx: &mut Tx,
    people: impl IntoIterator<Item = Uuid>,
    at: Micros,
) -> sqlx::Result<Vec<(UserId, i16, Option<Micros>)>> {
    let people = id_list(people);
    on_db!(tx, |c| sqlx::query_as(ATTENTION_OF).bind(people).bind(at).fetch_all(c).await)
}

/// What everybody says who says anything.
///
/// # Errors
/// The database's.
pub async fn attention_of_all(tx: &mut Tx) -> sqlx::Result<Vec<(UserId, i16, Option<Micros>)>> {
    on_db!(tx, |c| sqlx::query_as(ATTENTION_ALL).fetch_all(c).await)
}

/// What a person says.
///
/// # Errors
/// The database's.
pub async fn attention(tx: &mut Tx, person: UserId) -> sqlx::Result<Option<(i16, Option<Micros>)>> {
    on_db!(tx, |c| sqlx::query_as(ATTENTION_GET).bind(person).fetch_optional(c).await)
}
