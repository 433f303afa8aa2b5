//! One command run inside a batch, and what its stop means.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use serde_json::Value;

use super::ledger::Ledger;
use super::write::{SeenKeys, Write};
use super::{Command, CommandKey, Data, Shared};
use crate::kernel::base::{Code, Fault, Micros, Refusal, Stop};
use crate::kernel::crypto;
use crate::kernel::policy::audit::Draft;
use crate::kernel::policy::{PersonKind, Roles, Subject};
use crate::kernel::store::OpenError;

/// How a command ended inside its batch; only the commit makes it true.
pub enum Outcome {
    /// The answer.
    Done(Value),
    /// The refusal.
    Refused(Refusal),
}

/// Takes `key` out of `data` and makes the MAC of the rest.
pub(super) fn take_key(shared: &Shared, op: &str, data: &mut Data) -> Result<Option<CommandKey>, Refusal> {
    let wrong = || Refusal::invalid("key", "`key` is a UUID drawn by the client for this command.");
    let key = match data.remove("key") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.len() == 36 => text.parse().map_err(|_| wrong())?,
        Some(_) => return Err(wrong()),
    };
    let system = shared.vault.keyring().system().map_err(|fault| Stop::Failed(fault).refusal())?;
    // Moved out and back: the MAC wants a value, the command its map.
    let value = Value::Object(std::mem::take(data));
    let mac = crypto::command_mac(&system, op, &crypto::canonical(&value));
    if let Value::Object(members) = value {
        *data = members;
    }
    Ok(Some(CommandKey { key, mac, mac_version: system.version }))
}

/// The MAC of a command under an older version of the system key: what a key of before its rotation is compared with.
pub(super) fn mac_at(shared: &Shared, version: u32, command: &Command) -> Result<[u8; 32], Fault> {
    let system = shared.vault.keyring().system_at(version)?;
    Ok(crypto::command_mac(&system, command.op.name, &crypto::canonical(&Value::Object(command.data.clone()))))
}

/// Runs what a feature does; a panic of it is a defect that ends this command and no other. Where it happened is logged by the hook of
/// the process; what it said is not repeated here.
pub(super) async fn guarded<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(Fault::Defect("a feature panicked").into()))
}

/// Runs a command. A fault means the transaction is over.
pub(super) async fn run(
    ledger: &mut Ledger,
    command: &Command,
    now: Micros,
    seen: &mut SeenKeys,
) -> Result<(Outcome, Draft), Fault> {
    let mut audit = Draft::of(&command.subject, command.op.name);
    audit.category = command.op.category;
    let subject = match in_batch(ledger, &command.subject, now).await? {
        Ok(subject) => subject,
        Err(refusal) => {
            let audit = Draft { outcome: refusal.code.text(), ..audit };
            return Ok((Outcome::Refused(refusal), audit));
        }
    };
    let mut cx = Write::new(ledger, &subject, command, now, seen, audit);
    let done = guarded(async {
        let reply = command.feature.write(&mut cx, command.op.name, &command.data).await?;
        Ok(cx.finish(reply)?)
    })
    .await;
    match done {
        Ok(answer) => Ok((Outcome::Done(answer), std::mem::take(&mut cx.audit))),
        Err(Stop::Refused(refusal)) if cx.changed() => {
            tracing::error!(
                op = command.op.name,
                code = refusal.code.text(),
                "A command was refused after it had written"
            );
            Err(Fault::Defect("refused after a write"))
        }
        Err(Stop::Refused(refusal)) => {
            let audit = Draft { outcome: refusal.code.text(), ..std::mem::take(&mut cx.audit) };
            Ok((Outcome::Refused(refusal), audit))
        }
        Err(Stop::Failed(fault)) => Err(fault),
    }
}

/// The subject as its account stands now, if account and session still hold: it may have waited, or stayed connected, since it was let
/// in.
pub(super) fn current(shared: &Shared, subject: &Subject, now: Micros) -> Result<Subject, Refusal> {
    if subject.command_line {
        return Ok(subject.clone());
    }
    let person = shared.book.person(subject.user).filter(|person| person.active).ok_or_else(ended)?;
    if subject.session.is_some_and(|id| !shared.book.session(id).is_some_and(|session| session.holds(now))) {
        return Err(ended());
    }
    Ok(Subject { kind: person.kind, roles: person.roles, ..subject.clone() })
}

/// As [`current`], with what earlier commands of the same batch did to account and session: memory learns of that with the commit.
async fn in_batch(ledger: &mut Ledger, subject: &Subject, now: Micros) -> Result<Result<Subject, Refusal>, Fault> {
    if subject.command_line {
        return Ok(Ok(subject.clone()));
    }
    if subject.session.is_some_and(|session| ledger.news.ended.contains(&session)) {
        return Ok(Err(ended()));
    }
    let Some(row) = ledger.changed_person(subject.user).await? else {
        return Ok(current(ledger.shared(), subject, now));
    };
    let kind = PersonKind::from_number(row.kind).ok_or(Fault::Integrity("unknown kind of person"))?;
    if !row.active {
        return Ok(Err(ended()));
    }
    Ok(current(ledger.shared(), subject, now).map(|held| Subject { kind, roles: Roles(row.roles), ..held }))
}

fn ended() -> Refusal {
    Refusal::new(Code::Unauthenticated).detail("The session has ended. Sign in again.")
}

/// What the caller is told; a failure of ours is logged here, once.
pub(super) fn refusal_of(stop: &Stop, op: &str) -> Refusal {
    if let Stop::Failed(fault) = stop {
        log_fault(fault, op);
    }
    stop.refusal()
}

pub(super) fn log_fault(fault: &Fault, op: &str) {
    metrics::counter!("carethread_faults_total").increment(1);
    match fault {
        // Settings and versions, by name.
        Fault::Database(sqlx::Error::Configuration(reason)) if reason.is::<OpenError>() => {
            tracing::error!(op, reason = %reason, "The database cannot be used");
        }
        // The text of a database error may quote a value: only its kind and code are shown.
        Fault::Database(error) => {
            let code = error
                .as_database_error()
                .and_then(|error| error.code().map(std::borrow::Cow::into_owned))
                .unwrap_or_default();
            tracing::error!(op, database.kind = kind_of(error), database.code = %code, "The database failed");
        }
        other => tracing::error!(op, error = %other, "A command failed"),
    }
}

const fn kind_of(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Database(_) => "statement",
        sqlx::Error::Io(_) => "io",
        sqlx::Error::Tls(_) => "tls",
        sqlx::Error::Protocol(_) => "protocol",
        sqlx::Error::RowNotFound => "row_not_found",
        sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => "column",
        sqlx::Error::PoolTimedOut => "pool_timed_out",
        sqlx::Error::PoolClosed => "pool_closed",
        sqlx::Error::WorkerCrashed => "worker_crashed",
        _ => "other",
    }
}
