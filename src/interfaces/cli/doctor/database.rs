//! The database, the key that opens what it holds, and the record in it.

use super::super::alone;
use super::super::commands::{Command, Order};
use super::super::paper::Nowhere;
use super::Patient;
use super::check::Check;
use crate::kernel::crypto::KeyFileError;
use crate::kernel::store::look::{self, Look, Server};
use crate::kernel::store::{Location, Schema};
use crate::server::node;
use crate::server::record::Record;

const MISSING: &str = "Put it back from its copy: without it nothing can be read, and the server is sealed";
const VERIFY: &str = "`carethread verify --record` says where; put the record back from a copy that holds";
/// A log that is longer was not written back for long.
const LOG_LONG: u64 = 256 << 20;
/// Connections that should be left for one more server and an administrator.
const CONNECTIONS_LEFT: i64 = 25;

/// Both databases as they are; nothing of the record's when it cannot be reached.
pub async fn look(patient: &Patient, thorough: bool) -> (Option<Look>, Vec<Check>) {
    let record = match Record::of(&patient.folder, &patient.config) {
        Ok(record) => record,
        Err(error) => {
            let mend = "Have folder and configuration name the same database";
            return (None, vec![Check::problem("database", format!("{error:#}"), mend)]);
        }
    };
    let mut checks = Vec::new();
    let mut found = None;
    for (location, schema) in [(&record.record, Schema::Record), (&record.keys, Schema::Keys)] {
        let (name, version) = match schema {
            Schema::Record => ("database", "schema"),
            Schema::Keys => ("database_keys", "schema_keys"),
        };
        match look::look(location, schema, thorough).await {
            Err(error) => {
                let mend = match location {
                    Location::File(_) => {
                        "Put the file back from a backup if it is damaged; run it as the user that serves"
                    }
                    Location::Postgres(_) => {
                        "Is the server up, does the URL name it, may the role connect (pg_hba.conf)?"
                    }
                };
                checks.push(Check::problem(name, format!("{} cannot be read: {error}", called(&record, schema)), mend));
            }
            Ok(look) => {
                checks.extend(judged(name, &look));
                checks.push(schema_of(version, look.schema, schema));
                found = found.or(Some(look).filter(|_| schema == Schema::Record));
            }
        }
    }
    (found, checks)
}

fn called(record: &Record, schema: Schema) -> &'static str {
    match schema {
        Schema::Record => record.record_name(),
        Schema::Keys => record.keys_name(),
    }
}

fn judged(name: &'static str, look: &Look) -> Vec<Check> {
    let mut checks = Vec::new();
    for setting in look.settings.iter().filter(|setting| !setting.fit) {
        let found =
            format!("{} runs with {} = {}: replied writes can be lost", look.version, setting.name, setting.found);
        checks.push(Check::problem(name, found, format!("It has to be {}", setting.wanted)));
    }
    if let Some(walked) = look.walked.as_ref().filter(|walked| *walked != "ok") {
        // The text names pages and tables, never what is in them.
        let mend = "Stop the server and put the file back from a backup";
        checks.push(Check::problem(name, format!("The file is damaged: {walked}"), mend));
    }
    if look.bytes.1 > LOG_LONG {
        let found = format!("Its write-ahead log has {} MiB", look.bytes.1 >> 20);
        checks.push(Check::warning(
            name,
            found,
            "A reader may keep it from being written back: look for backups or exports that hang",
        ));
    }
    checks.extend(look.server.iter().flat_map(|server| of_server(name, server)));
    if checks.is_empty() {
        checks.push(Check::ok(name, described(look)));
    }
    checks
}

fn described(look: &Look) -> String {
    match &look.server {
        Some(server) => {
            format!(
                "{}, {} of {} connections in use, settings as they have to be",
                look.version, server.connections, server.connections_max
            )
        }
        None => {
            let walked =
                if look.walked.is_some() { "no page is damaged" } else { "not walked: it is large, --thorough does" };
            let (bytes, log) = look.bytes;
            format!("{}, {} MiB and {} MiB of write-ahead log, {walked}", look.version, bytes >> 20, log >> 20)
        }
    }
}

fn of_server(name: &'static str, server: &Server) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut warn = |found: String, mend: &str| checks.push(Check::warning(name, found, mend));
    if !server.encrypted && !server.local {
        let mend = "Add ?sslmode=verify-full&sslrootcert=FILE to the URL";
        warn("The connection to the database server is not encrypted".into(), mend);
    }
    if server.superuser {
        let mend =
            "Let a role of its own own the database: a superuser can switch off what keeps entries from being changed";
        warn("The role is a superuser".into(), mend);
    }
    if server.connections_max - server.connections < CONNECTIONS_LEFT {
        let found = format!("{} of {} connections are in use", server.connections, server.connections_max);
        warn(found, "Raise max_connections, or find out who holds them: pg_stat_activity");
    }
    if server.standbys > 0 && !server.waits_for_standby {
        let found = format!("No commit waits for the {} standbys: a failover may lose replied writes", server.standbys);
        warn(found, "Set synchronous_standby_names");
    }
    checks
}

