//! A cluster of one test, to be hurt: restarted, killed, held still. Reached by TCP, so that a test can stand between.

use std::path::PathBuf;
use std::process::{Child, Command};

use super::postgres::{as_owner, make, programs, start, succeed};

/// It runs until it is stopped or dropped.
pub struct Own {
    programs: PathBuf,
    folder: PathBuf,
    /// Where it listens.
    pub port: u16,
    _watch: Child,
}

impl Own {
    /// A new one, running, with an empty database `record`.
    pub fn new() -> Self {
        let programs = programs();
        let (folder, watch) = make(&programs);
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let own = Self { programs, folder, port, _watch: watch };
        own.start();
        own.run("CREATE DATABASE record");
        own
    }

    /// The URL of the database, at another port if somebody stands between.
    pub fn url(&self, port: u16) -> String {
        format!("postgres://carethread@127.0.0.1:{port}/record?sslmode=disable")
    }

    /// Runs one statement as the owner of the cluster.
    pub fn run(&self, sql: &str) {
        let mut psql = Command::new(self.programs.join("psql"));
        succeed(psql.arg("-h").arg(&self.folder).arg("-p").arg(self.port.to_string()).args([
            "-U",
            "carethread",
            "-d",
            "postgres",
            "-q",
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
        ]));
    }

    /// Starts it after [`Own::stop`] or [`Own::kill`].
    pub fn start(&self) {
        start(&self.programs, &self.folder, &format!("-c listen_addresses=127.0.0.1 -c port={}", self.port));
    }

    /// Ends it as a power switch would, but for the disk: sessions are cut, nothing is finished.
    pub fn stop(&self) {
        let mut stop = as_owner(&self.programs.join("pg_ctl"));
        succeed(stop.arg("-D").arg(self.folder.join("data")).args(["-m", "immediate", "-w", "stop"]));
    }

    /// Kills every process of it at once.
    pub fn kill(&self) {
        self.signal("KILL");
        // Where nobody collects the dead, its number looks like that of a process that runs.
        for name in ["data/postmaster.pid".to_owned(), format!(".s.PGSQL.{}.lock", self.port)] {
            std::fs::remove_file(self.folder.join(name)).expect("it ran");
        }
    }

    /// Holds every process of it still.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let text = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("it runs");
        let postmaster = text.lines().next().expect("a process").to_owned();
        // Held still it makes no others, so that none is missed.
        let mut all = vec![postmaster.clone()];
        if name != "CONT" {
            succeed(Command::new("kill").args(["-s", "STOP", &postmaster]));
        }
        all.extend(children(&postmaster));
        // Some may be gone already.
        let _ = Command::new("kill").args(["-s", name]).args(all).stderr(std::process::Stdio::null()).status();
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // What is held still cannot be stopped.
        if self.folder.join("data/postmaster.pid").exists() {
            self.resume();
        }
    }
}

/// The processes whose parent this one is: `/proc/PID/stat`, fourth field (proc(5)).
fn children(parent: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
    let child = |stat: String| {
        let (before, after) = stat.rsplit_once(')')?;
        let is_child = after.split_whitespace().nth(1) == Some(parent);
        is_child.then(|| before.split(' ').next().map(str::to_owned))?
    };
    stats.filter_map(child).collect()
}
