//! The rules of conversations, pure: who reads a new one, and that an audience only ever narrows.
//! Does not know: time, the database, frames.

use std::collections::{BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::base::limits::REASON_CHARS_MAX;
use crate::kernel::base::{ChannelId, Code, EntryId, PatientId, Refusal, UserId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::Fields;
use crate::kernel::policy::{Audience, ChannelAccess, ChannelKind, Member};

/// What the conversation is called that every patient starts with.
pub const CARE_TEAM: &str = "Care team";
/// What the channel is called that carries plan and team events.
pub const PLAN: &str = "Plan";

/// The command `channel.open`.
pub struct Open {
    /// At whose record.
    pub patient: PatientId,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub purpose: Option<String>,
    /// Who it is for.
    pub audience: Audience,
    /// The listed part of the team.
    pub members: Vec<UserId>,
}

/// Body of `channel.opened`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Opened {
    /// The channel.
    pub id: ChannelId,
    /// At whose record.
    pub patient: PatientId,
    /// What it is called.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Who it is for.
    pub audience: Audience,
    /// The listed part of the team; absent for the other audiences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<UserId>>,
}

/// The command `channel.change`.
pub struct Change {
    /// Which.
    pub channel: ChannelId,
    /// A new name.
    pub name: Option<String>,
    /// A new purpose.
    pub purpose: Option<String>,
    /// A narrower audience.
    pub audience: Option<Audience>,
    /// The whole new list.
    pub members: Option<Vec<UserId>>,
}

/// Body of `channel.changed`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// This change.
    pub id: EntryId,
    /// What is changed.
    pub channel: ChannelId,
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// A narrower audience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<Audience>,
    /// Everyone listed from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<UserId>>,
}

/// Body of `channel.archived`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Archived {
    /// This step.
    pub id: EntryId,
    /// What is archived.
    pub channel: ChannelId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who is on the team now, as the rules read it.
pub type Team = HashMap<UserId, Member>;

fn audience(fields: Fields<'_>) -> Result<Option<Audience>, Refusal> {
    fields.word("audience", Audience::from_text, "staff, shared, named")
}

impl Open {
    /// Reads the command.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field.
    pub fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        Ok(Self {
            patient: fields.required_id("patient")?,
            name: fields.required_title("name")?,
            purpose: fields.text("purpose", REASON_CHARS_MAX)?,
            audience: audience(fields)?.unwrap_or(Audience::Staff),
            members: fields.ids("members")?,
        })
    }

    /// What is recorded, under the id the channel gets. Whoever opens a `named` channel is in it, if on the team at all.
    ///
    /// # Errors
    /// `invalid`, field `members`.
    pub fn decide(self, id: ChannelId, actor: UserId, team: &Team) -> Result<Opened, Refusal> {
        let Self { patient, name, purpose, audience, members } = self;
        let members = match audience {
            Audience::Named => Some(listed(members, actor, team)?),
            _ if members.is_empty() => None,
            _ => return Err(only_named()),
        };
        Ok(Opened { id, patient, name, purpose, audience, members })
    }
}

impl Change {
    /// Reads the command.
    ///
    /// # Errors
    /// `invalid` or `too_large`, naming the field; `invalid` if nothing is to change.
    pub fn parse(data: &Data) -> Result<Self, Refusal> {
        let fields = Fields(data);
        let change = Self {
            channel: fields.required_id("channel")?,
            name: fields.title("name")?,
            purpose: fields.text("purpose", REASON_CHARS_MAX)?,
            audience: audience(fields)?,
            members: fields.get("members").map(|_| fields.ids("members")).transpose()?,
        };
        if change.name.is_none() && change.purpose.is_none() && change.audience.is_none() && change.members.is_none() {
            return Err(Refusal::new(Code::Invalid).detail("Name what changes: name, purpose, audience or members."));
        }
        Ok(change)
    }

