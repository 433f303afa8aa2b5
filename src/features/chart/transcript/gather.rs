//! The first pass: what surrounds the entries, what became of them, and what is left out. Memory grows with the plan, the tasks and the
//! corrections, not with what is said.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use super::body::Body;
use super::people::{People, named};
use crate::features::channels::{self, Relinked};
use crate::features::chart::source::{About, Part, Source, Walk};
use crate::features::chart::survey::Survey;
use crate::features::chart::{ExportRequest, ExportSummary, filing};
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::Read;
use crate::kernel::log::Fact;
use crate::kernel::policy::Access;

/// A task as it stands, folded from its entries.
pub struct Task {
    /// Its members by name, as the entry that made it has them.
    pub members: Value,
    /// Where it was made.
    pub channel: ChannelId,
    /// Who made it, when.
    pub made: (UserId, Micros),
    /// When it last changed.
    pub changed_at: Micros,
}

/// What is known of one channel.
#[derive(Default, Clone, Copy)]
pub struct Counts {
    /// Entries that are in the transcript.
    pub taken: u64,
    /// Entries the caller may read that were not asked for.
    pub unasked: u64,
    /// Entries whose content is withheld: they went to the wrong patient.
    pub withheld: u64,
}

/// All of it.
pub struct Gathered {
    pub survey: Survey,
    pub access: Arc<Access>,
    pub people: People,
    /// Channels the caller may read, whether asked for or not.
    pub readable: BTreeSet<ChannelId>,
    pub now: Micros,
    pub about: About,
    pub summary: ExportSummary,
    pub counts: HashMap<ChannelId, Counts>,
    /// In the order they were made.
    pub tasks: Vec<(ThingId, Task)>,
    places: HashMap<ThingId, usize>,
    /// How handoffs ended.
    handoffs: HashMap<ThingId, &'static str>,
    /// Where check-ins were opened.
    checkins: HashMap<ThingId, (ChannelId, i64)>,
    /// Entries each person wrote, of those in the transcript.
    pub wrote: HashMap<UserId, u64>,
    /// Messages, notes and new tasks about each item, of those in the transcript.
    pub discussed: BTreeMap<ItemId, u64>,
    /// First and last entry of the transcript.
    pub period: Option<[Micros; 2]>,
    /// What was amended, retracted or linked anew, by where it stands.
    pub corrected: BTreeMap<(ChannelId, i64), ThingId>,
    /// Who may be named.
    users: BTreeSet<UserId>,
}

impl Gathered {
    /// Reads what may be read once.
    pub async fn from(source: &Source<'_>, request: &ExportRequest, parts: &[Part]) -> Result<Self, Stop> {
        let mut gathered = Self::empty(source).await?;
        gathered.about = source.about(request, parts).await?;
        gathered.plan(source).await?;
        for part in parts {
            gathered.part(source, request, part).await?;
        }
        gathered.users.extend(gathered.survey.people.iter().copied());
        gathered.users.insert(source.subject.user);
        gathered.users.extend(request.vouching());
        gathered.users.extend(gathered.access.members.keys());
        let channels = parts.iter().filter_map(|part| gathered.access.channels.get(&part.begun.id));
        gathered.users.extend(channels.flat_map(|channel| channel.readers.keys()).copied());
        gathered.correct(source, request, parts).await?;
        let mut cx = source.read().await?;
        gathered.people = People::load(&mut cx, &gathered.users).await?;
        Ok(gathered)
    }

    async fn empty(source: &Source<'_>) -> Result<Self, Stop> {
        let mut cx = source.read().await?;
        let (permit, access) = cx.permit_patient(source.right, source.patient).await?;
        let scope = filing::scope(source.subject, &permit, &access, cx.now());
        let readable = scope.into_iter().map(|(id, _)| id).collect();
        let people = People::load(&mut cx, &BTreeSet::new()).await?;
        Ok(Self {
            survey: Survey::default(),
            access,
            people,
            readable,
            now: cx.now(),
            about: About::default(),
            summary: ExportSummary::default(),
            counts: HashMap::new(),
            tasks: Vec::new(),
            places: HashMap::new(),
            handoffs: HashMap::new(),
            checkins: HashMap::new(),
            wrote: HashMap::new(),
            discussed: BTreeMap::new(),
            period: None,
            corrected: BTreeMap::new(),
            users: BTreeSet::new(),
        })
    }

