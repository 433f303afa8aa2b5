//! What the scenarios found: a row each, as cells of a table and as JSON.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

/// What a scenario found, ready for a table.
pub trait Found: Serialize {
    /// Names of the columns.
    const COLUMNS: &[&str];
    /// Its cells, as many as there are columns.
    fn cells(&self) -> Vec<String>;
    /// What it is compared by with the row of the same numbers from another server, in words; none for a bench without servers.
    fn beside(&self, _limit: &Self) -> Option<String> {
        None
    }
}

/// Writes how each row of the second half of `rows` stands beside the row of the limit server with the same numbers.
///
/// # Errors
/// When `out` cannot be written.
pub fn ratios<F: Found>(out: &mut dyn Write, rows: &[F]) -> std::io::Result<()> {
    let (limit, ours) = rows.split_at(rows.len() / 2);
    for words in ours.iter().zip(limit).filter_map(|(row, limit)| row.beside(limit)) {
        writeln!(out, "  {words}")?;
    }
    Ok(())
}

/// Writes `rows` as a table with aligned columns.
///
/// # Errors
/// When `out` cannot be written.
pub fn table<F: Found>(out: &mut dyn Write, rows: &[F]) -> std::io::Result<()> {
    let mut lines = vec![F::COLUMNS.iter().map(ToString::to_string).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(Found::cells));
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(String::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..F::COLUMNS.len()).map(width).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate();
        let padded = cells.map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    out.flush()
}

/// `count` divided by `of`; 0 when there is nothing to divide by.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(super) fn per(count: u64, of: f64) -> f64 {
    if of > 0.0 { count as f64 / of } else { 0.0 }
}

fn ms(us: u64) -> String {
    format!("{:.2}", per(us, 1000.0))
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

/// One row of scenario `fanout`.
#[derive(Serialize, Clone, Debug)]
pub struct Fanout {
    /// The server.
    pub server: String,
    /// Sockets in the team.
    pub members: usize,
    /// Messages kept under way together.
    pub under_way: usize,
    /// Messages a second, each durable and delivered to every member.
    pub messages_per_second: f64,
    /// Deliveries a second.
    pub deliveries_per_second: f64,
    /// Median from sending to receiving, microseconds.
    pub p50_us: u64,
    /// 99 % take no longer, microseconds.
    pub p99_us: u64,
    /// Processor time of the server for one delivery, microseconds.
    pub processor_us_per_delivery: Option<f64>,
    /// Deliveries that never came.
    pub missing: u64,
    /// Sockets lost.
    pub fallen: u64,
    /// Refusals by code.
    pub refused: BTreeMap<String, u64>,
}

impl Found for Fanout {
    fn beside(&self, limit: &Self) -> Option<String> {
        if limit.server != "limit" || self.server == "limit" {
            return None;
        }
        let ratio = self.deliveries_per_second / limit.deliveries_per_second.max(1.0);
        Some(format!("{} members: {ratio:.2} x the limit's deliveries a second", self.members))
    }

    const COLUMNS: &[&str] =
        &["server", "members", "messages/s", "deliveries/s", "p50 ms", "p99 ms", "cpu us/delivery", "missing", "lost"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.server.clone(),
            self.members.to_string(),
            format!("{:.0}", self.messages_per_second),
            format!("{:.0}", self.deliveries_per_second),
            ms(self.p50_us),
            ms(self.p99_us),
            optional(self.processor_us_per_delivery),
            self.missing.to_string(),
            self.fallen.to_string(),
        ]
    }
}

