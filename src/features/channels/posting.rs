//! Posting messages and correcting them. Hot path: a `message.post` that names and asks nothing runs no statement of its own.
//! Invariant: a message in a part of the channel the caller may not read is missing for them.

use serde::Deserialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::ask::{Ask, Marks};
use super::attention::{self, rings};
use super::held;
use super::message::{Post, Posted, Priority, Relinked, Retracted, Standing};
use super::pages::in_view;
use super::words::{Form, Words};
use super::{threads, waiting};
use crate::features::files;
use crate::kernel::base::{ChannelId, EntryId, Fault, ItemId, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::Hash;
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Ledger, Reply, Utterance, Write};
use crate::kernel::log::scan::Line;
use crate::kernel::log::{Fact, Thing, ThingKind};
use crate::kernel::policy::{Permit, Right};

/// A message stands.
pub const POSTED: &str = "message.posted";
/// It has new words.
pub const AMENDED: &str = "message.amended";
/// It is taken back.
pub const RETRACTED: &str = "message.retracted";
/// It is linked to another item.
pub const RELINKED: &str = "message.relinked";

/// What an id names, if the caller may read the entry that made it.
pub(super) async fn readable(cx: &mut Write<'_>, id: ThingId, kinds: &[ThingKind]) -> Result<Option<Thing>, Stop> {
    let Some(thing) = cx.ledger().thing(id).await?.filter(|thing| kinds.contains(&thing.kind)) else {
        return Ok(None);
    };
    let Some(access) = cx.ledger().access(thing.patient).await? else { return Ok(None) };
    Ok(in_view(&access, cx.subject(), thing.channel, thing.seq, cx.now()).then_some(thing))
}

/// `message.post`
pub async fn post(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let chars_max = cx.ledger().shared().config.limits.text_chars;
    let post = Post::parse(data, chars_max)?;
    let channel = post.channel;
    let permit = cx.permit_channel(Right::Post, channel).await?;
    if let Some(reply) = cx.repeated(channel).await? {
        return Ok(reply);
    }
    let hold = post.hold;
    if hold.is_some()
        && let Some(reply) = held::repeated(cx, channel).await?
    {
        return Ok(reply);
    }
    let item = match post.reply_to {
        None => post.item,
        Some(id) => {
            let to = readable(cx, id, &[ThingKind::Message, ThingKind::Note]).await?;
            let to = to.filter(|to| to.channel == channel).ok_or_else(|| Refusal::not_found().field("reply_to"))?;
            post.item.or(to.item)
        }
    };
    let item = match post.task {
        None => item,
        Some(id) => {
            let task = readable(cx, id, &[ThingKind::Task]).await?;
            let task = task.filter(|task| task.channel == channel).ok_or_else(|| Refusal::not_found().field("task"))?;
            item.or(task.item)
        }
    };
    let item = cx.link(&permit, item).await?.item();
    let taken = files::take(cx, &permit, &post.files).await?;
    let id = ThingId(cx.new_id());
    let posted = match post.mentions.is_empty() {
        true => post.decide(id, item, |_| false, |_| Vec::new())?,
        false => {
            let access = cx.ledger().access(permit.patient()).await?.ok_or_else(Refusal::not_found)?;
            let now = cx.now();
            let reads = |user| {
                let listed = access.channels.get(&channel).is_some_and(|held| held.readable_by(user).is_some());
                listed && access.member(user, now).is_some()
            };
            post.decide(id, item, reads, |responsibility| access.holders(responsibility, now))?
        }
    };
    let posted = waiting::timed(&cx.ledger().shared().config.asks, posted);
    if hold.is_some() {
        return held::keep(cx, &permit, &posted).await;
    }
    publish(cx, permit.actor(), channel, item, &posted, &taken.commitments).await?;
    Ok(Reply::Recorded)
}

/// A message stands, and those it mentions hear of it.
pub(super) async fn publish(
    cx: &mut Write<'_>,
    author: UserId,
    channel: ChannelId,
    item: ItemId,
    posted: &Posted,
    files: &[Hash],
) -> Result<(), Stop> {
    let fact = cx.record_for(author, channel, POSTED, kind::MESSAGE, Some(item), posted.id.0, posted, files).await?;
    mention(cx, &fact, &posted.mentions, posted.priority.unwrap_or_default()).await
}

async fn mention(cx: &mut Write<'_>, posted: &Fact, users: &[UserId], priority: Priority) -> Result<(), Stop> {
    if users.is_empty() {
        return Ok(());
    }
    let mut fact = Data::new();
    fact.insert("channel".into(), posted.channel.to_string().into());
    fact.insert("seq".into(), posted.seq.into());
    fact.insert("message".into(), posted.id.to_string().into());
    let hearing = attention::hearing(cx.ledger().tx(), posted.channel, users, posted.at).await?;
    for (user, hearing) in
        users.iter().filter(|user| **user != posted.by).filter_map(|user| hearing.get_key_value(user))
    {
        if rings(*hearing, priority) {
            cx.tell(*user, "mentioned", &fact).await?;
        } else {
            let mut quiet = fact.clone();
            quiet.insert("quiet".into(), true.into());
            cx.tell(*user, "mentioned", &quiet).await?;
        }
    }
    Ok(())
}

/// A message a correction or an answer names, with the permit for it. `None` in the first place is the answer of a repeat.
pub(super) enum Found {
    Repeated(Reply),
    Message(Permit, ChannelId, Standing),
}

