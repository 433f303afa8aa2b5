//! The commands that run on an open deployment: in the server that holds it, or alone.
//! Each goes through the engine as everybody's does; what it answers is ready to be printed.

mod export;
mod filing;
mod keys;
mod patient;
mod record;
mod report;
mod team;
mod token;
mod user;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::features::chart::Out;
use crate::kernel::base::{Fault, Refusal, Stop};
use crate::kernel::engine::Data;
use crate::kernel::policy::Subject;
use crate::server::Node;

/// A command with its author: what travels over `control.sock`. Holds passwords, hence no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct Order {
    /// The author's handle; the built-in `operator` otherwise.
    pub by: Option<String>,
    /// What to do.
    pub command: Command,
}

/// What can be done on an open deployment.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// `user add`
    UserAdd(user::Add),
    /// `user list`
    UserList,
    /// `user suspend`
    UserSuspend(String),
    /// `user restore`
    UserRestore(String),
    /// `user email`: adds, removes, or lists
    UserEmail {
        /// Whose.
        handle: String,
        /// One more.
        add: Option<String>,
        /// One less.
        remove: Option<String>,
    },
    /// `user identifier`: adds, removes, or lists
    UserIdentifier {
        /// Whose.
        handle: String,
        /// One more.
        add: Option<String>,
        /// One less.
        remove: Option<String>,
    },
    /// `user password`
    UserPassword {
        /// Whose.
        handle: String,
        /// The new one.
        password: String,
    },
    /// `token issue`
    TokenIssue(token::Issue),
    /// `token list`, of one handle or of all
    TokenList(Option<String>),
    /// `token revoke`
    TokenRevoke(String),
    /// `patient import`
    PatientImport(Vec<patient::File>),
    /// `patient pull`
    PatientPull(patient::Pull),
    /// `patient list`
    PatientList,
    /// `team add`
    TeamAdd(team::Add),
    /// `export`
    Export(Export),
    /// `verify --record`, pinning a signer
    VerifyRecord(Option<String>),
    /// `report wrong-patient`, of one patient or of all
    ReportWrongPatient(Option<String>),
    /// `report disclosures`
    ReportDisclosures(Disclosures),
    /// `keys status`
    KeysStatus,
    /// `keys public`
    KeysPublic,
    /// How the server is; asked by `doctor`, answered sealed too.
    Status,
}

/// What a command came to.
#[derive(Serialize, Deserialize, Default, Debug)]
pub struct Answer {
    /// The object of `--json`.
    pub object: Value,
    /// The lines for a person.
    pub lines: Vec<String>,
    /// Why the exit code is 1 although there is an answer.
    pub failed: Option<String>,
}

pub use export::Export;
pub use patient::{File, Pull};
pub use report::Disclosures;
pub use team::Add as TeamAdd;
pub use token::Issue as TokenIssue;
pub use user::Add as UserAdd;

/// Runs a command; the files it makes go to `out`.
///
/// # Errors
/// The refusal to be told on standard error.
pub async fn execute(node: &Node, order: Order, out: &mut dyn Out) -> Result<Answer, Refusal> {
    let done = run(node, order, out).await;
    done.map_err(|stop| {
        if let Stop::Failed(fault) = &stop {
            // The text of a database error may quote a value.
            let what = if matches!(fault, Fault::Database(_)) { "database".to_owned() } else { fault.to_string() };
            tracing::error!(error = what, "A command failed");
        }
        stop.refusal()
    })
}

async fn run(node: &Node, order: Order, out: &mut dyn Out) -> Result<Answer, Stop> {
    let Order { by, command } = order;
    let subject = user::author(node, by.as_deref()).await?;
    match command {
        Command::UserAdd(add) => user::add(node, subject, add).await,
        Command::UserList => user::list(node, subject).await,
        Command::UserSuspend(handle) => user::activity(node, subject, "user.suspend", &handle).await,
        Command::UserRestore(handle) => user::activity(node, subject, "user.restore", &handle).await,
        Command::UserEmail { handle, add, remove } => user::email(node, subject, &handle, add, remove).await,
        Command::UserIdentifier { handle, add, remove } => user::identifier(node, subject, &handle, add, remove).await,
        Command::UserPassword { handle, password } => user::password(node, subject, &handle, password).await,
        Command::TokenIssue(issue) => token::issue(node, subject, issue).await,
        Command::TokenList(handle) => token::list(node, subject, handle).await,
        Command::TokenRevoke(id) => token::revoke(node, subject, &id).await,
        Command::PatientImport(files) => patient::import(node, subject, files).await,
        Command::PatientPull(typed) => patient::pull(node, subject, typed).await,
        Command::PatientList => patient::list(node, subject).await,
        Command::TeamAdd(add) => team::add(node, subject, add).await,
        Command::Export(asked) => export::export(node, subject, asked, out).await,
        Command::VerifyRecord(key) => record::verify(node, key.as_deref()).await,
        Command::ReportWrongPatient(patient) => report::wrong_patient(node, subject, patient.as_deref()).await,
        Command::ReportDisclosures(asked) => report::disclosures(node, subject, asked).await,
        Command::KeysStatus => keys::status(node).await,
        Command::KeysPublic => keys::public(node).await,
        // A server answers it before it comes here; alone there is no server.
        Command::Status => Ok(Answer::default()),
    }
}

/// Runs an op, public or of the program itself.
async fn op(node: &Node, subject: Subject, name: &str, data: Value) -> Result<Map<String, Value>, Stop> {
    match node.engine.run_internal(subject, name, data_of(data)).await? {
        Value::Object(answer) => Ok(answer),
        _ => Ok(Map::new()),
    }
}

/// The members that are there.
fn data_of(data: Value) -> Data {
    match data {
        Value::Object(data) => data.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Data::new(),
    }
}

/// A member of an answer as text; empty when it is absent.
fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

/// Rows as aligned columns.
fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let width =
        |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(columns(&[row("a", "b"), row("åäö", "")]), ["a    b", "åäö"]);
        assert!(columns(&[]).is_empty());
    }

    #[test]
    fn an_order_crosses_the_socket_as_it_is() {
        let order =
            Order { by: Some("a".into()), command: Command::UserPassword { handle: "h".into(), password: "p".into() } };
        let bytes = serde_json::to_vec(&order).unwrap();
        let Order { command: Command::UserPassword { handle, password }, .. } = serde_json::from_slice(&bytes).unwrap()
        else {
            panic!("another command");
        };
        assert_eq!((handle.as_str(), password.as_str()), ("h", "p"));
    }
}
