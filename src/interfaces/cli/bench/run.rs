//! A run of the benches: which scenarios, against which servers, with which numbers; tables or one JSON object.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::found::{Catchup, Fanout, Found, Idle, Rate, ratios, table};
use super::scenario::{Ground, catchup, fanout, idle, rate};
use super::setup::{self, Given, Layout};
use crate::kernel::base::World;

/// The numbers of a run.
#[derive(Clone, Debug)]
pub struct Numbers {
    /// Sizes of teams for `fanout`.
    pub members: Vec<usize>,
    /// Seconds of each measurement, after one to warm up.
    pub seconds: u64,
    /// Messages a second for `rate`.
    pub per_second: u64,
    /// Small teams for `rate`.
    pub teams: usize,
    /// People in each of them.
    pub team_members: usize,
    /// Sockets for `idle`.
    pub sockets: usize,
    /// Sockets that come at a time for `catchup`.
    pub at_once: usize,
    /// Entries read back for `catchup`.
    pub entries: usize,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            members: vec![10, 100, 500],
            seconds: 10,
            per_second: 200,
            teams: 100,
            team_members: 8,
            sockets: 5000,
            at_once: 16,
            entries: 1000,
        }
    }
}

impl Numbers {
    /// The teams these scenarios need.
    #[must_use]
    pub fn layout(&self) -> Layout {
        Layout { large: self.members.clone(), teams: self.teams, members: self.team_members }
    }
}

/// Which scenarios.
#[derive(Clone, Copy, Debug)]
pub struct Scenarios {
    /// Messages as fast as they come back, by size of team.
    pub fanout: bool,
    /// A steady rate over many teams.
    pub rate: bool,
    /// Memory of quiet sockets.
    pub idle: bool,
    /// Coming back, and reading what was missed.
    pub catchup: bool,
}

/// Which servers, in this order.
#[derive(Clone, Debug)]
pub struct Servers {
    /// The limit server.
    pub limit: bool,
    /// Carethread, started and filled here.
    pub carethread: bool,
    /// Carethread, running already.
    pub given: Option<Given>,
}

/// What a run asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which scenarios.
    pub scenarios: Scenarios,
    /// Which servers.
    pub servers: Servers,
    /// With which numbers.
    pub numbers: Numbers,
    /// An empty folder on the disk that is to be measured.
    pub folder: PathBuf,
    /// One JSON object in place of tables.
    pub json: bool,
}

/// What a run found: rows by scenario, servers in the order asked for.
#[derive(Default, Serialize, Debug)]
pub struct Report {
    /// Rows of `fanout`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fanout: Vec<Fanout>,
    /// Rows of `rate`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate: Vec<Rate>,
    /// Rows of `idle`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<Idle>,
    /// Rows of `catchup`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub catchup: Vec<Catchup>,
}

impl Report {
    /// Runs every scenario asked for against one server. `idle` is first: later ones leave memory behind.
    ///
    /// # Errors
    /// The first that fails.
    pub async fn add(&mut self, ground: &Ground, scenarios: Scenarios, numbers: &Numbers) -> anyhow::Result<()> {
        if scenarios.idle {
            self.idle.push(idle(ground, numbers.sockets, numbers.seconds.min(5)).await?);
        }
        if scenarios.rate {
            let (teams, members) = (numbers.teams, numbers.team_members);
            self.rate.push(rate(ground, numbers.per_second, teams, members, numbers.seconds).await?);
        }
        if scenarios.fanout {
            for members in &numbers.members {
                self.fanout.push(fanout(ground, *members, numbers.seconds).await?);
            }
        }
        if scenarios.catchup {
            self.catchup.push(catchup(ground, numbers.at_once, numbers.seconds, numbers.entries).await?);
        }
        Ok(())
    }

    /// Writes tables.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn tables(&self, out: &mut dyn Write) -> std::io::Result<()> {
        part(out, "fanout: one team, messages as fast as they come back", &self.fanout)?;
        part(out, "rate: a steady rate over many teams, from sending to each receiving", &self.rate)?;
        part(out, "idle: memory of signed-in sockets at rest", &self.idle)?;
        part(out, "catchup: connect, sign in and resume; then read back the latest entries", &self.catchup)
    }
}

