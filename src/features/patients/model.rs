//! The rules of patients and care teams, pure: what is accepted, and what a team may become.
//! Does not know: time beyond what it is handed, the database, who may (policy decided that before).

use std::collections::HashMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::entries::{Identifier, Identity};
use crate::kernel::base::limits::{REASON_CHARS_MAX, TITLE_CHARS_MAX};
use crate::kernel::base::{Micros, PatientId, Refusal, UserId};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::{Fields, bounded};
use crate::kernel::engine::shape::{Reason, Time, Title};
use crate::kernel::policy::{Member, Responsibility};

/// Identifiers of one patient: far beyond what any chart gives, so that an entry stays small.
pub const IDENTIFIERS_MAX: usize = 50;
/// Characters of a language tag (BCP 47 asks for 35 at least).
const LANGUAGE_CHARS_MAX: usize = 100;

/// Reads `patient.register`.
///
/// # Errors
/// `invalid` or `too_large`, naming the field.
pub fn identity(data: &Data) -> Result<Identity, Refusal> {
    let fields = Fields(data);
    let birth_date = fields.string("birth_date")?.map(str::to_owned);
    if birth_date.as_deref().is_some_and(|date| !is_date(date)) {
        return Err(Refusal::invalid("birth_date", "This field is a date: 1951-08-14, 1951-08 or 1951."));
    }
    let gender = |text: &str| ["male", "female", "other", "unknown"].into_iter().find(|known| *known == text);
    Ok(Identity {
        name: fields.required_title("name")?,
        birth_date,
        identifiers: identifiers(fields)?,
        language: fields.text("language", LANGUAGE_CHARS_MAX)?,
        gender: fields.word("gender", gender, "male, female, other, unknown")?.map(str::to_owned),
    })
}

fn identifiers(fields: Fields<'_>) -> Result<Vec<Identifier>, Refusal> {
    const FIELD: &str = "identifiers";
    let wrong = || Refusal::invalid(FIELD, "This field is a list of {\"system\": .., \"value\": ..}, at most 50.");
    let Some(list) = fields.get(FIELD) else { return Ok(Vec::new()) };
    let list = list.as_array().filter(|list| list.len() <= IDENTIFIERS_MAX).ok_or_else(wrong)?;
    let mut found: Vec<Identifier> = Vec::new();
    for one in list {
        let member = |name: &str| one.get(name).and_then(Value::as_str).ok_or_else(wrong);
        let identifier = Identifier {
            system: bounded(FIELD, member("system")?, TITLE_CHARS_MAX)?,
            value: bounded(FIELD, member("value")?, TITLE_CHARS_MAX)?,
        };
        if !found.contains(&identifier) {
            found.push(identifier);
        }
    }
    Ok(found)
}

/// A FHIR `date` (R4 datatypes): a year, a month or a day.
#[must_use]
pub fn is_date(text: &str) -> bool {
    let whole = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        10 => text.to_owned(),
        _ => return false,
    };
    let plain = text.bytes().enumerate().all(|(at, c)| if at == 4 || at == 7 { c == b'-' } else { c.is_ascii_digit() });
    plain && whole.parse::<jiff::civil::Date>().is_ok()
}

