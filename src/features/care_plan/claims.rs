//! Claims: what waits on a plan item for somebody to act, and who is next in line.
//! Does not know: tasks, notes, handoffs, asks. Each kind lays its claim here from its own `project`, and takes it away.
//! Invariant: of every open item one party is accountable, or nobody is and that shows.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entries::Content;
use super::sql::{self, ItemRow};
use super::views::Readable;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, ItemId, Micros, PatientId, ThingId, UserId};
use crate::kernel::engine::Ledger;
use crate::kernel::policy::{Access, Holder, Responsibility};
use crate::kernel::store::Tx;

/// How soon somebody should act: what comes first is asked for first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weight {
    /// Now.
    Stat,
    /// Soon.
    Urgent,
    /// In the normal course.
    Routine,
}

impl Weight {
    const ALL: [Self; 3] = [Self::Stat, Self::Urgent, Self::Routine];

    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Stat => 0,
            Self::Urgent => 1,
            Self::Routine => 2,
        }
    }

    fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }
}

/// Why somebody must act.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// An open task.
    Task,
    /// A talk that is not documented yet.
    Note,
    /// A handoff that is not answered.
    Handoff,
    /// A message that waits for its answer.
    Ask,
    /// Nothing waits; the item rests with them.
    Owner,
}

impl Why {
    const ALL: [Self; 5] = [Self::Task, Self::Note, Self::Handoff, Self::Ask, Self::Owner];

    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Task => 1,
            Self::Note => 2,
            Self::Handoff => 3,
            Self::Ask => 4,
            Self::Owner => 5,
        }
    }

    fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }
}

/// Something waits on an item for somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// What waits: a task, a note, a handoff, a message.
    pub source: ThingId,
    /// On which item.
    pub item: ItemId,
    /// Whose plan.
    pub patient: PatientId,
    /// Where its entry stands.
    pub channel: ChannelId,
    /// The place there: whoever reads it may know of the claim.
    pub seq: i64,
    /// Who must act.
    pub holder: Holder,
    /// By when.
    pub due: Option<Micros>,
    /// How soon.
    pub weight: Weight,
    /// Why.
    pub why: Why,
}

/// Who must act on an item: a user or a responsibility.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Next {
    /// This person; absent for a responsibility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Whoever holds it; absent for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responsibility: Option<Responsibility>,
    /// By when: a day, or a time in RFC 3339.
    #[schemars(with = "Option<crate::kernel::engine::shape::Due>")]
    pub due: Option<String>,
    /// Why.
    pub why: Why,
    /// What waits, unless it is the item itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<ThingId>,
}

impl Next {
    fn new(holder: Holder, due: Option<String>, why: Why, id: Option<ThingId>) -> Self {
        let (user, responsibility) = match holder {
            Holder::User(user) => (Some(user), None),
            Holder::Responsibility { responsibility } => (None, Some(responsibility)),
        };
        Self { user, responsibility, due, why, id }
    }
}

/// Something waits on an item, instead of what its source claimed before. Called from `project`.
///
/// # Errors
/// The database's.
pub async fn claim(ledger: &mut Ledger, claim: &Claim) -> Result<(), Fault> {
    Ok(sql::put_claim(ledger.change(), claim).await?)
}

/// It waits no more. Called from `project`.
///
/// # Errors
/// The database's.
pub async fn release(ledger: &mut Ledger, source: ThingId) -> Result<(), Fault> {
    Ok(sql::end_claim(ledger.change(), source).await?)
}

/// Who stands for a holder: they themselves, or the lead where they left or nobody holds it. None where there is no lead either.
fn party(holder: Holder, access: &Access, now: Micros) -> Option<Holder> {
    let lead = Holder::of(Responsibility::Lead);
    let stands = |holder: Holder| match holder {
        Holder::User(user) => access.member(user, now).is_some(),
        Holder::Responsibility { responsibility } => !access.holders(responsibility, now).is_empty(),
    };
    [holder, lead].into_iter().find(|one| stands(*one))
}

/// The claims of one plan that somebody may read, those on the same item in the order they are to be acted on.
pub(super) struct Claims {
    of_item: HashMap<ItemId, Vec<Claim>>,
}

impl Claims {
    /// Those of a patient.
    pub(super) async fn of(tx: &mut Tx, patient: PatientId, readable: &Readable) -> Result<Self, Fault> {
        let mut claims = Vec::new();
        for row in sql::claims(tx, patient).await? {
            claims.push(Claim::try_from(row)?);
        }
        claims.retain(|claim| readable.holds(claim.channel, claim.seq));
        Ok(Self::from(claims))
    }

    /// Who is next in line for an item, if anybody: the first claim somebody stands for, else the item's own owner.
    pub(super) fn next(&self, row: &ItemRow, content: &Content, access: &Access, now: Micros) -> Option<Next> {
        if !row.open {
            return None;
        }
        let claims = self.of_item.get(&row.id).map_or(&[][..], Vec::as_slice);
        let claimed = claims.iter().find_map(|claim| {
            let due = claim.due.map(rfc3339);
            party(claim.holder, access, now).map(|party| Next::new(party, due, claim.why, Some(claim.source)))
        });
        let owned = || {
            let party = party(content.owner?, access, now)?;
            Some(Next::new(party, content.due.clone(), Why::Owner, None))
        };
        claimed.or_else(owned)
    }
}

impl From<Vec<Claim>> for Claims {
    fn from(mut claims: Vec<Claim>) -> Self {
        // Ids are ordered by the time they were drawn.
        claims.sort_by_key(|claim| (claim.weight, claim.due.unwrap_or(Micros::MAX), claim.source));
        let mut of_item: HashMap<ItemId, Vec<Claim>> = HashMap::new();
        for claim in claims {
            of_item.entry(claim.item).or_default().push(claim);
        }
        Self { of_item }
    }
}

impl TryFrom<sql::ClaimRow> for Claim {
    type Error = Fault;
    fn try_from(row: sql::ClaimRow) -> Result<Self, Fault> {
        let sql::ClaimRow { source, item, patient, channel, seq, due, .. } = row;
        let held = row.holder_responsibility.and_then(Responsibility::from_number).map(Holder::of);
        Ok(Self {
            source,
            item,
            patient,
            channel,
            seq,
            holder: row.holder_user.map(Holder::User).or(held).ok_or(Fault::Integrity("a claim that nobody holds"))?,
            due,
            weight: Weight::from_number(row.weight).ok_or(Fault::Integrity("unknown weight of a claim"))?,
            why: Why::from_number(row.why).ok_or(Fault::Integrity("a claim without a reason"))?,
        })
    }
}

#[cfg(test)]
mod tests;
