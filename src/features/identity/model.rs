//! What the commands of identity say, parsed once, and what follows from it. Pure.
//! Does not know: the database, hashing, the engine.

use serde_json::Value;

use crate::kernel::base::limits::TITLE_CHARS_MAX;
use crate::kernel::base::{Micros, Refusal, world::MINUTE};
use crate::kernel::engine::fields::{Fields, bounded};
use crate::kernel::policy::{PersonKind, Roles};

/// Characters of a handle: it is typed, and stands in tables.
pub const HANDLE_CHARS_MAX: usize = 64;
/// A session opened by password ends after this, whatever is done.
pub const SESSION_LASTS: Micros = 12 * 60 * MINUTE;
/// For how long an entered password counts as step-up.
pub const STEP_UP_LASTS: Micros = 5 * MINUTE;
/// Days a personal access token lasts unless said otherwise.
pub const TOKEN_DAYS: i64 = 90;
/// Days a personal access token lasts at most.
pub const TOKEN_DAYS_MAX: i64 = 365;
/// One day.
pub const DAY: Micros = 24 * 60 * MINUTE;

/// How a session came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionKind {
    /// By handle and password; idle log-off applies.
    Password,
    /// A personal access token: the token is the session, and ends with it.
    Token,
}

impl SessionKind {
    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Password => 0,
            Self::Token => 1,
        }
    }

    /// From the number in the database.
    #[must_use]
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Password),
            1 => Some(Self::Token),
            _ => None,
        }
    }

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Token => "token",
        }
    }
}

/// A handle as accounts are found by it: two that differ in case only are one.
#[must_use]
pub fn folded(handle: &str) -> String {
    handle.to_lowercase()
}

/// A new handle: letters, digits and `. _ - @ +`.
///
/// # Errors
/// `invalid`, naming the field.
pub fn handle(fields: Fields<'_>) -> Result<String, Refusal> {
    let wrong = || {
        let detail = format!("A handle is 1 to {HANDLE_CHARS_MAX} letters, digits and . _ - @ +");
        Refusal::invalid("handle", &detail)
    };
    let text = fields.string("handle")?.ok_or_else(wrong)?;
    let fits = (1..=HANDLE_CHARS_MAX).contains(&text.chars().count())
        && text.chars().all(|c| c.is_alphanumeric() || "._-@+".contains(c));
    if fits { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// Server roles by name, none if absent.
///
/// # Errors
/// `invalid` for a name that is none.
pub fn roles(fields: Fields<'_>) -> Result<Option<Roles>, Refusal> {
    if fields.get("roles").is_none() {
        return Ok(None);
    }
    let mut roles = Roles::default();
    for name in fields.strings("roles")? {
        let known = Roles::NAMES.iter().find(|(known, _)| *known == name);
        let (_, role) = known
            .ok_or_else(|| Refusal::invalid("roles", "Roles are: administrator, privacy_officer, record_officer."))?;
        roles.0 |= role.0;
    }
    Ok(Some(roles))
}

/// The names of the roles held.
#[must_use]
pub fn role_names(roles: Roles) -> Value {
    Roles::NAMES.iter().filter(|(_, role)| roles.has(*role)).map(|(name, _)| Value::from(*name)).collect()
}

/// `user.add`
pub struct NewAccount {
    pub handle: String,
    pub name: String,
    pub kind: PersonKind,
    pub profession: Option<String>,
    pub organization: Option<String>,
    pub roles: Roles,
    pub password_hash: Option<String>,
}

impl NewAccount {
    pub fn parse(fields: Fields<'_>) -> Result<Self, Refusal> {
        let kind = fields.word("kind", PersonKind::from_text, "practitioner, patient, related_person, service")?;
        let kind = kind.unwrap_or(PersonKind::Practitioner);
        let roles = roles(fields)?.unwrap_or_default();
        if kind.is_family() && roles != Roles::default() {
            return Err(Refusal::invalid("roles", "Server roles are for staff and integrations."));
        }
        Ok(Self {
            handle: handle(fields)?,
            name: fields.required_title("name")?,
            kind,
            profession: fields.title("profession")?,
            organization: fields.title("organization")?,
            roles,
            password_hash: fields.string("password_hash")?.map(str::to_owned),
        })
    }
}

/// `user.set`: what is absent stays.
pub struct AccountChange {
    pub name: Option<String>,
    pub profession: Option<String>,
    pub organization: Option<String>,
    pub roles: Option<Roles>,
}

impl AccountChange {
    pub fn parse(fields: Fields<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            name: fields.title("name")?,
            profession: fields.title("profession")?,
            organization: fields.title("organization")?,
            roles: roles(fields)?,
        })
    }
}

