//! What a member answers for, who stands in for them, and which people that means at a time.
//! Invariant: whoever is addressed by a responsibility is asked for when it matters, so nothing points at somebody who left.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::{Access, Member};
use crate::kernel::base::{Micros, Refusal, UserId};

/// What a member answers for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Responsibility {
    /// The one accountable person.
    Lead,
    /// The plan.
    Plan,
    /// Its barriers.
    Barriers,
}

impl Responsibility {
    /// Every one, in order.
    pub const ALL: [Self; 3] = [Self::Lead, Self::Plan, Self::Barriers];

    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Lead => 0,
            Self::Plan => 1,
            Self::Barriers => 2,
        }
    }

    /// From the number in the database.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.number() == number)
    }

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Lead => "lead",
            Self::Plan => "plan",
            Self::Barriers => "barriers",
        }
    }

    /// From the wire.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.text() == text)
    }

    /// Whether a membership holds it.
    #[must_use]
    pub const fn is_held_by(self, member: &Member) -> bool {
        match self {
            Self::Lead => member.lead,
            Self::Plan => member.plan,
            Self::Barriers => member.barriers,
        }
    }

    /// The membership with it.
    #[must_use]
    pub const fn laid_on(self, mut member: Member) -> Member {
        match self {
            Self::Lead => member.lead = true,
            Self::Plan => member.plan = true,
            Self::Barriers => member.barriers = true,
        }
        member
    }

    /// Those of a membership, in order.
    #[must_use]
    pub fn of(member: &Member) -> Vec<Self> {
        Self::ALL.into_iter().filter(|one| one.is_held_by(member)).collect()
    }
}

/// Somebody stands in for a member who is away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cover {
    /// The entry that says so.
    pub id: uuid::Uuid,
    /// In what.
    pub responsibility: Responsibility,
    /// Who is away.
    pub absent: UserId,
    /// Who stands in.
    pub stand_in: UserId,
    /// From when.
    pub since: Micros,
    /// Until when.
    pub until: Micros,
}

/// Who is to act: a person, or whoever holds a responsibility when it is asked. On the wire a user's id, or
/// `{"responsibility": "plan"}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Holder {
    /// This person.
    User(UserId),
    /// Whoever holds it.
    Responsibility {
        /// What.
        responsibility: Responsibility,
    },
}

impl JsonSchema for Holder {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Holder".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (user, held) = (generator.subschema_for::<UserId>(), generator.subschema_for::<Responsibility>());
        json_schema!({"anyOf": [user, {
            "type": "object", "properties": {"responsibility": held}, "required": ["responsibility"],
        }]})
    }
}

impl Holder {
    /// Whoever holds a responsibility.
    #[must_use]
    pub const fn of(responsibility: Responsibility) -> Self {
        Self::Responsibility { responsibility }
    }

    /// Reads a member of `data`; none if it is null.
    ///
    /// # Errors
    /// `invalid`, naming the field.
    pub fn read(field: &'static str, value: &Value) -> Result<Option<Self>, Refusal> {
        let wrong =
            || Refusal::invalid(field, "This field is a user's id, or {\"responsibility\": lead, plan or barriers}.");
        match value {
            Value::Null => Ok(None),
            Value::String(text) => text.parse().map(|user| Some(Self::User(user))).map_err(|_| wrong()),
            other => {
                let held = other.get("responsibility").and_then(Value::as_str).and_then(Responsibility::from_text);
                held.map(|responsibility| Some(Self::of(responsibility))).ok_or_else(wrong)
            }
        }
    }
}

impl Access {
    /// The covers in force at `now`: the one who is away still holds what they are stood in for, and the stand-in is staff here.
    pub fn covers_at(&self, now: Micros) -> impl Iterator<Item = &Cover> {
        self.covers.iter().filter(move |cover| {
            let staff = |user| self.member(user, now).filter(|member| !member.family);
            (cover.since..cover.until).contains(&now)
                && staff(cover.absent).is_some_and(|member| cover.responsibility.is_held_by(member))
                && staff(cover.stand_in).is_some()
        })
    }

    /// A membership with what its member stands in for at `now`.
    #[must_use]
    pub fn with_covers(&self, user: UserId, member: Member, now: Micros) -> Member {
        let covers = self.covers_at(now).filter(|cover| cover.stand_in == user);
        covers.fold(member, |member, cover| cover.responsibility.laid_on(member))
    }

