//! What can be typed.

mod leaving;

use std::path::PathBuf;

pub use leaving::{Export, Report, Table};

use super::bench::arguments::Bench;
use crate::kernel::base::config::{Config as Settings, DatabaseUrl};
use crate::server::{Folder, settings};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Secure messaging for care teams.
#[derive(Parser, Debug)]
#[command(name = "carethread", version, about)]
pub struct Arguments {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub task: Task,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// The data folder
    #[arg(long, global = true, value_name = "DIR", env = "CARETHREAD_DATA", default_value = "./carethread-data")]
    pub data: PathBuf,
    /// One JSON object on stdout, nothing else
    #[arg(long, global = true)]
    pub json: bool,
    /// The configuration file; `config.toml` of the data folder if it is there
    #[arg(long, global = true, value_name = "FILE", env = "CARETHREAD_CONFIG")]
    pub config: Option<PathBuf>,
    /// A PostgreSQL URL: the record lies there, not in the data folder. Others on this machine may see what is typed: better
    /// `CARETHREAD_DATABASE_URL`, or `[database] url` in the configuration
    #[arg(long, global = true, value_name = "URL", value_parser = database)]
    pub database: Option<DatabaseUrl>,
    /// What is logged to stderr, such as `info` or `carethread=debug`
    #[arg(long, global = true, value_name = "FILTER", env = "CARETHREAD_LOG")]
    pub log: Option<String>,
    /// How it is logged
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "CARETHREAD_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// Who writes; the built-in user `operator` otherwise
    #[arg(long, global = true, value_name = "HANDLE")]
    pub by: Option<String>,
}

impl Place {
    /// The data folder that is named.
    pub fn folder(&self) -> Folder {
        Folder::new(&self.data)
    }

    /// What is in force for it.
    ///
    /// # Errors
    /// As [`settings::read`].
    pub fn settings(&self, folder: &Folder) -> anyhow::Result<Settings> {
        settings::read(folder, self.config.as_deref(), self.database.as_ref())
    }
}

/// Takes anything: a refusal here would print what was typed.
#[expect(clippy::unnecessary_wraps, reason = "what a parser of arguments looks like")]
fn database(text: &str) -> Result<DatabaseUrl, std::convert::Infallible> {
    Ok(DatabaseUrl::new(text))
}

/// How lines are logged.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Task {
    /// A server on fresh data, with sample patients and a team that talks; gone when it ends
    Demo(Demo),
    /// Make a data folder: databases, key file, certificate
    Init(Init),
    /// Serve until told to stop
    Serve(Serve),
    /// Accounts
    #[command(subcommand)]
    User(User),
    /// Personal access tokens
    #[command(subcommand)]
    Token(Token),
    /// Patients
    #[command(subcommand)]
    Patient(Patient),
    /// Care teams
    #[command(subcommand)]
    Team(Team),
    /// Take a patient's record out and file that it was
    Export(Export),
    /// What the privacy officer reviews
    #[command(subcommand)]
    Report(Report),
    /// Check a proof folder, a signed document or an ndjson file offline, or the data folder itself
    Verify(Verify),
    /// Keys
    #[command(subcommand)]
    Keys(Keys),
    /// Look at folder, configuration, port, certificate, key, disk, database, record, clock and limits: what is wrong, what to do
    Doctor(Doctor),
    /// The configuration
    #[command(subcommand)]
    Config(Config),
    /// Measure: the load generator
    #[command(subcommand)]
    Bench(Box<Bench>),
}

/// `demo`
#[derive(Args, Debug)]
pub struct Demo {
    /// Where to listen; a free port when somebody has it
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8443")]
    pub listen: String,
}

/// `doctor`
#[derive(Args, Clone, Copy, Debug)]
pub struct Doctor {
    /// Make every projection again from the log first; nothing may serve meanwhile
    #[arg(long)]
    pub rebuild: bool,
    /// Walk every page of a SQLite file, however large it is
    #[arg(long)]
    pub thorough: bool,
}