    /// What is recorded.
    ///
    /// # Errors
    /// `forbidden` for the plan channel, `archived`, `invalid` with field `audience` if it would widen, with field `members`.
    pub fn decide(self, id: EntryId, held: &ChannelAccess, actor: UserId, team: &Team) -> Result<Changed, Refusal> {
        changeable(held)?;
        let Self { channel, name, purpose, audience, members } = self;
        let next = audience.unwrap_or(held.audience);
        if breadth(next) > breadth(held.audience) {
            return Err(Refusal::invalid("audience", "An audience never widens. Open another channel."));
        }
        let members = match (next, members) {
            (Audience::Named, Some(members)) => Some(listed(members, actor, team)?),
            (Audience::Named, None) if held.audience != Audience::Named => {
                return Err(Refusal::invalid("members", "List the members who stay."));
            }
            (_, None) => None,
            (_, Some(_)) => return Err(only_named()),
        };
        Ok(Changed { id, channel, name, purpose, audience, members })
    }
}

/// Whether a channel can be changed or archived at all.
///
/// # Errors
/// `forbidden` for the plan channel, `archived`.
pub fn changeable(held: &ChannelAccess) -> Result<(), Refusal> {
    if held.kind == ChannelKind::Plan {
        return Err(Refusal::forbidden("The plan channel belongs to the patient; it is not changed."));
    }
    if held.archived {
        return Err(Refusal::new(Code::Archived).detail("This channel is archived for good."));
    }
    Ok(())
}

/// How many kinds of people an audience lets in.
const fn breadth(audience: Audience) -> u8 {
    match audience {
        Audience::Named => 0,
        Audience::Staff => 1,
        Audience::Shared => 2,
    }
}

fn only_named() -> Refusal {
    Refusal::invalid("members", "Only a channel with audience `named` lists its members.")
}

/// The list of a `named` channel: staff of this team, each once, with whoever writes it.
fn listed(members: Vec<UserId>, actor: UserId, team: &Team) -> Result<Vec<UserId>, Refusal> {
    let staff = |user: &UserId| team.get(user).is_some_and(|member| !member.family);
    let mut list: BTreeSet<UserId> = members.into_iter().collect();
    if !list.iter().all(staff) {
        return Err(Refusal::invalid("members", "Each member of a named channel is staff on this care team."));
    }
    if staff(&actor) {
        list.insert(actor);
    }
    if list.is_empty() {
        return Err(Refusal::invalid("members", "A named channel has at least one member."));
    }
    Ok(list.into_iter().collect())
}

