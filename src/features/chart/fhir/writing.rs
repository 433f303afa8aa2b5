//! The second pass of an export: every entry that stands in the chart by itself, by the feature whose it is, into a [`Sink`].
//! Does not know Bundles.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use uuid::Uuid;

use super::attached::attached;
use super::scene::{History, Scene};
use super::sink::{Origin, Sink};
use super::surveyed::Taken;
use crate::features::chart::ExportRequest;
use crate::features::chart::source::{About, Part, Source, Walk};
use crate::features::{channels, notes};
use crate::kernel::base::world::rfc3339_millis;
use crate::kernel::base::{ChannelId, Fault, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::log::{Fact, Thing, ThingKind};
use crate::kernel::policy::ChannelKind;

/// The events that stand in the chart by themselves; everything else is told with what it is about.
const STANDING: [&str; 8] = [
    "message.posted",
    "message.checked_back",
    "note.logged",
    "note.addended",
    "task.created",
    "handoff.offered",
    "handoff.accepted",
    "checkin.answered",
];

/// The second pass.
pub(super) struct Writing<'w, S> {
    pub source: &'w Source<'w>,
    pub request: &'w ExportRequest,
    pub scene: &'w Scene,
    pub parts: &'w [Part],
    pub about: &'w About,
    /// Entries the receiver has in an older state, by channel and position: they are sent again though they are not new.
    pub again: BTreeMap<(ChannelId, i64), ThingId>,
    pub taken: &'w Taken,
    pub sink: &'w mut S,
}

