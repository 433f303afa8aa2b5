//! What things cost as the record grows: appends, resume, history, lists and a start, at several sizes of one record.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::append::{self, Target};
use super::fill::{fill, id_at};
use super::found::Found;
use super::process;
use crate::features::identity;
use crate::kernel::base::config::{Config, DatabaseUrl};
use crate::kernel::base::{ChannelId, ItemId, PatientId, Refusal, SessionId, World};
use crate::kernel::engine::{Data, Engine, attest};
use crate::kernel::live::{Delivery, Hub, Session};
use crate::kernel::log;
use crate::kernel::policy::{SessionState, Subject};
use crate::server::{Folder, Node, init};

/// Patients whose channels the reader follows: two hundred channels.
const FOLLOWED: usize = 100;
/// Repeats of a read; the median is told.
const REPEATS: usize = 40;
/// Entries each channel is behind when somebody resumes.
const BEHIND: i64 = 5;

/// A place to write, with the patient whose it is.
#[derive(Clone)]
pub struct Ward {
    /// Whose.
    pub patient: PatientId,
    /// The channel `Care team`.
    pub channel: ChannelId,
    /// An open plan item.
    pub item: ItemId,
}

/// What things cost at one size.
#[derive(Serialize, Debug, Clone)]
pub struct Growth {
    /// Which database.
    pub database: &'static str,
    /// Patients.
    pub patients: usize,
    /// Entries of the record.
    pub entries: u64,
    /// Seconds that filling up to here took.
    pub fill_s: f64,
    /// Bytes of the files of the record; none on PostgreSQL.
    pub bytes: Option<u64>,
    /// From starting a server to its line `listening on`.
    pub start_ms: f64,
    /// Resident memory of that server at rest.
    pub rss_kib: u64,
    /// Acknowledged entries a second, writers in a closed loop, each with a `key`.
    pub append_per_s: f64,
    /// Median of command to reply of those.
    pub append_p50_us: u64,
    /// 99th percentile.
    pub append_p99_us: u64,
    /// Channels followed by the reader.
    pub channels: usize,
    /// Resume of them, each `BEHIND` entries behind, until the answer.
    pub resume_ms: f64,
    /// `channel.list` over them: what the answer to a sign-in holds too.
    pub list_ms: f64,
    /// The newest page of 50.
    pub newest_ms: f64,
    /// The oldest page of 50.
    pub oldest_ms: f64,
    /// A page of 50 from the middle.
    pub middle_ms: f64,
    /// The last 1,000 entries in pages of 200.
    pub last_1000_ms: f64,
    /// `plan.items` of one patient.
    pub items_ms: f64,
}

impl Found for Growth {
    const COLUMNS: &[&str] = &[
        "database",
        "patients",
        "entries",
        "fill s",
        "GB",
        "start ms",
        "MiB",
        "append/s",
        "p50 ms",
        "p99 ms",
        "resume ms",
        "list ms",
        "newest ms",
        "oldest ms",
        "middle ms",
        "last 1000 ms",
        "items ms",
    ];

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn cells(&self) -> Vec<String> {
        let ms = |us: u64| us as f64 / 1000.0;
        let gigabytes = self.bytes.map_or_else(|| "-".into(), |bytes| format!("{:.2}", bytes as f64 / 1e9));
        let mut cells = vec![
            self.database.to_owned(),
            self.patients.to_string(),
            self.entries.to_string(),
            format!("{:.0}", self.fill_s),
            gigabytes,
            format!("{:.0}", self.start_ms),
            (self.rss_kib / 1024).to_string(),
            format!("{:.0}", self.append_per_s),
        ];
        let rest = [
            ms(self.append_p50_us),
            ms(self.append_p99_us),
            self.resume_ms,
            self.list_ms,
            self.newest_ms,
            self.oldest_ms,
            self.middle_ms,
            self.last_1000_ms,
            self.items_ms,
        ];
        cells.extend(rest.iter().map(|ms| format!("{ms:.2}")));
        cells
    }
}