/// Who reads a channel, given its audience, its list, and who reads it now.
#[must_use]
pub fn readers(
    audience: Audience,
    members: Option<&[UserId]>,
    now: &BTreeSet<UserId>,
    team: &Team,
) -> BTreeSet<UserId> {
    let all = |family: bool| team.iter().filter(move |(_, member)| family || !member.family).map(|(user, _)| *user);
    match (audience, members) {
        (Audience::Shared, _) => all(true).collect(),
        (Audience::Staff, _) => all(false).collect(),
        (Audience::Named, Some(members)) => members.iter().copied().collect(),
        (Audience::Named, None) => now.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn user(n: u8) -> UserId {
        UserId(Uuid::from_u128(u128::from(n) + 1))
    }

    /// Users 0 to 3 are staff, 4 and 5 family; others are not on the team.
    fn team() -> Team {
        (0..6).map(|n| (user(n), Member { family: n > 3, ..Member::default() })).collect()
    }

    fn held(audience: Audience) -> ChannelAccess {
        ChannelAccess { audience, kind: ChannelKind::Conversation, archived: false, readers: HashMap::new() }
    }

    fn audiences() -> impl Strategy<Value = Audience> {
        prop_oneof![Just(Audience::Staff), Just(Audience::Shared), Just(Audience::Named)]
    }

    fn change(audience: Option<Audience>, members: Option<Vec<UserId>>) -> Change {
        Change { channel: ChannelId(Uuid::from_u128(9)), name: None, purpose: None, audience, members }
    }

    proptest! {
        /// Whatever is asked, nobody reads after a change who did not before, but for those a named channel lists: staff of the team.
        #[test]
        fn an_audience_never_widens(from in audiences(), to in prop::option::of(audiences()), list in prop::option::of(prop::collection::vec(0_u8..8, 0..5))) {
            let team = team();
            let before = readers(from, Some(&[user(0), user(1)]), &BTreeSet::new(), &team);
            let list: Option<Vec<UserId>> = list.map(|list| list.into_iter().map(user).collect());
            let decided = change(to, list).decide(EntryId::ZERO, &held(from), user(0), &team);
            if let Ok(changed) = decided {
                let audience = changed.audience.unwrap_or(from);
                let after = readers(audience, changed.members.as_deref(), &before, &team);
                let staff = |user: &UserId| team.get(user).is_some_and(|member| !member.family);
                prop_assert!(after.iter().all(|user| before.contains(user) || (from == Audience::Named && staff(user))));
                prop_assert!(after.contains(&user(0)), "whoever changes it keeps reading");
            }
        }

        /// Nobody outside the staff of the team is ever listed.
        #[test]
        fn a_named_channel_lists_staff_only(list in prop::collection::vec(0_u8..8, 0..5), actor in 0_u8..8) {
            let team = team();
            let open = Open {
                patient: PatientId::ZERO,
                name: "a".into(),
                purpose: None,
                audience: Audience::Named,
                members: list.iter().copied().map(user).collect(),
            };
            match open.decide(ChannelId::ZERO, user(actor), &team) {
                Ok(opened) => {
                    let members = opened.members.unwrap();
                    prop_assert!(members.iter().all(|user| !team[user].family));
                    prop_assert_eq!(members.contains(&user(actor)), actor < 4);
                }
                Err(refusal) => {
                    prop_assert_eq!(refusal.field, Some("members"));
                    prop_assert!(list.iter().any(|n| *n > 3) || (list.is_empty() && actor > 3));
                }
            }
        }
    }

    #[test]
    fn the_plan_channel_and_an_archived_one_are_not_changed() {
        let plan = ChannelAccess { kind: ChannelKind::Plan, ..held(Audience::Staff) };
        assert_eq!(changeable(&plan).unwrap_err().code, Code::Forbidden);
        let archived = ChannelAccess { archived: true, ..held(Audience::Staff) };
        assert_eq!(changeable(&archived).unwrap_err().code, Code::Archived);
    }

    #[test]
    fn members_belong_to_named_channels() {
        let refused = change(None, Some(vec![user(1)])).decide(EntryId::ZERO, &held(Audience::Staff), user(0), &team());
        assert_eq!(refused.unwrap_err().field, Some("members"));
        let refused =
            change(Some(Audience::Named), None).decide(EntryId::ZERO, &held(Audience::Staff), user(0), &team());
        assert_eq!(refused.unwrap_err().field, Some("members"));
        let refused =
            change(Some(Audience::Shared), None).decide(EntryId::ZERO, &held(Audience::Staff), user(0), &team());
        assert_eq!(refused.unwrap_err().field, Some("audience"));
    }

    #[test]
    fn a_command_without_a_name_or_a_change_is_invalid() {
        let data = |value: serde_json::Value| value.as_object().unwrap().clone();
        let patient = Uuid::from_u128(1).to_string();
        let refused = Open::parse(&data(json!({"patient": patient}))).err().unwrap();
        assert_eq!(refused.field, Some("name"));
        let refused = Open::parse(&data(json!({"patient": patient, "name": "a", "audience": "all"}))).err().unwrap();
        assert_eq!(refused.field, Some("audience"));
        assert_eq!(Change::parse(&data(json!({"channel": patient}))).err().unwrap().code, Code::Invalid);
    }
}
