//! What has to be known of a record before its first message is written: who the patient is, the plan, the team, the conversations, and
//! which messages were changed by later entries. Read from the entries alone; memory grows with the plan and the corrections, not with
//! what is said.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use crate::features::care_plan::{Added, Changed, Closed};
use crate::features::patients::{Departure, Identity, Membership, Registered};
use crate::kernel::base::world::parse_rfc3339;
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, ThingId, UserId};
use crate::kernel::log::Fact;
use crate::kernel::policy::Holder;

/// A plan item as it stands.
pub(super) struct Item {
    /// What it says now.
    pub current: Added,
    /// The entry that made it.
    pub fact: Fact,
    /// When it last changed.
    pub changed_at: Micros,
}

/// A membership as it was last told.
pub(super) struct Role {
    /// In words.
    pub text: String,
    /// When the person joined last.
    pub since: Micros,
}

/// A time on the team: whoever left and came back has several.
pub(super) struct Spell {
    /// In words, as it was told last.
    pub role: String,
    /// Since when.
    pub from: Micros,
    /// Until when; open if none.
    pub to: Option<Micros>,
}

/// A conversation.
#[derive(Default)]
pub(super) struct Conversation {
    pub name: String,
    pub archived: bool,
}

/// All of it.
#[derive(Default)]
pub(super) struct Survey {
    pub identity: Option<Identity>,
    /// In the order they were made.
    pub items: Vec<Item>,
    places: HashMap<ItemId, usize>,
    pub roles: HashMap<UserId, Role>,
    /// Everybody who is or was on the team, their times in order.
    pub spells: BTreeMap<UserId, Vec<Spell>>,
    /// How the team changed, oldest first.
    pub team: Vec<Fact>,
    pub conversations: BTreeMap<ChannelId, Conversation>,
    /// Later entries about a message, note, task or handoff, oldest first.
    pub changes: HashMap<ThingId, Vec<Fact>>,
    /// Where something stands that its name does not say: check-backs, and markers that were documented later.
    pub spoken: HashMap<ThingId, (ChannelId, i64)>,
    /// Those of each message.
    answered: HashMap<ThingId, Vec<ThingId>>,
    /// What each check-in asked.
    pub questions: HashMap<ThingId, Vec<String>>,
    /// Everyone who wrote or is named by an entry.
    pub people: BTreeSet<UserId>,
}

/// What a change names.
#[derive(Deserialize)]
struct Named {
    /// Entries that are withheld with the message.
    #[serde(default)]
    withholds: Vec<i64>,
    #[serde(default)]
    message: Option<ThingId>,
    #[serde(default)]
    note: Option<ThingId>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    with: Vec<Participant>,
}

/// Which task it is, and who it or an offer goes to.
#[derive(Deserialize)]
struct Work {
    #[serde(default)]
    task: Option<ThingId>,
    #[serde(default)]
    owner: Option<Holder>,
    #[serde(default)]
    to: Option<UserId>,
    #[serde(default)]
    after: Owned,
}

#[derive(Default, Deserialize)]
struct Owned {
    #[serde(default)]
    owner: Option<Holder>,
}

/// Which handoff an answer is about.
#[derive(Deserialize)]
struct Handoff {
    handoff: ThingId,
}

/// What a check-in asks.
#[derive(Deserialize)]
struct Asked {
    id: ThingId,
    questions: Vec<String>,
}

#[derive(Deserialize)]
struct Participant {
    #[serde(default)]
    user: Option<UserId>,
}

