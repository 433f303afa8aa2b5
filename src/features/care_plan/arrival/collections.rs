//! What a source has no more. A CarePlan is read whole, and so is what a server holds of a patient: an item that either named before, and
//! names no more, is marked. Nothing is closed and nothing is deleted: whether it is over here is for people to say.

use std::collections::BTreeSet;

use super::super::change;
use super::super::entries::{Changed, Source};
use super::again::Plan;
use super::parcel::ParcelPatient;
use super::sql;
use super::store::key_mac;
use crate::kernel::base::{ItemId, Stop};
use crate::kernel::engine::Write;

/// What the entry of a mark says for its reason.
const GONE: &str = "The source has it no more.";
const BACK: &str = "The source has it again.";

/// Under what a server stands beside the keys of CarePlans.
const SERVER: &str = "carethread:server:";

/// A thing that names items, as it was read now.
struct Collection {
    mac: [u8; 32],
    members: BTreeSet<ItemId>,
    /// A server: what it does not hold is gone, whoever else still names it.
    holds: bool,
}

/// Marks what is gone and takes the mark off what is there again.
pub(super) async fn compare(
    cx: &mut Write<'_>,
    plan: &Plan<'_>,
    source: &ParcelPatient,
    server: Option<&str>,
) -> Result<(), Stop> {
    let vault = cx.ledger().vault().clone();
    let item = |key: &str| plan.ids.get(key).copied();
    let there = source.items.iter().filter(|item| item.present);
    let present: BTreeSet<ItemId> = there.filter_map(|one| item(&one.resource.key)).collect();
    let mut collections = Vec::new();
    for read in source.resources.iter().filter(|resource| resource.kind == "CarePlan") {
        let named = source.items.iter().filter(|item| item.plans.contains(&read.key));
        let members = named.filter_map(|one| item(&one.resource.key)).collect();
        collections.push(Collection { mac: key_mac(&vault, &read.key)?, members, holds: false });
    }
    if let Some(server) = server {
        let mac = key_mac(&vault, &format!("{SERVER}{server}"))?;
        collections.push(Collection { mac, members: present.clone(), holds: true });
    }
    let (mut gone, mut new) = (BTreeSet::new(), BTreeSet::new());
    for collection in &collections {
        let before: BTreeSet<ItemId> =
            sql::members(cx.ledger().tx(), plan.patient, &collection.mac).await?.into_iter().collect();
        for item in collection.members.difference(&before) {
            sql::add_member(cx.ledger().change(), plan.patient, &collection.mac, *item).await?;
            new.insert(*item);
        }
        for item in before.difference(&collection.members) {
            sql::end_member(cx.ledger().change(), plan.patient, &collection.mac, *item).await?;
            let others = sql::count_others(cx.ledger().tx(), plan.patient, *item, &collection.mac).await?;
            if !present.contains(item) && (collection.holds || others == 0) {
                gone.insert(*item);
            }
        }
    }
    for item in gone {
        mark(cx, item, true).await?;
    }
    for item in new.intersection(&present) {
        mark(cx, *item, false).await?;
    }
    Ok(())
}

/// Sets the mark or takes it off; an item that did not come from a source has none.
async fn mark(cx: &mut Write<'_>, item: ItemId, removed: bool) -> Result<(), Stop> {
    let found = change::known(cx, item).await?;
    let Some(source) = found.content.source.clone().filter(|source| source.removed != removed) else { return Ok(()) };
    let reason = if removed { GONE } else { BACK };
    let body = Changed {
        source: Some(Source { removed, ..source }),
        reason: Some(reason.to_owned()),
        ..Changed::of(item, found.row.rev + 1)
    };
    change::record_changed(cx, &found, &body).await
}
