//! Messages that drift: those whose answer is still awaited. What becomes of one is an entry of messages.
//! Does not know: when somebody is asked again.

use std::collections::HashMap;

use super::model::{self, Fate, Settle};
use super::shapes::{Drift, Drifting};
use super::{meaning, other_item, reviews};
use crate::features::care_plan::Meaning;
use crate::features::channels::{self, in_view};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, ItemId, Refusal, Stop};
use crate::kernel::engine::{Read, Reply, Write};
use crate::kernel::log::Thing;
use crate::kernel::policy::{Access, Permit, Right};
use crate::kernel::store::Tx;

/// Messages of a patient that drift and are the caller's to settle.
pub(super) async fn of_patient(
    cx: &mut Read,
    permit: &Permit,
    access: &Access,
    meanings: &HashMap<ItemId, Meaning>,
) -> Result<Vec<Drift>, Fault> {
    let (subject, now) = (cx.subject().clone(), cx.now());
    let items: Vec<ItemId> = meanings.keys().copied().collect();
    let mut drifts = Vec::new();
    for ask in channels::open_asks(cx.tx(), &items).await? {
        let Some(meaning) = meanings.get(&ask.item) else { continue };
        let Some(since) = meaning.changed_after(ask.item_version) else { continue };
        if in_view(access, &subject, ask.channel, ask.seq, now) && reviews(access, permit, ask.channel, now) {
            drifts.push(Drift {
                kind: Drifting::Message,
                thing: ask.message,
                patient: access.patient,
                channel: ask.channel,
                item: ask.item,
                item_version_then: ask.item_version,
                item_version_now: meaning.version,
                item_status: meaning.status.clone(),
                since: rfc3339(since),
            });
        }
    }
    Ok(drifts)
}

/// Where messages wait that were linked to an item before it read as in `version`.
pub(super) async fn drifting(tx: &mut Tx, item: ItemId, version: i64) -> sqlx::Result<Vec<ChannelId>> {
    let asks = channels::open_asks(tx, &[item]).await?.into_iter();
    Ok(asks.filter(|ask| ask.item_version < version).map(|ask| ask.channel).collect())
}

/// `drift.settle` of a message.
pub(super) async fn settle(cx: &mut Write<'_>, message: &Thing, command: Settle) -> Result<Reply, Stop> {
    let permit = cx.permit_channel(Right::Document, message.channel).await?;
    cx.about(message.id);
    if let Some(reply) = cx.repeated(message.channel).await? {
        return Ok(reply);
    }
    let access = cx.ledger().access(message.patient).await?.ok_or_else(Refusal::not_found)?;
    if !reviews(&access, &permit, message.channel, cx.now()) {
        let detail = "Only the lead or a holder of the responsibility `plan` settles what drifts.";
        return Err(Refusal::forbidden(detail).into());
    }
    let item = message.item.ok_or(Fault::Integrity("a message without a plan item"))?;
    let meaning = meaning(cx, item).await?;
    let to = other_item(cx, &permit, &command).await?;
    let ask = channels::open_ask(cx.ledger().tx(), message.id).await?;
    match model::decide_ask(ask, &meaning, command.action, to)? {
        (ask, Fate::Linked(item)) => channels::relink_ask(cx, ask, item, command.reason).await?,
        (ask, Fate::Settled) => channels::settle_ask(cx, ask, command.reason).await?,
    }
    Ok(Reply::Recorded)
}