fn schema_of(name: &'static str, found: Option<i64>, schema: Schema) -> Check {
    let known = schema.migrations().last().map_or(-1, |last| last.number);
    match found {
        None => {
            Check::problem(name, "There are no tables", "`carethread init` was cut short: repeat it on an empty folder")
        }
        Some(found) if found > known => {
            let said = format!("It has schema {found}, this program knows up to {known}");
            Check::problem(name, said, "Use the version that served last, or a newer one")
        }
        Some(found) if found < known => {
            let said = format!("It has schema {found}, this program brings {known}");
            Check::warning(name, said, "The next start migrates it, and older versions then refuse it: back up before")
        }
        Some(found) => Check::ok(name, format!("{found}, the newest this program knows")),
    }
}

/// Whether its schema is the one this program works with, so that opening it changes nothing.
fn is_current(look: &Look) -> bool {
    look.schema == Schema::Record.migrations().last().map(|last| last.number)
}

/// The key-encryption key, alone and against what it has to open.
pub async fn keys(patient: &Patient, look: Option<&Look>) -> Vec<Check> {
    let (folder, config) = (&patient.folder, &patient.config);
    let path = folder.kek();
    let mend = match node::provider(folder, config, 1) {
        Ok(_) => None,
        Err(KeyFileError::Missing) => Some(format!("{MISSING} ({})", path.display())),
        Err(KeyFileError::Mode(_)) => Some(format!("chmod 0400 {}", path.display())),
        Err(KeyFileError::Owner { wanted, .. }) => {
            Some(format!("chown {wanted} {}, or run it as its owner", path.display()))
        }
        Err(KeyFileError::Length | KeyFileError::Io(_)) => Some("Put it back from its copy".to_owned()),
    };
    if let Some(mend) = mend {
        let error = node::provider(folder, config, 1).err().map(|error| error.to_string()).unwrap_or_default();
        return vec![Check::problem("key", error, mend)];
    }
    if !look.is_some_and(is_current) {
        return vec![Check::warning(
            "key",
            "It is there; what it opens was not looked at",
            "See `database` and `schema`",
        )];
    }
    vec![match node::key_opens(folder, config).await {
        Ok(()) => Check::ok("key", "It is its owner's alone and opens the signer"),
        Err(error) => {
            Check::problem("key", format!("{error:#}"), "Put the key of this deployment there, from its copy")
        }
    }]
}

/// The record, opened by whoever holds it.
pub async fn record(patient: &Patient, look: Option<&Look>) -> Option<Check> {
    if !look.is_some_and(is_current) {
        return Some(Check::warning("record", "It was not opened", "See `database` and `schema`"));
    }
    if patient.server.as_ref().is_some_and(|server| server.sealed)
        || node::provider(&patient.folder, &patient.config, 1).is_err()
    {
        return Some(Check::warning("record", "It was not opened: there is no key", "See `key`"));
    }
    if let Some(server) = patient.server.as_ref().filter(|server| server.channels_held > 0 || server.suspect) {
        let rest = if server.suspect { ", and audit or site log do not" } else { "" };
        let found = format!("{} channels do not hold and take no writes{rest}", server.channels_held);
        return Some(Check::problem("record", found, VERIFY));
    }
    let order = Order { by: None, command: Command::KeysStatus };
    Some(match alone::run(&patient.place, order, &mut Nowhere).await {
        Ok(_) if patient.server.is_some() => Check::ok("record", "The server has it open with its keys"),
        Ok(_) => Check::ok("record", "Its keys open, and its newest entries hold"),
        Err(error) => Check::problem("record", format!("{error:#}"), VERIFY),
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;
    use crate::kernel::store::look::Setting;

    fn server() -> Server {
        Server {
            encrypted: true,
            local: false,
            superuser: false,
            connections: 5,
            connections_max: 100,
            standbys: 0,
            waits_for_standby: false,
        }
    }

    #[test]
    fn a_server_is_judged_by_what_it_could_lose_or_show() {
        let states = |change: &dyn Fn(&mut Server)| {
            let mut server = server();
            change(&mut server);
            of_server("database", &server).len()
        };
        assert_eq!(states(&|_| {}), 0);
        assert_eq!(states(&|server| server.encrypted = false), 1);
        assert_eq!(states(&|server| (server.encrypted, server.local) = (false, true)), 0);
        assert_eq!(states(&|server| server.superuser = true), 1);
        assert_eq!(states(&|server| server.connections = 90), 1);
        assert_eq!(states(&|server| server.standbys = 1), 1);
        assert_eq!(states(&|server| (server.standbys, server.waits_for_standby) = (1, true)), 0);
    }

    #[test]
    fn a_setting_that_is_not_fit_and_a_damaged_page_are_problems() {
        let fsync = Setting { name: "fsync", found: "off".into(), wanted: "on", fit: false };
        let look = Look { settings: vec![fsync], walked: Some("Page 7: never used".into()), ..Look::default() };
        let checks = judged("database", &look);
        assert!(checks.len() == 2 && checks.iter().all(|check| check.state == State::Problem), "{checks:?}");
        assert_eq!(checks[0].mend.as_deref(), Some("It has to be on"));
        assert_eq!(judged("database", &Look { walked: Some("ok".into()), ..Look::default() })[0].state, State::Ok);
    }

    #[test]
    fn a_schema_is_older_the_same_or_newer() {
        let known = Schema::Record.migrations().last().unwrap().number;
        let states = [None, Some(known - 1), Some(known), Some(known + 1)]
            .map(|found| schema_of("schema", found, Schema::Record).state);
        assert_eq!(states, [State::Problem, State::Warning, State::Ok, State::Problem]);
    }
}
