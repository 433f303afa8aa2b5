//! Names, professions and parts of everyone a transcript names.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::block::Line;
use crate::features::identity::{self, Account, Identifier, Organization};
use crate::kernel::base::{Fault, UserId};
use crate::kernel::engine::Read;
use crate::kernel::policy::PersonKind;

/// Members of bodies that name people: an id, or a list of ids.
const NAMING: [&str; 13] = [
    "answered",
    "by",
    "colleague",
    "expected",
    "lead",
    "members",
    "mentions",
    "owner",
    "silent",
    "to",
    "user",
    "cover",
    "covered",
];

/// Everyone a body names.
pub fn named(value: &Value, found: &mut BTreeSet<UserId>) {
    let mut take = |value: &Value| found.extend(value.as_str().and_then(|id| id.parse::<UserId>().ok()));
    let Value::Object(members) = value else { return };
    for (name, value) in members {
        match value {
            Value::String(_) if NAMING.contains(&name.as_str()) => take(value),
            Value::Array(list) if NAMING.contains(&name.as_str()) => list.iter().for_each(&mut take),
            _ => {}
        }
    }
    for value in members.values() {
        match value {
            Value::Object(_) => named(value, found),
            Value::Array(list) => list.iter().for_each(|one| named(one, found)),
            _ => {}
        }
    }
}

/// They, as they are known.
pub struct People {
    accounts: HashMap<UserId, Account>,
    identifiers: HashMap<UserId, Vec<Identifier>>,
    /// The organization that owns the deployment.
    pub custodian: Option<Organization>,
}

impl People {
    /// Looks them up.
    pub async fn load(cx: &mut Read, users: &BTreeSet<UserId>) -> Result<Self, Fault> {
        let ids: Vec<UserId> = users.iter().copied().collect();
        let (mut accounts, mut identifiers) = (HashMap::new(), HashMap::new());
        // A few hundred a question: a statement has a limit of parameters.
        for some in ids.chunks(500) {
            accounts.extend(identity::accounts(cx, some).await?);
            identifiers.extend(identity::identifiers(cx, some).await?);
        }
        let custodian = identity::organizations(cx).await?.into_iter().find(|organization| organization.custodian);
        Ok(Self { accounts, identifiers, custodian })
    }

    /// Whether there is such an account.
    pub fn knows(&self, user: UserId) -> bool {
        self.accounts.contains_key(&user)
    }

    /// The name; the id of an account that is not known.
    pub fn name(&self, user: UserId) -> Line {
        Line::theirs(self.accounts.get(&user).map_or_else(|| user.to_string(), |account| account.name.reveal().clone()))
    }

    /// Names of several.
    pub fn names(&self, users: &[UserId]) -> Line {
        Line::joined(users.iter().map(|user| self.name(*user)), ", ")
    }

    /// What the account stands for, in words; nothing for staff, whose profession says it.
    pub fn kind(&self, user: UserId) -> Option<&'static str> {
        match self.accounts.get(&user)?.kind {
            PersonKind::Practitioner => None,
            PersonKind::Patient => Some("the patient"),
            PersonKind::RelatedPerson => Some("family or close person"),
            PersonKind::Service => Some("a service account"),
        }
    }

    /// Profession, in the organization's words.
    pub fn profession(&self, user: UserId) -> Option<&str> {
        self.accounts.get(&user).and_then(|account| account.profession.as_deref())
    }

    /// What others know a practitioner by first: system and number.
    pub fn number(&self, user: UserId) -> Option<(String, String)> {
        let first = self.identifiers.get(&user)?.first()?;
        Some((first.system.clone(), first.value.clone()))
    }

    /// Name, profession, what the person is to the patient.
    pub fn described(&self, user: UserId, role: Option<&str>) -> Line {
        let mut line = self.name(user);
        let role = role.filter(|role| Some(*role) != self.profession(user));
        for word in [self.profession(user), role].into_iter().flatten() {
            line = line.and(", ").told(word);
        }
        self.kind(user).map_or(line.clone(), |kind| line.and(format!(" ({kind})")))
    }
}
