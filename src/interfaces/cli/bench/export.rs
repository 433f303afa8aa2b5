//! Exports of one patient: how long they take and how much memory they need beside a program that exports nothing. Each runs as a process
//! of its own, so that what filling the folder took is not counted.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::Serialize;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::Instant;

use super::append::targets;
use super::found::{Found, per};
use super::process::{in_its_folder, resident_kib};
use super::search::{fill, nurse, told};
use crate::kernel::base::World;
use crate::kernel::base::config::Config;
use crate::kernel::engine::{Data, Silent};
use crate::server::{Folder, Node, init};

/// How often the memory of the process is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// A time before any entry: an export that writes none.
const NOTHING: &str = "2000-01-01T00:00:00Z";

/// What one export took.
#[derive(Serialize, Debug)]
pub struct Exported {
    /// The form.
    pub format: String,
    /// Entries it holds.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// From the start of the process to its end, milliseconds.
    pub took_ms: u64,
    /// Entries over that time.
    pub entries_per_second: f64,
    /// Most memory of the process, KiB.
    pub peak_kib: u64,
    /// That, less what the same export of nothing needs, KiB.
    pub growth_kib: u64,
}

impl Found for Exported {
    const COLUMNS: &[&str] = &["format", "entries", "MB", "seconds", "entries/s", "peak MiB", "growth MiB"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.format.clone(),
            self.entries.to_string(),
            format!("{:.1}", per(self.bytes, 1e6)),
            format!("{:.1}", per(self.took_ms, 1e3)),
            format!("{:.0}", self.entries_per_second),
            format!("{:.1}", per(self.peak_kib, 1024.0)),
            format!("{:.1}", per(self.growth_kib, 1024.0)),
        ]
    }
}

/// Makes a data folder below `parent`, fills it with `entries` messages of one patient, exports them in each form, and removes it.
///
/// # Errors
/// When the folder cannot be made, a command is refused, or an export fails.
pub async fn run(parent: &Path, entries: usize, formats: &[String]) -> anyhow::Result<Vec<Exported>> {
    let path = parent.join(format!("export-{}", World::system().id()));
    let patient = filled(&path, entries).await?;
    let mut found = Vec::with_capacity(formats.len());
    for format in formats {
        let (_, least) = export(&path, &patient, format, &["--to", NOTHING]).await?;
        let begun = Instant::now();
        let (told, peak_kib) = export(&path, &patient, format, &[]).await?;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let written = told["entries"].as_u64().context("an export tells its entries")?;
        let bytes = told["path"].as_str().map_or(Ok(0), |path| size(Path::new(path)))?;
        found.push(Exported {
            format: format.clone(),
            entries: written,
            bytes,
            took_ms,
            entries_per_second: per(written.saturating_mul(1000), per(took_ms.max(1), 1.0)),
            peak_kib,
            growth_kib: peak_kib.saturating_sub(least),
        });
    }
    std::fs::remove_dir_all(&path)?;
    Ok(found)
}

/// A folder with so many messages; the patient's id.
async fn filled(path: &Path, entries: usize) -> anyhow::Result<String> {
    let folder = Folder::new(path);
    let config = Config::default();
    init::init(&folder, &config, None).await?;
    let node = Node::open_unsealed(folder, config, std::sync::Arc::new(Silent)).await?;
    let nurse = nurse(&node.engine).await?;
    let target = targets(&node.engine, &nurse, 1).await.map_err(told)?.remove(0);
    fill(&node.engine, &nurse, &target, entries).await?;
    let listed = node.engine.run(nurse, "channel.list", Data::new()).await.map_err(told)?;
    let patient = listed["channels"][0]["patient"].as_str().context("a channel has a patient")?.to_owned();
    node.close().await;
    Ok(patient)
}

/// One export by this very binary: what it says, and its most memory in KiB.
async fn export(data: &Path, patient: &str, format: &str, more: &[&str]) -> anyhow::Result<(Value, u64)> {
    let out = data.join(format!("out-{}", World::system().id()));
    let mut command = Command::new(std::env::current_exe()?);
    in_its_folder(&mut command);
    command
        .arg("--data")
        .arg(data)
        .args(["--json", "export", "--patient", patient, "--format", format])
        .args(more)
        .arg("--out")
        .arg(&out);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let pid = child.id().context("the child ended at once")?;
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        // It may end between the question and the look.
        peak = peak.max(resident_kib(pid).unwrap_or_default());
        tokio::time::sleep(LOOK).await;
    }
    let output = child.wait_with_output().await?;
    anyhow::ensure!(output.status.success(), "{}", anyhow!("the export as {format} failed"));
    Ok((serde_json::from_slice(&output.stdout)?, peak))
}

/// Bytes of a file, or of the files of a folder.
fn size(path: &Path) -> std::io::Result<u64> {
    if path.is_dir() {
        return std::fs::read_dir(path)?.map(|entry| entry.and_then(|entry| size(&entry.path()))).sum();
    }
    Ok(path.metadata()?.len())
}
