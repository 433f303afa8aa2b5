//! Search over one patient: how long it takes to go over so many entries, from the question to the audited answer, without sockets.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, anyhow};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::append::{Target, targets};
use super::found::{Found, per};
use crate::features::identity;
use crate::kernel::base::config::Config;
use crate::kernel::base::{Refusal, World};
use crate::kernel::engine::{Data, Engine, Silent};
use crate::kernel::policy::Subject;
use crate::server::{Folder, Node, init};

/// Writers that fill the channel.
const WRITERS: usize = 256;
/// Questions of each kind; the first one warms up and is not counted.
const QUESTIONS: usize = 6;
/// A word that stands in one of so many messages.
const RARE_EVERY: usize = 1000;

/// What one question took.
#[derive(Serialize, Debug)]
pub struct Searched {
    /// What was looked for.
    pub question: &'static str,
    /// Entries of the patient.
    pub entries: usize,
    /// Hits of the answer.
    pub hits: usize,
    /// Median time to the answer, microseconds.
    pub p50_us: u64,
    /// The longest, microseconds.
    pub longest_us: u64,
    /// Entries over the median time: of those that are there, also where not all had to be gone over.
    pub entries_per_second: f64,
}

impl Found for Searched {
    const COLUMNS: &[&str] = &["question", "entries", "hits", "p50 ms", "longest ms", "entries/s"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.question.to_owned(),
            self.entries.to_string(),
            self.hits.to_string(),
            format!("{:.1}", per(self.p50_us, 1000.0)),
            format!("{:.1}", per(self.longest_us, 1000.0)),
            format!("{:.0}", self.entries_per_second),
        ]
    }
}

/// Makes a data folder of its own below `parent`, fills it with `entries` messages of one patient, asks, and removes it.
///
/// # Errors
/// When the folder cannot be made, the engine does not start, or a command is refused.
pub async fn run(parent: &Path, entries: usize) -> anyhow::Result<Vec<Searched>> {
    let path = parent.join(format!("search-{}", World::system().id()));
    let folder = Folder::new(&path);
    let config = Config::default();
    init::init(&folder, &config, None).await?;
    let node = Node::open_unsealed(folder, config, Arc::new(Silent)).await?;
    let found = measured(&node.engine, entries).await;
    node.close().await;
    std::fs::remove_dir_all(&path)?;
    found
}

pub(super) fn told(refusal: Refusal) -> anyhow::Error {
    anyhow!("{}: {}", refusal.code.text(), refusal.detail.unwrap_or_default())
}

/// A nurse who may write.
pub(super) async fn nurse(engine: &Engine) -> anyhow::Result<Subject> {
    let operator = identity::operator(engine, None).await.map_err(told)?;
    let account = json!({"handle": "bench-nurse", "name": "Bench Nurse", "kind": "practitioner"});
    let Value::Object(account) = account else { anyhow::bail!("an object is an object") };
    let added = engine.run_internal(operator, "user.add", account).await.map_err(told)?;
    let nurse = added["id"].as_str().and_then(|id| id.parse().ok()).and_then(|id| engine.subject(id));
    nurse.context("the account that was just added is not there")
}

async fn measured(engine: &Engine, entries: usize) -> anyhow::Result<Vec<Searched>> {
    let nurse = nurse(engine).await?;
    let target = targets(engine, &nurse, 1).await.map_err(told)?.remove(0);
    fill(engine, &nurse, &target, entries).await?;
    let mut found = Vec::new();
    for (question, text) in [
        ("a word that is nowhere", "xerostomia"),
        ("a word in one of 1,000", "STRASSE"),
        ("a word everywhere", "dizziness"),
    ] {
        found.push(ask(engine, &nurse, question, text, entries).await?);
    }
    Ok(found)
}

/// Two lines of a nurse's note; one of four is not in English.
fn words(n: usize) -> String {
    let rare = if n.is_multiple_of(RARE_EVERY) { "Besuch in der Gartenstraße. " } else { "" };
    let text = if n.is_multiple_of(4) {
        "Blutdruck heute früh 148 zu 92, erste Dosis zum Frühstück genommen; beim Aufstehen keine Übelkeit (dizziness). Ruft um sechs wieder an, Prüfung der Gefäße am Montag."
    } else {
        "Systolic 148 at home this morning, took the first dose with breakfast; no dizziness on standing. Will ring again at six, vascular check due on Monday, daughter present."
    };
    format!("{rare}{text} {n}")
}

pub(super) async fn fill(engine: &Engine, nurse: &Subject, target: &Target, entries: usize) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let writers = (0..WRITERS).map(|_| {
        let (engine, nurse, target, next) = (engine.clone(), nurse.clone(), target.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= entries {
                    return Ok(());
                }
                engine.run(nurse.clone(), "message.post", target.post(words(n))).await?;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await?.map_err(told)?;
    }
    Ok(())
}

async fn ask(
    engine: &Engine,
    nurse: &Subject,
    question: &'static str,
    text: &str,
    entries: usize,
) -> anyhow::Result<Searched> {
    let mut took = Vec::new();
    let mut hits = 0;
    for _ in 0..QUESTIONS {
        let mut data = Data::new();
        data.insert("text".into(), text.into());
        let begun = Instant::now();
        let answer = engine.run(nurse.clone(), "search", data).await.map_err(told)?;
        took.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        hits = answer["hits"].as_array().map_or(0, Vec::len);
    }
    took.remove(0);
    took.sort_unstable();
    let p50_us = took[took.len() / 2];
    let longest_us = took.last().copied().unwrap_or(p50_us);
    let counted = u64::try_from(entries).unwrap_or(u64::MAX);
    Ok(Searched { question, entries, hits, p50_us, longest_us, entries_per_second: per(counted, seconds(p50_us)) })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
