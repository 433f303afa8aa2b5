//! The write path alone: many writers on one engine, no sockets, the full write set of each entry (sealed, chained, audited, projected).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::found::{Found, per};
use super::histogram::Histogram;
use crate::features::identity;
use crate::kernel::base::config::Config;
use crate::kernel::base::{Refusal, World};
use crate::kernel::engine::{Data, Engine, Silent};
use crate::kernel::policy::Subject;
use crate::kernel::store;
use crate::server::{Folder, Node, init};

/// What the write path did.
#[derive(Serialize, Debug)]
pub struct Append {
    /// Writers in a closed loop, each on a channel of its own if there are as many.
    pub writers: usize,
    /// Channels written to.
    pub channels: usize,
    /// Entries in the database when the measurement began.
    pub entries_before: u64,
    /// Whether each command carried a `key`.
    pub keyed: bool,
    /// Acknowledged entries a second.
    pub entries_per_second: f64,
    /// Statements sent to the database for each entry.
    pub statements_per_entry: f64,
    /// Median of command to reply.
    pub p50_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// `p99_us` over `p50_us`.
    pub p99_over_median: f64,
    /// Commands refused; none is expected.
    pub refused: u64,
}

impl Found for Append {
    const COLUMNS: &[&str] = &[
        "writers",
        "channels",
        "before",
        "keyed",
        "entries/s",
        "statements/entry",
        "p50 ms",
        "p99 ms",
        "p99/p50",
        "refused",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.writers.to_string(),
            self.channels.to_string(),
            self.entries_before.to_string(),
            self.keyed.to_string(),
            format!("{:.0}", self.entries_per_second),
            format!("{:.2}", self.statements_per_entry),
            format!("{:.1}", per(self.p50_us, 1000.0)),
            format!("{:.1}", per(self.p99_us, 1000.0)),
            format!("{:.1}", self.p99_over_median),
            self.refused.to_string(),
        ]
    }
}

/// A place to write: a channel and an open item of its patient.
#[derive(Clone)]
pub struct Target {
    channel: String,
    item: String,
}

impl Target {
    /// The command that writes `text` there.
    #[must_use]
    pub fn post(&self, text: String) -> Data {
        let mut data = Data::new();
        data.insert("channel".into(), self.channel.clone().into());
        data.insert("item".into(), self.item.clone().into());
        data.insert("text".into(), text.into());
        data
    }

    /// The care team channel of a ward.
    #[must_use]
    pub fn of(ward: &super::growth::Ward) -> Self {
        Self { channel: ward.channel.to_string(), item: ward.item.to_string() }
    }
}

/// Registers patients through the engine and gives their `Care team` channels.
///
/// # Errors
/// The first refusal.
pub async fn targets(engine: &Engine, nurse: &Subject, patients: usize) -> Result<Vec<Target>, Refusal> {
    let mut found = Vec::with_capacity(patients);
    for n in 0..patients {
        let mut data = Data::new();
        data.insert("name".into(), format!("Bench {n}").into());
        let reply = engine.run(nurse.clone(), "patient.register", data).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        found.push(Target { channel: text(&reply["care_team"]), item: text(&reply["items"]["whole"]) });
    }
    Ok(found)
}

struct Run {
    engine: Engine,
    nurse: Subject,
    stop: AtomicBool,
    measuring: AtomicBool,
    done: AtomicU64,
    refused: AtomicU64,
    took: Histogram,
    keyed: bool,
}

