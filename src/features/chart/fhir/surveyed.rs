//! The first pass of an export: what surrounds the messages, what became of them, and what of them was asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::people::People;
use super::scene::{History, Scene};
use crate::features::care_plan;
use crate::features::chart::source::{About, Part, Source, Walk};
use crate::features::chart::survey::Survey;
use crate::features::chart::{ExportRequest, ExportSummary};
use crate::kernel::base::{ChannelId, Fault, Stop, ThingId};
use crate::kernel::policy::Right;

/// What of the record is new and was asked for.
#[derive(Default)]
pub(super) struct Taken {
    /// Counted.
    pub summary: ExportSummary,
    /// How many of each channel with such an entry.
    pub channels: BTreeMap<ChannelId, u64>,
    /// Their places, where single entries were chosen; all between two points otherwise.
    picked: BTreeSet<(ChannelId, i64)>,
}

impl Taken {
    /// Whether an entry of the spans asked for is taken.
    pub fn holds(&self, request: &ExportRequest, channel: ChannelId, seq: i64) -> bool {
        !request.is_picked() || self.picked.contains(&(channel, seq))
    }
}

/// Reads the plan, then every readable entry of the parts.
pub(super) async fn surveyed(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    about: &About,
) -> Result<(Survey, Taken), Stop> {
    let mut survey = Survey::default();
    plan(source, &mut survey).await?;
    let mut taken = Taken::default();
    for part in parts {
        let mut walk = Walk::new(source, part.begun.id, &part.begun.readable);
        loop {
            let facts = walk.next().await?;
            if facts.is_empty() {
                break;
            }
            for fact in &facts {
                survey.take(fact)?;
                let fresh = part.fresh.iter().any(|[from, to]| (*from..=*to).contains(&fact.seq));
                if fresh && request.takes(fact, about.item(fact)) {
                    taken.summary.entries += 1;
                    *taken.channels.entry(fact.channel).or_default() += 1;
                    if request.is_picked() {
                        taken.picked.insert((fact.channel, fact.seq));
                    }
                }
            }
        }
    }
    taken.summary.channels = taken.channels.len() as u64;
    Ok((survey, taken))
}

/// The plan as it stands is shown to whoever may export at all, whenever they joined.
async fn plan(source: &Source<'_>, survey: &mut Survey) -> Result<(), Stop> {
    let plan = {
        let mut cx = source.read().await?;
        let (_, access) = cx.permit_patient(Right::Export, source.patient).await?;
        let plan = access.plan_channel().ok_or(Fault::Integrity("a patient without a plan channel"))?;
        cx.head(plan).await?.ok_or(Fault::Integrity("a channel without a head"))?
    };
    let mut walk = Walk::new(source, plan.channel, &[[1, plan.seq]]);
    loop {
        let facts = walk.next().await?;
        if facts.is_empty() {
            return Ok(());
        }
        facts.iter().try_for_each(|fact| survey.take_plan(fact))?;
    }
}

/// What surrounds the messages, from what was surveyed.
pub(super) async fn scene(source: &Source<'_>, parts: &[Part], mut survey: Survey) -> Result<Scene, Stop> {
    let mut cx = source.read().await?;
    let (_, access) = cx.permit_patient(Right::Export, source.patient).await?;
    let channels: Vec<ChannelId> = parts.iter().map(|part| part.begun.id).collect();
    Scene::users(&access, &mut survey, &channels);
    let people = People::load(&mut cx, source.patient, &survey.people).await?;
    let shared = source.engine.shared();
    let (tx, vault) = cx.log();
    let kept = care_plan::kept(tx, vault, source.patient).await?;
    let plans: Vec<&str> = kept.iter().filter(|kept| kept.kind == "CarePlan").map(|kept| kept.json.as_str()).collect();
    // Of several plans none is the one that ours goes on with.
    let plan_source = match plans[..] {
        [plan] => serde_json::from_str(plan).unwrap_or_default(),
        _ => Value::Null,
    };
    // What is not JSON after all was kept for somebody to look at, not to be sent.
    let kept = kept.into_iter();
    let sources = kept.filter_map(|kept| Some((kept.item?, serde_json::from_str(&kept.json).ok()?))).collect();
    let deployment = shared.vault.deployment();
    let system = shared.config.export.identifier_system.clone().unwrap_or_else(|| format!("urn:uuid:{deployment}"));
    let (patient, now) = (source.patient, cx.now());
    Ok(Scene { system, deployment, patient, access, survey, people, sources, plan_source, now })
}

/// Messages the receiver has in an older state, by channel and position: they are sent again though they are not new.
pub(super) async fn changed_again(
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
