//! A PostgreSQL cluster for tests: made in a temporary folder, reached by a socket in it, gone when the test process ends, however it ends.
//! A machine without PostgreSQL fails the tests: half a promise is none.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A running cluster. Its databases are empty and used by one test each.
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    /// Waits for our end of its standard input to close, then stops the cluster and removes the folder.
    _watch: Child,
}

/// Stops and removes; run by the same user as the cluster.
const WATCH: &str = r#"read -r _; "$1/pg_ctl" -D "$2/data" -m immediate -w stop; rm -rf "$2""#;

impl Cluster {
    /// The one cluster of this test process, started at first use.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The URL of a fresh, empty database.
    pub fn database(&self) -> String {
        self.database_like("template1")
    }

    /// The URL of a fresh database that holds what another one holds; nobody is connected to that one.
    pub fn database_like(&self, template: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.run(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://carethread@{socket}/{name}")
    }

    /// Runs one statement as the owner of the cluster, in the database `postgres`.
    pub fn run(&self, sql: &str) {
        let mut psql = Command::new(self.programs.join("psql"));
        let psql = psql.arg("-h").arg(&self.folder).args(["-U", "carethread", "-d", "postgres", "-q", "-X", "-c", sql]);
        succeed(psql);
    }

    fn start() -> Self {
        let programs = programs();
        let (folder, watch) = make(&programs);
        start(&programs, &folder, "-c listen_addresses='' -c max_connections=500");
        Self { programs, folder, _watch: watch }
    }
}

/// Makes a cluster that does not run yet, and what takes it away when it is dropped.
pub fn make(programs: &Path) -> (PathBuf, Child) {
    let folder =
        tempfile::Builder::new().prefix("carethread-pg").tempdir().expect("a temporary folder can be made").keep();
    if is_root() {
        succeed(Command::new("chown").arg("postgres").arg(&folder));
    }
    let mut initdb = as_owner(&programs.join("initdb"));
    succeed(initdb.arg("-D").arg(folder.join("data")).args([
        "-U",
        "carethread",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "-N",
    ]));
    let mut watch = as_owner(Path::new("/bin/sh"));
    watch.args(["-c", WATCH, "watch"]).arg(programs).arg(&folder);
    // Out of our process group: an interrupt at the terminal must not end it before it has cleaned up.
    std::os::unix::process::CommandExt::process_group(&mut watch, 0);
    let watch = watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell runs");
    (folder, watch)
}

/// Starts a cluster that was made; returns when it takes connections, on a socket in its folder.
pub fn start(programs: &Path, folder: &Path, options: &str) {
    let mut start = as_owner(&programs.join("pg_ctl"));
    let options = format!("{options} -c unix_socket_directories='{}'", folder.display());
    start.arg("-D").arg(folder.join("data")).arg("-l").arg(folder.join("log"));
    let done = start.args(["-w", "-o", &options, "start"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    assert!(done.is_ok_and(|done| done.success()), "the cluster does not start: {}", log());
}

/// Where the programs of the newest installed PostgreSQL are.
pub fn programs() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = installed.filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        Some((number, version.path().join("bin")))
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let elsewhere = std::env::split_paths(&path).map(|folder| (0, folder));
    let mut found: Vec<(u32, PathBuf)> =
        debian.chain(elsewhere).filter(|(_, bin)| bin.join("initdb").is_file()).collect();
    found.sort();
    found
        .pop()
        .expect(
            "PostgreSQL is installed (initdb in /usr/lib/postgresql/*/bin or on the PATH): apt-get install postgresql",
        )
        .1
}

/// PostgreSQL refuses to run as root: then it runs as the user its package made.
pub fn as_owner(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Runs a command that is to succeed.
pub fn succeed(command: &mut Command) {
    let done = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(Child::wait_with_output);
    let done = done.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
