//! Answers about the plan: items with what is linked to them, counted over what the caller may read.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::arrival::conflicts;
use super::claims::{Claims, Next};
use super::entries::{Content, Kind, Standing};
use super::shapes::Unsorted;
use super::sql::{self, ItemRow};
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, PatientId, Stop, ThingId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read, subject_sees_item};
use crate::kernel::log::sql::Linked;
use crate::kernel::log::{self, ThingKind, Vault};
use crate::kernel::policy::{self, Access, Interval, Object, Right, Subject};
use crate::kernel::store::Tx;

const HOUR: Micros = 3_600_000_000;

/// Above every id.
const NO_BOUND: ThingId = ThingId(Uuid::max());

/// What of a patient's channels somebody may read: the whole of some, spans of others.
pub(super) struct Readable {
    whole: HashSet<ChannelId>,
    parts: Vec<(ChannelId, Interval)>,
}

impl Readable {
    /// As policy says now.
    pub(super) fn of(subject: &Subject, access: &Access, now: Micros) -> Self {
        let mut readable = Self { whole: HashSet::new(), parts: Vec::new() };
        for (id, channel) in &access.channels {
            if policy::decide(subject, Right::Read, Object::Channel(Some((access, *id))), now).is_err() {
                continue;
            }
            match channel.readable_by(subject.user) {
                // The command line reads without standing.
                None | Some([Interval { from: 1, to: None }]) => {
                    readable.whole.insert(*id);
                }
                Some(spans) => readable.parts.extend(spans.iter().map(|span| (*id, *span))),
            }
        }
        readable
    }

    /// Whether an entry is theirs to read.
    pub(super) fn holds(&self, channel: ChannelId, seq: i64) -> bool {
        let within = |(part, span): &(ChannelId, Interval)| {
            *part == channel && span.from <= seq && span.to.is_none_or(|to| seq <= to)
        };
        self.whole.contains(&channel) || self.parts.iter().any(within)
    }

    async fn linked(&self, tx: &mut Tx, items: &[ItemId], before: ThingId) -> Result<Vec<Linked>, Fault> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = log::sql::linked(tx, items, before).await?;
        found.retain(|linked| self.whole.contains(&linked.channel));
        for (channel, span) in &self.parts {
            let to = span.to.unwrap_or(i64::MAX);
            found.extend(log::sql::linked_within(tx, items, before, *channel, span.from, to).await?);
        }
        Ok(found)
    }
}

/// What is linked to an item.
#[derive(Clone, Copy, Default)]
struct Counts {
    messages: i64,
    open_tasks: i64,
}

fn counted(linked: &[Linked]) -> HashMap<ItemId, Counts> {
    let mut counts: HashMap<ItemId, Counts> = HashMap::new();
    for one in linked {
        let counts = counts.entry(one.item).or_default();
        match one.kind {
            ThingKind::Message | ThingKind::Note => counts.messages += one.count,
            ThingKind::Task => counts.open_tasks += one.count,
            ThingKind::PlanItem | ThingKind::Handoff => {}
        }
    }
    counts
}

/// An item as it is kept for reading.
#[derive(Serialize, Deserialize)]
pub(super) struct View {
    /// What it says.
    #[serde(flatten)]
    pub content: Content,
    /// Those of `addresses` that family was told of when they were named: what family is answered, so that the answer is what the
    /// entries add up to. One that they come to see later is told with the next change.
    #[serde(default)]
    pub told: Vec<ItemId>,
}

/// What an item says, opened.
pub(super) async fn content(vault: &Vault, row: &ItemRow) -> Result<Content, Fault> {
    Ok(view(vault, row).await?.content)
}

/// An item, opened.
pub(super) async fn view(vault: &Vault, row: &ItemRow) -> Result<View, Fault> {
    let purpose = crate::kernel::crypto::seal::Purpose::View;
    let plain = vault.open_view(row.patient, purpose, row.id.0, row.rev, &row.view).await?;
    serde_json::from_slice(&plain).map_err(|_| Fault::Integrity("a plan item is not JSON"))
}

/// An item as `plan.items` shows it. Family is not told of items they do not see, nor of what the source's staff noted.
fn shown(
    row: &ItemRow,
    content: Content,
    counts: Counts,
    next: Option<Next>,
    family: Option<&HashSet<ItemId>>,
) -> Value {
    let Content { title, detail, codes, owner, due, mut addresses, source, notes } = content;
    addresses.retain(|item| family.is_none_or(|hidden| !hidden.contains(item)));
    let mut item: Map<String, Value> = Map::new();
    let mut put = |name: &str, value: Value| drop(item.insert(name.to_owned(), value));
    put("id", json!(row.id));
    put("kind", json!(row.kind.and_then(Kind::from_number)));
    put("title", json!(title));
    put("detail", json!(detail));
    put("codes", json!(codes));
    put("status", json!(row.status));
    put("owner", json!(owner));
    put("due", json!(due));
    put("addresses", json!(addresses));
    put("shared", json!(row.shared));
    put("rev", json!(row.rev));
    // Each change makes a version: they are counted alike.
    put("version", json!(row.rev));
    put("messages", json!(counts.messages));
    put("open_tasks", json!(counts.open_tasks));
    put("next", json!(next));
    if let Some(standing) = row.standing.and_then(Standing::from_number) {
        put("standing", json!(standing));
    }
    if let (Some(source), None) = (source, family) {
        put("source", json!(source));
    }
    if !notes.is_empty() && family.is_none() {
        put("notes", json!(notes));
    }
    Value::Object(item)
}

