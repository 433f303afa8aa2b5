//! The rules of plan items, pure: what is accepted, and what can be done to an item that stands.
//! Does not know: time, the database, who may (policy decided that before).

use serde_json::Value;

use super::entries::{Changed, Code, Content, Kind, Standing};
use crate::features::patients::is_date;
use crate::kernel::base::limits::{REASON_CHARS_MAX, TITLE_CHARS_MAX};
use crate::kernel::base::world::parse_rfc3339;
use crate::kernel::base::{self, ItemId, PatientId, Refusal};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::{Fields, bounded};
use crate::kernel::policy::Holder;

/// Codings of one item: far beyond what sources give, so that an entry stays small.
pub const CODES_MAX: usize = 50;
/// Items that one item serves.
pub const ADDRESSES_MAX: usize = 200;
/// How an item stands that is not over.
pub const ACTIVE: &str = "active";
/// How an item ends unless said otherwise.
pub const COMPLETED: &str = "completed";
/// How an item can end.
const ENDS: &[&str] = &[COMPLETED, "resolved", "stopped", "cancelled", "rejected", "entered-in-error"];

/// An item as the rules see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// What it is.
    pub kind: Option<Kind>,
    /// One of the two every plan has.
    pub standing: Option<Standing>,
    /// Not over.
    pub open: bool,
    /// Family sees it.
    pub shared: bool,
    /// How often it was written.
    pub rev: i64,
}

/// The command `plan_item.add`.
pub struct Add {
    /// Whose plan.
    pub patient: PatientId,
    /// What it is.
    pub kind: Kind,
    /// What it says.
    pub content: Content,
    /// Family sees it.
    pub shared: bool,
}

/// The command `plan_item.change`.
pub struct Change {
    /// What it is; only what it is already.
    pub kind: Option<Kind>,
    /// What becomes of it; `rev` is the one the caller saw.
    pub change: Changed,
}

/// The command `plan_item.close`.
pub struct Close {
    /// The item.
    pub item: ItemId,
    /// The number the caller saw.
    pub rev: i64,
    /// How it ends.
    pub status: &'static str,
    /// Why.
    pub reason: Option<String>,
}

/// Reads `plan_item.add`.
///
/// # Errors
/// `invalid` or `too_large`, naming the field.
pub fn add(data: &Data, text_chars: usize) -> Result<Add, Refusal> {
    let fields = Fields(data);
    let kind = kind(fields)?.ok_or_else(|| Refusal::invalid("kind", "This field is required."))?;
    Ok(Add {
        patient: fields.required_id("patient")?,
        kind,
        content: Content {
            title: fields.required_title("title")?,
            detail: fields.text("detail", text_chars)?,
            codes: codes(fields)?,
            owner: owner(fields)?,
            due: due(fields)?,
            addresses: addresses(fields)?,
            source: None,
            notes: Vec::new(),
        },
        shared: fields.boolean("shared")?.unwrap_or(false),
    })
}

/// Reads `plan_item.change`.
///
/// # Errors
/// `invalid` or `too_large`, naming the field.
pub fn change(data: &Data, text_chars: usize) -> Result<Change, Refusal> {
    let fields = Fields(data);
    let named = |field: &str| data.contains_key(field);
    let change = Changed {
        title: fields.title("title")?,
        detail: named("detail").then_some(fields.text("detail", text_chars)?),
        codes: named("codes").then_some(codes(fields)?),
        owner: named("owner").then_some(owner(fields)?),
        due: named("due").then_some(due(fields)?),
        addresses: named("addresses").then_some(addresses(fields)?),
        shared: fields.boolean("shared")?,
        reason: fields.text("reason", REASON_CHARS_MAX)?,
        ..Changed::of(fields.required_id("item")?, fields.required_integer("rev")?)
    };
    Ok(Change { kind: kind(fields)?, change })
}

/// Reads `plan_item.close`.
///
/// # Errors
/// `invalid` or `too_large`, naming the field.
pub fn close(data: &Data) -> Result<Close, Refusal> {
    let fields = Fields(data);
    let ends = |text: &str| ENDS.iter().copied().find(|end| *end == text);
    Ok(Close {
        item: fields.required_id("item")?,
        rev: fields.required_integer("rev")?,
        status: fields.word("status", ends, &ENDS.join(", "))?.unwrap_or(COMPLETED),
        reason: fields.text("reason", REASON_CHARS_MAX)?,
    })
}

