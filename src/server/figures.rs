//! What `/metrics` shows: every figure by name and what it means. Most are counted where things happen; those of the machine and the
//! process are looked up here, again and again. Labels have few values, and none comes from a peer.

use std::fs;
use std::time::Duration;

use metrics::{Unit, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use super::Folder;
use crate::kernel::base::World;
use crate::kernel::store::Db;

/// How often histograms are tidied and the machine is looked at.
const UPKEEP: Duration = Duration::from_secs(5);

/// Seconds that a command or a commit takes.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
/// Commands of one commit, up to the most there can be.
const COMMANDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// A figure.
struct Figure {
    name: &'static str,
    sort: Sort,
    help: &'static str,
}

#[derive(Clone, Copy)]
enum Sort {
    /// Counts up from zero.
    Counter,
    /// As [`Sort::Counter`], by a label; these values are there from the start, so that the first one shows as a rise.
    Labelled(&'static str, &'static [&'static str]),
    Gauge,
    Histogram(Unit, &'static [f64]),
    /// As [`Sort::Histogram`] in seconds, by a label.
    Timed(&'static str, &'static [&'static str]),
}

use Sort::{Counter, Gauge, Histogram, Labelled, Timed};

const fn figure(name: &'static str, sort: Sort, help: &'static str) -> Figure {
    Figure { name, sort, help }
}

/// All there are.
const FIGURES: &[Figure] = &[
    figure("carethread_ready", Gauge, "1 when commands are served, 0 while draining or without the database"),
    figure("carethread_entries_total", Counter, "Entries committed to the record"),
    figure("carethread_command_seconds", Timed("kind", &["read", "write"]), "From a command's arrival to its answer"),
    figure(
        "carethread_commit_seconds",
        Histogram(Unit::Seconds, SECONDS),
        "COMMIT of one group, as the database took it",
    ),
    figure("carethread_batch_commands", Histogram(Unit::Count, COMMANDS), "Commands of one commit"),
    figure("carethread_queue_commands", Gauge, "Commands that waited for the committer when it last looked"),
    figure("carethread_refusals_total", Labelled("code", &["busy", "forbidden"]), "Writes refused, by code"),
    figure("carethread_faults_total", Counter, "Failures of ours, answered as `internal`"),
    figure("carethread_panics_total", Counter, "Tasks that panicked"),
    figure("carethread_database_outages_total", Counter, "Times the database did not answer and was connected to anew"),
    figure("carethread_disk_full_total", Counter, "Commits refused because the disk is full"),
    figure("carethread_audit_rows_total", Counter, "Audit rows committed"),
    figure("carethread_audit_rows_lost_total", Counter, "Audit rows of failed commands that could not be kept"),
    figure("carethread_heads_signed_total", Counter, "Heads of channels and audit streams signed"),
    figure("carethread_record_flaws_total", Counter, "Places of the record that did not hold, as the walk met them"),
    figure("carethread_channels_held", Gauge, "Channels that do not hold: read, not written to"),
    figure("carethread_record_suspect", Gauge, "1 when audit or site log do not hold"),
    figure(
        "carethread_record_walked_timestamp_seconds",
        Gauge,
        "When the last walk of the whole record ended, seconds since 1970; 0 before",
    ),
    figure(
        "carethread_receipts_left_out_total",
        Counter,
        "Deliveries that were not kept because the database was away",
    ),
    figure("carethread_sign_ins_total", Labelled("by", &["password", "token"]), "Sign-ins, by credential"),
    figure("carethread_sign_in_failures_total", Labelled("code", &["unauthenticated"]), "Sign-ins refused, by code"),
    figure("carethread_sockets", Gauge, "WebSockets open, signed in or not"),
    figure("carethread_event_streams", Gauge, "Streams of Server-Sent Events open"),
    figure("carethread_sessions", Gauge, "Sessions that follow channels"),
    figure("carethread_sockets_closed_total", Labelled("code", &["4513"]), "WebSockets closed, by close code"),
    figure("carethread_connections_refused_total", Counter, "Connections closed at once: too many are open"),
    figure("carethread_accept_errors_total", Counter, "Times the system refused us a connection"),
    figure("carethread_connection_panics_total", Counter, "Connections that panicked"),
    figure("carethread_http_requests_total", Labelled("status", &[]), "Requests over HTTP, by route and status"),
    figure("carethread_disk_free_bytes", Gauge, "Free where the data folder is"),
    figure("carethread_record_bytes", Gauge, "Size of record.db with its log; 0 on PostgreSQL"),
    figure("carethread_certificate_expires_seconds", Gauge, "When the certificate expires, seconds since 1970"),
    figure("process_start_time_seconds", Gauge, "When the process began, seconds since 1970"),
    figure("process_resident_memory_bytes", Gauge, "Memory the process has resident"),
    figure("process_open_fds", Gauge, "Files and sockets open"),
    figure("process_max_fds", Gauge, "How many may be open"),
];

/// Installs the recorder of this process with every figure at zero; none if there is one already (tests that serve twice).
#[must_use]
pub fn recorder() -> Option<PrometheusHandle> {
    let buckets = FIGURES.iter().filter_map(|figure| match figure.sort {
        Histogram(_, buckets) => Some((figure.name, buckets)),
        Timed(..) => Some((figure.name, SECONDS)),
        Counter | Labelled(..) | Gauge => None,
    });
    let builder = buckets.fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
        let full = Matcher::Full(name.to_owned());
        builder.set_buckets_for_metric(full, buckets).expect("a histogram has buckets")
    });
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    FIGURES.iter().for_each(Figure::begin);
    let began = World::system().now() as f64 / 1e6;
    gauge!("process_start_time_seconds").set(began);
    Some(handle)
}

impl Figure {
    fn begin(&self) {
        let Self { name, sort, help } = *self;
        match sort {
            Counter => {
                metrics::describe_counter!(name, help);
                counter!(name).increment(0);
            }
            Labelled(label, values) => {
                metrics::describe_counter!(name, help);
                values.iter().for_each(|value| counter!(name, label => *value).increment(0));
            }
            Gauge => {
                metrics::describe_gauge!(name, help);
                gauge!(name).set(0.0);
            }
            Histogram(unit, _) => {
                metrics::describe_histogram!(name, unit, help);
                drop(histogram!(name));
            }
            Timed(label, values) => {
                metrics::describe_histogram!(name, Unit::Seconds, help);
                values.iter().for_each(|value| drop(histogram!(name, label => *value)));
            }
        }
    }
}

/// What the machine's figures are looked up in.
pub struct Watched {
    /// Where the data lies.
    pub folder: Folder,
    /// The database; none while sealed.
    pub db: Option<Db>,
    /// Cancelled when the server goes down.
    pub draining: CancellationToken,
}

/// Tidies the recorder and looks figures up, until `stop`.
pub async fn keep(metrics: PrometheusHandle, watched: Watched, stop: CancellationToken) {
    let work = async {
        loop {
            watched.look().await;
            metrics.run_upkeep();
            tokio::time::sleep(UPKEEP).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(work).await;
}

impl Watched {
    async fn look(&self) {
        let serves = match &self.db {
            Some(db) if !self.draining.is_cancelled() => db.read().await.is_ok(),
            _ => false,
        };
        gauge!("carethread_ready").set(f64::from(u8::from(serves)));
        if let Some(free) = free_bytes(self.folder.path()) {
            gauge!("carethread_disk_free_bytes").set(free as f64);
        }
        let record = self.folder.record();
        let size = |path| fs::metadata(path).map_or(0, |file| file.len());
        gauge!("carethread_record_bytes").set((size(record.clone()) + size(record.with_extension("db-wal"))) as f64);
        if let Some(pages) = fs::read_to_string("/proc/self/statm").ok().and_then(|statm| resident_pages(&statm)) {
            gauge!("process_resident_memory_bytes").set(pages as f64 * rustix::param::page_size() as f64);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            gauge!("process_open_fds").set(open.count() as f64);
        }
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        gauge!("process_max_fds").set(most.map_or(f64::INFINITY, |most| most as f64));
    }
}

/// Bytes that are free for us where a path is; none where the system does not tell.
#[must_use]
pub fn free_bytes(path: &std::path::Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The second number of `/proc/self/statm` (proc(5)).
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_named_once_and_explained() {
        for (at, figure) in FIGURES.iter().enumerate() {
            assert!(!figure.help.is_empty() && FIGURES[..at].iter().all(|other| other.name != figure.name));
            let ends_as_counter = figure.name.ends_with("_total");
            assert_eq!(ends_as_counter, matches!(figure.sort, Counter | Labelled(..)), "{}", figure.name);
        }
    }

    #[test]
    fn what_the_machine_has_is_found() {
        assert!(free_bytes(std::path::Path::new("/")).is_some());
        assert!(free_bytes(std::path::Path::new("/no/such/place")).is_none());
        assert_eq!(resident_pages("4000 123 50 1 0 60 0\n"), Some(123));
        assert_eq!(resident_pages(""), None);
    }
}
