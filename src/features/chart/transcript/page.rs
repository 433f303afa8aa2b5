//! What one page of entries needs beside the entries themselves, looked up before any of it is written: files, receipts, and where the
//! entries stand that they name.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::block::Line;
use super::body::Body;
use super::gather::{Gathered, files_of};
use crate::features::channels::{self, Receipt};
use crate::features::chart::source::Source;
use crate::kernel::base::{Fault, Stop, ThingId, UserId};
use crate::kernel::crypto::chain::kind;
use crate::kernel::engine::{Data, Read};
use crate::kernel::log::Fact;

/// Members that name another entry.
const NAMING: [&str; 9] =
    ["message", "note", "task", "reply_to", "handoff", "checkin", "from_message", "from_note", "next"];

/// It, by what it belongs to.
#[derive(Default)]
pub struct Beside {
    /// Lines about the files of an entry.
    pub files: HashMap<i64, Vec<Line>>,
    /// Who was sent an entry and who read it.
    pub receipts: HashMap<i64, HashMap<UserId, Receipt>>,
    /// Where things stand that are named.
    pub places: HashMap<ThingId, (crate::kernel::base::ChannelId, i64)>,
}

impl Beside {
    /// Looks it up for entries of one channel.
    pub async fn of(source: &Source<'_>, gathered: &Gathered, facts: &[&Fact]) -> Result<Self, Stop> {
        let mut beside = Self::default();
        let mut cx = source.read().await?;
        for fact in facts {
            let body = Body::of(fact)?;
            beside.named(&mut cx, gathered, &body).await?;
            if matches!(fact.kind, kind::MESSAGE | kind::NOTE) && !fact.withheld {
                beside.received(&mut cx, gathered, fact).await?;
            }
        }
        drop(cx);
        for fact in facts {
            let ids = files_of(&Body::of(fact)?);
            if !ids.is_empty() {
                beside.files.insert(fact.seq, files(source, fact, &ids).await);
            }
        }
        Ok(beside)
    }

    async fn named(&mut self, cx: &mut Read, gathered: &Gathered, body: &Body) -> Result<(), Fault> {
        let single = NAMING.iter().filter_map(|name| body.id::<ThingId>(name));
        let several = ["tasks", "left", "replaces"].into_iter().flat_map(|name| body.ids::<ThingId>(name));
        for id in single.chain(several).collect::<Vec<_>>() {
            if !self.places.contains_key(&id)
                && let Some(place) = gathered.place(cx, id).await?
            {
                self.places.insert(id, place);
            }
        }
        Ok(())
    }

    async fn received(&mut self, cx: &mut Read, gathered: &Gathered, fact: &Fact) -> Result<(), Fault> {
        let Some(channel) = gathered.access.channels.get(&fact.channel) else { return Ok(()) };
        let shared = cx.shared().clone();
        let readers: Vec<UserId> = channel.readers.keys().copied().filter(|user| *user != fact.by).collect();
        let delivered = &shared.roll.delivered;
        let mut held = channels::of_entry(cx.tx(), delivered, fact.channel, fact.seq, readers).await?;
        held.retain(|user, _| *user != fact.by && channel.readers.contains_key(user));
        self.receipts.insert(fact.seq, held);
        Ok(())
    }
}

/// Name, size and SHA-256 of each file; of one that may not be read by the caller, that it is there.
async fn files(source: &Source<'_>, fact: &Fact, ids: &[String]) -> Vec<Line> {
    let mut lines = Vec::with_capacity(ids.len());
    for id in ids {
        let mut asked = Data::new();
        asked.insert("channel".into(), fact.channel.to_string().into());
        asked.insert("files".into(), json!([id]));
        let told = source.engine.run(source.subject.clone(), "file.info", asked).await;
        let told = told.unwrap_or_default();
        lines.push(file(&told["files"][0], id));
    }
    lines
}

fn file(told: &Value, id: &str) -> Line {
    match (told["name"].as_str(), told["size"].as_i64(), told["sha256"].as_str()) {
        (Some(name), Some(size), Some(sha256)) => Line::theirs(name)
            .and(format!(", {size} bytes, "))
            .told(told["type"].as_str().unwrap_or_default())
            .and(format!(", SHA-256 {sha256}")),
        _ => Line::ours(format!("File {id}: whoever exported this may not read it")),
    }
}