fn kind(fields: Fields<'_>) -> Result<Option<Kind>, Refusal> {
    fields.word("kind", Kind::from_text, "problem, goal, activity, barrier")
}

fn codes(fields: Fields<'_>) -> Result<Vec<Code>, Refusal> {
    const FIELD: &str = "codes";
    let wrong = || {
        Refusal::invalid(FIELD, "This field is a list of {\"system\", \"code\", \"display\"} with a code or a display.")
    };
    let Some(list) = fields.get(FIELD) else { return Ok(Vec::new()) };
    let list = list.as_array().filter(|list| list.len() <= CODES_MAX).ok_or_else(wrong)?;
    list.iter()
        .map(|one| {
            let one = one.as_object().ok_or_else(wrong)?;
            let member = |name: &str| match one.get(name) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(text)) => bounded(FIELD, text, TITLE_CHARS_MAX).map(Some),
                Some(_) => Err(wrong()),
            };
            let code = Code { system: member("system")?, code: member("code")?, display: member("display")? };
            if code.code.is_none() && code.display.is_none() { Err(wrong()) } else { Ok(code) }
        })
        .collect()
}

fn owner(fields: Fields<'_>) -> Result<Option<Holder>, Refusal> {
    fields.get("owner").map_or(Ok(None), |value| Holder::read("owner", value))
}

fn due(fields: Fields<'_>) -> Result<Option<String>, Refusal> {
    let Some(text) = fields.string("due")? else { return Ok(None) };
    let day = text.len() == 10 && is_date(text);
    if day || parse_rfc3339(text).is_ok() {
        return Ok(Some(text.to_owned()));
    }
    Err(Refusal::invalid("due", "This field is a day, 2026-12-01, or a time, 2026-12-01T09:30:00Z (RFC 3339)."))
}

fn addresses(fields: Fields<'_>) -> Result<Vec<ItemId>, Refusal> {
    let mut found: Vec<ItemId> = Vec::new();
    for item in fields.ids("addresses")? {
        if !found.contains(&item) {
            found.push(item);
        }
        if found.len() > ADDRESSES_MAX {
            return Err(Refusal::invalid("addresses", "At most 200 items."));
        }
    }
    Ok(found)
}

/// Decides whether an item can be written to by somebody who saw it as `rev`, and gives its next number. A caller adds to a `conflict`
/// how the item stands.
///
/// # Errors
/// `forbidden` for a standing item, `plan_item_closed`, `conflict` for another `rev`.
pub fn decide_write(item: &Item, rev: i64) -> Result<i64, Refusal> {
    if item.standing.is_some() {
        return Err(Refusal::forbidden("Every plan has this item. It is not changed and not closed."));
    }
    if !item.open {
        return Err(Refusal::new(base::Code::PlanItemClosed)
            .field("item")
            .detail("This item is closed. Add a new one."));
    }
    if item.rev != rev {
        return Err(Refusal::conflict("The item was changed meanwhile. `current` is how it stands.").field("rev"));
    }
    Ok(rev + 1)
}

/// Decides a change: gives what is to be recorded.
///
/// # Errors
/// As [`decide_write`]; `invalid` for another kind, or where nothing is to change.
pub fn decide_change(item: &Item, command: &Change) -> Result<Changed, Refusal> {
    let rev = decide_write(item, command.change.rev)?;
    if command.kind.is_some_and(|kind| item.kind != Some(kind)) {
        return Err(Refusal::invalid("kind", "An item keeps its kind. Close it and add another."));
    }
    let change = &command.change;
    if change.addresses.as_ref().is_some_and(|addresses| addresses.contains(&change.item)) {
        return Err(Refusal::invalid("addresses", "An item does not serve itself."));
    }
    let empty = Changed { reason: change.reason.clone(), ..Changed::of(change.item, change.rev) };
    if *change == empty {
        return Err(Refusal::invalid(
            "title",
            "Name what changes: title, detail, codes, owner, due, addresses or shared.",
        ));
    }
    Ok(Changed { rev, status: Some(ACTIVE.to_owned()), ..change.clone() })
}

#[cfg(test)]
mod tests;