impl Survey {
    /// The item.
    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.places.get(&id).map(|at| &self.items[*at])
    }

    /// Takes an entry of the plan channel.
    pub fn take_plan(&mut self, fact: &Fact) -> Result<(), Fault> {
        if fact.event.starts_with("team.") {
            self.team.push(fact.clone());
        }
        match &*fact.event {
            "patient.registered" => self.identity = Some(fact.read::<Registered>()?.identity),
            "team.joined" | "team.changed" => {
                let Membership { user, role, until, .. } = fact.read()?;
                let until = until.and_then(|until| parse_rfc3339(&until).ok());
                self.take_membership(user, &role, until, fact);
                let since = self.roles.get(&user).map(|role| role.since).filter(|_| &*fact.event == "team.changed");
                self.roles.insert(user, Role { text: role, since: since.unwrap_or(fact.at) });
                self.people.insert(user);
            }
            "team.left" => {
                let Departure { user, .. } = fact.read()?;
                if let Some(last) = self.spells.get_mut(&user).and_then(|spells| spells.last_mut()) {
                    // The end of a time that ran out is the clock's, not that of the entry which says so.
                    last.to = Some(last.to.map_or(fact.at, |to| to.min(fact.at)));
                }
            }
            "plan_item.added" => {
                let current: Added = fact.read()?;
                self.places.insert(current.id, self.items.len());
                self.items.push(Item { current, fact: fact.clone(), changed_at: fact.at });
            }
            "plan_item.changed" => {
                let change: Changed = fact.read()?;
                let item = self.changed_item(change.item, fact.at)?;
                change.lay_over(&mut item.current.content);
                if let Some(status) = change.status {
                    item.current.status = status;
                }
            }
            "plan_item.closed" => {
                let Closed { item, status, .. } = fact.read()?;
                let item = self.changed_item(item, fact.at)?;
                item.current.status = status;
                item.current.closed = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn take_membership(&mut self, user: UserId, role: &str, until: Option<Micros>, fact: &Fact) {
        let spells = self.spells.entry(user).or_default();
        match spells.last_mut().filter(|_| &*fact.event == "team.changed") {
            Some(last) => (last.role, last.to) = (role.to_owned(), until),
            None => spells.push(Spell { role: role.to_owned(), from: fact.at, to: until }),
        }
    }

    fn changed_item(&mut self, id: ItemId, at: Micros) -> Result<&mut Item, Fault> {
        let at_place = self.places.get(&id).ok_or(Fault::Integrity("a change of a plan item that is not there"))?;
        let item = &mut self.items[*at_place];
        item.changed_at = at;
        Ok(item)
    }

    /// Takes an entry about a task, or an offer of work.
    fn take_work(&mut self, fact: &Fact, work: Work) {
        self.people.insert(fact.by);
        let owners = [work.owner, work.after.owner].into_iter().flatten();
        self.people.extend(owners.filter_map(|owner| match owner {
            Holder::User(user) => Some(user),
            Holder::Responsibility { .. } => None,
        }));
        self.people.extend(work.to);
        if let Some(task) = work.task {
            self.changes.entry(task).or_default().push(fact.clone());
        }
    }

    /// Takes an entry of a conversation, or of the plan channel.
    pub fn take(&mut self, fact: &Fact) -> Result<(), Fault> {
        match fact.event.split_once('.') {
            Some(("channel", what)) => {
                let conversation = self.conversations.entry(fact.channel).or_default();
                conversation.archived |= what == "archived";
                if let Some(name) = fact.read::<Named>()?.name {
                    conversation.name = name;
                }
            }
            Some(("message", "posted") | ("note", "logged")) => {
                self.people.insert(fact.by);
                let Named { note, with, .. } = fact.read()?;
                self.people.extend(with.into_iter().filter_map(|one| one.user));
                self.spoken.extend(note.map(|note| (note, (fact.channel, fact.seq))));
            }
            Some(("message", "checked_back")) => {
                self.people.insert(fact.by);
                let id = ThingId(fact.id.0);
                self.spoken.insert(id, (fact.channel, fact.seq));
                if let Some(message) = fact.read::<Named>()?.message {
                    self.answered.entry(message).or_default().push(id);
                }
            }
            Some(("task", _) | ("handoff", "offered")) => self.take_work(fact, fact.read()?),
            Some(("handoff", _)) => {
                let handoff = fact.read::<Handoff>()?.handoff;
                self.people.insert(fact.by);
                self.changes.entry(handoff).or_default().push(fact.clone());
            }
            Some(("checkin", "opened")) => {
                let Asked { id, questions } = fact.read()?;
                self.questions.insert(id, questions);
            }
            // An addendum is a document of its own: the note stays as it was.
            Some(("checkin", "answered") | ("note", "addended")) => {
                self.people.insert(fact.by);
            }
            Some(("message" | "note", _)) => {
                let Named { message, note, withholds, .. } = fact.read()?;
                if let Some(about) = message.or(note) {
                    self.people.insert(fact.by);
                    // What was understood of a message that was another patient's is that patient's, too.
                    let answers = self.answered.get(&about).filter(|_| !withholds.is_empty());
                    for answer in answers.into_iter().flatten() {
                        self.changes.entry(*answer).or_default().push(fact.clone());
                    }
                    self.changes.entry(about).or_default().push(fact.clone());
                }
            }
            _ => {}
        }
        Ok(())
    }
}