/// What a run of `growth` is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sizes, ascending; one record grows through all of them.
    pub entries: Vec<u64>,
    /// Numbers of patients, a record each.
    pub patients: Vec<usize>,
    /// Seconds of the measurement of appends.
    pub seconds: u64,
    /// Writers of it.
    pub writers: usize,
    /// An empty database to use instead of a file; for one number of patients.
    pub database: Option<DatabaseUrl>,
    /// The folder with the record stays where it is.
    pub keep: bool,
}

/// Makes a record for each number of patients below `parent`, grows it, and measures at each size; `each` is handed every row as it is
/// found.
///
/// # Errors
/// A folder cannot be made, an engine does not start, or a command is refused.
pub async fn run(parent: &Path, options: &Options, each: &mut dyn FnMut(&Growth)) -> anyhow::Result<Vec<Growth>> {
    ensure!(!options.entries.is_empty() && options.entries.is_sorted(), "Sizes are given in ascending order.");
    ensure!(options.database.is_none() || options.patients.len() == 1, "A database takes one number of patients.");
    let mut found = Vec::new();
    for patients in &options.patients {
        let folder = Folder::new(&parent.join(format!("growth-{}", World::system().id())));
        let mut config = Config::default();
        config.database.url.clone_from(&options.database);
        init::init(&folder, &config, None).await?;
        let mut record = Record { folder: folder.clone(), config, wards: Vec::new() };
        let rows = record.grow(*patients, options, each).await;
        if !options.keep {
            std::fs::remove_dir_all(folder.path())?;
        }
        found.extend(rows?);
    }
    Ok(found)
}

struct Record {
    folder: Folder,
    config: Config,
    wards: Vec<Ward>,
}

/// An open record with its people.
struct Open {
    node: Node,
    hub: Arc<Hub>,
    lead: Subject,
    reader: Subject,
}

fn told(refusal: Refusal) -> anyhow::Error {
    anyhow!("{}: {}", refusal.code.text(), refusal.detail.unwrap_or_default())
}

async fn ask(engine: &Engine, subject: &Subject, op: &str, data: Value) -> anyhow::Result<Value> {
    let data: Data = data.as_object().cloned().context("data is an object")?;
    engine.run_internal(subject.clone(), op, data).await.map_err(told)
}

impl Record {
    async fn open(&self) -> anyhow::Result<Open> {
        let hub = Hub::new(World::system());
        let node = Node::open_unsealed(self.folder.clone(), self.config.clone(), hub.clone()).await?;
        let mut people = Vec::new();
        for handle in ["bench-lead", "bench-reader"] {
            people.push(match identity::find(&node.engine, handle).await.map_err(|_| anyhow!("no accounts"))? {
                Some(user) => node.engine.subject(user).context("an active account")?,
                None => {
                    let operator = identity::operator(&node.engine, None).await.map_err(told)?;
                    let account = json!({"handle": handle, "name": handle, "kind": "practitioner"});
                    let made = ask(&node.engine, &operator, "user.add", account).await?;
                    node.engine.subject(id_at(&made, "id")?).context("an active account")?
                }
            });
        }
        let reader = people.pop().context("two people")?;
        let lead = people.pop().context("two people")?;
        Ok(Open { node, hub, lead, reader })
    }

    async fn grow(
        &mut self,
        patients: usize,
        options: &Options,
        each: &mut dyn FnMut(&Growth),
    ) -> anyhow::Result<Vec<Growth>> {
        self.register(patients).await?;
        let mut rows = Vec::new();
        for size in &options.entries {
            let begun = Instant::now();
            let open = self.open().await?;
            let shared = open.node.engine.shared().clone();
            let there = log::sql::newest_entry(&mut shared.db.read().await?).await?.unsigned_abs();
            fill(&shared, open.lead.user, &self.wards, size.saturating_sub(there)).await?;
            // What the committer holds of the record is old now.
            open.node.close().await;
            self.sign().await?;
            let fill_s = begun.elapsed().as_secs_f64();
            let (start_ms, rss_kib) = self.start().await?;
            let row = self.measure(options, (*size).max(there), fill_s, start_ms, rss_kib).await?;
            each(&row);
            rows.push(row);
        }
        Ok(rows)
    }

