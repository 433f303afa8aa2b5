//! Who comes, goes, or does not want to be disturbed, told to those who may know. Not kept, like `typing`.
//! Does not know: sockets, tables. What is told comes from the roll; whom it is told to, channel by channel, from policy and the hub.
//! Invariant: somebody is announced in channels they may read at that moment and nowhere else; a crowd that comes at once, as after a
//! restart, is told of little by little.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use super::hub::Hub;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, UserId};
use crate::kernel::engine::{Engine, Shown};
use crate::kernel::wire;

/// How often the roll is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// People announced in one round.
const PEOPLE_MAX: usize = 50;

/// Announces people for as long as the engine runs. Start once a server.
pub async fn announce(engine: Engine, hub: Arc<Hub>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let now = engine.book().latest(engine.world().now());
        for (user, shown) in engine.shared().roll.changed(now, PEOPLE_MAX) {
            if announce_one(&engine, &hub, user, shown).await.is_err() {
                // Whoever asks is told what is true all the same. The text of a database error may quote a value.
                tracing::warn!("Somebody's presence was not announced");
            }
        }
    }
}

/// Announces one person where they may read and somebody else listens.
pub(super) async fn announce_one(engine: &Engine, hub: &Hub, user: UserId, shown: Shown) -> Result<(), Fault> {
    let channels = channels_of(engine, hub, user).await?;
    let at = engine.world().now();
    let body = to_raw_value(&body(shown)).map_err(|_| Fault::Defect("a presence is not JSON"))?;
    for channel in channels {
        let frame = wire::event_bytes("presence", Some(&channel.to_string()), None, at, Some(user), &body);
        hub.presence(channel, user, &frame);
    }
    Ok(())
}

/// `state`, `do_not_disturb`, and `until` where what they said ends.
fn body(shown: Shown) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("state".into(), shown.presence.text().into());
    body.insert("do_not_disturb".into(), shown.do_not_disturb.into());
    if let Some(until) = shown.until {
        body.insert("until".into(), rfc3339(until).into());
    }
    body
}

async fn channels_of(engine: &Engine, hub: &Hub, user: UserId) -> Result<Vec<ChannelId>, Fault> {
    // Suspended or not: of somebody whose connections were ended the others learn that they are gone.
    let Some(person) = engine.book().person(user) else { return Ok(Vec::new()) };
    let mut read = engine.reader(person.subject(user)).await?;
    let mut channels = Vec::new();
    for (_, access) in read.patients().await? {
        channels.extend(read.readable(&access).into_iter().filter(|channel| hub.is_heard(*channel, user)));
    }
    Ok(channels)
}
