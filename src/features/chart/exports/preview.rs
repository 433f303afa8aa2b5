//! What an export will file, counted before it is: the same entries that the job takes. Writes nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::keep::{Found, seen};
use super::replacing::{former, is_document};
use super::status::{Later, each, places};
use crate::features::chart::coverage::common;
use crate::features::chart::{Format, source, sql};
use crate::kernel::base::{ChannelId, ItemId, Micros, Stop, ThingId, UserId};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read};
use crate::kernel::log::Fact;

/// Asks what will be filed.
#[derive(Serialize, JsonSchema)]
pub struct Preview {
    /// The export.
    pub export: ThingId,
    /// Entries it holds.
    pub entries: u64,
    /// Channels they stand in.
    pub channels: u64,
    /// By plan item; entries about none are in `entries` only.
    pub items: Vec<PreviewItem>,
    /// By kind of event, with what the receiver keeps of it.
    pub kinds: Vec<PreviewKind>,
    /// Who wrote the entries.
    pub authors: Vec<UserId>,
    /// Entries whose words are withheld because they went to the wrong patient.
    pub withheld: u64,
}

/// What is filed about one plan item.
#[derive(Serialize, JsonSchema)]
pub struct PreviewItem {
    /// The plan item.
    pub item: ItemId,
    /// Entries about it.
    pub entries: u64,
    /// A summary stands for them.
    pub summary: bool,
}

/// What becomes of one kind of entry.
#[derive(Serialize, JsonSchema)]
pub struct PreviewKind {
    /// The first word of its events.
    pub kind: String,
    /// How many.
    pub entries: u64,
    /// `resource`, `in_note`, `in_document` or `lost`.
    pub kept: String,
}

/// Time and place of an entry: ids are drawn at random within a millisecond, entries have an order.
type First = (Micros, i64);

/// What was counted so far.
#[derive(Default)]
struct Tally {
    entries: u64,
    channels: u64,
    withheld: u64,
    /// When each is first spoken of: their order.
    items: BTreeMap<ItemId, (First, u64)>,
    kinds: BTreeMap<String, u64>,
    authors: BTreeMap<UserId, First>,
}

impl Tally {
    fn take(&mut self, fact: &Fact, item: Option<ItemId>) {
        self.entries += 1;
        self.withheld += u64::from(fact.withheld);
        let first = (fact.at, fact.seq);
        let spoke = self.authors.entry(fact.by).or_insert(first);
        *spoke = first.min(*spoke);
        if let Some(item) = item {
            let (begun, count) = self.items.entry(item).or_insert((first, 0));
            (*begun, *count) = (first.min(*begun), *count + 1);
        }
        let kind = fact.event.split('.').next().unwrap_or_default().to_owned();
        *self.kinds.entry(kind).or_default() += 1;
    }

    fn shown(mut self, found: &Found) -> Preview {
        let summaries = &found.view.summaries;
        for summary in summaries {
            self.items.entry(summary.item).or_insert(((Micros::MAX, 0), 0));
        }
        let has = |item: &ItemId| summaries.iter().any(|summary| summary.item == *item);
        let form = found.row.form.as_str();
        Preview {
            export: found.row.id,
            entries: self.entries,
            channels: self.channels,
            items: in_order(self.items, |(first, _)| *first)
                .into_iter()
                .map(|(item, (_, entries))| PreviewItem { item, entries, summary: has(&item) })
                .collect(),
            kinds: self
                .kinds
                .into_iter()
                .map(|(kind, entries)| PreviewKind { kept: kept(form, &kind).to_owned(), kind, entries })
                .collect(),
            authors: in_order(self.authors, |first| *first).into_iter().map(|(user, _)| user).collect(),
            withheld: self.withheld,
        }
    }
}

fn in_order<K, V>(all: BTreeMap<K, V>, first: impl Fn(&V) -> First) -> Vec<(K, V)> {
    let mut all: Vec<(K, V)> = all.into_iter().collect();
    all.sort_by_key(|(_, value)| first(value));
    all
}

/// What a receiver keeps of one kind of entry.
fn kept(form: &str, kind: &str) -> &'static str {
    match (form, kind) {
        ("full", "message" | "note" | "task" | "plan_item" | "handoff" | "checkin") => "resource",
        ("note-only" | "inbox", "note") => "resource",
        ("note-only" | "inbox", "message") => "in_note",
        ("full" | "note-only" | "inbox", _) => "lost",
        _ => "in_document",
    }
}

/// `export.preview`
pub(super) async fn preview(cx: &mut Read, data: &Data) -> Result<Preview, Stop> {
    let found = seen(cx, Fields(data).required_id("export")?).await?;
    let (patient, request) = (found.row.patient, found.filed()?);
    let chosen = |id: &ChannelId| request.channels.as_ref().is_none_or(|channels| channels.contains(id));
    // What the receiver lacks, and, should an older document be replaced as a whole, all of it.
    let (mut new, mut whole, mut changed) = (Tally::default(), Tally::default(), false);
    for mut place in places(cx, patient).await?.into_iter().filter(|place| chosen(&place.id)) {
        let mut later = Later::default();
        each(cx, patient, &place, |fact| later.take(fact)).await?;
        let span = source::span(cx, &request, place.id, place.size).await?;
        let coverage = sql::coverage(cx.tx(), patient, &request.key(), place.id).await?;
        place.spans = common(&place.spans, &[span]);
        let before = (new.entries, whole.entries);
        each(cx, patient, &place, |fact| {
            let (item, had) = (later.item(fact), coverage.horizon(fact.seq));
            changed |= had.is_some_and(|had| later.changed_at(fact) > had);
            if request.takes(fact, item) && !(request.since_last && had.is_some()) {
                new.take(fact, item);
            }
            if request.takes_whole(fact, item) {
                whole.take(fact, item);
            }
            Ok(())
        })
        .await?;
        new.channels += u64::from(new.entries > before.0);
        whole.channels += u64::from(whole.entries > before.1);
    }
    let replaces = changed
        && Format::from_text(&found.row.form).is_some_and(is_document)
        && !former(cx, patient, &found).await?.is_empty();
    Ok(if replaces { whole.shown(&found) } else { new.shown(&found) })
}
