//! What surrounds a message in the chart: the patient, this server, the team, the plan, the conversations, and the `context` that every
//! record kind is offered. Pure: from what was surveyed.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::bundle::Subject;
use super::people::People;
use super::refer::search;
use crate::features::care_plan::{Kind, Standing, with_source};
use crate::features::chart::survey::{Item, Spell, Survey};
use crate::kernel::base::id::DeploymentId;
use crate::kernel::base::world::rfc3339_millis;
use crate::kernel::base::{ChannelId, ItemId, Micros, PatientId, ThingId, UserId};
use crate::kernel::log::Fact;
use crate::kernel::policy::{Access, Audience, Holder, PersonKind};

/// Members of a CarePlan that are told by its items.
const OF_ITEMS: [&str; 4] = ["addresses", "goal", "activity", "careTeam"];

/// All that is known when the first message is written.
pub(in crate::features::chart) struct Scene {
    pub system: String,
    pub deployment: DeploymentId,
    pub patient: PatientId,
    pub access: Arc<Access>,
    pub survey: Survey,
    pub(super) people: People,
    /// What imports brought of plan items, as it came.
    pub(super) sources: HashMap<ItemId, Value>,
    /// The CarePlan that was imported, as it came; null if there were none or several.
    pub(super) plan_source: Value,
    pub now: Micros,
}

/// What a later entry about a message adds to its context.
pub(super) struct History<'a> {
    /// Oldest first.
    pub changes: &'a [Fact],
    /// Up to where the receiver has changes; none if it has nothing.
    pub had: Option<i64>,
}

impl History<'_> {
    /// The receiver has an older state.
    pub fn is_update(&self) -> bool {
        self.had.is_some_and(|had| self.changes.iter().any(|change| change.seq > had))
    }

    /// The plan item it is about now.
    pub fn item(&self, fact: &Fact) -> Option<ItemId> {
        let relinked = |change: &Fact| (&*change.event == "message.relinked").then_some(change.item).flatten();
        self.changes.iter().rev().find_map(relinked).or(fact.item)
    }
}

impl Scene {
    /// The item that stands for the plan as a whole: its id is the CarePlan's.
    pub(super) fn plan_id(&self) -> Option<ItemId> {
        let whole = |item: &&Item| item.current.standing == Some(Standing::Whole);
        self.survey.items.iter().find(whole).map(|item| item.current.id)
    }

    /// The id of the CareTeam: made of the patient's, so that it is the same in every export.
    pub(super) fn team_id(&self) -> Uuid {
        Uuid::new_v5(&self.patient.0, b"CareTeam")
    }

    pub(in crate::features::chart) fn plan(&self) -> Value {
        self.plan_id().map_or(Value::Null, |id| json!({ "reference": format!("CarePlan/{id}") }))
    }

    pub(super) fn subject(&self) -> Value {
        json!({ "reference": format!("Patient/{}", self.patient) })
    }

    /// What a plan item is in the chart.
    fn item(&self, id: ItemId) -> Option<Value> {
        let Item { current, .. } = self.survey.item(id)?;
        let title = &current.content.title;
        let class = match current.kind {
            Some(Kind::Goal) => "Goal",
            Some(Kind::Problem | Kind::Barrier) => "Condition",
            Some(Kind::Activity) => "Task",
            None => return Some(self.standing(id, title)),
        };
        Some(json!({ "reference": format!("{class}/{id}"), "display": title }))
    }

    /// A standing item is no resource: the CarePlan, called by the item's name.
    fn standing(&self, id: ItemId, title: &str) -> Value {
        let mut reference = self.plan();
        if self.plan_id() != Some(id) {
            reference["identifier"] = json!({ "system": self.system, "value": id });
        }
        reference["display"] = title.into();
        reference
    }

    /// The goals an item is or serves.
    fn goals(&self, id: ItemId) -> Vec<Value> {
        let Some(item) = self.survey.item(id) else { return Vec::new() };
        let is_goal = |id: &ItemId| self.survey.item(*id).is_some_and(|item| item.current.kind == Some(Kind::Goal));
        let own = is_goal(&id).then_some(id);
        own.into_iter()
            .chain(item.current.content.addresses.iter().copied())
            .filter(is_goal)
            .filter_map(|id| self.item(id))
            .collect()
    }

