//! What an item means, and when that changed: what was linked to it before is to be looked at again.
//! Does not know: what is linked. Whoever links keeps the item's version beside the link and holds it against this.
//! Invariant: another owner or another day leaves the meaning as it is; other words, codes or aims, another status and the end do not.

use std::collections::HashMap;

use super::entries::Content;
use super::sql;
use crate::kernel::base::{ItemId, Micros, PatientId};
use crate::kernel::store::Tx;

/// Whether other words, codes or aims came.
pub(super) fn changed(before: &Content, after: &Content) -> bool {
    before.title != after.title
        || before.detail != after.detail
        || before.codes != after.codes
        || before.addresses != after.addresses
}

/// An item as whatever is linked to it sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meaning {
    /// Its number now.
    pub version: i64,
    /// Its state in a word.
    pub status: String,
    /// Not over.
    pub open: bool,
    /// The changes of what it means, ascending: its number after each, and when that was.
    changes: Vec<(i64, Micros)>,
}

impl Meaning {
    /// Since when it means something else than to whoever saw it as `version`; none if it does not.
    #[must_use]
    pub fn changed_after(&self, version: i64) -> Option<Micros> {
        self.changes.iter().find(|(rev, _)| *rev > version).map(|(_, at)| *at)
    }

    /// Whether its newest change was one of what it means.
    #[must_use]
    pub fn just_changed(&self) -> bool {
        self.changes.last().is_some_and(|(rev, _)| *rev == self.version)
    }
}

/// What the items of a patient mean, closed ones too.
///
/// # Errors
/// The database's.
pub async fn meanings(tx: &mut Tx, patient: PatientId) -> sqlx::Result<HashMap<ItemId, Meaning>> {
    let mut changes: HashMap<ItemId, Vec<(i64, Micros)>> = HashMap::new();
    for (item, rev, at) in sql::meanings(tx, patient).await? {
        changes.entry(item).or_default().push((rev, at));
    }
    let states = sql::states(tx, patient).await?.into_iter();
    Ok(states.map(|state| (state.id, with(state, &mut changes))).collect())
}

/// What one item means.
///
/// # Errors
/// The database's.
pub async fn meaning(tx: &mut Tx, item: ItemId) -> sqlx::Result<Option<Meaning>> {
    let Some(state) = sql::state(tx, item).await? else { return Ok(None) };
    let changes = sql::meanings_of(tx, item).await?;
    Ok(Some(with(state, &mut HashMap::from([(item, changes)]))))
}

fn with(state: sql::StateRow, changes: &mut HashMap<ItemId, Vec<(i64, Micros)>>) -> Meaning {
    let sql::StateRow { id, rev: version, status, open } = state;
    Meaning { version, status, open, changes: changes.remove(&id).unwrap_or_default() }
}
