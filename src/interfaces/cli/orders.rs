//! From what was typed to what is ordered: words of the wire, files read, passwords taken from standard input.

use std::io::BufRead;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::arguments::{Export, Keys, Patient, Report, Table, Task, Team, Token, User, UserAdd as UserTyped, Verify};
use super::commands::{self, Command, File, Pull, TeamAdd, TokenIssue, UserAdd};

/// Bytes of a line on standard input: a password has 128 characters at most.
const LINE_BYTES_MAX: u64 = 4096;

/// The order of a task that runs on an open deployment.
///
/// # Errors
/// A file or standard input cannot be read.
pub fn command(task: Task) -> anyhow::Result<Command> {
    Ok(match task {
        Task::User(User::Add(add)) => Command::UserAdd(user_add(add)?),
        Task::User(User::List) => Command::UserList,
        Task::User(User::Suspend(of)) => Command::UserSuspend(of.handle),
        Task::User(User::Restore(of)) => Command::UserRestore(of.handle),
        Task::User(User::Email(of)) => Command::UserEmail { handle: of.handle, add: of.add, remove: of.remove },
        Task::User(User::Identifier(of)) => {
            Command::UserIdentifier { handle: of.handle, add: of.add, remove: of.remove }
        }
        Task::User(User::Password(of)) => Command::UserPassword { handle: of.handle, password: password()? },
        Task::Token(Token::Issue(typed)) => {
            let allow = typed.allow.iter().map(word).collect();
            Command::TokenIssue(TokenIssue { user: typed.user, label: typed.label, days: typed.days, allow })
        }
        Task::Token(Token::List { user }) => Command::TokenList(user),
        Task::Token(Token::Revoke { id }) => Command::TokenRevoke(id),
        Task::Patient(Patient::Import { files }) => Command::PatientImport(read(&files)?),
        Task::Patient(Patient::Pull { target, patient }) => Command::PatientPull(Pull { target, patient }),
        Task::Patient(Patient::List) => Command::PatientList,
        Task::Team(Team::Add(typed)) => {
            let mut responsibilities: Vec<String> = typed.responsibility.iter().map(word).collect();
            if typed.lead && !responsibilities.iter().any(|held| held == "lead") {
                responsibilities.push("lead".into());
            }
            let (patient, user, role) = (typed.patient, typed.user, typed.role);
            Command::TeamAdd(TeamAdd { patient, user, role, responsibilities, family: typed.family })
        }
        Task::Report(Report::WrongPatient { patient }) => Command::ReportWrongPatient(patient),
        Task::Report(Report::Disclosures { patient, format, from, to }) => {
            Command::ReportDisclosures(commands::Disclosures { patient, fhir: format == Table::Fhir, from, to })
        }
        Task::Keys(Keys::Status) => Command::KeysStatus,
        Task::Keys(Keys::Public) => Command::KeysPublic,
        Task::Verify(Verify { key, .. }) => Command::VerifyRecord(key),
        Task::Init(_)
        | Task::Serve(_)
        | Task::Export(_)
        | Task::Bench(_)
        | Task::Demo(_)
        | Task::Config(_)
        | Task::Doctor { .. } => {
            bail!("This task is run before.")
        }
    })
}

/// What is asked of an export.
pub fn export(typed: Export) -> commands::Export {
    commands::Export {
        patient: typed.patient,
        format: typed.format.map(|format| format.text().to_owned()).unwrap_or_default(),
        target: typed.target,
        attest: typed.attest,
        dry_run: typed.dry_run,
        items: typed.item,
        classes: typed.class,
        entries: typed.entry,
        since_last: typed.since.is_some(),
        channels: typed.channel,
        from: typed.from,
        to: typed.to,
        with_patient: typed.with_patient,
        purpose: typed.purpose,
        export: typed.export,
        watched: false,
        path: typed.out.map(|out| out.display().to_string()).unwrap_or_default(),
    }
}

fn user_add(typed: UserTyped) -> anyhow::Result<UserAdd> {
    let mut roles: Vec<String> = typed.role.iter().map(word).collect();
    if typed.administrator && !roles.iter().any(|role| role == "administrator") {
        roles.push("administrator".into());
    }
    let password = if typed.password_stdin { Some(password()?) } else { None };
    let UserTyped { handle, name, kind, profession, organization, email, identifier: identifiers, .. } = typed;
    Ok(UserAdd { handle, name, kind: word(&kind), profession, organization, roles, password, email, identifiers })
}

/// As on the wire.
fn word<T: ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The first line of standard input, without its end.
fn password() -> anyhow::Result<String> {
    let mut line = String::new();
    let stdin = std::io::stdin().lock();
    std::io::Read::take(stdin, LINE_BYTES_MAX)
        .read_line(&mut line)
        .context("The password cannot be read from stdin")?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        bail!("There is no password on stdin.");
    }
    Ok(line.to_owned())
}

fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<File>> {
    let file = |path: &PathBuf| {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(File::new(&path.display().to_string(), &bytes))
    };
    paths.iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::arguments::Arguments;
    use super::*;

    fn typed(line: &str) -> Result<Command, clap::Error> {
        let arguments = Arguments::try_parse_from(std::iter::once("carethread").chain(line.split(' ')))?;
        Ok(command(arguments.task).unwrap())
    }

    #[test]
    fn words_are_those_of_the_wire() {
        let line = "user add --handle h --name N --kind related_person --role privacy_officer --administrator --json";
        let Command::UserAdd(add) = typed(line).unwrap() else { panic!("another command") };
        assert_eq!(
            (add.kind.as_str(), add.roles),
            ("related_person", vec!["privacy_officer".into(), "administrator".into()])
        );
        let line = "team add --patient P --user h --role Nurse --lead --responsibility plan --data d";
        let Command::TeamAdd(add) = typed(line).unwrap() else { panic!("another command") };
        assert_eq!(add.responsibilities, ["plan", "lead"]);
    }

    #[test]
    fn wrong_words_are_usage() {
        for line in [
            "user add --handle h",
            "user add --handle h --name N --kind robot",
            "verify",
            "verify p --record",
            "nothing",
        ] {
            assert_eq!(typed(line).err().unwrap().exit_code(), 2, "{line}");
        }
        assert_eq!(typed("--version").err().unwrap().exit_code(), 0);
    }

    #[test]
    fn the_arguments_are_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
