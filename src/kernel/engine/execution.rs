//! One command run inside a batch, and what its stop means.

use serde_json::Value;

use super::ledger::Ledger;
use super::write::{SeenKeys, Write};
use super::{Command, CommandKey, Data, Shared};
use crate::kernel::base::{Code, Fault, Micros, Refusal, Stop};
use crate::kernel::crypto;
use crate::kernel::policy::Subject;
use crate::kernel::policy::audit::Draft;

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

/// Runs a command. A fault means the transaction is over.
pub(super) async fn run(
    ledger: &mut Ledger,
    command: &Command,
    now: Micros,
    seen: &mut SeenKeys,
) -> Result<(Outcome, Draft), Fault> {
    let mut audit = Draft::of(&command.subject, command.op.name);
    audit.category = command.op.category;
    if let Err(refusal) = still_holds(ledger.shared(), &command.subject, now) {
        let audit = Draft { outcome: refusal.code.text(), ..audit };
        return Ok((Outcome::Refused(refusal), audit));
    }
    let mut cx = Write::new(ledger, &command.subject, now, command.key, seen, audit);
    let stop = match command.feature.write(&mut cx, command.op.name, &command.data).await {
        Ok(reply) => match cx.finish(reply) {
            Ok((answer, audit)) => return Ok((Outcome::Done(answer), audit)),
            Err(stop) => return Err(fault_of(stop)),
        },
        Err(stop) => stop,
    };
    match stop {
        Stop::Refused(refusal) if cx.changed() => {
            tracing::error!(
                op = command.op.name,
                code = refusal.code.text(),
                "A command was refused after it had written"
            );
            Err(Fault::Defect("refused after a write"))
        }
        Stop::Refused(refusal) => {
            let audit = Draft { outcome: refusal.code.text(), ..std::mem::take(&mut cx.audit) };
            Ok((Outcome::Refused(refusal), audit))
        }
        Stop::Failed(fault) => Err(fault),
    }
}

fn fault_of(stop: Stop) -> Fault {
    match stop {
        Stop::Failed(fault) => fault,
        Stop::Refused(_) => Fault::Defect("an answer was refused"),
    }
}

/// Whether the account and the session a command came by still hold: it may have waited since it was let in.
pub(super) fn still_holds(shared: &Shared, subject: &Subject, now: Micros) -> Result<(), Refusal> {
    let active = shared.book.person(subject.user).is_some_and(|person| person.active);
    let session = subject.session.is_none_or(|id| shared.book.session(id).is_some_and(|session| session.holds(now)));
    if (active && session) || subject.command_line {
        return Ok(());
    }
    Err(Refusal::new(Code::Unauthenticated).detail("The session has ended. Sign in again."))
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
        // The text of a database error may quote a value: only its code is shown.
        Fault::Database(error) => {
            let code = error
                .as_database_error()
                .and_then(|error| error.code().map(std::borrow::Cow::into_owned))
                .unwrap_or_default();
            tracing::error!(op, database.code = %code, "The database failed");
        }
        other => tracing::error!(op, error = %other, "A command failed"),
    }
}
