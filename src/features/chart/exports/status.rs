//! What is charted and what is new: counted from the record as the caller may read it. Writes nothing.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draft::form_of;
use super::keep::{Found, all};
use super::model::State;
use crate::features::chart::coverage::{Coverage, common};
use crate::features::chart::filing;
use crate::kernel::base::{ChannelId, Fault, ItemId, PatientId, Refusal, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::shape::Time;
use crate::kernel::engine::{Data, Read};
use crate::kernel::log::{self, Fact};
use crate::kernel::policy::{self, Right};

/// Entries of one page.
const PAGE: i64 = 500;

/// Asks how the chart stands.
#[derive(JsonSchema)]
pub struct AskStatus {
    /// Whose.
    pub patient: PatientId,
    /// At this configured target only.
    pub target: Option<String>,
}

/// How the chart stands, target by target.
#[derive(Serialize, JsonSchema)]
pub struct ChartStatus {
    /// In the order of their names.
    pub charts: Vec<Chart>,
}

/// What one target has.
#[derive(Serialize, JsonSchema)]
pub struct Chart {
    /// The configured target.
    pub target: String,
    /// By plan item.
    pub items: Vec<Charted>,
    /// By channel.
    pub channels: Vec<ChartedChannel>,
}

/// What a target has of one channel: enough to say it of each message and note.
#[derive(Serialize, JsonSchema)]
pub struct ChartedChannel {
    /// The channel.
    pub channel: ChannelId,
    /// Newest entry that was looked at.
    pub size: i64,
    /// It has the messages and notes among these `seq`, both ends inclusive.
    pub charted: Vec<[i64; 2]>,
    /// Of them, those that were changed since.
    pub changed: Vec<ThingId>,
}

/// What a target has about one plan item: messages and notes.
#[derive(Serialize, JsonSchema)]
pub struct Charted {
    /// The plan item.
    pub item: ItemId,
    /// It has these.
    pub charted: u64,
    /// Of them, those that were changed since.
    pub changed: u64,
    /// It has not got these yet.
    pub new: u64,
    /// When something about it was filed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub last_filed: Option<String>,
    /// Who attested that.
    pub attested_by: Vec<UserId>,
}

/// What one channel holds for the caller.
pub(super) struct Place {
    pub id: ChannelId,
    pub size: i64,
    pub spans: Vec<[i64; 2]>,
}

/// What a change names.
#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    message: Option<ThingId>,
    #[serde(default)]
    note: Option<ThingId>,
}

/// The channels of a patient that the caller may export from.
pub(super) async fn places(cx: &mut Read, patient: PatientId) -> Result<Vec<Place>, Stop> {
    let (permit, access) = cx.permit_patient(Right::DraftExport, patient).await?;
    let scope: Vec<(ChannelId, Option<Vec<policy::Interval>>)> =
        filing::scope(cx.subject(), &permit, &access, cx.now())
            .into_iter()
            .map(|(id, spans)| (id, spans.map(<[policy::Interval]>::to_vec)))
            .collect();
    let mut places = Vec::with_capacity(scope.len());
    for (id, spans) in scope {
        let head = cx.head(id).await?.ok_or(Fault::Integrity("a channel without a head"))?;
        let spans = spans.map_or_else(|| vec![[1, head.seq]], |spans| policy::spans(&spans, 1, head.seq));
        places.push((head.n, Place { id, size: head.seq, spans }));
    }
    // In the order in which they were opened: ids of one moment are drawn at random.
    places.sort_by_key(|(n, _)| *n);
    Ok(places.into_iter().map(|(_, place)| place).collect())
}

/// Hands over every entry of a place; between two pages it is asked again whether the caller may, and no snapshot is kept.
pub(super) async fn each(
    cx: &mut Read,
    patient: PatientId,
    place: &Place,
    mut take: impl FnMut(&Fact) -> Result<(), Fault> + Send,
) -> Result<(), Stop> {
    for [from, to] in &place.spans {
        let mut after = from - 1;
        while after < *to {
            cx.renew(async {}).await?;
            cx.permit_patient(Right::DraftExport, patient).await?;
            let head = cx.head(place.id).await?.ok_or(Fault::Integrity("a channel without a head"))?;
            let (tx, vault) = cx.log();
            let facts = log::since(tx, vault, &head, after, *to, PAGE).await?;
            after = facts.last().ok_or(Fault::Integrity("an entry is missing in a channel"))?.seq;
            facts.iter().try_for_each(&mut take)?;
        }
    }
    Ok(())
}

/// What messages are about that were linked to another item later, and the last change of each.
#[derive(Default)]
pub(super) struct Later {
    items: HashMap<ThingId, ItemId>,
    changes: HashMap<ThingId, i64>,
}

