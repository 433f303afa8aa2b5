//! What can be typed after `carethread bench`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Subcommand, ValueEnum};

use super::run::{Numbers, Options, Scenarios, Servers};
use super::setup::Given;
use super::{append, growth};
use crate::kernel::base::config::DatabaseUrl;

/// `bench ..`
#[derive(Subcommand, Debug)]
pub enum Bench {
    /// Messages as fast as they come back, by size of team
    Fanout(Run),
    /// A steady rate over many small teams
    Rate(Run),
    /// Memory of signed-in sockets at rest
    Idle(Run),
    /// Connect, sign in and resume; then read back the latest entries
    Catchup(Run),
    /// All four, against servers that are started once
    All(Run),
    /// The write path alone, without sockets
    Append(Append),
    /// Search over one patient, without sockets
    Search(Search),
    /// Exports of one patient, without sockets
    Export(Export),
    /// What things cost as the record grows
    Growth(Growth),
    /// The least possible server, which the others measure beside: TLS, broadcast, group commit to a file, nothing else
    Limit,
}

/// The load over sockets.
#[derive(Args, Debug)]
pub struct Run {
    /// Which servers, started here
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Server::Limit, Server::Carethread])]
    pub server: Vec<Server>,
    /// A server that runs already, instead
    #[arg(long, value_name = "ADDRESS", requires_all = ["certificate", "fixture"])]
    pub running: Option<SocketAddr>,
    /// Its certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Its people and teams: `fixture.json` of a former run
    #[arg(long, value_name = "FILE")]
    pub fixture: Option<PathBuf>,
    /// Its process, if it is on this machine
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// An empty folder on the disk to be measured; a temporary one otherwise
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Sizes of teams for `fanout`
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub members: Vec<usize>,
    /// Seconds of each measurement
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Messages a second for `rate`
    #[arg(long, value_name = "N")]
    pub per_second: Option<u64>,
    /// Small teams for `rate`
    #[arg(long, value_name = "N")]
    pub teams: Option<usize>,
    /// People in each of them
    #[arg(long, value_name = "N")]
    pub team_members: Option<usize>,
    /// Sockets for `idle`
    #[arg(long, value_name = "N")]
    pub sockets: Option<usize>,
    /// Sockets that come at a time for `catchup`
    #[arg(long, value_name = "N")]
    pub at_once: Option<usize>,
    /// Entries read back for `catchup`
    #[arg(long, value_name = "N")]
    pub entries: Option<usize>,
}

/// What is measured against.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    /// The least possible server
    Limit,
    /// This program
    Carethread,
}

/// `bench append`
#[derive(Args, Debug)]
pub struct Append {
    /// Where its data folder is made and removed; a temporary one otherwise
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Patients, each with one channel that is written to
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub patients: usize,
    /// Numbers of writers, one measurement each
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1, 8, 64, 256])]
    pub writers: Vec<usize>,
    /// Seconds of each measurement
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub seconds: u64,
    /// Entries to write before a second round
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub fill: u64,
}

/// `bench search`
#[derive(Args, Debug)]
pub struct Search {
    /// Where its data folder is made and removed; a temporary one otherwise
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Messages of the patient
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    pub entries: usize,
}

/// `bench export`
#[derive(Args, Debug)]
pub struct Export {
    /// Where its data folder is made and removed; a temporary one otherwise
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Messages of the patient
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub entries: usize,
    /// Forms to be written
    #[arg(long, value_name = "FORMATS", value_delimiter = ',', default_values_t = ["ndjson", "proof", "fhir-transaction", "html", "hl7v2"].map(str::to_owned))]
    pub formats: Vec<String>,
}

/// `bench growth`
#[derive(Args, Debug)]
pub struct Growth {
    /// Where its data folders are made and removed; a temporary one otherwise. Ten million entries take 11 GB
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Sizes of the record at which everything is measured
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    pub entries: Vec<u64>,
    /// Numbers of patients, a record each
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [100])]
    pub patients: Vec<usize>,
    /// Seconds of the measurement of appends
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub seconds: u64,
    /// Writers of it
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub writers: usize,
    /// Leave the records where they are
    #[arg(long)]
    pub keep: bool,
}

impl Growth {
    /// What the bench is asked for. `database` is an empty one to use instead of files.
    #[must_use]
    pub fn options(&self, database: Option<DatabaseUrl>) -> growth::Options {
        let Self { entries, patients, seconds, writers, keep, .. } = self;
        let (entries, patients) = (entries.clone(), patients.clone());
        growth::Options { entries, patients, seconds: *seconds, writers: *writers, database, keep: *keep }
    }
}

impl Run {
    /// What the run is asked for, with an empty folder of the caller's where none was named.
    ///
    /// # Errors
    /// A number makes no sense.
    pub fn options(self, scenarios: Scenarios, spare: PathBuf, json: bool) -> anyhow::Result<Options> {
        let usual = Numbers::default();
        let numbers = Numbers {
            members: if self.members.is_empty() { usual.members } else { self.members },
            seconds: self.seconds.unwrap_or(usual.seconds),
            per_second: self.per_second.unwrap_or(usual.per_second),
            teams: self.teams.unwrap_or(usual.teams),
            team_members: self.team_members.unwrap_or(usual.team_members),
            sockets: self.sockets.unwrap_or(usual.sockets),
            at_once: self.at_once.unwrap_or(usual.at_once),
            entries: self.entries.unwrap_or(usual.entries),
        };
        let counts = [numbers.teams, numbers.team_members, numbers.sockets, numbers.at_once];
        ensure!(
            !counts.contains(&0) && !numbers.members.contains(&0) && numbers.seconds > 0 && numbers.per_second > 0,
            "Every number of a bench is at least 1."
        );
        let given = match (self.running, self.certificate, self.fixture) {
            (Some(address), Some(certificate), Some(fixture)) => {
                Some(Given { address, certificate, pid: self.pid, fixture })
            }
            _ => None,
        };
        let started = |server| given.is_none() && self.server.contains(&server);
        Ok(Options {
            scenarios,
            servers: Servers { limit: started(Server::Limit), carethread: started(Server::Carethread), given },
            numbers,
            folder: self.folder.unwrap_or(spare),
            json,
        })
    }
}

impl Append {
    /// What the bench is asked for.
    #[must_use]
    pub fn options(&self) -> append::Options {
        let Self { patients, writers, seconds, fill, .. } = self;
        append::Options { patients: *patients, writers: writers.clone(), seconds: *seconds, fill: *fill }
    }
}
