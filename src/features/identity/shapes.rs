//! What the ops of identity take and answer, as types for the published documents.
//! Does not know how a command is parsed; a test from outside holds what is sent against these.

use schemars::JsonSchema;
use serde::Serialize;

use crate::kernel::base::config::site::Template;
use crate::kernel::base::{SessionId, UserId};
use crate::kernel::engine::shape::Time;

/// Another password for your own account. Your other sessions end; tokens keep opening new ones.
#[derive(JsonSchema)]
pub struct ChangePassword {
    /// The password as it is.
    #[schemars(length(max = 1024))]
    pub old: String,
    /// The password from now on: not a common one, without your handle, name or organization in it.
    #[schemars(length(min = 12, max = 128))]
    pub new: String,
}

/// Ends one of your sessions, or all of them; their sockets close with 4401. A token that is ended is revoked.
#[derive(JsonSchema)]
pub struct EndSession {
    /// Which: an id, or `current`.
    pub session: Option<String>,
    /// All of them, this one too.
    pub all: Option<bool>,
}

/// How many sessions ended.
#[derive(Serialize, JsonSchema)]
pub struct Ended {
    /// Sessions that were open and are not any more.
    pub ended: u64,
}

/// What a session was opened by.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenedBy {
    /// Handle and password; ends after some minutes without activity.
    Password,
    /// A personal access token: the token is the session.
    Token,
}

/// One of your open sessions.
#[derive(Serialize, JsonSchema)]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// What it was opened by.
    pub kind: OpenedBy,
    /// What it was called when it was made.
    pub label: Option<String>,
    /// When it was opened.
    #[schemars(with = "Time")]
    pub created_at: String,
    /// When something was last done in it.
    #[schemars(with = "Time")]
    pub active_at: String,
    /// When it ends at the latest.
    #[schemars(with = "Time")]
    pub expires_at: String,
    /// It is the one this was asked in.
    pub current: bool,
}

/// Your open sessions.
#[derive(Serialize, JsonSchema)]
pub struct Sessions {
    /// Each of them.
    pub sessions: Vec<Session>,
}

/// A token or a password; `code` where a second factor is enrolled.
#[derive(JsonSchema)]
#[schemars(extend("anyOf" = [{"required": ["token"]}, {"required": ["handle", "password"]}]))]
pub struct SignIn {
    /// A personal access token or the token of a session.
    pub token: Option<String>,
    /// Of an account.
    pub handle: Option<String>,
    /// Of that account.
    pub password: Option<String>,
    /// The second factor.
    pub code: Option<String>,
}

/// Who is signed in, and until when.
#[derive(Serialize, JsonSchema)]
pub struct SignedInAs {
    /// The account.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// When it ends at the latest.
    #[schemars(with = "Time")]
    pub expires_at: String,
}

/// Looks for people by a part of their name or handle.
#[derive(JsonSchema)]
pub struct FindUser {
    /// Two letters or more; case does not matter.
    #[schemars(length(min = 2, max = 200))]
    pub query: String,
}

/// Somebody with an account.
#[derive(Serialize, JsonSchema)]
pub struct FoundUser {
    /// The account.
    pub id: UserId,
    /// What they sign in with.
    pub handle: String,
    /// Their name.
    pub name: String,
    /// What the account stands for.
    pub kind: String,
    /// Profession, in the organization's words.
    pub profession: Option<String>,
    /// Where they work.
    pub organization: Option<String>,
}

/// Who was found.
#[derive(Serialize, JsonSchema)]
pub struct Found {
    /// The best match first.
    pub users: Vec<FoundUser>,
    /// There are more: look for more letters.
    pub more: bool,
}

/// What the site tells its people.
#[derive(Serialize, JsonSchema)]
pub struct SiteFacts {
    /// The organization that owns the deployment.
    pub organization: Option<String>,
    /// What patients and families call when it cannot wait.
    pub emergency_number: Option<String>,
    /// Beginnings of messages; none for patients and family.
    pub templates: Vec<Template>,
}