    /// The plan as it stands is shown to whoever may export at all, whenever they joined.
    async fn plan(&mut self, source: &Source<'_>) -> Result<(), Stop> {
        let plan = {
            let mut cx = source.read().await?;
            let plan = self.access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?;
            cx.head(plan).await?.ok_or(Fault::Integrity("a channel without a head"))?
        };
        let mut walk = Walk::new(source, plan.channel, &[[1, plan.seq]]);
        loop {
            let facts = walk.next().await?;
            if facts.is_empty() {
                return Ok(());
            }
            facts.iter().try_for_each(|fact| self.survey.take_plan(fact))?;
        }
    }

    async fn part(&mut self, source: &Source<'_>, request: &ExportRequest, part: &Part) -> Result<(), Stop> {
        let mut counts = Counts::default();
        let mut walk = Walk::new(source, part.begun.id, &part.begun.readable);
        loop {
            let facts = walk.next().await?;
            if facts.is_empty() {
                break;
            }
            for fact in &facts {
                self.survey.take(fact)?;
                let body: Value = fact.read()?;
                named(&body, &mut self.users);
                self.users.insert(fact.by);
                self.work(fact, &body);
                let taken = is_fresh(part, fact.seq) && request.takes(fact, self.about.item(fact));
                counts.withheld += u64::from(taken && fact.withheld);
                counts.taken += u64::from(taken);
                counts.unasked += u64::from(!taken);
                if taken {
                    self.count(fact);
                }
            }
        }
        self.summary.entries += counts.taken;
        self.summary.channels += u64::from(counts.taken > 0);
        self.counts.insert(part.begun.id, counts);
        Ok(())
    }

    fn count(&mut self, fact: &Fact) {
        *self.wrote.entry(fact.by).or_default() += 1;
        let [first, last] = self.period.unwrap_or([fact.at; 2]);
        self.period = Some([first.min(fact.at), last.max(fact.at)]);
        if is_about(fact)
            && let Some(item) = fact.item
        {
            *self.discussed.entry(item).or_default() += 1;
        }
    }

    /// Keeps tasks as they stand, how handoffs ended, where check-ins were opened.
    fn work(&mut self, fact: &Fact, body: &Value) {
        match &*fact.event {
            "task.created" => {
                let id = ThingId(fact.id.0);
                self.places.insert(id, self.tasks.len());
                let (channel, made, changed_at) = (fact.channel, (fact.by, fact.at), fact.at);
                self.tasks.push((id, Task { members: body.clone(), channel, made, changed_at }));
            }
            "handoff.accepted" | "handoff.declined" | "handoff.withdrawn" => {
                let state = match &*fact.event {
                    "handoff.accepted" => "accepted",
                    "handoff.declined" => "declined",
                    _ => "withdrawn",
                };
                self.handoffs.extend(body["handoff"].as_str().and_then(|id| id.parse().ok()).map(|id| (id, state)));
            }
            "checkin.opened" => {
                self.checkins.insert(ThingId(fact.id.0), (fact.channel, fact.seq));
            }
            "task.changed" => {
                let id = body["task"].as_str().and_then(|id| id.parse().ok());
                let Some(task) = id.and_then(|id| self.places.get(&id)).map(|at| &mut self.tasks[*at].1) else {
                    return;
                };
                task.changed_at = fact.at;
                let Some(members) = task.members.as_object_mut() else { return };
                members.extend(body["after"].as_object().cloned().unwrap_or_default());
                members.insert("state".into(), body["state"].clone());
            }
            _ => {}
        }
    }