/// Finds the message a command names: the caller may read it and holds `right` for it.
pub(super) async fn find(cx: &mut Write<'_>, data: &Data, right: fn(UserId) -> Right) -> Result<Found, Stop> {
    let id: ThingId = Fields(data).required_id("message")?;
    let thing = readable(cx, id, &[ThingKind::Message]).await?.ok_or_else(Refusal::not_found)?;
    let permit = cx.permit_channel(right(thing.author), thing.channel).await?;
    cx.about(id);
    if let Some(reply) = cx.repeated(thing.channel).await? {
        return Ok(Found::Repeated(reply));
    }
    let item = thing.item.ok_or(Fault::Integrity("a message without a plan item"))?;
    let Marks { form, ask } = Marks::from_number(thing.state);
    Ok(Found::Message(permit, thing.channel, Standing { message: id, form, retracted: !thing.open, item, ask }))
}

/// `message.amend`
pub async fn amend(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let chars_max = cx.ledger().shared().config.limits.text_chars;
    let words = Words::parse(Fields(data), chars_max)?;
    let (channel, standing) = match find(cx, data, Right::Amend).await? {
        Found::Repeated(reply) => return Ok(reply),
        Found::Message(_, channel, standing) => (channel, standing),
    };
    let id: Uuid = cx.new_id();
    let amended = standing.amend(EntryId(id), words)?;
    cx.record(channel, AMENDED, kind::AMENDMENT, Some(standing.item), id, &amended).await?;
    Ok(Reply::Recorded)
}

/// `message.retract`
pub async fn retract(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let (channel, standing) = match find(cx, data, Right::Retract).await? {
        Found::Repeated(reply) => return Ok(reply),
        Found::Message(_, channel, standing) => (channel, standing),
    };
    let id: Uuid = cx.new_id();
    let retracted = standing.retract(EntryId(id), Fields(data).reason()?)?;
    cx.record(channel, RETRACTED, kind::RETRACTION, Some(standing.item), id, &retracted).await?;
    Ok(Reply::Recorded)
}

/// `message.relink`: the entry carries the item the message is linked to from now on.
pub async fn relink(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    let item: Option<ItemId> = Fields(data).id("item")?;
    let (permit, channel, standing) = match find(cx, data, Right::Relink).await? {
        Found::Repeated(reply) => return Ok(reply),
        Found::Message(permit, channel, standing) => (permit, channel, standing),
    };
    let item = cx.link_even_closed(&permit, item).await?.item();
    let id: Uuid = cx.new_id();
    let relinked = standing.relink(EntryId(id), item)?;
    cx.record(channel, RELINKED, kind::RELINK, Some(item), id, &relinked).await?;
    Ok(Reply::Recorded)
}

/// As much of [`super::message::Posted`] as a name needs: the words are passed over unread.
#[derive(Deserialize)]
struct MarksOnly {
    sbar: Option<IgnoredAny>,
    ask: Option<Ask>,
    priority: Option<Priority>,
    respond_minutes: Option<u32>,
    #[serde(default)]
    mentions: Vec<UserId>,
    task: Option<ThingId>,
}

/// A message has a name; a task has one more message, somebody owes an answer.
pub async fn project_posted(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    // All that is kept beside the entry: an amendment or an answer is checked against it without opening the message.
    let MarksOnly { sbar, ask, priority, respond_minutes, mentions, task } = fact.read()?;
    let form = if sbar.is_some() { Form::Sbar } else { Form::Text };
    ledger.name_thing(Thing::made(fact, fact.id.into(), ThingKind::Message, Marks { form, ask }.number()));
    if let Some(task) = task {
        threads::begin(ledger, fact, task).await?;
    }
    if let (Some(_), Some(minutes)) = (ask, respond_minutes) {
        waiting::begin(ledger, fact, priority.unwrap_or_default(), minutes, &mentions).await?;
    }
    files::attach(ledger, fact).await
}

/// The message a correction names.
#[derive(Deserialize)]
struct Corrects {
    message: ThingId,
}

/// What an entry about a message says, for a search.
pub fn words(line: &Line) -> Result<Option<Utterance>, Fault> {
    Ok(match &*line.event {
        POSTED => Some(Utterance::first(line.id.into()).says(line.read::<Words>()?.texts())),
        AMENDED => Some(Utterance::anew(line.read::<Corrects>()?.message).says(line.read::<Words>()?.texts())),
        RETRACTED => Some(Utterance::taken_back(line.read::<Corrects>()?.message)),
        _ => None,
    })
}

async fn named(ledger: &mut Ledger, id: ThingId) -> Result<Thing, Fault> {
    ledger.thing(id).await?.ok_or(Fault::Integrity("a correction of a message that is not there"))
}

/// The message is taken back.
pub async fn project_retracted(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Retracted { message, reason, withholds, .. } = fact.read()?;
    ledger.withhold(fact.channel, &withholds, &reason).await?;
    files::withhold(ledger, fact.channel, &withholds).await?;
    let thing = named(ledger, message).await?;
    threads::end(ledger, message).await?;
    if Marks::from_number(thing.state).ask.is_some() {
        waiting::end(ledger, fact, message).await?;
    }
    ledger.change_thing(Thing { open: false, ..thing }).await
}

/// The message is linked to another item.
pub async fn project_relinked(ledger: &mut Ledger, fact: &Fact) -> Result<(), Fault> {
    let Relinked { message, item, .. } = fact.read()?;
    let thing = named(ledger, message).await?;
    if Marks::from_number(thing.state).ask.is_some() {
        waiting::relinked(ledger, message, item).await?;
    }
    ledger.change_thing(Thing { item: Some(item), ..thing }).await
}
