//! Whose attention a message asks for: muted channels, do-not-disturb, who is there, and the one rule of what rings.
//! Does not know: sockets, how a device rings. Muting hides nothing and holds nothing back: it says how loud something arrives.
//! Invariant: what rings is decided by [`rings`] alone, for facts on `me` as for receipts.

pub mod shapes;
pub mod sql;

use std::collections::HashMap;

use serde_json::Value;

use super::message::Priority;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, Micros, Refusal, Stop, UserId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Attention, Data, Engine, Presence, Read, Reply, Said, Shown, Write};
use crate::kernel::policy::Right;
use crate::kernel::store::Tx;
use shapes::{ChannelPresence, Here, MemberPresence, PresenceChanged};

/// How somebody hears of a channel at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hearing {
    /// They have muted the channel.
    pub muted: bool,
    /// They are not to be disturbed.
    pub do_not_disturb: bool,
}

/// Whether a message alerts somebody: what is urgent always does, anything else unless they asked for quiet.
#[must_use]
pub const fn rings(hearing: Hearing, priority: Priority) -> bool {
    match priority {
        Priority::Urgent | Priority::Stat => true,
        Priority::Routine => !hearing.muted && !hearing.do_not_disturb,
    }
}

/// Whether a mute holds at `now`.
fn holds(muted: bool, until: Option<Micros>, now: Micros) -> bool {
    muted && until.is_none_or(|until| now < until)
}

fn said(attention: i16, until: Option<Micros>) -> Result<Said, Fault> {
    let attention = Attention::from_number(attention).ok_or(Fault::Integrity("an unknown kind of attention"))?;
    Ok(Said { attention, until })
}

/// How each of `people` heard of a channel at `at`. Two statements, however many they are.
///
/// # Errors
/// The database's.
pub async fn hearing(
    tx: &mut Tx,
    channel: ChannelId,
    people: &[UserId],
    at: Micros,
) -> Result<HashMap<UserId, Hearing>, Fault> {
    let mut heard: HashMap<UserId, Hearing> = people.iter().map(|user| (*user, Hearing::default())).collect();
    for (user, muted, until) in sql::mutes_in(tx, channel, at).await? {
        if let Some(hearing) = heard.get_mut(&user) {
            hearing.muted = holds(muted, until, at);
        }
    }
    for (user, attention, until) in sql::attention_of(tx, people.iter().map(|user| user.0), at).await? {
        if let Some(hearing) = heard.get_mut(&user) {
            hearing.do_not_disturb = said(attention, until)?.at(at).attention == Attention::DoNotDisturb;
        }
    }
    Ok(heard)
}

/// The channels a person has muted at `now`, and until when.
pub(super) async fn muted_by(
    tx: &mut Tx,
    person: UserId,
    now: Micros,
) -> Result<HashMap<ChannelId, Option<Micros>>, Fault> {
    let steps = sql::mutes_of(tx, person).await?;
    let muted = steps.into_iter().filter(|(_, muted, until)| holds(*muted, *until, now));
    Ok(muted.map(|(channel, _, until)| (channel, until)).collect())
}

/// An `until` that lies ahead.
fn until(fields: Fields<'_>, applies: bool, now: Micros) -> Result<Option<Micros>, Refusal> {
    match fields.time("until")? {
        None => Ok(None),
        Some(until) if applies && until > now => Ok(Some(until)),
        Some(_) if applies => Err(Refusal::invalid("until", "This field is a time to come.")),
        Some(_) => Err(Refusal::invalid("until", "There is nothing here that ends.")),
    }
}

fn told(mut reply: Data, until: Option<Micros>) -> Reply {
    if let Some(until) = until {
        reply.insert("until".into(), rfc3339(until).into());
    }
    Reply::Plain(reply)
}

