//! What becomes of a task or a message whose plan item changed, pure.
//! Does not know: time, the database, who may.

use crate::features::care_plan::Meaning;
use crate::features::channels::OpenAsk;
use crate::features::tasks::model::{Task, cancelled, ended};
use crate::kernel::base::{Code, ItemId, Refusal, ThingId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::Fields;

/// What is decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It still fits.
    Keep,
    /// It is not to be done any more.
    Cancel,
    /// It serves another item.
    Replace,
}

impl Action {
    const ALL: [Self; 3] = [Self::Keep, Self::Cancel, Self::Replace];

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Cancel => "cancel",
            Self::Replace => "replace",
        }
    }
}

/// The command `drift.settle`.
pub struct Settle {
    /// What drifts.
    pub thing: ThingId,
    /// What becomes of it.
    pub action: Action,
    /// The item it is to serve, to replace the other.
    pub item: Option<ItemId>,
    /// Why.
    pub reason: String,
}

impl Settle {
    /// Reads the command.
    ///
    /// # Errors
    /// `invalid` or `reason_required`, naming the field.
    pub fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        let known = |text: &str| Action::ALL.into_iter().find(|one| one.text() == text);
        let action = fields.word("action", known, "keep, cancel, replace")?;
        let action = action.ok_or_else(|| Refusal::invalid("action", "This field is required."))?;
        let item = fields.id("item")?;
        if item.is_some() && action != Action::Replace {
            return Err(Refusal::invalid("item", "Another item is named with `replace` only."));
        }
        Ok(Self { thing: fields.required_id("thing")?, action, item, reason: fields.reason()? })
    }
}

/// Decides what becomes of a task. `meaning` is of the item it serves, `to` the open item it is to serve instead.
///
/// # Errors
/// `bad_transition` for a task that is over; `conflict` for one that does not drift; `invalid`, field `item`, where nothing is replaced.
pub fn decide(task: &Task, meaning: &Meaning, command: &Settle, to: Option<(ItemId, i64)>) -> Result<Task, Refusal> {
    ended(task)?;
    drifts(meaning, task.item_version)?;
    match (command.action, to) {
        (Action::Cancel, _) => cancelled(task),
        (Action::Replace, Some((item, item_version))) if item != task.item => {
            Ok(Task { item, item_version, ..task.clone() })
        }
        (Action::Replace, _) => Err(same_item()),
        (Action::Keep, _) => Ok(Task { item_version: meaning.version, ..task.clone() }),
    }
}

/// What becomes of a message whose answer is awaited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is linked to this item from now on, or still, as that reads now.
    Linked(ItemId),
    /// No answer is awaited any more.
    Settled,
}

/// Decides what becomes of a message. `ask` is absent where no answer is awaited, `to` is the open item it is to be linked to instead.
///
/// # Errors
/// As [`decide`].
pub fn decide_ask(
    ask: Option<OpenAsk>,
    meaning: &Meaning,
    action: Action,
    to: Option<ItemId>,
) -> Result<(OpenAsk, Fate), Refusal> {
    let over = || Refusal::new(Code::BadTransition).detail("No answer to this message is awaited any more.");
    let ask = ask.ok_or_else(over)?;
    drifts(meaning, ask.item_version)?;
    let fate = match (action, to) {
        (Action::Cancel, _) => Fate::Settled,
        (Action::Replace, Some(item)) if item != ask.item => Fate::Linked(item),
        (Action::Replace, _) => return Err(same_item()),
        (Action::Keep, _) => Fate::Linked(ask.item),
    };
    Ok((ask, fate))
}

fn drifts(meaning: &Meaning, version: i64) -> Result<(), Refusal> {
    let still = || Refusal::conflict("Its plan item means what it did when somebody last looked at both.");
    meaning.changed_after(version).map(drop).ok_or_else(still)
}

fn same_item() -> Refusal {
    Refusal::invalid("item", "Choose another item, or keep this one.")
}
