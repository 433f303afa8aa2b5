//! `verify PATH`: a proof is checked offline: no server, no data folder, no key.

use std::path::Path;

use anyhow::anyhow;
use serde_json::{Value, json};

use super::commands::Answer;
use crate::features::chart;
use crate::kernel::base::world::rfc3339;

/// Checks a proof folder.
///
/// # Errors
/// A sentence when it is no proof that could be checked at all.
pub fn proof(path: &Path, key: Option<&str>) -> anyhow::Result<Answer> {
    let verdict = chart::verify(path, key).map_err(|reason| anyhow!("{}: {reason}", path.display()))?;
    let faults: Vec<Value> = verdict.faults.iter().map(|flaw| json!(flaw)).collect();
    let failed = (!verdict.is_clean()).then(|| format!("{}: not what was recorded.", path.display()));
    let object = json!({
        "ok": verdict.is_clean(),
        "channels": verdict.channels,
        "entries": verdict.entries,
        "withheld": verdict.withheld,
        "until": rfc3339(verdict.until),
        "signer": verdict.signer.to_string(),
        "pinned": verdict.pinned,
        "faults": faults,
    });
    Ok(Answer { object, lines: vec![verdict.to_string()], failed })
}
