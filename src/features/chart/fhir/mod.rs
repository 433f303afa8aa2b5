//! `fhir-transaction`: the record as a transaction Bundle of FHIR R4 that a chart takes in one step, twice without harm.
//! Two passes: the first learns what surrounds the messages and what became of them, the second writes them as they stand.
//! Each kind of record gives its own resources; here they get their identity, their references and their request.

mod bundle;
mod people;
mod scene;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};
use uuid::Uuid;

use super::export::Single;
use super::source::{Part, Source, Walk};
use super::survey::Survey;
use super::{ExportRequest, ExportSummary, Out};
use crate::features::{channels, notes};
use crate::kernel::base::{ChannelId, Fault, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::log::{Fact, Thing, ThingKind};
use crate::kernel::policy::{ChannelKind, Right};
use bundle::Bundle;
use people::People;
use scene::{History, Scene};

/// Writes the Bundle.
pub(super) async fn transaction(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    out: &mut dyn Out,
) -> Result<(ExportSummary, [u8; 32]), Stop> {
    let file = Single::begin(out, "bundle.json")?;
    let (survey, summary) = surveyed(source, request, parts).await?;
    let scene = scene(source, parts, survey).await?;
    let subject = scene.patient_reference(request.with_patient);
    let bundle = Bundle::new(file, scene.system.clone(), source.patient, subject);
    if summary.entries == 0 {
        return Ok((summary, bundle.finish()?));
    }
    let again = changed_again(source, request, parts, &scene).await?;
    let mut writing = Writing { source, scene, parts, again, bundle };
    writing.surroundings(request)?;
    writing.items()?;
    for part in parts {
        writing.part(part).await?;
    }
    Ok((summary, writing.bundle.finish()?))
}

/// The first pass. Counts what is new.
async fn surveyed(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
) -> Result<(Survey, ExportSummary), Stop> {
    let mut survey = Survey::default();
    let mut summary = ExportSummary::default();
    let about = source.about(request, parts).await?;
    let plan = {
        let mut cx = source.read().await?;
        let (_, access) = cx.permit_patient(Right::Export, source.patient).await?;
        let plan = access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?;
        cx.head(plan).await?.ok_or(Fault::Integrity("a channel without a head"))?
    };
    // The plan as it stands is shown to whoever may export at all, whenever they joined.
    let mut walk = Walk::new(source, plan.channel, &[[1, plan.seq]]);
    loop {
        let facts = walk.next().await?;
        if facts.is_empty() {
            break;
        }
        facts.iter().try_for_each(|fact| survey.take_plan(fact))?;
    }
    for part in parts {
        let before = summary.entries;
        let mut walk = Walk::new(source, part.begun.id, &part.begun.readable);
        loop {
            let facts = walk.next().await?;
            if facts.is_empty() {
                break;
            }
            for fact in &facts {
                survey.take(fact)?;
                let fresh = part.fresh.iter().any(|[from, to]| (*from..=*to).contains(&fact.seq));
                summary.entries += u64::from(fresh && request.takes(fact, about.item(fact)));
            }
        }
        summary.channels += u64::from(summary.entries > before);
    }
    Ok((survey, summary))
}

async fn scene(source: &Source<'_>, parts: &[Part], mut survey: Survey) -> Result<Scene, Stop> {
    let mut cx = source.read().await?;
    let (_, access) = cx.permit_patient(Right::Export, source.patient).await?;
    let channels: Vec<ChannelId> = parts.iter().map(|part| part.begun.id).collect();
    Scene::users(&access, &mut survey, &channels);
    let people = People::load(&mut cx, source.patient, &survey.people).await?;
    let shared = source.engine.shared();
    let deployment = shared.vault.deployment();
    let system = shared.config.export.identifier_system.clone().unwrap_or_else(|| format!("urn:uuid:{deployment}"));
    Ok(Scene { system, deployment, patient: source.patient, access, survey, people, now: cx.now() })
}

/// Messages the receiver has in an older state, by channel and position: they are sent again though they are not new.
async fn changed_again(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    scene: &Scene,
) -> Result<BTreeMap<(ChannelId, i64), ThingId>, Stop> {
    let mut again = BTreeMap::new();
    if !request.since_last {
        return Ok(again);
    }
    let mut cx = source.read().await?;
    for (id, changes) in &scene.survey.changes {
        // A check-back is an entry of its own without a name; a marker has its name from before it was documented.
        let place = match scene.survey.spoken.get(id) {
            Some(place) => Some(*place),
            None => cx.thing(*id).await?.map(|thing| (thing.channel, thing.seq)),
        };
        let Some((channel, seq)) = place else { continue };
        let Some(part) = parts.iter().find(|part| part.begun.id == channel) else { continue };
        let asked = part.window.iter().any(|[from, to]| (*from..=*to).contains(&seq));
        let history = History { changes, had: part.coverage.horizon(seq) };
        if asked && history.is_update() {
            again.insert((channel, seq), *id);
        }
    }
    Ok(again)
}

/// The second pass.
struct Writing<'w, 'o> {
    source: &'w Source<'w>,
    scene: Scene,
    parts: &'w [Part],
    again: BTreeMap<(ChannelId, i64), ThingId>,
    bundle: Bundle<'o>,
}

impl Writing<'_, '_> {
    /// Everything a message refers to.
    fn surroundings(&mut self, request: &ExportRequest) -> Result<(), Stop> {
        let users: Vec<UserId> = self.scene.survey.people.iter().copied().collect();
        let channels: Vec<ChannelId> =
            self.parts.iter().filter(|part| self.speaks(part)).map(|part| part.begun.id).collect();
        for id in self.scene.ids(&users, &channels) {
            self.bundle.announce(id);
        }
        if request.with_patient {
            self.bundle.patient(self.scene.patient_resource(), &self.scene.patient_search())?;
        }
        self.bundle.write(self.scene.resources(&users, &channels), false, &[])
    }

    /// Whether something of a conversation is in this Bundle.
    fn speaks(&self, part: &Part) -> bool {
        let channel = self.scene.access.channels.get(&part.begun.id);
        let conversation = channel.is_some_and(|channel| channel.kind == ChannelKind::Conversation);
        conversation && (!part.fresh.is_empty() || self.again.keys().any(|(id, _)| *id == part.begun.id))
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
            let ours = item.current.content.source.is_none();
            self.bundle.write(resources, ours, &[])?;
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
        let mut walk = Walk::new(self.source, channel, &part.fresh);
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

    /// One entry, if it stands in the chart by itself.
    async fn fact(&mut self, part: &Part, fact: &Fact) -> Result<(), Stop> {
        if !matches!(fact.kind, kind::MESSAGE | kind::NOTE) && &*fact.event != channels::CHECKED_BACK {
            return Ok(());
        }
        let registry = &self.source.engine.shared().registry;
        let feature = registry.of_event(&fact.event).ok_or(Fault::Integrity("an event that no feature knows"))?;
        let (things, near) = self.things(fact).await?;
        let changes = self.scene.survey.changes.get(&ThingId(fact.id.0)).map(Vec::as_slice).unwrap_or_default();
        let history = History { changes, had: part.coverage.horizon(fact.seq) };
        let resources = feature.chart(fact, &self.scene.context(fact, &history, &things));
        if resources.is_empty() {
            return Err(Fault::Integrity("an entry could not be read for the chart").into());
        }
        self.bundle.write(resources, history.is_update(), &near)
    }

    /// The messages and notes an entry names, and which of them are in this Bundle.
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
            let spoken = match thing.kind {
                ThingKind::Message => id,
                ThingKind::Note if notes::is_documented(&thing) => notes::communication_id(id),
                _ => continue,
            };
            things.insert(id, json!({ "reference": format!("Communication/{spoken}") }));
            if self.is_inside(&thing) {
                near.push(spoken);
            }
        }
        Ok((things, near))
    }

    fn is_inside(&self, thing: &Thing) -> bool {
        let (channel, seq) = self.scene.survey.spoken.get(&thing.id).copied().unwrap_or((thing.channel, thing.seq));
        let part = self.parts.iter().find(|part| part.begun.id == channel);
        let fresh = part.is_some_and(|part| part.fresh.iter().any(|[from, to]| (*from..=*to).contains(&seq)));
        fresh || self.again.contains_key(&(channel, seq))
    }
}