    /// A task, if it was made in what may be read.
    pub fn task_of(&self, id: ThingId) -> Option<&Task> {
        self.places.get(&id).map(|at| &self.tasks[*at].1)
    }

    /// What is known of a channel; nothing of one that is not in the export.
    pub fn counts_of(&self, id: ChannelId) -> Counts {
        self.counts.get(&id).copied().unwrap_or_default()
    }

    /// Whether an entry changes what another one says or is about.
    pub fn corrects(fact: &Fact) -> bool {
        matches!(fact.kind, kind::AMENDMENT | kind::RETRACTION | kind::RELINK)
    }

    /// How a handoff ended; none if it is open.
    pub fn handoff_of(&self, id: ThingId) -> Option<&'static str> {
        self.handoffs.get(&id).copied()
    }

    /// Where what was corrected stands, and what is counted where.
    async fn correct(&mut self, source: &Source<'_>, request: &ExportRequest, parts: &[Part]) -> Result<(), Stop> {
        let named = self.survey.changes.iter().filter(|(_, changes)| changes.iter().any(Self::corrects));
        let ids: Vec<ThingId> = named.map(|(id, _)| *id).collect();
        let mut cx = source.read().await?;
        for id in ids {
            if let Some(place) = self.place(&mut cx, id).await? {
                self.corrected.insert(place, id);
            }
        }
        drop(cx);
        for ((channel, seq), id) in self.corrected.clone() {
            let linked = self.current_item(id);
            let part = parts.iter().find(|part| part.begun.id == channel);
            let (Some(item), Some(_)) = (linked, part.filter(|part| is_fresh(part, seq))) else { continue };
            for fact in source.page(channel, seq - 1, seq).await? {
                if is_about(&fact) && request.takes(&fact, self.about.item(&fact)) {
                    if let Some(count) = fact.item.and_then(|item| self.discussed.get_mut(&item)) {
                        *count = count.saturating_sub(1);
                    }
                    *self.discussed.entry(item).or_default() += 1;
                }
            }
        }
        self.discussed.retain(|_, count| *count > 0);
        Ok(())
    }

    /// Where something with an id stands: a message, note, task, handoff or check-in of this patient.
    pub async fn place(&self, cx: &mut Read, id: ThingId) -> Result<Option<(ChannelId, i64)>, Fault> {
        if let Some(place) = self.survey.spoken.get(&id).or_else(|| self.checkins.get(&id)) {
            return Ok(Some(*place));
        }
        let thing = cx.thing(id).await?.filter(|thing| thing.patient == self.access.patient);
        Ok(thing.map(|thing| (thing.channel, thing.seq)))
    }

    /// The item a message was linked to last; none if it never was.
    pub fn current_item(&self, id: ThingId) -> Option<ItemId> {
        let changes = self.survey.changes.get(&id)?;
        let relinked = |fact: &Fact| fact.read::<Relinked>().ok().map(|relinked| relinked.item);
        changes.iter().rev().filter(|fact| fact.kind == kind::RELINK).find_map(relinked)
    }

    /// What a channel is called.
    pub fn channel_name(&self, id: ChannelId) -> String {
        let plan = self.access.plan_channel() == Some(id);
        let named = self.survey.conversations.get(&id).map(|conversation| conversation.name.clone());
        if plan { "Plan, team and handoffs".into() } else { named.unwrap_or_else(|| id.to_string()) }
    }
}

/// Whether an entry is among those a part writes.
pub fn is_fresh(part: &Part, seq: i64) -> bool {
    part.fresh.iter().any(|[from, to]| (*from..=*to).contains(&seq))
}

/// Whether an entry says something about an item.
fn is_about(fact: &Fact) -> bool {
    let speaks = matches!(fact.kind, kind::MESSAGE | kind::NOTE) || &*fact.event == channels::CHECKED_BACK;
    speaks || matches!(&*fact.event, "task.created" | "checkin.answered")
}

/// The ids of files an entry carries.
pub fn files_of(body: &Body) -> Vec<String> {
    body.texts("files").map(str::to_owned).collect()
}