/// `token.issue`
pub struct NewToken {
    pub handle: String,
    pub label: Option<String>,
    pub lasts: Micros,
    /// A token never steps up; this one was given the right to take records out from the start.
    pub exports: bool,
}

impl NewToken {
    pub fn parse(fields: Fields<'_>) -> Result<Self, Refusal> {
        let days = fields.integer("days")?.unwrap_or(TOKEN_DAYS);
        if !(1..=TOKEN_DAYS_MAX).contains(&days) {
            return Err(Refusal::invalid("days", "A token lasts 1 to 365 days."));
        }
        let label = fields.string("label")?.map(|text| bounded("label", text, TITLE_CHARS_MAX)).transpose()?;
        let allow = fields.strings("allow")?;
        if allow.iter().any(|name| name != "export") {
            // `administration` is reserved: accounts and keys are not administered over the wire.
            return Err(Refusal::invalid("allow", "A token may be allowed: export."));
        }
        Ok(Self { handle: known_handle(fields)?, label, lasts: days * DAY, exports: !allow.is_empty() })
    }
}

/// The handle of an account that should be there.
pub fn known_handle(fields: Fields<'_>) -> Result<String, Refusal> {
    fields.string("handle")?.map(folded).ok_or_else(|| Refusal::invalid("handle", "This field is required."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(data: Value) -> Result<NewAccount, Refusal> {
        NewAccount::parse(Fields(data.as_object().unwrap()))
    }

    #[test]
    fn a_handle_is_short_and_plain() {
        for handle in ["m", "mlindqvist", "Åsa.Öberg", "a-b_c@ward+1"] {
            assert_eq!(parsed(json!({"handle": handle, "name": "N"})).unwrap().handle, handle);
        }
        for handle in ["", "two words", "a/b", "a\nb", &"a".repeat(65)] {
            assert_eq!(parsed(json!({"handle": handle, "name": "N"})).err().unwrap().field, Some("handle"));
        }
    }

    #[test]
    fn roles_are_for_staff() {
        let roles = json!(["administrator", "record_officer"]);
        let staff = parsed(json!({"handle": "a", "name": "N", "roles": roles})).unwrap();
        assert_eq!(role_names(staff.roles), roles);
        let family = parsed(json!({"handle": "a", "name": "N", "kind": "patient", "roles": roles}));
        assert_eq!(family.err().unwrap().field, Some("roles"));
        assert_eq!(parsed(json!({"handle": "a", "name": "N", "roles": ["root"]})).err().unwrap().field, Some("roles"));
        assert_eq!(parsed(json!({"handle": "a", "name": "N", "kind": "robot"})).err().unwrap().field, Some("kind"));
    }

    #[test]
    fn a_token_lasts_a_year_at_most() {
        let lasts = |data: Value| NewToken::parse(Fields(data.as_object().unwrap())).map(|token| token.lasts);
        assert_eq!(lasts(json!({"handle": "a"})).unwrap(), 90 * DAY);
        assert_eq!(lasts(json!({"handle": "a", "days": 365})).unwrap(), 365 * DAY);
        for days in [0, -1, 366, i64::MAX] {
            assert_eq!(lasts(json!({"handle": "a", "days": days})).unwrap_err().field, Some("days"));
        }
        assert_eq!(lasts(json!({"handle": "a", "allow": ["administration"]})).unwrap_err().field, Some("allow"));
    }
}
