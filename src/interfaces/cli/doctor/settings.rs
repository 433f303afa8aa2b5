//! The configuration: whether it is read, and what in it is a risk somebody should know of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::arguments::Place;
use super::check::Check;
use crate::kernel::base::config::{Config, KeySource, SecondFactor};
use crate::kernel::base::limits::Limits;
use crate::server::{Folder, settings};

const NAME: &str = "configuration";
/// So many times the built-in limit is no limit any more.
const FAR: u32 = 50;

/// What is in force; nothing when it cannot be read.
pub fn read(place: &Place, folder: &Folder) -> (Vec<Check>, Option<Config>) {
    let file = settings::file(folder, place.config.as_deref());
    let named =
        file.as_ref().map_or_else(|| "built-in values and environment".into(), |path| path.display().to_string());
    match place.settings(folder) {
        Err(error) => {
            let mend = "Write it as docs/operations.md does; `carethread config check` says whether it is right";
            (vec![Check::problem(NAME, format!("{error:#}"), mend)], None)
        }
        Ok(config) => {
            let mut checks = risks(&config, file.as_deref());
            if checks.is_empty() {
                checks.push(Check::ok(NAME, format!("is read: {named}")));
            }
            (checks, Some(config))
        }
    }
}

fn risks(config: &Config, file: Option<&Path>) -> Vec<Check> {
    let mut risks = Vec::new();
    let mut risk = |found: &str, mend: &str| risks.push(Check::warning(NAME, found, mend));
    if config.sign_in.second_factor == SecondFactor::Required {
        let found = "[sign_in] second_factor is \"required\": an account without one cannot sign in by password, and none can be \
                     enrolled yet";
        risk(found, "Set it to \"when_enrolled\" unless everybody signs in by token");
    }
    if config.keys.provider == KeySource::Environment {
        let found = "[keys] provider is \"environment\": whoever may read the process's environment reads the key";
        risk(found, "Use the key file, or hand the variable over by the service manager alone");
    }
    let (usual, limits) = (Limits::default(), &config.limits);
    for (name, found, usual) in [
        ("commands_per_second", limits.commands_per_second, usual.commands_per_second),
        ("sockets_per_user", limits.sockets_per_user, usual.sockets_per_user),
        ("inflight", limits.inflight, usual.inflight),
    ] {
        if found > usual.saturating_mul(FAR) {
            let found = format!("[limits] {name} = {found}: one account may take the whole server");
            risk(&found, &format!("Stay near the built-in {usual}"));
        }
    }
    let mode = file.and_then(|path| fs::metadata(path).ok()).map_or(0, |file| file.permissions().mode() & 0o777);
    if config.database.url.is_some() && mode & 0o007 != 0 {
        let found = format!("The configuration may hold the database's password, and has mode {mode:04o}");
        risk(&found, "chmod 0640, or hand the URL over as CARETHREAD_DATABASE_URL");
    }
    risks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_values_are_no_risk_and_others_are_named() {
        assert!(risks(&Config::default(), None).is_empty());
        let text = "[sign_in]\nsecond_factor = \"required\"\n[keys]\nprovider = \"environment\"\n[limits]\nsockets_per_user = 5000\n";
        let found = risks(&Config::parse(text).unwrap(), None);
        assert_eq!(found.len(), 3);
        for (check, word) in found.iter().zip(["second_factor", "provider", "sockets_per_user"]) {
            assert!(check.found.contains(word) && check.mend.is_some(), "{word}");
        }
    }
}