/// `init`
#[derive(Args, Debug)]
pub struct Init {
    /// The organization that owns the record: custodian of exports
    #[arg(long, value_name = "NAME")]
    pub organization: Option<String>,
}

/// `serve`
#[derive(Args, Debug)]
pub struct Serve {
    /// Where to listen; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT", env = "CARETHREAD_LISTEN", default_value = "127.0.0.1:8443")]
    pub listen: String,
    /// Take mail by LMTP there, off unless given: HOST:PORT of this machine, or unix:PATH
    #[arg(long, value_name = "ADDR")]
    pub lmtp: Option<String>,
}

/// `user ..`
#[derive(Subcommand, Debug)]
pub enum User {
    /// Make an account
    Add(UserAdd),
    /// List accounts
    List,
    /// End all sessions and refuse new ones
    Suspend(Handle),
    /// Undo `suspend`
    Restore(Handle),
    /// Set a password, read from stdin; ends all sessions
    Password(Handle),
    /// The e-mail addresses an account writes from: what is sent from one becomes a note by it
    Email(UserEmail),
    /// The numbers others know a practitioner by, such as that of a national register: exports name them first
    Identifier(UserIdentifier),
}

/// `user email`
#[derive(Args, Debug)]
pub struct UserEmail {
    /// The handle
    #[arg(long, value_name = "HANDLE")]
    pub handle: String,
    /// Register an address
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["remove", "list"])]
    pub add: Option<String>,
    /// Forget an address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "list")]
    pub remove: Option<String>,
    /// Show the addresses
    #[arg(long, required_unless_present_any = ["add", "remove"])]
    pub list: bool,
}

/// `user identifier`
#[derive(Args, Debug)]
pub struct UserIdentifier {
    /// The handle
    #[arg(long, value_name = "HANDLE")]
    pub handle: String,
    /// Register an identifier
    #[arg(long, value_name = "SYSTEM|VALUE", conflicts_with_all = ["remove", "list"])]
    pub add: Option<String>,
    /// Forget an identifier
    #[arg(long, value_name = "SYSTEM|VALUE", conflicts_with = "list")]
    pub remove: Option<String>,
    /// Show the identifiers
    #[arg(long, required_unless_present_any = ["add", "remove"])]
    pub list: bool,
}

/// Whose account.
#[derive(Args, Debug)]
pub struct Handle {
    /// The handle
    #[arg(long, value_name = "HANDLE")]
    pub handle: String,
    /// Read the password from the first line of stdin
    #[arg(long)]
    pub password_stdin: bool,
}

/// `user add`
#[derive(Args, Debug)]
pub struct UserAdd {
    /// What is typed to sign in
    #[arg(long, value_name = "HANDLE")]
    pub handle: String,
    /// The person's name
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// What the account stands for
    #[arg(long, value_enum, default_value_t = Kind::Practitioner)]
    pub kind: Kind,
    /// Such as `nurse`
    #[arg(long, value_name = "PROFESSION")]
    pub profession: Option<String>,
    /// Where the person works; made if it is not there
    #[arg(long, value_name = "NAME")]
    pub organization: Option<String>,
    /// A server role; none gives content
    #[arg(long, value_enum, value_name = "ROLE")]
    pub role: Vec<Role>,
    /// An address the person writes from: mail from it becomes notes by them
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,
    /// A number others know the practitioner by, such as `http://hl7.org/fhir/sid/us-npi|1245319599`; may be repeated
    #[arg(long, value_name = "SYSTEM|VALUE")]
    pub identifier: Vec<String>,
    /// The same as `--role administrator`
    #[arg(long)]
    pub administrator: bool,
    /// Read the password from the first line of stdin; without it the account signs in by token only
    #[arg(long)]
    pub password_stdin: bool,
}

