//! The clock: against the newest entry, against the database's, and whether something keeps it right.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::check::Check;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Micros, World};
use crate::kernel::store::look::Look;

const SECOND: Micros = 1_000_000;
/// More than this is not the time between two looks.
const APART: Micros = 2 * SECOND;
/// systemd-timesyncd(8) makes it once the clock is set.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
const KEEP_RIGHT: &str = "Run chrony or systemd-timesyncd: timedatectl set-ntp true";

/// All that can be said of it.
pub async fn clocks(record: Option<&Look>) -> Vec<Check> {
    let mut checks = Vec::new();
    let now = World::system().now();
    if let Some(look) = record {
        checks.push(against_record(now, look.newest_at));
        checks.extend(look.clock.map(|clock| against_database(now, clock)));
    }
    checks.push(kept(synchronized().await));
    checks
}

fn against_record(now: Micros, newest: Option<Micros>) -> Check {
    let Some(newest) = newest else {
        return Check::ok("clock", format!("{}; the record is empty", rfc3339(now)));
    };
    let behind = newest - now;
    if behind > APART {
        let found = format!("The clock is {} s behind the newest entry, of {}", behind / SECOND, rfc3339(newest));
        return Check::problem(
            "clock",
            found,
            "Set it right. Order is kept meanwhile, but all entries get that same time",
        );
    }
    Check::ok("clock", format!("{}; the newest entry is of {}", rfc3339(now), rfc3339(newest)))
}

fn against_database(now: Micros, database: Micros) -> Check {
    let apart = (now - database).abs();
    if apart > APART {
        let found = format!("It differs by {} s from the clock of the database server", apart / SECOND);
        return Check::warning("clock_database", found, "Have both kept by the same time servers");
    }
    Check::ok("clock_database", "It agrees with the clock of the database server")
}

fn kept(synchronized: Option<bool>) -> Check {
    match synchronized {
        Some(true) => Check::ok("clock_kept", "It is kept right by the network"),
        Some(false) => Check::warning("clock_kept", "Nothing keeps it right", KEEP_RIGHT),
        None => {
            let mend = "In a container: make sure of it on the host. Else run chrony or systemd-timesyncd";
            Check::warning("clock_kept", "Whether something keeps it right is not known here", mend)
        }
    }
}

/// What the system says without being asked for rights; none where it says nothing.
async fn synchronized() -> Option<bool> {
    if Path::new(SYNCHRONIZED).exists() {
        return Some(true);
    }
    let mut asked = tokio::process::Command::new("timedatectl");
    asked.args(["show", "--property=NTPSynchronized", "--value"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(3), asked.output()).await.ok()?.ok()?;
    match output.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn a_clock_behind_the_record_is_a_problem() {
        let now = 1_000 * SECOND;
        for (newest, state) in [(None, State::Ok), (Some(now + SECOND), State::Ok), (Some(0), State::Ok)] {
            assert_eq!(against_record(now, newest).state, state);
        }
        let check = against_record(now, Some(now + 90 * SECOND));
        assert!(check.state == State::Problem && check.found.contains("90 s behind"), "{check:?}");
        assert_eq!(against_database(now, now - SECOND).state, State::Ok);
        assert_eq!(against_database(now, now + 3 * SECOND).state, State::Warning);
        assert_eq!(against_database(now, now - 3 * SECOND).state, State::Warning);
        assert_eq!(
            [Some(true), Some(false), None].map(|known| kept(known).state),
            [State::Ok, State::Warning, State::Warning]
        );
    }
}