    /// Who answers for a responsibility at `now`, each once: its holders, and in place of those who are away whoever stands in.
    #[must_use]
    pub fn holders(&self, responsibility: Responsibility, now: Micros) -> Vec<UserId> {
        let holds = |user: &UserId| {
            self.member(*user, now).is_some_and(|member| !member.family && responsibility.is_held_by(member))
        };
        let stands_in = |user: UserId| {
            let mut covers = self.covers_at(now);
            covers
                .find(|cover| cover.responsibility == responsibility && cover.absent == user)
                .map_or(user, |cover| cover.stand_in)
        };
        let mut found: Vec<UserId> = self.members.keys().copied().filter(|user| holds(user)).map(stands_in).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The people somebody who is to act stands for at `now`: a member of staff, or whoever leads where they left; the holders of a
    /// responsibility, or whoever leads where nobody holds it.
    #[must_use]
    pub fn reached(&self, holder: Holder, now: Micros) -> Vec<UserId> {
        let found = match holder {
            Holder::User(user) if self.member(user, now).is_some() => return vec![user],
            Holder::User(_) => Vec::new(),
            Holder::Responsibility { responsibility } => self.holders(responsibility, now),
        };
        if found.is_empty() { self.holders(Responsibility::Lead, now) } else { found }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::base::PatientId;

    const NOW: Micros = 100;

    fn user(n: u8) -> UserId {
        UserId::from_bytes([n; 16])
    }

    prop_compose! {
        fn standing()(
            members in prop::collection::vec((0..4_u8, any::<[bool; 4]>(), prop::option::weighted(0.2, 99..102_i64)), 0..5),
            covers in prop::collection::vec((0..3_usize, 0..4_u8, 0..4_u8, 98..102_i64, 99..103_i64), 0..4),
        ) -> Access {
            let mut access = Access::new(PatientId::ZERO);
            for (n, [family, lead, plan, barriers], until) in members {
                access.members.insert(user(n), Member { family, lead, plan, barriers, until });
            }
            access.covers = covers.into_iter().map(|(what, absent, stand_in, since, until)| Cover {
                id: uuid::Uuid::nil(), responsibility: Responsibility::ALL[what], absent: user(absent),
                stand_in: user(stand_in), since, until,
            }).collect();
            access
        }
    }

    proptest! {
        /// Whoever is reached is staff of the team at that moment, and with somebody holding it somebody is reached.
        #[test]
        fn those_reached_are_there(access in standing(), what in 0..3_usize, who in 0..5_u8) {
            let responsibility = Responsibility::ALL[what];
            let staff = |user: &UserId| access.member(*user, NOW).is_some_and(|member| !member.family);
            let holders = access.holders(responsibility, NOW);
            prop_assert!(holders.iter().all(staff));
            let held = access.members.iter().any(|(user, member)| staff(user) && responsibility.is_held_by(member));
            prop_assert_eq!(held, !holders.is_empty());
            // Whoever is addressed acts with it: policy sees them hold it.
            for holder in holders {
                let member = access.with_covers(holder, access.members[&holder], NOW);
                prop_assert!(responsibility.is_held_by(&member));
            }
            let reached = access.reached(Holder::User(user(who)), NOW);
            if access.member(user(who), NOW).is_some() {
                prop_assert_eq!(reached, vec![user(who)]);
            } else {
                prop_assert_eq!(reached, access.holders(Responsibility::Lead, NOW));
            }
        }

        /// Outside its time a cover is as if it were not there.
        #[test]
        fn a_cover_holds_in_its_time_only(access in standing(), what in 0..3_usize) {
            let mut without = access.clone();
            without.covers.retain(|cover| cover.since <= NOW && NOW < cover.until);
            let responsibility = Responsibility::ALL[what];
            prop_assert_eq!(access.holders(responsibility, NOW), without.holders(responsibility, NOW));
        }
    }

    #[test]
    fn a_holder_is_an_id_or_a_responsibility() {
        let id = uuid::Uuid::from_u128(7);
        let read = |value: &Value| Holder::read("owner", value);
        assert_eq!(read(&serde_json::json!(id)).unwrap(), Some(Holder::User(UserId(id))));
        let plan = serde_json::json!({"responsibility": "plan"});
        assert_eq!(read(&plan).unwrap(), Some(Holder::of(Responsibility::Plan)));
        assert_eq!(serde_json::to_value(Holder::of(Responsibility::Plan)).unwrap(), plan);
        assert_eq!(read(&Value::Null).unwrap(), None);
        for wrong in [serde_json::json!("plan"), serde_json::json!({"responsibility": "all"}), serde_json::json!(3)] {
            assert_eq!(read(&wrong).unwrap_err().field, Some("owner"));
        }
    }
}
