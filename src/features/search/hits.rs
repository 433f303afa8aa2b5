//! The hits of one answer as they gather: the newest, each thing once. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::fold::Needle;
use super::ground::Grounds;
use super::look::Candidate;
use super::query::Place;
use super::shapes;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ItemId, PatientId, ThingId};
use crate::kernel::log::{Thing, ThingKind};

/// A candidate that is shown.
pub struct Hit {
    /// What says it.
    pub found: Candidate,
    /// At which patient.
    pub patient: PatientId,
    /// The item it is about now; of an item, itself.
    pub item: Option<ItemId>,
}

impl Hit {
    /// As in the answer.
    #[must_use]
    pub fn shown(self, needle: &Needle) -> shapes::Hit {
        let Candidate { of, place, event, by, text, .. } = self.found;
        shapes::Hit {
            channel: place.channel,
            seq: place.seq,
            event,
            id: of,
            item: self.item,
            at: rfc3339(place.at),
            by,
            excerpt: needle.excerpt(&text),
        }
    }
}

/// The item a candidate is about, if it is shown, given what its id stands for now.
#[must_use]
pub fn judge(found: &Candidate, thing: &Thing, grounds: &Grounds, item: Option<ItemId>) -> Option<Option<ItemId>> {
    let ground = grounds.open.get(&found.place.channel)?;
    let of_plan = thing.kind == ThingKind::PlanItem;
    // Where an entry of another channel is said again, for those who do not read that one.
    let copy = thing.channel != found.place.channel;
    let hidden = thing.patient != ground.head.patient
        || (copy && grounds.readable.contains(&thing.channel))
        || (of_plan && ground.family && !thing.shared)
        || (thing.kind == ThingKind::Message && !thing.open);
    let about = if of_plan { Some(ItemId(thing.id.0)) } else { thing.item };
    let wanted = item.is_none() || about == item;
    (wanted && !hidden).then_some(about)
}

/// The newest hits, one more than asked for.
pub struct Hits {
    newest: BTreeMap<Place, Hit>,
    places: HashMap<ThingId, Place>,
    told: HashSet<ThingId>,
    most: usize,
}

impl Hits {
    /// For an answer of `limit` hits.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { newest: BTreeMap::new(), places: HashMap::new(), told: HashSet::new(), most: limit + 1 }
    }

    /// An answer before has told this thing.
    pub fn pass_over(&mut self, thing: ThingId) {
        if let Some(place) = self.places.remove(&thing) {
            self.newest.remove(&place);
        }
        self.told.insert(thing);
    }

    /// Whether a candidate could still be among the newest.
    #[must_use]
    pub fn has_room_for(&self, found: &Candidate) -> bool {
        let lowest = self.newest.first_key_value().filter(|_| self.newest.len() == self.most);
        !self.told.contains(&found.of)
            && self.places.get(&found.of).is_none_or(|held| *held < found.place)
            && lowest.is_none_or(|(lowest, _)| *lowest < found.place)
    }

    /// Takes a hit; of a thing that has one, the newer stays.
    pub fn take(&mut self, hit: Hit) {
        if !self.has_room_for(&hit.found) {
            return;
        }
        if let Some(older) = self.places.insert(hit.found.of, hit.found.place) {
            self.newest.remove(&older);
        }
        self.newest.insert(hit.found.place, hit);
        if self.newest.len() > self.most
            && let Some((_, dropped)) = self.newest.pop_first()
        {
            self.places.remove(&dropped.found.of);
        }
    }

    /// Whether nothing at or below `place` can be among them any more.
    #[must_use]
    pub fn are_settled_above(&self, place: Place) -> bool {
        self.newest.len() == self.most && self.newest.first_key_value().is_some_and(|(lowest, _)| *lowest >= place)
    }

    /// Drops those that `keep` does not hold.
    pub fn retain(&mut self, mut keep: impl FnMut(&Hit) -> bool) {
        self.newest.retain(|_, hit| keep(hit));
        self.places = self.newest.iter().map(|(place, hit)| (hit.found.of, *place)).collect();
    }

    /// The things there are hits of.
    #[must_use]
    pub fn things(&self) -> Vec<ThingId> {
        self.places.keys().copied().collect()
    }

    /// The hits, newest first, and whether there is one more.
    #[must_use]
    pub fn into_newest(self) -> (Vec<Hit>, bool) {
        let more = self.newest.len() == self.most;
        let most = self.most - 1;
        (self.newest.into_values().rev().take(most).collect(), more)
    }
}