impl Run {
    async fn writer(self: Arc<Self>, target: Target) {
        let text = "Systolic 148 at home this morning, took the first dose with breakfast; no dizziness on standing. Will ring again at six. ".repeat(2);
        while !self.stop.load(Ordering::Relaxed) {
            let mut data = target.post(text.chars().take(200).collect());
            if self.keyed {
                data.insert("key".into(), self.engine.world().id().to_string().into());
            }
            let begun = Instant::now();
            let answer = self.engine.run(self.nurse.clone(), "message.post", data).await;
            if self.measuring.load(Ordering::Relaxed) {
                match answer {
                    Ok(_) => {
                        self.done.fetch_add(1, Ordering::Relaxed);
                        self.took.add(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
                    }
                    Err(_) => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
                }
            }
        }
    }
}

/// Writers in a closed loop for some seconds, after one to warm up.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub async fn measure(
    engine: &Engine,
    nurse: &Subject,
    targets: &[Target],
    writers: usize,
    seconds: u64,
    keyed: bool,
    before: u64,
) -> Append {
    let run = Arc::new(Run {
        engine: engine.clone(),
        nurse: nurse.clone(),
        stop: AtomicBool::new(false),
        measuring: AtomicBool::new(false),
        done: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        took: Histogram::default(),
        keyed,
    });
    let tasks: Vec<_> =
        (0..writers).map(|n| tokio::spawn(run.clone().writer(targets[n % targets.len()].clone()))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let statements = store::statements_sent();
    let begun = Instant::now();
    run.measuring.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    run.measuring.store(false, Ordering::Relaxed);
    let took = begun.elapsed().as_secs_f64();
    let statements = store::statements_sent() - statements;
    run.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        // A writer that panicked shows in the numbers of the others.
        let _ = task.await;
    }
    let done = run.done.load(Ordering::Relaxed);
    let (p50_us, p99_us) = (run.took.quantile_us(0.5), run.took.quantile_us(0.99));
    Append {
        writers,
        channels: targets.len().min(writers),
        entries_before: before,
        keyed,
        entries_per_second: per(done, took),
        statements_per_entry: per(statements, done as f64),
        p50_us,
        p99_us,
        p99_over_median: per(p99_us, p50_us as f64),
        refused: run.refused.load(Ordering::Relaxed),
    }
}

/// What a run of `append` is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Patients to register, each with one channel that is written to.
    pub patients: usize,
    /// Numbers of writers, one measurement each.
    pub writers: Vec<usize>,
    /// Seconds of each measurement.
    pub seconds: u64,
    /// Entries to write before a second round of measurements; 0 for none.
    pub fill: u64,
}

/// Makes a data folder of its own below `parent`, measures, and removes it.
///
/// # Errors
/// When the folder cannot be made or the engine does not start.
pub async fn run(parent: &Path, options: &Options) -> anyhow::Result<Vec<Append>> {
    let path = parent.join(format!("append-{}", World::system().id()));
    let folder = Folder::new(&path);
    let config = Config::default();
    init::init(&folder, &config, None).await?;
    let node = Node::open_unsealed(folder, config, Arc::new(Silent)).await?;
    let found = rounds(&node.engine, options).await;
    node.close().await;
    std::fs::remove_dir_all(&path)?;
    found
}

async fn rounds(engine: &Engine, options: &Options) -> anyhow::Result<Vec<Append>> {
    let told = |refusal: Refusal| anyhow::anyhow!("{}: {}", refusal.code.text(), refusal.detail.unwrap_or_default());
    let operator = identity::operator(engine, None).await.map_err(told)?;
    let account = json!({"handle": "bench-nurse", "name": "Bench Nurse", "kind": "practitioner"});
    let Value::Object(account) = account else { anyhow::bail!("an object is an object") };
    let added = engine.run_internal(operator, "user.add", account).await.map_err(told)?;
    let nurse = added["id"].as_str().and_then(|id| id.parse().ok()).and_then(|id| engine.subject(id));
    let nurse = nurse.ok_or_else(|| anyhow::anyhow!("the account that was just added is not there"))?;
    let places = targets(engine, &nurse, options.patients).await.map_err(told)?;
    let mut found = Vec::new();
    let mut before = 0;
    for round in 0..=u8::from(options.fill > 0) {
        if round > 0 {
            before = fill(engine, &nurse, &places, options.fill).await;
        }
        for writers in &options.writers {
            for keyed in [false, true] {
                found.push(measure(engine, &nurse, &places, *writers, options.seconds, keyed, before).await);
            }
        }
    }
    Ok(found)
}

/// Writes `entries` entries as fast as they go; gives how many were acknowledged.
async fn fill(engine: &Engine, nurse: &Subject, places: &[Target], entries: u64) -> u64 {
    let mut done = 0;
    while done < entries {
        let seconds = 10;
        let row = measure(engine, nurse, places, 256, seconds, false, done).await;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of a bench, far below 2^52"
        )]
        let written = (row.entries_per_second * (seconds + 1) as f64) as u64;
        done += written.max(1);
        tracing::info!(entries = done, per_second = row.entries_per_second as i64, "Filling");
    }
    done
}
