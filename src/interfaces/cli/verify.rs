//! `verify PATH`: a proof, a signed document or an `ndjson` file is checked offline: no server, no data folder, no key.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use super::commands::Answer;
use crate::features::chart;
use crate::kernel::base::world::rfc3339;

/// Bytes of a document that are read: 10,000 entries and the files in them are less.
const DOCUMENT_BYTES_MAX: u64 = 512 << 20;
/// How an `ndjson` file begins, and a document does not.
const FRAME: &[u8] = b"{\"type\":\"event\"";

/// Checks what lies at `path`: a folder is a proof, a file an export of entries or a signed document.
///
/// # Errors
/// A sentence when it is nothing that could be checked at all.
pub fn verify(path: &Path, key: Option<&str>) -> anyhow::Result<Answer> {
    if path.is_dir() {
        return proof(path, key);
    }
    let mut file = BufReader::new(File::open(path).with_context(|| path.display().to_string())?);
    let start = file.fill_buf().with_context(|| path.display().to_string())?;
    if start.is_empty() || start.starts_with(FRAME) { lines(path, file, key) } else { document(path, file, key) }
}

fn failed(path: &Path, clean: bool) -> Option<String> {
    (!clean).then(|| format!("{}: not what was recorded.", path.display()))
}

fn proof(path: &Path, key: Option<&str>) -> anyhow::Result<Answer> {
    let verdict = chart::verify(path, key).map_err(|reason| anyhow!("{}: {reason}", path.display()))?;
    let faults: Vec<Value> = verdict.faults.iter().map(|flaw| json!(flaw)).collect();
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
    Ok(Answer { object, lines: vec![verdict.to_string()], failed: failed(path, verdict.is_clean()) })
}

fn lines(path: &Path, file: impl BufRead, key: Option<&str>) -> anyhow::Result<Answer> {
    let verdict = chart::verify_lines(file, key).map_err(|reason| anyhow!("{}: {reason}", path.display()))?;
    let object = json!({
        "ok": verdict.is_clean(),
        "channels": verdict.channels,
        "entries": verdict.entries,
        "until": verdict.until.map(rfc3339),
        "signer": verdict.signer.as_ref().map(ToString::to_string),
        "pinned": verdict.pinned,
        "sha256": verdict.sha256,
        "faults": verdict.faults,
    });
    Ok(Answer { object, lines: vec![verdict.to_string()], failed: failed(path, verdict.is_clean()) })
}

fn document(path: &Path, file: impl Read, key: Option<&str>) -> anyhow::Result<Answer> {
    let mut bytes = Vec::new();
    let read = file.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| path.display().to_string())?;
    if read as u64 > DOCUMENT_BYTES_MAX {
        return Err(anyhow!("{}: larger than any document of ours.", path.display()));
    }
    let verdict = chart::verify_document(&bytes, key).map_err(|reason| anyhow!("{}: {reason}", path.display()))?;
    let fault = |reason: &String| json!({ "channel": null, "seq": null, "reason": reason });
    let object = json!({
        "ok": verdict.is_clean(),
        "channels": [],
        "entries": verdict.entries,
        "until": verdict.signed_at,
        "signer": verdict.key,
        "pinned": verdict.pinned,
        "faults": verdict.faults.iter().map(fault).collect::<Vec<_>>(),
    });
    Ok(Answer { object, lines: vec![verdict.to_string()], failed: failed(path, verdict.is_clean()) })
}
