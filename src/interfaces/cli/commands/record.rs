//! `verify --record`: every chain, head, counter and body of the data folder, every audit stream, the site log.

use serde_json::{Value, json};

use super::Answer;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Fault, Refusal, Stop};
use crate::kernel::crypto::{VerifierKey, base64};
use crate::kernel::log::{self, verify};
use crate::server::Node;

/// Walks everything. `key` is a signer `NAME+HASH+KEY` that the deployment must have.
pub(super) async fn verify(node: &Node, key: Option<&str>) -> Result<Answer, Stop> {
    let shared = node.engine.shared();
    let signer = shared.vault.keyring().signer()?.verifier().clone();
    let pinned = pinned(key, &signer)?;
    let mut lines = Vec::new();
    let (mut channels, mut faults, mut entries) = (Vec::new(), Vec::new(), 0);
    let heads = log::sql::all_heads(&mut shared.db.read().await?).await?;
    for head in heads {
        // A snapshot for each channel: a long walk must not keep the write-ahead log from starting over.
        let mut tx = shared.db.read().await?;
        let Some(head) = log::sql::head(&mut tx, head.channel).await? else { continue };
        let walked = verify::channel(&mut tx, &shared.vault, &head).await?;
        entries += walked.entries;
        channels.push(json!({ "channel": head.channel, "size": walked.entries, "head": base64(&head.head) }));
        if let Some(flaw) = walked.flaw {
            lines.push(format!("channel {} seq {}: {}", flaw.channel, flaw.seq, flaw.reason));
            faults.push(json!({ "channel": flaw.channel, "seq": flaw.seq, "reason": flaw.reason }));
        }
    }
    let (audited, flaws) = verify::audit(&mut shared.db.read().await?).await?;
    for flaw in flaws {
        lines.push(format!("audit {} n {}: {}", flaw.stream, flaw.n, flaw.reason));
        faults.push(json!({ "audit": flaw.stream, "n": flaw.n, "reason": flaw.reason }));
    }
    match log::site::verify(&mut shared.db.read().await?, &shared.vault).await {
        Ok(_) => {}
        Err(Fault::Integrity(reason)) => {
            lines.push(format!("site log: {reason}"));
            faults.push(json!({ "site": true, "reason": reason }));
        }
        Err(other) => return Err(other.into()),
    }
    let until = rfc3339(shared.book.latest(shared.world.now()));
    if faults.is_empty() {
        let count = channels.len();
        let pinned = if pinned { "pinned" } else { "not pinned" };
        lines.push(format!(
            "{count} channels, {entries} entries: complete and unaltered up to {until}, signed by {signer}, {pinned}"
        ));
    }
    let failed = (!faults.is_empty()).then(|| "The record is not what was written.".to_owned());
    let object = json!({
        "ok": faults.is_empty(), "channels": channels, "entries": entries, "audit_rows": audited,
        "until": until, "signer": signer.to_string(), "pinned": pinned, "faults": Value::from(faults),
    });
    Ok(Answer { object, lines, failed })
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