/// One row of scenario `rate`.
#[derive(Serialize, Clone, Debug)]
pub struct Rate {
    /// The server.
    pub server: String,
    /// Messages a second asked for.
    pub asked_per_second: u64,
    /// Teams they are spread over.
    pub teams: usize,
    /// Sockets in each.
    pub members: usize,
    /// Deliveries timed.
    pub deliveries: u64,
    /// Median from the time a message was due to each receiving, microseconds.
    pub p50_us: u64,
    /// 99 % take no longer, microseconds.
    pub p99_us: u64,
    /// The longest, microseconds.
    pub longest_us: u64,
    /// Processor time of the server, in shares of one core.
    pub processor: Option<f64>,
    /// Deliveries that never came.
    pub missing: u64,
    /// Sockets lost.
    pub fallen: u64,
    /// Refusals by code.
    pub refused: BTreeMap<String, u64>,
}

impl Found for Rate {
    fn beside(&self, limit: &Self) -> Option<String> {
        if limit.server != "limit" || self.server == "limit" {
            return None;
        }
        let ratio = per(self.p99_us, per(limit.p99_us, 1.0));
        Some(format!("p99: {ratio:.2} x the limit's"))
    }

    const COLUMNS: &[&str] =
        &["server", "messages/s", "teams", "members", "p50 ms", "p99 ms", "max ms", "cores", "missing", "lost"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.server.clone(),
            self.asked_per_second.to_string(),
            self.teams.to_string(),
            self.members.to_string(),
            ms(self.p50_us),
            ms(self.p99_us),
            ms(self.longest_us),
            self.processor.map_or_else(|| "-".to_owned(), |share| format!("{share:.2}")),
            self.missing.to_string(),
            self.fallen.to_string(),
        ]
    }
}

/// One row of scenario `idle`.
#[derive(Serialize, Clone, Debug)]
pub struct Idle {
    /// The server.
    pub server: String,
    /// Sockets signed in.
    pub sockets: usize,
    /// Open sockets the server's process shows with them.
    pub open: Option<usize>,
    /// Resident memory before, KiB.
    pub before_kib: u64,
    /// Resident memory with them, KiB.
    pub after_kib: u64,
    /// Resident memory of one, KiB.
    pub kib_per_socket: f64,
    /// Sockets lost while they were quiet.
    pub fallen: u64,
}

impl Found for Idle {
    fn beside(&self, limit: &Self) -> Option<String> {
        if limit.server != "limit" || self.server == "limit" {
            return None;
        }
        let ratio = self.kib_per_socket / limit.kib_per_socket.max(0.1);
        Some(format!("{:.1} KiB a socket: {ratio:.2} x the limit's", self.kib_per_socket))
    }

    const COLUMNS: &[&str] = &["server", "sockets", "before KiB", "after KiB", "KiB/socket", "lost"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.server.clone(),
            self.sockets.to_string(),
            self.before_kib.to_string(),
            self.after_kib.to_string(),
            format!("{:.1}", self.kib_per_socket),
            self.fallen.to_string(),
        ]
    }
}

/// One row of scenario `catchup`.
#[derive(Serialize, Clone, Debug)]
pub struct Catchup {
    /// The server.
    pub server: String,
    /// Sockets that were connected, signed in and resumed, a second.
    pub entered_per_second: f64,
    /// Median time of one, microseconds.
    pub p50_us: u64,
    /// 99 % take no longer, microseconds.
    pub p99_us: u64,
    /// Entries read back.
    pub entries: usize,
    /// Median time to read them in pages of 200, milliseconds; none where no history is kept.
    pub history_ms: Option<f64>,
}

impl Found for Catchup {
    fn beside(&self, limit: &Self) -> Option<String> {
        if limit.server != "limit" || self.server == "limit" {
            return None;
        }
        let ratio = self.entered_per_second / limit.entered_per_second.max(0.1);
        Some(format!("entered a second: {ratio:.2} x the limit's"))
    }

    const COLUMNS: &[&str] = &["server", "entered/s", "p50 ms", "p99 ms", "entries", "history ms"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.server.clone(),
            format!("{:.0}", self.entered_per_second),
            ms(self.p50_us),
            ms(self.p99_us),
            self.entries.to_string(),
            optional(self.history_ms),
        ]
    }
}