/// One item as `plan.items` would show it to a member of staff: what a `conflict` carries.
pub(super) async fn current(
    tx: &mut Tx,
    row: &ItemRow,
    content: Content,
    subject: &Subject,
    access: &Access,
    now: Micros,
) -> Result<Value, Fault> {
    let readable = Readable::of(subject, access, now);
    let linked = readable.linked(tx, &[row.id], NO_BOUND).await?;
    let counts = counted(&linked).get(&row.id).copied().unwrap_or_default();
    let next = Claims::of(tx, row.patient, &readable).await?.next(row, &content, access, now);
    Ok(shown(row, content, counts, next, None))
}

/// `plan.items`
pub(super) async fn items(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let fields = Fields(data);
    let patient: PatientId = fields.required_id("patient")?;
    let closed = fields.boolean("closed")?.unwrap_or(false);
    let (permit, access) = cx.permit_patient(Right::SeePatient, patient).await?;
    let now = cx.now();
    let readable = Readable::of(cx.subject(), &access, now);
    let hours = Micros::from(cx.shared().config.plan.unsorted_hours);
    let (tx, vault) = cx.log();
    let rows = sql::items(tx, patient).await?;
    let (seen, unseen): (Vec<ItemRow>, Vec<ItemRow>) =
        rows.into_iter().partition(|row| subject_sees_item(permit.family(), row.shared));
    let hidden: HashSet<ItemId> = unseen.into_iter().map(|row| row.id).collect();
    let rows: Vec<ItemRow> = seen.into_iter().filter(|row| row.open || closed).collect();
    let ids: Vec<ItemId> = rows.iter().map(|row| row.id).collect();
    let counts = counted(&readable.linked(tx, &ids, NO_BOUND).await?);
    let of = |id: &ItemId| counts.get(id).copied().unwrap_or_default();
    let unsorted = rows.iter().find(|row| row.standing == Some(Standing::Unsorted.number())).map(|row| row.id);
    let unsorted = waiting(tx, &readable, unsorted, now - hours * HOUR).await?;
    let claims = Claims::of(tx, patient, &readable).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let View { mut content, told } = view(vault, row).await?;
        let next = claims.next(row, &content, &access, now);
        if permit.family() {
            content.addresses = told;
        }
        items.push(shown(row, content, of(&row.id), next, permit.family().then_some(&hidden)));
    }
    let mut answer = json!({ "items": items, "unsorted": unsorted });
    if !permit.family() {
        answer["conflicts"] = conflicts::count(tx, patient).await?.into();
    }
    Ok(answer)
}

/// What is linked to an item that is there to be left again, and how much of it since before a time.
async fn waiting(tx: &mut Tx, readable: &Readable, item: Option<ItemId>, late: Micros) -> Result<Unsorted, Fault> {
    let Some(item) = item else { return Ok(Unsorted::default()) };
    let messages = |linked: &[Linked]| counted(linked).get(&item).map_or(0, |counts| counts.messages);
    let count = messages(&readable.linked(tx, &[item], NO_BOUND).await?);
    let overdue = messages(&readable.linked(tx, &[item], first_id_at(late)).await?);
    Ok(Unsorted { count, overdue })
}

/// One of the two items a patient's plan has from the start.
///
/// # Errors
/// The database's.
pub async fn standing(tx: &mut Tx, patient: PatientId, which: Standing) -> Result<Option<ItemId>, Fault> {
    Ok(sql::standing(tx, patient, which.number()).await?)
}

/// What of a patient's record waits to be re-linked, of what the caller may read.
///
/// # Errors
/// The database's.
pub async fn unsorted(cx: &mut Read, access: &Access) -> Result<Unsorted, Fault> {
    let now = cx.now();
    let readable = Readable::of(cx.subject(), access, now);
    let hours = Micros::from(cx.shared().config.plan.unsorted_hours);
    let item = standing(cx.tx(), access.patient, Standing::Unsorted).await?;
    waiting(cx.tx(), &readable, item, now - hours * HOUR).await
}

/// Below every id drawn at or after that time (UUID version 7, RFC 9562 section 5.7: milliseconds first).
fn first_id_at(at: Micros) -> ThingId {
    let millis = u64::try_from(at / 1000).unwrap_or(0);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    ThingId(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::base::World;

    #[test]
    fn ids_are_ordered_by_the_time_they_were_drawn() {
        let world = World::system();
        let before = first_id_at(world.now());
        let drawn = ThingId(world.id());
        world.advance(2000);
        assert!(before <= drawn && drawn < first_id_at(world.now()) && drawn < NO_BOUND);
    }
}
