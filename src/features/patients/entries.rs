//! Bodies of the entries about a patient and the care team: a file format, never changed, only joined by new members.
//! No `Debug`: they hold who the patient is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shapes::Invited;
use crate::kernel::base::{ChannelId, EntryId, ItemId, PatientId, UserId};
use crate::kernel::engine::shape::{Date, Time, Title};
use crate::kernel::engine::{Event, nudge};
use crate::kernel::policy::Responsibility;

/// The events of this feature.
pub const EVENTS: &[Event] = &[
    Event::of::<Registered>(REGISTERED),
    Event::of::<Membership>(JOINED),
    Event::of::<Membership>(CHANGED),
    Event::of::<Departure>(LEFT),
    Event::personal::<Invited>("invited"),
    nudge::EVENTS[0],
    nudge::EVENTS[1],
    nudge::EVENTS[2],
];
/// A patient is there, with everything every patient starts with.
pub const REGISTERED: &str = "patient.registered";
/// Someone joined the care team.
pub const JOINED: &str = "team.joined";
/// Someone's role, responsibilities or end changed.
pub const CHANGED: &str = "team.changed";
/// Someone left the care team.
pub const LEFT: &str = "team.left";

/// What a patient is known by at some place.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identifier {
    /// Whose numbers these are: a URI.
    #[schemars(with = "Title")]
    pub system: String,
    /// The number.
    #[schemars(with = "Title")]
    pub value: String,
}

/// Who a patient is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// As one line.
    #[schemars(with = "Title")]
    pub name: String,
    /// A FHIR `date`: a year, a month or a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Date>")]
    pub birth_date: Option<String>,
    /// In the order given; the first one names the patient in an export.
    #[serde(default)]
    #[schemars(length(max = super::IDENTIFIERS_MAX))]
    pub identifiers: Vec<Identifier>,
    /// A BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), regex(pattern = r"\S"))]
    pub language: Option<String>,
    /// `male`, `female`, `other`, `unknown` (administrative-gender, FHIR R4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(male|female|other|unknown)$"))]
    pub gender: Option<String>,
}

/// The two items every plan has.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StandingItems {
    /// "Plan as a whole".
    pub whole: ItemId,
    /// "Unsorted".
    pub unsorted: ItemId,
}

/// Body of `patient.registered`. Whoever reacts to it makes the standing items and the first conversation under these ids.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registered {
    /// The patient.
    pub id: PatientId,
    /// Who they are.
    #[serde(flatten)]
    pub identity: Identity,
    /// The plan channel: where this entry stands.
    pub channel: ChannelId,
    /// The standing items.
    pub items: StandingItems,
    /// The open staff conversation named `Care team`.
    pub care_team: ChannelId,
    /// Who is made lead by a `team.joined` that follows; none when registered from the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead: Option<UserId>,
}

/// Who stands in for a member, in what, from when to when.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Covered {
    /// In what.
    pub responsibility: Responsibility,
    /// Who stands in; null where nobody does any more.
    pub user: Option<UserId>,
    /// From when, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub from: Option<String>,
    /// Until when, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub until: Option<String>,
}

/// Body of `team.joined` and `team.changed`: the membership as it is from here on. One such entry stands in each channel the person
/// may read, the plan channel's first; there it is what the projection follows. `lead` among the responsibilities of a member is
/// taken from whoever held it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Membership {
    /// The membership: on joining, the id of the plan channel's entry, the same in every channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EntryId>,
    /// Whose team.
    pub patient: PatientId,
    /// Who.
    pub user: UserId,
    /// In words.
    pub role: String,
    /// What they answer for, in order.
    pub responsibilities: Vec<Responsibility>,
    /// Standing on shared channels and items only.
    pub family: bool,
    /// When it ends by itself, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub until: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Somebody stands in for them in one responsibility, instead of who did before: what this entry says besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<Covered>,
}

/// Body of `team.left`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Departure {
    /// Whose team.
    pub patient: PatientId,
    /// Who.
    pub user: UserId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Newest `seq` of this channel that was theirs, where their time had ended before this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
}