/// `channel.mute`: for the caller alone.
pub async fn mute(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let channel: ChannelId = fields.required_id("channel")?;
    let muted = fields.boolean("muted")?.ok_or_else(|| Refusal::invalid("muted", "This field is required."))?;
    let user = cx.permit_channel(Right::Read, channel).await?.actor();
    let now = cx.now();
    let until = until(fields, muted, now)?;
    let held = sql::mute(cx.ledger().tx(), channel, user).await?.unwrap_or((false, None));
    if held != (muted, until) {
        sql::add_mute(cx.ledger().change(), channel, user, now, muted, until).await?;
    }
    let mut reply = Data::new();
    reply.insert("channel".into(), channel.to_string().into());
    reply.insert("muted".into(), muted.into());
    Ok(told(reply, until))
}

/// `presence.set`: what the caller says of themselves.
pub async fn set(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let fields = Fields(data);
    let known = |text: &str| Attention::ALL.into_iter().find(|one| one.text() == text);
    let attention = fields.word("state", known, "available, away, do_not_disturb")?;
    let attention = attention.ok_or_else(|| Refusal::invalid("state", "This field is required."))?;
    let user = cx.permit_server(Right::OwnAccount)?.actor();
    let now = cx.now();
    let until = until(fields, attention != Attention::Available, now)?;
    let held = sql::attention(cx.ledger().tx(), user).await?.unwrap_or((Attention::Available.number(), None));
    if held != (attention.number(), until) {
        sql::add_attention(cx.ledger().change(), user, now, attention.number(), until).await?;
        cx.ledger().say(user, Said { attention, until });
    }
    let mut reply = Data::new();
    reply.insert("state".into(), attention.text().into());
    Ok(told(reply, until))
}

/// `presence`: who of a channel's readers is there, and whom a message would not disturb.
pub async fn presence(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let channel: ChannelId = Fields(data).required_id("channel")?;
    let (_, access) = cx.permit_channel(Right::Read, channel).await?;
    let now = cx.now();
    let muted: HashMap<UserId, Option<Micros>> = sql::mutes_in(cx.tx(), channel, now)
        .await?
        .into_iter()
        .filter(|(_, muted, until)| holds(*muted, *until, now))
        .map(|(user, _, until)| (user, until))
        .collect();
    let mut members = Vec::new();
    for reader in cx.readers(&access, channel) {
        let muted = muted.get(&reader.user);
        members.push(MemberPresence {
            user: reader.user,
            shown: told_of(cx.shared().roll.shown(reader.user, now)),
            muted: muted.is_some(),
            muted_until: muted.copied().flatten().map(rfc3339),
        });
    }
    let answer = ChannelPresence { channel, at: rfc3339(now), members };
    Ok(serde_json::to_value(answer).map_err(|_| Fault::Defect("a presence is not JSON"))?)
}

fn told_of(shown: Shown) -> PresenceChanged {
    let state = match shown.presence {
        Presence::Online => Here::Online,
        Presence::Away => Here::Away,
        Presence::Offline => Here::Offline,
    };
    PresenceChanged { state, do_not_disturb: shown.do_not_disturb, until: shown.until.map(rfc3339) }
}

/// Puts on the roll what people said before the server was started.
///
/// # Errors
/// The database's.
pub async fn recall(engine: &Engine) -> Result<(), Fault> {
    let mut tx = engine.shared().db.read().await?;
    for (user, attention, until) in sql::attention_of_all(&mut tx).await? {
        engine.shared().roll.say(user, said(attention, until)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_urgent_breaks_through_and_nothing_else() {
        for muted in [false, true] {
            for do_not_disturb in [false, true] {
                let hearing = Hearing { muted, do_not_disturb };
                assert!(rings(hearing, Priority::Urgent) && rings(hearing, Priority::Stat));
                assert_eq!(rings(hearing, Priority::Routine), !(muted || do_not_disturb));
            }
        }
    }

    #[test]
    fn a_mute_ends_at_its_minute() {
        assert!(holds(true, None, 10) && holds(true, Some(11), 10));
        assert!(!holds(true, Some(10), 10) && !holds(false, None, 10));
    }
}