    async fn register(&mut self, patients: usize) -> anyhow::Result<()> {
        let open = self.open().await?;
        let engine = &open.node.engine;
        for number in 0..patients {
            let name = json!({"name": format!("Bench {number}")});
            let made = ask(engine, &open.lead, "patient.register", name).await?;
            let patient = id_at(&made, "id")?;
            self.wards.push(Ward {
                patient,
                channel: id_at(&made, "care_team")?,
                item: id_at(&made["items"], "whole")?,
            });
            if number < FOLLOWED {
                let member = json!({"patient": patient, "user": open.reader.user, "role": "Nurse"});
                ask(engine, &open.lead, "team.add", member).await?;
            }
        }
        open.node.close().await;
        Ok(())
    }

    /// Signs where every channel stands, as the rounds of a server would have.
    async fn sign(&self) -> anyhow::Result<()> {
        let open = self.open().await?;
        let shared = open.node.engine.shared().clone();
        let mut after = 0;
        loop {
            let heads = log::sql::heads_after(&mut shared.db.read().await?, after, 1000).await?;
            let Some(last) = heads.last() else { break };
            after = last.n;
            open.node.engine.attest().ask(&heads);
        }
        for _ in 0..2 {
            open.node.engine.attest().round(&shared).await?;
        }
        attest::checkpoint(&shared, &mut None).await?;
        open.node.close().await;
        Ok(())
    }

    /// Starts a server on the record: how long it takes, and its memory a moment later.
    async fn start(&self) -> anyhow::Result<(f64, u64)> {
        let mut arguments = vec!["serve".into(), "--listen".into(), "127.0.0.1:0".into()];
        arguments.extend(["--data".into(), self.folder.path().as_os_str().to_owned()]);
        if let Some(url) = &self.config.database.url {
            arguments.extend(["--database".into(), url.secret().expose().into()]);
        }
        let begun = Instant::now();
        let child = process::start(arguments).await?;
        let start_ms = begun.elapsed().as_secs_f64() * 1000.0;
        let rss_kib = process::resident_kib(child.pid)?;
        child.end().await?;
        Ok((start_ms, rss_kib))
    }

    async fn measure(
        &self,
        options: &Options,
        entries: u64,
        fill_s: f64,
        start_ms: f64,
        rss_kib: u64,
    ) -> anyhow::Result<Growth> {
        let open = self.open().await?;
        open.node.check().await?;
        let engine = &open.node.engine;
        let reads = self.reads(&open).await?;
        // Last: it makes the record larger.
        let spread = self.wards.len().div_ceil(options.writers).max(1);
        let targets: Vec<Target> = self.wards.iter().step_by(spread).map(Target::of).collect();
        let appended =
            append::measure(engine, &open.lead, &targets, options.writers, options.seconds, true, entries).await;
        ensure!(appended.refused == 0, "a message was refused");
        open.node.close().await;
        let [resume_ms, list_ms, newest_ms, oldest_ms, middle_ms, last_1000_ms, items_ms] = reads.took;
        Ok(Growth {
            database: if self.config.database.url.is_some() { "postgres" } else { "sqlite" },
            patients: self.wards.len(),
            entries,
            fill_s,
            bytes: std::fs::metadata(self.folder.record()).ok().map(|file| file.len()),
            start_ms,
            rss_kib,
            append_per_s: appended.entries_per_second,
            append_p50_us: appended.p50_us,
            append_p99_us: appended.p99_us,
            channels: reads.channels,
            resume_ms,
            list_ms,
            newest_ms,
            oldest_ms,
            middle_ms,
            last_1000_ms,
            items_ms,
        })
    }

