//! The data folder: whose it is, who may look into it, and how much room there is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::check::Check;
use crate::server::{Folder, figures};

/// Below this much space somebody should look.
const FREE_LOW: u64 = 2 << 30;
/// Below this much space writes fail soon.
const FREE_MIN: u64 = 512 << 20;

/// The folder itself.
pub fn data_folder(folder: &Folder) -> Check {
    let path = folder.path().display();
    if let Err(error) = folder.demand_initialised() {
        return Check::problem(
            "folder",
            format!("{error:#}"),
            "Name the right one by --data, or make one: carethread init",
        );
    }
    let found = match fs::metadata(folder.path()) {
        Ok(found) => found,
        Err(error) => {
            return Check::problem(
                "folder",
                format!("{path} cannot be looked at: {error}"),
                "Run it as the user that serves",
            );
        }
    };
    let (mode, owner) = (found.permissions().mode() & 0o777, found.uid());
    if mode & 0o077 != 0 {
        return Check::problem("folder", format!("{path} has mode {mode:04o}"), format!("chmod 0700 {path}"));
    }
    let (us, user) = (rustix::process::geteuid().as_raw(), |id| format!("user {id}"));
    if owner != us {
        let found = format!("{path} belongs to {}, this command runs as {}", user(owner), user(us));
        return Check::warning(
            "folder",
            found,
            "Run carethread as the user that serves: files made now belong to another",
        );
    }
    if let Some((file, owner)) = foreign(folder.path(), us) {
        let found = format!("{file} in {path} belongs to {}, the folder to {}", user(owner), user(us));
        return Check::problem("folder", found, format!("chown -R {us} {path}"));
    }
    Check::ok("folder", format!("{path} is private to {}", user(us)))
}

/// A file of the folder that somebody else owns.
fn foreign(folder: &Path, us: u32) -> Option<(String, u32)> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_name() != "lost+found")
        .filter_map(|entry| Some((entry.file_name().to_string_lossy().into_owned(), entry.metadata().ok()?.uid())))
        .find(|(_, owner)| *owner != us)
}

/// Room for the record, and for temporary files.
pub fn space(folder: &Folder) -> Vec<Check> {
    let temporary = std::env::temp_dir();
    [("disk", folder.path(), "the data folder"), ("temporary", &temporary, "temporary files")]
        .into_iter()
        .map(|(name, path, what)| free(name, path, what, figures::free_bytes(path)))
        .collect()
}

fn free(name: &'static str, path: &Path, what: &str, free: Option<u64>) -> Check {
    let path = path.display();
    let Some(free) = free else {
        return Check::warning(name, format!("How much is free at {path} is not known"), "Look with df");
    };
    let found = format!("{} MiB are free for {what} ({path})", free >> 20);
    if free < FREE_MIN {
        return Check::problem(name, found, "Make room now: below 512 MiB writes fail soon");
    }
    if free < FREE_LOW {
        return Check::warning(name, found, "Make room before it is below 512 MiB");
    }
    Check::ok(name, found)
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn room_is_judged_by_what_is_left() {
        let state = |bytes| free("disk", Path::new("/data"), "the data folder", bytes).state;
        assert_eq!(state(Some(1 << 40)), State::Ok);
        assert_eq!(state(Some((2 << 30) - 1)), State::Warning);
        assert_eq!(state(Some((512 << 20) - 1)), State::Problem);
        assert_eq!(state(None), State::Warning);
    }

    #[test]
    fn a_folder_others_may_look_into_is_a_problem_with_its_mend() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path());
        assert_eq!(data_folder(&folder).state, State::Problem, "nobody ran init here");
        fs::write(folder.record(), "").unwrap();
        fs::write(folder.keys(), "").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let check = data_folder(&folder);
        assert_eq!(
            (check.state, check.mend.unwrap()),
            (State::Problem, format!("chmod 0700 {}", folder.path().display()))
        );
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(data_folder(&folder).state, State::Ok);
    }
}
