//! Commands about tasks, read once: what is wrong in one is refused here, by field.
//! Does not know: the task they are about.

use serde_json::Value;

use super::due;
use super::entries::{Change, Repeat, State};
use crate::features::channels::Priority;
use crate::kernel::base::limits::{REASON_CHARS_MAX, TITLE_CHARS_MAX};
use crate::kernel::base::{ChannelId, ItemId, Refusal, ThingId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::{Fields, bounded};
use crate::kernel::policy::Holder;

/// Steps of one task: more are more tasks.
pub const CHECKLIST_MAX: usize = 100;
/// Tasks that one note makes: more were not decided in one talk.
pub const LIST_MAX: usize = 20;

/// What somebody asks to be done.
pub struct NewTask {
    /// In one line.
    pub title: String,
    /// What else there is to say.
    pub description: Option<String>,
    /// Who it rests with; the author if nobody is named.
    pub owner: Option<Holder>,
    /// When it is due.
    pub due: Option<String>,
    /// The time zone in which a day ends.
    pub due_zone: Option<String>,
    /// How long before somebody is reminded.
    pub remind_minutes: Option<i64>,
    /// How soon.
    pub priority: Option<Priority>,
    /// Its steps, and whether each is done.
    pub checklist: Vec<(String, bool)>,
    /// When it comes again.
    pub repeat: Option<Repeat>,
}

impl NewTask {
    /// Reads it from the members of a command; a description has at most `chars_max` Unicode scalar values.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(fields: Fields<'_>, chars_max: usize) -> Result<Self, Refusal> {
        Ok(Self {
            title: fields.required_title("title")?,
            description: fields.text("description", chars_max)?,
            owner: owner(fields)?,
            due: due::parse(fields)?,
            due_zone: due::parse_zone(fields)?,
            remind_minutes: due::parse_minutes(fields)?,
            priority: priority(fields)?,
            checklist: checklist(fields)?.unwrap_or_default(),
            repeat: due::parse_repeat(fields)?,
        })
    }

    /// Reads a list of them, empty if absent.
    ///
    /// # Errors
    /// `invalid`, field `field`, or what one of them is refused with.
    pub fn parse_list(fields: Fields<'_>, field: &'static str, chars_max: usize) -> Result<Vec<Self>, Refusal> {
        let wrong = || Refusal::invalid(field, "This field is a list of at most 20 tasks, each with a `title`.");
        let Some(list) = fields.get(field) else { return Ok(Vec::new()) };
        let list = list.as_array().filter(|list| list.len() <= LIST_MAX).ok_or_else(wrong)?;
        list.iter().map(|one| Self::parse(Fields(one.as_object().ok_or_else(wrong)?), chars_max)).collect()
    }
}

/// The command `task.create`.
pub struct Create {
    /// Where.
    pub channel: ChannelId,
    /// About what.
    pub item: Option<ItemId>,
    /// What is to be done.
    pub task: NewTask,
    /// The message it is made from.
    pub from_message: Option<ThingId>,
}

impl Create {
    /// Reads the command.
    ///
    /// # Errors
    /// As [`NewTask::parse`].
    pub fn parse(data: &Data, chars_max: usize) -> Result<Self, Refusal> {
        let fields = Fields(data);
        Ok(Self {
            channel: fields.required_id("channel")?,
            item: fields.id("item")?,
            task: NewTask::parse(fields, chars_max)?,
            from_message: fields.id("from_message")?,
        })
    }
}

/// What `task.update` says otherwise: what is absent stays, what is null is no more.
#[derive(Clone, Default)]
pub struct Update {
    /// In one line.
    pub title: Option<String>,
    /// What else there is to say.
    pub description: Option<Option<String>>,
    /// When it is due.
    pub due: Option<Option<String>>,
    /// The time zone in which a day ends.
    pub due_zone: Option<Option<String>>,
    /// How long before somebody is reminded.
    pub remind_minutes: Option<Option<i64>>,
    /// How soon.
    pub priority: Option<Option<Priority>>,
    /// All its steps.
    pub checklist: Option<Vec<(String, bool)>>,
    /// When it comes again.
    pub repeat: Option<Option<Repeat>>,
    /// The plan item it is for.
    pub item: Option<ItemId>,
}

/// What is to become of a task.
#[derive(Clone)]
pub enum Command {
    /// It says something else.
    Update(Box<Update>),
    /// It rests with somebody else.
    Assign(Holder),
    /// It is accepted or declined, by whom it rests with.
    Take(Change),
    /// It goes on, or ends.
    Do(Change),
    /// It stands elsewhere in its column.
    Place,
    /// It goes to a column: which command that is depends on where it stands.
    Column {
        /// Where to.
        column: State,
        /// Whom it is to rest with, where it is asked for again.
        owner: Option<Holder>,
    },
}