/// Adds somebody to the care team.
#[derive(JsonSchema)]
pub struct Add {
    /// Whose team.
    pub patient: PatientId,
    /// Who.
    pub user: UserId,
    /// In words.
    #[schemars(with = "Title")]
    pub role: String,
    /// What they answer for.
    #[schemars(with = "Option<Vec<Responsibility>>")]
    pub responsibilities: Vec<Responsibility>,
    /// Asked to stand on shared channels only.
    #[schemars(with = "Option<bool>")]
    pub family: bool,
    /// When it ends by itself.
    #[schemars(with = "Option<Time>")]
    pub until: Option<Micros>,
    /// Why.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// Changes how somebody stands in the care team: what is absent stays.
#[derive(JsonSchema)]
pub struct Change {
    /// Whose team.
    pub patient: PatientId,
    /// Who.
    pub user: UserId,
    /// In words.
    #[schemars(with = "Option<Title>")]
    pub role: Option<String>,
    /// What they answer for from now on.
    pub responsibilities: Option<Vec<Responsibility>>,
    /// Only what it is already.
    pub family: Option<bool>,
    /// When it ends by itself; null for never.
    #[schemars(with = "Option<Time>")]
    pub until: Option<Option<Micros>>,
    /// Why.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// Takes somebody off the care team: the lead anyone, everyone themselves.
#[derive(JsonSchema)]
pub struct Remove {
    /// Whose team.
    pub patient: PatientId,
    /// Who.
    pub user: UserId,
    /// Why.
    #[schemars(with = "Option<Reason>")]
    pub reason: Option<String>,
}

/// Reads `team.add`.
///
/// # Errors
/// `invalid` or `too_large`, naming the field.
pub fn add(data: &Data) -> Result<Add, Refusal> {
    let fields = Fields(data);
    Ok(Add {
        patient: fields.required_id("patient")?,
        user: fields.required_id("user")?,
        role: fields.required_title("role")?,
        responsibilities: responsibilities(fields)?.unwrap_or_default(),
        family: fields.boolean("family")?.unwrap_or(false),
        until: fields.time("until")?,
        reason: fields.text("reason", REASON_CHARS_MAX)?,
    })
}

/// Reads `team.change`.
///
/// # Errors
/// `invalid` or `too_large`, naming the field.
pub fn change(data: &Data) -> Result<Change, Refusal> {
    let fields = Fields(data);
    let never_ends = data.get("until") == Some(&Value::Null);
    Ok(Change {
        patient: fields.required_id("patient")?,
        user: fields.required_id("user")?,
        role: fields.title("role")?,
        responsibilities: responsibilities(fields)?,
        family: fields.boolean("family")?,
        until: if never_ends { Some(None) } else { fields.time("until")?.map(Some) },
        reason: fields.text("reason", REASON_CHARS_MAX)?,
    })
}

/// Reads `team.remove`.
///
/// # Errors
/// `invalid` or `too_large`, naming the field.
pub fn remove(data: &Data) -> Result<Remove, Refusal> {
    let fields = Fields(data);
    Ok(Remove {
        patient: fields.required_id("patient")?,
        user: fields.required_id("user")?,
        reason: fields.text("reason", REASON_CHARS_MAX)?,
    })
}

fn responsibilities(fields: Fields<'_>) -> Result<Option<Vec<Responsibility>>, Refusal> {
    const FIELD: &str = "responsibilities";
    let wrong = || Refusal::invalid(FIELD, "This field is a list of: lead, plan, barriers.");
    let Some(list) = fields.get(FIELD) else { return Ok(None) };
    let list = list.as_array().ok_or_else(wrong)?;
    let mut found = list
        .iter()
        .map(|one| one.as_str().and_then(Responsibility::from_text).ok_or_else(wrong))
        .collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(Some(found))
}

/// The current memberships of a patient, run out or not.
pub type Team = HashMap<UserId, Member>;

/// Who loses the lead when `user` is named, if anybody.
#[must_use]
pub fn former_lead(team: &Team, user: UserId) -> Option<UserId> {
    team.iter().find(|(other, member)| member.lead && **other != user).map(|(other, _)| *other)
}

/// Decides who joins and how they then stand. `family_account` is what the account stands for, whatever was asked.
///
/// # Errors
/// `conflict` for a member, `invalid` for what the standing cannot hold.
pub fn decide_add(team: &Team, command: &Add, family_account: bool, now: Micros) -> Result<Member, Refusal> {
    if let Some(member) = team.get(&command.user) {
        return Err(Refusal::conflict(if member.holds(now) {
            "This person is in the team. Change the membership instead."
        } else {
            "The time of this membership is over and its end is being recorded. Try again in a minute."
        })
        .field("user"));
    }
    let member = with_responsibilities(
        Member { family: command.family || family_account, until: command.until, ..Member::default() },
        &command.responsibilities,
    );
    fits(&member, now)?;
    Ok(member)
}

/// Decides how a member stands after a change.
///
/// # Errors
/// `not_found` for who is no member, `conflict` where the lead would be lost, `invalid` for what the standing cannot hold.
pub fn decide_change(team: &Team, command: &Change, now: Micros) -> Result<Member, Refusal> {
    let before = team.get(&command.user).filter(|member| member.holds(now)).copied();
    let before = before.ok_or_else(|| Refusal::not_found().field("user"))?;
    if command.role.is_none()
        && command.responsibilities.is_none()
        && command.until.is_none()
        && command.family.is_none()
    {
        return Err(Refusal::invalid("role", "Name what changes: role, responsibilities or until."));
    }
    if command.family.is_some_and(|family| family != before.family) {
        return Err(Refusal::invalid("family", "Standing does not change. Remove the member and add them anew."));
    }
    let mut after = Member { until: command.until.unwrap_or(before.until), ..before };
    if let Some(responsibilities) = &command.responsibilities {
        after = with_responsibilities(after, responsibilities);
    }
    if before.lead && !after.lead {
        return Err(
            Refusal::conflict("A patient has a lead. Name another one; that moves it.").field("responsibilities")
        );
    }
    fits(&after, now)?;
    Ok(after)
}

/// Decides whether a member may leave, and gives how they stood.
///
/// # Errors
/// `not_found` for who is no member, `conflict` for the lead.
pub fn decide_remove(team: &Team, user: UserId) -> Result<Member, Refusal> {
    let member = team.get(&user).copied().ok_or_else(|| Refusal::not_found().field("user"))?;
    if member.lead {
        return Err(Refusal::conflict("A patient has a lead. Name another one first; then this member can leave.")
            .field("user"));
    }
    Ok(member)
}

/// What passes from one member to another, and how both then stand.
pub struct Passed {
    /// What passes, in order.
    pub moved: Vec<Responsibility>,
    /// Who had it.
    pub giver: Member,
    /// Who has it.
    pub taker: Member,
}

/// Decides which of the wanted responsibilities pass from `from` to `to`: those that `from` holds in their own right. None where one of
/// them is no member.
///
/// # Errors
/// `conflict` where the lead would pass to somebody whose time ends by itself, or anything to family.
pub fn decide_pass(
    team: &Team,
    [from, to]: [UserId; 2],
    wanted: &[Responsibility],
    now: Micros,
) -> Result<Passed, Refusal> {
    const FIELD: &str = "responsibilities";
    let stands = |user| team.get(&user).filter(|member| member.holds(now)).copied();
    let (Some(giver), Some(taker), false) = (stands(from), stands(to), from == to) else {
        return Ok(Passed { moved: Vec::new(), giver: Member::default(), taker: Member::default() });
    };
    let moved: Vec<Responsibility> =
        Responsibility::of(&giver).into_iter().filter(|held| wanted.contains(held)).collect();
    if taker.family && !moved.is_empty() {
        return Err(Refusal::conflict("Patient and family hold no responsibilities.").field(FIELD));
    }
    if moved.contains(&Responsibility::Lead) && taker.until.is_some() {
        let detail =
            "The lead does not end by itself, but this membership does. Change that first, or leave the lead out.";
        return Err(Refusal::conflict(detail).field(FIELD));
    }
    let kept: Vec<Responsibility> =
        Responsibility::of(&giver).into_iter().filter(|held| !moved.contains(held)).collect();
    Ok(Passed {
        giver: with_responsibilities(giver, &kept),
        taker: moved.iter().fold(taker, |member, held| held.laid_on(member)),
        moved,
    })
}

fn with_responsibilities(member: Member, held: &[Responsibility]) -> Member {
    Member {
        lead: held.contains(&Responsibility::Lead),
        plan: held.contains(&Responsibility::Plan),
        barriers: held.contains(&Responsibility::Barriers),
        ..member
    }
}

fn fits(member: &Member, now: Micros) -> Result<(), Refusal> {
    if member.family && (member.lead || member.plan || member.barriers) {
        return Err(Refusal::invalid("responsibilities", "Patient and family hold no responsibilities."));
    }
    if !member.holds(now) {
        return Err(Refusal::invalid("until", "This time is over."));
    }
    if member.lead && member.until.is_some() {
        return Err(Refusal::invalid("until", "The lead does not end by itself. Name another lead then."));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
