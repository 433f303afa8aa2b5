//! The link to a care plan item, enforced in one place for every record kind: whoever holds a [`Link`] found the item open.

use super::Write;
use crate::kernel::base::{Code, ItemId, Refusal, Stop, ThingId};
use crate::kernel::log::{Thing, ThingKind};
use crate::kernel::policy::{Audience, Permit};

/// Proof that an item was found: of this patient, seen by the caller, allowed in this channel, open (or, for a re-link, closed).
#[derive(Clone, Copy, Debug)]
pub struct Link {
    item: ItemId,
}

impl Link {
    /// The item.
    #[must_use]
    pub const fn item(&self) -> ItemId {
        self.item
    }
}

/// Whether a plan item is seen by somebody with this standing.
#[must_use]
pub fn subject_sees_item(family: bool, shared: bool) -> bool {
    !family || shared
}

fn hidden() -> Refusal {
    Refusal::not_found().field("item")
}

impl Write<'_> {
    /// Finds the item a record is to be linked to. `permit` is for the channel it will stand in.
    ///
    /// # Errors
    /// `plan_item_required` without one; `not_found` (field `item`) for an item of another patient or one the caller may not see;
    /// `invalid` for an item that is not shared, named in a shared channel by staff; `plan_item_closed`.
    pub async fn link(&mut self, permit: &Permit, item: Option<ItemId>) -> Result<Link, Stop> {
        let thing = self.item(permit, item).await?;
        if !thing.open {
            return Err(Refusal::new(Code::PlanItemClosed)
                .field("item")
                .detail("Choose an open care plan item, or Unsorted.")
                .into());
        }
        Ok(Link { item: ItemId(thing.id.0) })
    }

    /// As [`Write::link`], but a closed item is allowed: for re-links.
    ///
    /// # Errors
    /// As [`Write::link`] but for `plan_item_closed`.
    pub async fn link_even_closed(&mut self, permit: &Permit, item: Option<ItemId>) -> Result<Link, Stop> {
        let thing = self.item(permit, item).await?;
        Ok(Link { item: ItemId(thing.id.0) })
    }

    async fn item(&mut self, permit: &Permit, item: Option<ItemId>) -> Result<Thing, Stop> {
        let item = item.ok_or_else(|| {
            Refusal::new(Code::PlanItemRequired)
                .field("item")
                .detail("Name the care plan item this is about; `plan.items` lists them.")
        })?;
        let thing = self.ledger().thing(ThingId(item.0)).await?.ok_or_else(hidden)?;
        if thing.kind != ThingKind::PlanItem
            || thing.patient != permit.patient()
            || !subject_sees_item(permit.family(), thing.shared)
        {
            return Err(hidden().into());
        }
        if permit.audience() == Audience::Shared && !thing.shared {
            return Err(Refusal::invalid(
                "item",
                "In a shared channel only shared items are named. Share the item first, or choose another.",
            )
            .into());
        }
        Ok(thing)
    }
}