/// What an account stands for.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[value(rename_all = "snake_case")]
pub enum Kind {
    /// A member of staff
    Practitioner,
    /// The person cared for
    Patient,
    /// Family or another person close to the patient
    #[value(alias = "related-person")]
    RelatedPerson,
    /// An integration
    Service,
}

/// A server role.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[value(rename_all = "snake_case")]
pub enum Role {
    /// Accounts, configuration, keys
    Administrator,
    /// Audit and the review of emergency access
    PrivacyOfficer,
    /// Exports without membership
    RecordOfficer,
}

/// `token ..`
#[derive(Subcommand, Debug)]
pub enum Token {
    /// Make a token; it is shown once
    Issue(TokenIssue),
    /// List tokens, never their text
    List {
        /// Of one account only
        #[arg(long, value_name = "HANDLE")]
        user: Option<String>,
    },
    /// End a token
    Revoke {
        /// Its id, as `token list` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// `token issue`
#[derive(Args, Debug)]
pub struct TokenIssue {
    /// Whose
    #[arg(long, value_name = "HANDLE")]
    pub user: String,
    /// What for
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// How long it lasts, at most 365
    #[arg(long, value_name = "N")]
    pub days: Option<u32>,
    /// What a token may not do otherwise
    #[arg(long, value_enum)]
    pub allow: Vec<Allow>,
}

/// What else than a password entered lately may give.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allow {
    /// Take records out
    Export,
}

/// `patient ..`
#[derive(Subcommand, Debug)]
pub enum Patient {
    /// Import FHIR R4 JSON: Bundles, NDJSON, single resources
    Import {
        /// The files, read together; `.ndjson` at the end of a name means one resource a line
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Read a patient's plan again from a FHIR server of the configuration
    Pull {
        /// The server: NAME of `[targets.NAME]`
        #[arg(long, value_name = "NAME")]
        target: String,
        /// The patient: an id, or `SYSTEM|VALUE` of an identifier
        #[arg(long, value_name = "P")]
        patient: String,
    },
    /// List patients
    List,
}

/// `team ..`
#[derive(Subcommand, Debug)]
pub enum Team {
    /// Add somebody to a patient's care team
    Add(TeamAdd),
}

/// `team add`
#[derive(Args, Debug)]
pub struct TeamAdd {
    /// The patient: an id, or `SYSTEM|VALUE` of an identifier
    #[arg(long, value_name = "P")]
    pub patient: String,
    /// Who
    #[arg(long, value_name = "HANDLE")]
    pub user: String,
    /// As what, in words
    #[arg(long, value_name = "ROLE")]
    pub role: String,
    /// Leads the team
    #[arg(long)]
    pub lead: bool,
    /// Patient or family: sees what is shared
    #[arg(long)]
    pub family: bool,
    /// What they may do besides
    #[arg(long, value_enum, value_name = "RESPONSIBILITY")]
    pub responsibility: Vec<Responsibility>,
}

/// What a member may do besides reading and writing.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Responsibility {
    /// Leads the team
    Lead,
    /// Changes the plan
    Plan,
    /// Changes barriers
    Barriers,
}

/// `verify`
#[derive(Args, Debug)]
pub struct Verify {
    /// A proof folder, a document or an ndjson file
    #[arg(value_name = "PATH", required_unless_present = "record", conflicts_with = "record")]
    pub path: Option<PathBuf>,
    /// Walk every chain of the data folder
    #[arg(long)]
    pub record: bool,
    /// The signer must be this one: NAME+HASH+KEY for a proof, the key's thumbprint (`kid`) for a document
    #[arg(long, value_name = "NAME+HASH+KEY")]
    pub key: Option<String>,
}

/// `keys ..`
#[derive(Subcommand, Debug)]
pub enum Keys {
    /// Which keys are there, and under which key-encryption key
    Status,
    /// The public keys, a JWK set
    Public,
}

/// `config ..`
#[derive(Subcommand, Debug)]
pub enum Config {
    /// Read the configuration and say what is wrong
    Check,
    /// Show what is in force
    Print,
}