impl Later {
    pub fn take(&mut self, fact: &Fact) -> Result<(), Fault> {
        if !fact.event.starts_with("message.") && !fact.event.starts_with("note.") {
            return Ok(());
        }
        let Named { message, note } = fact.read()?;
        let Some(named) = message.or(note) else { return Ok(()) };
        self.changes.insert(named, fact.seq);
        if let Some(item) = fact.item.filter(|_| &*fact.event == "message.relinked") {
            self.items.insert(named, item);
        }
        Ok(())
    }

    pub fn item(&self, fact: &Fact) -> Option<ItemId> {
        self.items.get(&ThingId(fact.id.0)).copied().or(fact.item)
    }

    /// Where it was changed last; where it stands, if it never was.
    pub fn changed_at(&self, fact: &Fact) -> i64 {
        self.changes.get(&ThingId(fact.id.0)).copied().unwrap_or(fact.seq)
    }
}

/// `chart.status`
pub(super) async fn status(cx: &mut Read, data: &Data) -> Result<ChartStatus, Stop> {
    let fields = Fields(data);
    let patient: PatientId = fields.required_id("patient")?;
    cx.permit_patient(Right::DraftExport, patient).await?;
    let asked = fields.string("target")?;
    let targets: Vec<String> = cx.shared().config.targets.keys().cloned().collect();
    let targets: Vec<String> = targets.into_iter().filter(|name| asked.is_none_or(|asked| asked == name)).collect();
    if asked.is_some() && targets.is_empty() {
        return Err(Refusal::invalid("target", "No target of that name is configured.").into());
    }
    let exports = all(cx, patient).await?;
    let mut stands: Vec<Stand> = targets.iter().map(|_| Stand::default()).collect();
    for place in places(cx, patient).await? {
        let mut coverages: Vec<Coverage> = Vec::with_capacity(targets.len());
        for target in &targets {
            let form = cx.shared().config.targets.get(target).map(form_of).unwrap_or_default();
            let key = filing::key(Some(target), &form);
            coverages.push(super::super::sql::coverage(cx.tx(), patient, &key, place.id).await?);
        }
        let mut later = Later::default();
        each(cx, patient, &place, |fact| later.take(fact)).await?;
        each(cx, patient, &place, |fact| {
            let Some(item) = later.item(fact).filter(|_| matches!(fact.kind, kind::MESSAGE | kind::NOTE)) else {
                return Ok(());
            };
            let changed_at = later.changed_at(fact);
            for (coverage, stand) in coverages.iter().zip(&mut stands) {
                let horizon = coverage.horizon(fact.seq);
                count(stand.items.entry(item).or_default(), horizon, changed_at);
                stand.changed.extend(horizon.filter(|horizon| changed_at > *horizon).map(|_| ThingId(fact.id.0)));
            }
            Ok(())
        })
        .await?;
        for (coverage, stand) in coverages.iter().zip(&mut stands) {
            let charted = common(&place.spans, &coverage.spans());
            let changed = std::mem::take(&mut stand.changed);
            stand.channels.push(ChartedChannel { channel: place.id, size: place.size, charted, changed });
        }
    }
    let charts = targets.into_iter().zip(stands).map(|(target, Stand { items, channels, .. })| {
        let items = items.into_iter().map(|(item, counts)| charted(&exports, &target, item, counts)).collect();
        Chart { target, items, channels }
    });
    Ok(ChartStatus { charts: charts.collect() })
}

/// How one target stands, as it is counted.
#[derive(Default)]
struct Stand {
    items: BTreeMap<ItemId, [u64; 3]>,
    channels: Vec<ChartedChannel>,
    /// Of the channel that is being read.
    changed: Vec<ThingId>,
}

/// `[charted, changed, new]`
fn count(counts: &mut [u64; 3], horizon: Option<i64>, changed_at: i64) {
    match horizon {
        Some(horizon) => {
            counts[0] += 1;
            counts[1] += u64::from(changed_at > horizon);
        }
        None => counts[2] += 1,
    }
}

fn charted(exports: &[Found], target: &str, item: ItemId, counts: [u64; 3]) -> Charted {
    let about = |found: &&Found| {
        let items = found.view.selection.items.as_ref();
        found.row.target.as_deref() == Some(target)
            && matches!(State::from_number(found.row.state), Some(State::Filed | State::Superseded))
            && items.is_none_or(|items| items.contains(&item))
    };
    // Newest first.
    let last = exports.iter().find(about).filter(|_| counts[0] > 0);
    Charted {
        item,
        charted: counts[0],
        changed: counts[1],
        new: counts[2],
        last_filed: last.and_then(|found| found.view.filed.as_ref()).map(|filed| filed.at.clone()),
        attested_by: last.map(|found| found.view.attestations.iter().map(|one| one.by).collect()).unwrap_or_default(),
    }
}