    async fn reads(&self, open: &Open) -> anyhow::Result<Reads> {
        let (engine, reader) = (&open.node.engine, &open.reader);
        let list = ask(engine, reader, "channel.list", json!({})).await?;
        let channels = list["channels"].as_array().context("a list")?.clone();
        // Whoever reads daily has little that is unread.
        for channel in &channels {
            let seq = channel["last_seq"].as_i64().unwrap_or(0) - BEHIND;
            if seq > 0 {
                ask(engine, reader, "read", json!({"channel": channel["id"], "seq": seq})).await?;
            }
        }
        let cursors: serde_json::Map<String, Value> = channels
            .iter()
            .filter_map(|one| {
                Some((one["id"].as_str()?.to_owned(), (one["last_seq"].as_i64()? - BEHIND).max(0).into()))
            })
            .collect();
        let resume = median(REPEATS / 4, async || resume(open, &cursors).await).await?;
        let list = median(REPEATS, async || ask(engine, reader, "channel.list", json!({})).await.map(drop)).await?;
        let wards: Vec<&Ward> = self.wards.iter().take(FOLLOWED).collect();
        let mut turn = wards.iter().cycle();
        let mut next = || (**turn.next().expect("a cycle over at least one")).clone();
        let page = async |ward: Ward, more: Value| {
            let mut data = more;
            data["channel"] = json!(ward.channel);
            ask(engine, reader, "history", data).await
        };
        let newest = median(REPEATS, async || page(next(), json!({"limit": 50})).await.map(drop)).await?;
        let oldest = median(REPEATS, async || page(next(), json!({"limit": 50, "after": 0})).await.map(drop)).await?;
        let size = channels.iter().filter_map(|one| one["last_seq"].as_i64()).max().unwrap_or(2);
        let middle = json!({"limit": 50, "before": size / 2});
        let middle = median(REPEATS, async || page(next(), middle.clone()).await.map(drop)).await?;
        let last = median(REPEATS / 4, async || {
            let (ward, mut before) = (next(), None);
            for _ in 0..5 {
                let more = before.map_or(json!({"limit": 200}), |before: i64| json!({"limit": 200, "before": before}));
                let answer = page(ward.clone(), more).await?;
                before = answer["events"][0]["seq"].as_i64();
                if before.is_none_or(|before| before <= 1) {
                    break;
                }
            }
            Ok(())
        })
        .await?;
        let items = median(REPEATS / 4, async || {
            ask(engine, reader, "plan.items", json!({"patient": next().patient})).await.map(drop)
        });
        Ok(Reads { channels: channels.len(), took: [resume, list, newest, oldest, middle, last, items.await?] })
    }
}

struct Reads {
    channels: usize,
    took: [f64; 7],
}

/// The median of so many runs, in milliseconds, after one that is not counted.
async fn median(repeats: usize, mut run: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    run().await?;
    let mut took = Vec::with_capacity(repeats);
    for _ in 0..repeats.max(1) {
        let begun = Instant::now();
        run().await?;
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}

/// One connection of the reader that comes back: until the answer to its `resume`.
async fn resume(open: &Open, cursors: &serde_json::Map<String, Value>) -> anyhow::Result<()> {
    let engine = &open.node.engine;
    let state = SessionState {
        user: open.reader.user,
        expires_at: i64::MAX,
        idle: None,
        active_at: 0.into(),
        stepped_up_until: 0.into(),
        ended: false.into(),
    };
    let id = SessionId(engine.world().id());
    let state = engine.book().put_session(id, state);
    let mut session = Session::open(engine, &open.hub, id, state, None).map_err(told)?;
    let data = json!({"cursors": cursors, "follow": []});
    session.resume(json!(1), data.as_object().context("an object")?).map_err(told)?;
    let done = loop {
        match session.next().await {
            Delivery::Resumed { answer, .. } => break answer.map(drop).map_err(told),
            Delivery::End(end) => break Err(anyhow!("the session ended: {end:?}")),
            _ => {}
        }
    };
    drop(session);
    engine.book().end_session(id);
    done
}