impl<S: Sink> Writing<'_, S> {
    /// All of it: what the messages refer to, then what was said, channel after channel.
    pub async fn all(&mut self) -> Result<(), Stop> {
        self.surroundings()?;
        self.items()?;
        for part in self.parts {
            self.part(part).await?;
        }
        Ok(())
    }

    /// Everything a message refers to.
    fn surroundings(&mut self) -> Result<(), Stop> {
        let users: Vec<UserId> = self.scene.survey.people.iter().copied().collect();
        let channels: Vec<ChannelId> =
            self.parts.iter().filter(|part| self.speaks(part)).map(|part| part.begun.id).collect();
        for id in self.scene.ids(&users, &channels) {
            self.sink.announce(id);
        }
        self.sink.take(self.scene.resources(&users, &channels), Origin::default(), &[])
    }

    /// Whether something of a conversation is in this export.
    fn speaks(&self, part: &Part) -> bool {
        let channel = self.scene.access.channels.get(&part.begun.id);
        let conversation = channel.is_some_and(|channel| channel.kind == ChannelKind::Conversation);
        let again = || self.again.keys().any(|(id, _)| *id == part.begun.id);
        conversation && (self.taken.channels.contains_key(&part.begun.id) || again())
    }

    /// The plan's items, by the feature whose they are.
    fn items(&mut self) -> Result<(), Stop> {
        let registry = &self.source.engine.shared().registry;
        for item in &self.scene.survey.items {
            let feature =
                registry.of_event(&item.fact.event).ok_or(Fault::Integrity("an event that no feature knows"))?;
            let resources = feature.chart(&item.fact, &self.scene.item_context(item));
            if resources.is_empty() && item.current.standing.is_none() {
                return Err(Fault::Defect("a plan item has no place in the chart").into());
            }
            // A condition that came from a chart is that chart's; one that was written here changes here.
            let update = item.current.content.source.is_none();
            self.sink.take(resources, Origin { item: Some(item.current.id), update, ..Origin::default() }, &[])?;
        }
        Ok(())
    }

    /// What is said in one conversation: first what is sent again, then what is new.
    async fn part(&mut self, part: &Part) -> Result<(), Stop> {
        let channel = part.begun.id;
        let places = self.again.range((channel, i64::MIN)..=(channel, i64::MAX)).map(|((_, seq), _)| *seq);
        for seq in places.collect::<Vec<_>>() {
            for fact in self.source.page(channel, seq - 1, seq).await? {
                self.fact(part, &fact).await?;
            }
        }
        let mut walk = Walk::writing(self.source, channel, &part.fresh);
        loop {
            let facts = walk.next().await?;
            if facts.is_empty() {
                return Ok(());
            }
            for fact in &facts {
                self.fact(part, fact).await?;
            }
        }
    }

    /// One entry, if it was asked for and stands in the chart by itself.
    async fn fact(&mut self, part: &Part, fact: &Fact) -> Result<(), Stop> {
        if !STANDING.contains(&&*fact.event) || !self.request.takes(fact, self.about.item(fact)) {
            return Ok(());
        }
        let registry = &self.source.engine.shared().registry;
        let feature = registry.of_event(&fact.event).ok_or(Fault::Integrity("an event that no feature knows"))?;
        let (things, near) = self.things(fact).await?;
        let changes = self.scene.survey.changes.get(&ThingId(fact.id.0)).map(Vec::as_slice).unwrap_or_default();
        let history = History { changes, had: part.coverage.horizon(fact.seq) };
        let mut context = self.scene.context(fact, &history, &things);
        let (files, inline) = attached(self.source, fact, self.sink.room()).await?;
        context["files"] = files.into();
        context["received"] = self.received(fact).await?.into();
        let resources = feature.chart(fact, &context);
        if resources.is_empty() {
            return Err(Fault::Integrity("an entry could not be read for the chart").into());
        }
        let (item, update) = (history.item(fact), history.is_update());
        self.sink.take(resources, Origin { fact: Some(fact), item, update, inline }, &near)
    }

    /// When a message with one recipient reached them; R4 has one place for that.
    async fn received(&mut self, fact: &Fact) -> Result<Option<String>, Stop> {
        let [reader] = self.scene.readers(fact)[..] else { return Ok(None) };
        if fact.kind != kind::MESSAGE {
            return Ok(None);
        }
        let mut cx = self.source.read().await?;
        let delivered = &self.source.engine.shared().roll.delivered;
        let receipts = channels::of_entry(cx.tx(), delivered, fact.channel, fact.seq, [reader]).await?;
        // What is marked as read was there.
        let at = receipts.get(&reader).and_then(|receipt| receipt.delivered_at.or(receipt.read_at));
        Ok(at.map(rfc3339_millis))
    }

    /// The messages, notes, tasks and handoffs an entry names, and which of them are in this export.
    async fn things(&mut self, fact: &Fact) -> Result<(HashMap<Uuid, Value>, Vec<Uuid>), Stop> {
        let (mut things, mut near) = (HashMap::new(), Vec::new());
        let foreign = self.scene.foreign(fact);
        if foreign.is_empty() {
            return Ok((things, near));
        }
        let mut cx = self.source.read().await?;
        for id in foreign {
            let found: Option<Thing> = cx.thing(ThingId(id)).await?;
            let Some(thing) = found.filter(|thing| thing.patient == self.source.patient) else { continue };
            let (class, spoken) = match thing.kind {
                ThingKind::Message | ThingKind::Handoff => ("Communication", id),
                ThingKind::Note if notes::is_documented(&thing) => ("Communication", notes::communication_id(id)),
                ThingKind::Task => ("Task", id),
                ThingKind::Note | ThingKind::PlanItem => continue,
            };
            things.insert(id, json!({ "reference": format!("{class}/{spoken}") }));
            if self.is_inside(&thing) {
                // The text of a note goes by the note's own id.
                near.extend([spoken, id]);
            }
        }
        Ok((things, near))
    }

    fn is_inside(&self, thing: &Thing) -> bool {
        let (channel, seq) = self.scene.survey.spoken.get(&thing.id).copied().unwrap_or((thing.channel, thing.seq));
        if self.again.contains_key(&(channel, seq)) {
            return true;
        }
        let part = self.parts.iter().find(|part| part.begun.id == channel);
        let fresh = part.is_some_and(|part| part.fresh.iter().any(|[from, to]| (*from..=*to).contains(&seq)));
        // What was chosen is known by its class, too, which the table of things does not hold: then by the first pass.
        fresh && self.taken.holds(self.request, channel, seq)
    }
}
