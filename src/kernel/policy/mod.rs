//! Floor 2: who may do what. One function decides, [`decide`]; nothing else in the program reads membership to allow something.
//! Does not know: frames, features, entries. It owns the tables of persons, memberships and readers; `audit` stands beside it.
//! Invariant: a [`Permit`] is made here only, so whoever holds one passed [`decide`].

mod access;
pub mod audit;
mod book;
mod decide;
mod responsibility;
pub mod sql;
#[cfg(test)]
mod tests;

pub use access::{Access, Audience, ChannelAccess, ChannelKind, Interval, Member, gaps, spans};
pub use book::{Book, Person, SessionState};
pub use decide::{Basis, Object, Permit, Right, Subject, decide};
pub use responsibility::{Cover, Holder, Responsibility};

/// What an account stands for (FHIR R4 resource types, in lower snake case on the wire).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonKind {
    /// A member of staff.
    Practitioner,
    /// The person cared for.
    Patient,
    /// Family or another person close to the patient.
    RelatedPerson,
    /// An integration.
    Service,
}

impl PersonKind {
    /// Every kind, in the order of its number in the database.
    pub const ALL: [Self; 4] = [Self::Practitioner, Self::Patient, Self::RelatedPerson, Self::Service];

    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Practitioner => 0,
            Self::Patient => 1,
            Self::RelatedPerson => 2,
            Self::Service => 3,
        }
    }

    /// From the number in the database.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at).copied())
    }

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Practitioner => "practitioner",
            Self::Patient => "patient",
            Self::RelatedPerson => "related_person",
            Self::Service => "service",
        }
    }

    /// From the wire.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }

    /// Patient and family: standing on shared channels and shared items only.
    #[must_use]
    pub const fn is_family(self) -> bool {
        matches!(self, Self::Patient | Self::RelatedPerson)
    }
}

/// Server roles. None gives content.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Roles(pub i16);

impl Roles {
    /// Accounts, configuration, keys.
    pub const ADMINISTRATOR: Self = Self(1);
    /// Audit and the review of emergency access.
    pub const PRIVACY_OFFICER: Self = Self(2);
    /// Exports without membership.
    pub const RECORD_OFFICER: Self = Self(4);

    /// Whether all of `other` are held.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names on the wire and the command line.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("administrator", Self::ADMINISTRATOR),
        ("privacy_officer", Self::PRIVACY_OFFICER),
        ("record_officer", Self::RECORD_OFFICER),
    ];
}