    fn based_on(&self, id: ItemId) -> Vec<Value> {
        let activity = self.survey.item(id).filter(|item| item.current.kind == Some(Kind::Activity));
        let task = activity.map(|_| json!({ "reference": format!("Task/{id}") }));
        std::iter::once(self.plan()).chain(task).collect()
    }

    /// Who could read that entry when it was written, but its author.
    pub(super) fn readers(&self, fact: &Fact) -> Vec<UserId> {
        let Some(channel) = self.access.channels.get(&fact.channel) else { return Vec::new() };
        let mut readers: Vec<UserId> = channel
            .readers
            .iter()
            .filter(|(user, spans)| {
                let read = spans.iter().any(|span| span.from <= fact.seq && span.to.is_none_or(|to| fact.seq <= to));
                read && **user != fact.by
            })
            .map(|(user, _)| *user)
            .collect();
        readers.sort_unstable();
        readers
    }

    fn recipients(&self, fact: &Fact) -> Vec<Value> {
        self.readers(fact).into_iter().map(|user| self.people.reference(user)).collect()
    }

    /// What the check-in asked that an entry answers.
    fn questions(&self, fact: &Fact) -> Option<&[String]> {
        let checkin = body(fact)["checkin"].as_str()?.parse().ok()?;
        self.survey.questions.get(&ThingId(checkin)).map(Vec::as_slice)
    }

    /// What every kind of record is told of its entry. `things` are the messages and notes it names.
    pub(super) fn context(&self, fact: &Fact, history: &History<'_>, things: &HashMap<Uuid, Value>) -> Value {
        let item = history.item(fact);
        let change = |change: &Fact| {
            json!({
                "event": *change.event,
                "id": change.id,
                "recorded": rfc3339_millis(change.at),
                "author": self.people.reference(change.by),
                "had": history.had.is_some_and(|had| change.seq <= had),
                "data": body(change),
            })
        };
        let channel = self.access.channels.get(&fact.channel);
        let kind = self.people.kind(fact.by);
        json!({
            "system": self.system,
            "subject": self.subject(),
            "plan": self.plan(),
            "team": { "reference": format!("CareTeam/{}", self.team_id()) },
            "header": { "reference": format!("Communication/{}", fact.channel) },
            "organization": self.people.organization_reference(),
            "device": { "reference": format!("Device/{}", self.deployment) },
            "author": self.people.reference(fact.by),
            "profession": self.people.profession(fact.by),
            "family": kind.is_family(),
            "recipients": self.recipients(fact),
            "item": item.and_then(|id| self.item(id)),
            "based_on": item.map(|id| self.based_on(id)),
            "goals": item.map(|id| self.goals(id)),
            "recorded": rfc3339_millis(fact.at),
            "questions": self.questions(fact),
            "restricted": channel.is_some_and(|channel| channel.audience == Audience::Named),
            "update": history.is_update(),
            "changes": history.changes.iter().map(change).collect::<Vec<_>>(),
            "known": self.known(std::iter::once(fact).chain(history.changes), things),
        })
    }

    /// The same for a plan item, with what it says now.
    pub(super) fn item_context(&self, item: &Item) -> Value {
        let history = History { changes: &[], had: None };
        let mut context = self.context(&item.fact, &history, &HashMap::new());
        let mut known = self.known(std::iter::once(&item.fact), &HashMap::new());
        let content = &item.current.content;
        let addressed = content.addresses.iter().filter_map(|id| Some((id.to_string(), self.item(*id)?)));
        known.extend(addressed);
        if let Some(Holder::User(user)) = content.owner {
            known.insert(user.to_string(), self.people.reference(user));
        }
        context["known"] = known.into();
        context["goals"] = self.goals(item.current.id).into();
        context["source"] = self.sources.get(&item.current.id).cloned().unwrap_or_default();
        context["current"] = serde_json::to_value(&item.current).unwrap_or_default();
        context["modified"] = rfc3339_millis(item.changed_at).into();
        context
    }