fn part<F: Found>(out: &mut dyn Write, title: &str, rows: &[F]) -> std::io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "{title}")?;
    table(out, rows)?;
    ratios(out, rows)?;
    writeln!(out)
}

/// Runs the benches and writes what they found to `out`. Servers run one after the other, never side by side.
///
/// # Errors
/// When a server does not start or a scenario fails.
pub async fn run(options: &Options, world: &World, out: &mut (dyn Write + Send)) -> anyhow::Result<Report> {
    let (mut report, layout) = (Report::default(), options.numbers.layout());
    std::fs::create_dir_all(&options.folder)?;
    if options.servers.limit {
        let (ground, child) = setup::limit(&options.folder, &layout).await?;
        report.add(&ground, options.scenarios, &options.numbers).await?;
        drop(child);
    }
    if options.servers.carethread {
        let (ground, child) = setup::carethread(&options.folder, &layout, world).await?;
        report.add(&ground, options.scenarios, &options.numbers).await?;
        drop(child);
    }
    if let Some(given) = &options.servers.given {
        report.add(&given.ground(world)?, options.scenarios, &options.numbers).await?;
    }
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        report.tables(out)?;
    }
    out.flush()?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::interfaces::cli::bench::dialect::LimitDialect;
    use crate::interfaces::cli::bench::limit;
    use crate::interfaces::cli::bench::load::Target;
    use crate::interfaces::tls::load_or_make;

    fn small() -> Numbers {
        Numbers {
            members: vec![5],
            seconds: 1,
            per_second: 50,
            teams: 3,
            team_members: 4,
            sockets: 60,
            at_once: 4,
            entries: 10,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_limit_server_loses_nothing_under_every_scenario() {
        let (folder, numbers) = (tempfile::tempdir().unwrap(), small());
        let (identity, _) = load_or_make(folder.path(), &World::system()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, pid) = (listener.local_addr().unwrap(), std::process::id());
        let file = folder.path().join("limit.log");
        let acceptor = TlsAcceptor::from(identity.config().unwrap());
        tokio::spawn(async move { limit::serve(listener, acceptor, &file).await.unwrap() });
        let target = Target::new("limit", address, identity.certificate().clone(), Some(pid)).unwrap();
        let ground = Ground { target, dialect: Arc::new(LimitDialect { sizes: numbers.layout().sizes() }) };
        let mut report = Report::default();
        let all = Scenarios { fanout: true, rate: true, idle: true, catchup: true };
        report.add(&ground, all, &numbers).await.unwrap();
        let (fanout, rate) = (&report.fanout[0], &report.rate[0]);
        assert!(fanout.messages_per_second > 1.0 && fanout.p50_us > 0, "{fanout:?}");
        assert_eq!((fanout.missing, fanout.fallen, rate.missing, rate.fallen), (0, 0, 0, 0));
        assert!(rate.deliveries >= 50 * 4, "{rate:?}");
        assert!(report.idle[0].open.unwrap() >= 120, "{:?}", report.idle[0]);
        assert!(report.catchup[0].entered_per_second > 1.0 && report.catchup[0].history_ms.is_none());
        let kept = std::fs::read_to_string(folder.path().join("limit.log")).unwrap();
        assert!(kept.contains("bench:"));
        let mut out = Vec::new();
        report.tables(&mut out).unwrap();
        let tables = String::from_utf8(out).unwrap();
        assert!(tables.contains("deliveries/s") && tables.contains("KiB/socket"), "{tables}");
    }

    #[tokio::test]
    async fn another_certificate_is_not_the_pinned_one() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (identity, _) = load_or_make(folder.path(), &World::system()).unwrap();
        let (stranger, _) = load_or_make(other.path(), &World::system()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (file, acceptor) = (folder.path().join("limit.log"), TlsAcceptor::from(identity.config().unwrap()));
        tokio::spawn(async move { limit::serve(listener, acceptor, &file).await });
        let target = |pinned| Target::new("limit", address, pinned, None).unwrap();
        assert!(target(stranger.certificate().clone()).connect("/1", None).await.is_err());
        assert!(target(identity.certificate().clone()).connect("/1", None).await.is_ok());
    }
}
