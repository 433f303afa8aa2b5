//! `verify --record`: every chain, head, counter and body of the data folder, every audit stream, the site log.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Answer;
use crate::features::files;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{ChannelId, Fault, Refusal, Stop};
use crate::kernel::crypto::{VerifierKey, base64};
use crate::kernel::log;
use crate::kernel::log::site::Note;
use crate::kernel::log::verify::{self, Known};
use crate::server::Node;

/// Signed heads that are remembered of each channel.
const SIGNED_KEPT: usize = 32;

/// What was found wrong: as a line, and in the object.
#[derive(Default)]
struct Faults {
    lines: Vec<String>,
    list: Vec<Value>,
}

impl Faults {
    fn channel(&mut self, channel: ChannelId, seq: i64, reason: &str) {
        self.lines.push(format!("channel {channel} seq {seq}: {reason}"));
        self.list.push(json!({ "channel": channel, "seq": seq, "reason": reason }));
    }
}

/// Walks everything. `key` is a signer `NAME+HASH+KEY` that the deployment must have.
pub(super) async fn verify(node: &Node, key: Option<&str>) -> Result<Answer, Stop> {
    let shared = node.engine.shared();
    let signer = shared.vault.keyring().signer()?.verifier().clone();
    let pinned = pinned(key, &signer)?;
    let mut faults = Faults::default();
    // Before the channels: what is written meanwhile is in their snapshots then.
    let (audited, known) = known(node, &mut faults).await?;
    let (channels, entries) = walk(node, known, &mut faults).await?;
    let until = rfc3339(shared.book.latest(shared.world.now()));
    let Faults { mut lines, list } = faults;
    if list.is_empty() {
        let count = channels.len();
        let pinned = if pinned { "pinned" } else { "not pinned" };
        lines.push(format!(
            "{count} channels, {entries} entries: complete and unaltered up to {until}, signed by {signer}, {pinned}"
        ));
    }
    let failed = (!list.is_empty()).then(|| "The record is not what was written.".to_owned());
    let object = json!({
        "ok": list.is_empty(), "channels": channels, "entries": entries, "audit_rows": audited,
        "until": until, "signer": signer.to_string(), "pinned": pinned, "faults": list,
    });
    Ok(Answer { object, lines, failed })
}

/// Checks audit and site log; gives the rows of the audit that hold, and what both say of each channel.
async fn known(node: &Node, faults: &mut Faults) -> Result<(i64, HashMap<ChannelId, Known>), Stop> {
    let shared = node.engine.shared();
    let mut known: HashMap<ChannelId, Known> = HashMap::new();
    let audited = verify::audit(&mut shared.db.read().await?).await?;
    for flaw in audited.flaws {
        faults.lines.push(format!("audit {} n {}: {}", flaw.stream, flaw.n, flaw.reason));
        faults.list.push(json!({ "audit": flaw.stream, "n": flaw.n, "reason": flaw.reason }));
    }
    for (channel, reached) in audited.reached {
        known.entry(channel).or_default().reached = reached;
    }
    match site(node, &mut known).await {
        Ok(()) => {}
        Err(Fault::Integrity(reason)) => {
            faults.lines.push(format!("site log: {reason}"));
            faults.list.push(json!({ "site": true, "reason": reason }));
        }
        Err(other) => return Err(other.into()),
    }
    Ok((audited.rows, known))
}

/// Walks the site log; keeps the newest signed heads of each channel.
async fn site(node: &Node, known: &mut HashMap<ChannelId, Known>) -> Result<(), Fault> {
    let shared = node.engine.shared();
    let mut tx = shared.db.read().await?;
    let mut walk = log::site::Walk::begin(&mut tx, &shared.vault).await?;
    loop {
        let keep = |note| {
            if let Note::Channel(note) = note {
                let size = i64::try_from(note.size).unwrap_or(i64::MAX);
                let signed = &mut known.entry(note.channel).or_default().signed;
                signed.insert(size, note.head);
                // The newest stands for all before it; some more name the place better.
                if signed.len() > SIGNED_KEPT {
                    signed.pop_first();
                }
            }
        };
        if !walk.page(&mut tx, &shared.vault, keep).await? {
            return Ok(());
        }
        tx = shared.db.read().await?;
    }
}

/// Walks every channel; gives them with their sizes, and the entries that hold.
async fn walk(
    node: &Node,
    mut known: HashMap<ChannelId, Known>,
    faults: &mut Faults,
) -> Result<(Vec<Value>, i64), Stop> {
    let shared = node.engine.shared();
    let (mut channels, mut entries) = (Vec::new(), 0);
    let heads = log::sql::all_heads(&mut shared.db.read().await?).await?;
    for head in heads {
        // A snapshot for each channel: a long walk must not keep the write-ahead log from starting over.
        let mut tx = shared.db.read().await?;
        let Some(head) = log::sql::head(&mut tx, head.channel).await? else { continue };
        let known = known.remove(&head.channel).unwrap_or_default();
        let walked = verify::channel(&mut tx, &shared.vault, &head, &known).await?;
        entries += walked.entries;
        channels.push(json!({ "channel": head.channel, "size": walked.entries, "head": base64(&head.head) }));
        drop(tx);
        if let Some(flaw) = walked.flaw {
            faults.channel(flaw.channel, flaw.seq, flaw.reason);
        } else if let Some((seq, reason)) = files::check(&node.engine, head.channel).await? {
            faults.channel(head.channel, seq, reason);
        }
    }
    // What is left is named by the audit or signed, but not there.
    let mut gone: Vec<ChannelId> = known
        .into_iter()
        .filter(|(_, known)| known.reached > 0 || !known.signed.is_empty())
        .map(|(id, _)| id)
        .collect();
    gone.sort();
    gone.into_iter().for_each(|channel| faults.channel(channel, 1, "the channel is missing"));
    let stray = log::sql::strays(&mut shared.db.read().await?).await?;
    if stray > 0 {
        faults.channel(ChannelId::ZERO, stray, "the entry is of a channel that is not there");
    }
    Ok((channels, entries))
}

fn pinned(key: Option<&str>, signer: &VerifierKey) -> Result<bool, Refusal> {
    let Some(key) = key else { return Ok(false) };
    let key: VerifierKey =
        key.parse().map_err(|_| Refusal::invalid("key", "A key is NAME+HASH+KEY, as `keys status` shows it."))?;
    if key != *signer {
        return Err(Refusal::invalid("key", "This deployment signs with another key."));
    }
    Ok(true)
}