    /// What the ids in those bodies stand for.
    fn known<'f>(&self, facts: impl Iterator<Item = &'f Fact>, things: &HashMap<Uuid, Value>) -> Map<String, Value> {
        let mut known = Map::new();
        for id in facts.flat_map(named) {
            let reference = if let Some(thing) = things.get(&id) {
                Some(thing.clone())
            } else if self.survey.people.contains(&UserId(id)) || self.access.members.contains_key(&UserId(id)) {
                Some(self.people.reference(UserId(id)))
            } else {
                self.item(ItemId(id))
            };
            if let Some(reference) = reference {
                known.insert(id.to_string(), reference);
            }
        }
        known
    }

    /// Ids in a body that are neither people nor items nor its own: messages and notes.
    pub fn foreign(&self, fact: &Fact) -> Vec<Uuid> {
        let ours = |id: &Uuid| {
            *id == fact.id.0 || self.survey.people.contains(&UserId(*id)) || self.survey.item(ItemId(*id)).is_some()
        };
        named(fact).into_iter().filter(|id| !ours(id)).collect()
    }

    /// Ids of the resources of [`Scene::resources`].
    pub fn ids(&self, users: &[UserId], channels: &[ChannelId]) -> Vec<Uuid> {
        let items = self.survey.items.iter().filter(|item| item.current.standing.is_none());
        let mut ids: Vec<Uuid> = items.map(|item| item.current.id.0).collect();
        ids.extend(self.plan_id().map(|id| id.0));
        ids.extend([self.team_id(), self.deployment.0]);
        ids.extend(self.people.custodian.as_ref().map(|custodian| custodian.id.0));
        ids.extend(users.iter().filter(|user| self.people.kind(**user) != PersonKind::Patient).map(|user| user.0));
        ids.extend(channels.iter().map(|channel| channel.0));
        ids
    }

    /// Everyone who is named: the team, whoever read or wrote, owners of items.
    pub fn users(access: &Access, survey: &mut Survey, channels: &[ChannelId]) {
        survey.people.extend(access.members.keys());
        for channel in channels.iter().filter_map(|id| access.channels.get(id)) {
            survey.people.extend(channel.readers.keys());
        }
        let owners = survey.items.iter().filter_map(|item| match item.current.content.owner {
            Some(Holder::User(user)) => Some(user),
            _ => None,
        });
        survey.people.extend(owners.collect::<Vec<_>>());
        survey.people.extend(survey.items.iter().map(|item| item.fact.by).collect::<Vec<_>>());
    }

    /// Owner, people, this server; then team, plan and conversations, without the plan's items, which are the plan's to tell.
    pub fn resources(&self, users: &[UserId], channels: &[ChannelId]) -> Vec<Value> {
        let mut resources: Vec<Value> = self.people.organization(&self.system).into_iter().collect();
        let role = |user: &UserId| self.survey.roles.get(user).map(|role| role.text.as_str());
        resources.extend(users.iter().filter_map(|user| self.people.resource(&self.system, *user, role(user))));
        resources.push(self.device());
        resources.push(self.team());
        resources.extend(self.care_plan());
        resources.extend(channels.iter().map(|channel| self.header(*channel)));
        resources
    }

    fn device(&self) -> Value {
        json!({
            "resourceType": "Device",
            "identifier": [{ "system": self.system, "value": self.deployment }],
            "deviceName": [{ "name": "Care team messaging server", "type": "user-friendly-name" }],
            "owner": self.people.organization_reference(),
        })
    }

    /// Everybody who is or was on the team, with the time of it.
    fn team(&self) -> Value {
        let is_person = |user: &UserId| self.people.kind(*user) != PersonKind::Service;
        let participant = |user: UserId, spell: &Spell| {
            json!({
                "role": [{ "text": spell.role }],
                "member": self.people.reference(user),
                "period": { "start": rfc3339_millis(spell.from), "end": spell.to.map(rfc3339_millis) },
            })
        };
        let times = self.survey.spells.iter().filter(|(user, _)| is_person(user));
        let participants = times.flat_map(|(user, spells)| spells.iter().map(move |spell| (*user, spell)));
        let participants: Vec<Value> = participants.map(|(user, spell)| participant(user, spell)).collect();
        json!({
            "resourceType": "CareTeam",
            "identifier": [{ "system": self.system, "value": self.team_id() }],
            "status": "active",
            "subject": self.subject(),
            "participant": participants,
            "managingOrganization": [self.people.organization_reference()],
        })
    }

    fn care_plan(&self) -> Option<Value> {
        let id = self.plan_id()?;
        let of = |kinds: &[Kind]| -> Vec<Value> {
            let items =
                self.survey.items.iter().filter(|item| item.current.kind.is_some_and(|kind| kinds.contains(&kind)));
            // What was entered in error is no part of a plan.
            items
                .filter(|item| item.current.status != "entered-in-error")
                .filter_map(|item| self.item(item.current.id))
                .collect()
        };
        let mut source = self.plan_source.clone();
        if let Some(members) = source.as_object_mut() {
            // What it holds became items, and they say how they stand.
            OF_ITEMS.iter().for_each(|name| drop(members.remove(*name)));
        }
        let activities = of(&[Kind::Activity]).into_iter().map(|activity| json!({ "reference": activity }));
        let plan = json!({
            "resourceType": "CarePlan",
            "identifier": [{ "system": self.system, "value": id }],
            "status": "active",
            "intent": "plan",
            "category": [{
                "coding": [{
                    "system": "http://hl7.org/fhir/us/core/CodeSystem/careplan-category",
                    "code": "assess-plan",
                }],
            }],
            "subject": self.subject(),
            "careTeam": [{ "reference": format!("CareTeam/{}", self.team_id()) }],
            "addresses": of(&[Kind::Problem, Kind::Barrier]),
            "goal": of(&[Kind::Goal]),
            "activity": activities.collect::<Vec<_>>(),
        });
        Some(with_source(plan, &source))
    }

    /// The header Communication of a conversation: what its messages are part of.
    fn header(&self, channel: ChannelId) -> Value {
        let conversation = self.survey.conversations.get(&channel);
        let archived = conversation.is_some_and(|conversation| conversation.archived);
        let mut readers: Vec<UserId> = self.access.channels.get(&channel).map_or_else(Vec::new, |channel| {
            let now = channel.readers.iter().filter(|(_, spans)| spans.last().is_some_and(|last| last.to.is_none()));
            now.map(|(user, _)| *user).collect()
        });
        readers.sort_unstable();
        json!({
            "resourceType": "Communication",
            "identifier": [{ "system": self.system, "value": channel }],
            "basedOn": [self.plan()],
            "status": if archived { "completed" } else { "in-progress" },
            "medium": [{
                "coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode",
                    "code": "ONLINEWRIT",
                    "display": "online written",
                }],
            }],
            "subject": self.subject(),
            "topic": conversation.map(|conversation| json!({ "text": conversation.name })),
            "recipient": readers.into_iter().map(|user| self.people.reference(user)).collect::<Vec<_>>(),
        })
    }

    /// How a chart finds the patient: by the first identifier they came with, else by ours.
    pub fn patient_search(&self) -> String {
        let first = self.survey.identity.as_ref().and_then(|identity| identity.identifiers.first());
        first.map_or_else(
            || search(&self.system, &self.patient.to_string()),
            |identifier| search(&identifier.system, &identifier.value),
        )
    }

    /// How the patient is referred to.
    pub fn patient_reference(&self, with_patient: bool) -> Subject {
        if with_patient { Subject::Entry } else { Subject::Conditional(format!("Patient?{}", self.patient_search())) }
    }

    /// The Patient, for a chart that does not know them.
    pub fn patient_resource(&self) -> Value {
        let ours = json!({ "system": self.system, "value": self.patient });
        let Some(identity) = &self.survey.identity else {
            return json!({ "resourceType": "Patient", "identifier": [ours] });
        };
        let theirs = identity.identifiers.iter().map(|one| json!({ "system": one.system, "value": one.value }));
        let language = identity
            .language
            .as_deref()
            .map(|language| json!([{ "language": { "coding": [{ "system": "urn:ietf:bcp:47", "code": language }] } }]));
        json!({
            "resourceType": "Patient",
            "identifier": theirs.chain([ours]).collect::<Vec<_>>(),
            "name": [{ "text": identity.name }],
            "gender": identity.gender,
            "birthDate": identity.birth_date,
            "communication": language,
        })
    }
}

fn body(fact: &Fact) -> Value {
    serde_json::from_str(fact.body.get()).unwrap_or_default()
}

/// Every id in a body.
fn named(fact: &Fact) -> Vec<Uuid> {
    fn walk(value: &Value, found: &mut Vec<Uuid>) {
        match value {
            Value::String(text) if text.len() == 36 => found.extend(text.parse::<Uuid>().ok()),
            Value::Array(elements) => elements.iter().for_each(|element| walk(element, found)),
            Value::Object(members) => members.values().for_each(|member| walk(member, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(&body(fact), &mut found);
    found
}