/// One command about a task.
pub struct Step {
    /// Which.
    pub task: ThingId,
    /// The number its caller saw.
    pub rev: i64,
    /// What is to become of it.
    pub command: Command,
    /// Why.
    pub reason: Option<String>,
    /// The task it is to stand behind; the top if none, and nothing changes if it is not said.
    pub after: Option<Option<ThingId>>,
}

impl Step {
    /// Reads the command `op`.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(op: &str, data: &Data, chars_max: usize) -> Result<Self, Refusal> {
        let fields = Fields(data);
        let (task, rev) = (fields.required_id("task")?, fields.required_integer("rev")?);
        let reason = match fields.string("reason")? {
            Some(text) if !text.trim().is_empty() => Some(bounded("reason", text, REASON_CHARS_MAX)?),
            _ => None,
        };
        let command = match op {
            "task.update" => Command::Update(Box::new(update(data, chars_max)?)),
            "task.assign" => Command::Assign(owner(fields)?.ok_or_else(|| missing("owner"))?),
            "task.move" => Command::Column { column: column(fields)?, owner: owner(fields)? },
            other => verb(other)?,
        };
        let after = match (&command, data.contains_key("after")) {
            (Command::Column { .. }, true) => Some(fields.id("after")?),
            _ => None,
        };
        Ok(Self { task, rev, command, reason, after })
    }

    /// What the entry calls it.
    #[must_use]
    pub const fn change(&self) -> Change {
        match &self.command {
            Command::Update(_) => Change::Update,
            Command::Assign(_) => Change::Assign,
            Command::Take(change) | Command::Do(change) => *change,
            Command::Place | Command::Column { .. } => Change::Move,
        }
    }
}

fn missing(field: &'static str) -> Refusal {
    Refusal::invalid(field, "This field is required.")
}

fn verb(op: &str) -> Result<Command, Refusal> {
    let change = op.strip_prefix("task.").and_then(Change::from_text);
    let change = change.ok_or_else(|| Refusal::new(crate::kernel::base::Code::UnknownOp))?;
    Ok(if [Change::Accept, Change::Decline].contains(&change) { Command::Take(change) } else { Command::Do(change) })
}

fn update(data: &Data, chars_max: usize) -> Result<Update, Refusal> {
    let fields = Fields(data);
    let named = |field: &str| data.contains_key(field);
    Ok(Update {
        title: fields.title("title")?,
        description: named("description").then_some(fields.text("description", chars_max)?),
        due: named("due").then_some(due::parse(fields)?),
        due_zone: named("due_zone").then_some(due::parse_zone(fields)?),
        remind_minutes: named("remind_minutes").then_some(due::parse_minutes(fields)?),
        priority: named("priority").then_some(priority(fields)?),
        checklist: named("checklist").then_some(checklist(fields)?.unwrap_or_default()),
        repeat: named("repeat").then_some(due::parse_repeat(fields)?),
        item: fields.id("item")?,
    })
}

fn owner(fields: Fields<'_>) -> Result<Option<Holder>, Refusal> {
    fields.get("owner").map_or(Ok(None), |value| Holder::read("owner", value))
}

fn priority(fields: Fields<'_>) -> Result<Option<Priority>, Refusal> {
    let known = [Priority::Routine, Priority::Urgent, Priority::Stat];
    fields.word("priority", |text| known.into_iter().find(|one| one.text() == text), "routine, urgent, stat")
}

fn column(fields: Fields<'_>) -> Result<State, Refusal> {
    let names: Vec<&str> = State::ALL.iter().map(|state| state.text()).collect();
    fields.word("column", State::from_text, &names.join(", "))?.ok_or_else(|| missing("column"))
}

fn checklist(fields: Fields<'_>) -> Result<Option<Vec<(String, bool)>>, Refusal> {
    const FIELD: &str = "checklist";
    let wrong = || {
        Refusal::invalid(
            FIELD,
            "This field is a list of at most 100 steps: strings, or {\"text\": .., \"done\": true}.",
        )
    };
    let Some(list) = fields.get(FIELD) else { return Ok(None) };
    let list = list.as_array().filter(|list| list.len() <= CHECKLIST_MAX).ok_or_else(wrong)?;
    let step = |value: &Value| match value {
        Value::String(text) => Ok((bounded(FIELD, text, TITLE_CHARS_MAX)?, false)),
        Value::Object(members) => {
            let members = Fields(members);
            let text = members.string("text").ok().flatten().ok_or_else(wrong)?;
            let done = members.boolean("done").map_err(|_| wrong())?.unwrap_or(false);
            Ok((bounded(FIELD, text, TITLE_CHARS_MAX)?, done))
        }
        _ => Err(wrong()),
    };
    list.iter().map(step).collect::<Result<_, _>>().map(Some)
}
