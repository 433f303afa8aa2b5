//! `doctor`: is everything in order? Looks from outside, then asks the server or opens the folder itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::alone;
use super::arguments::Place;
use super::commands::{Answer, Command, Order};
use super::paper::Nowhere;
use crate::interfaces::tls::Files;
use crate::kernel::base::config::Config;
use crate::kernel::engine::{self, Silent};
use crate::server::{Folder, Node, node};

/// Below this much space writes fail soon.
const FREE_KIB_MIN: u64 = 512 << 10;

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    name: &'static str,
    ok: bool,
    detail: String,
}

/// Looks at everything and says what is wrong and what to do; with `rebuild` after making the projections again.
pub async fn run(place: &Place, rebuild: bool) -> Answer {
    let folder = place.folder();
    let mut findings = vec![data_folder(&folder)];
    if rebuild && findings.iter().all(|finding| finding.ok) {
        findings.push(found("projections", rebuilt(place, folder.clone()).await));
    }
    if findings.iter().all(|finding| finding.ok) {
        let config = place.settings(&folder);
        findings.push(found("configuration", config.as_ref().map(|_| "is read".into())));
        let config = config.unwrap_or_default();
        findings.push(key(&folder, &config));
        findings.push(certificate(&folder, &config));
        findings.extend(space(&folder).await);
        findings.push(record(place).await);
    }
    told(&findings)
}

/// Makes every projection again from the log, while nobody else has the folder.
async fn rebuilt(place: &Place, folder: Folder) -> anyhow::Result<String> {
    let config = place.settings(&folder)?;
    let node = Node::open_unsealed(folder, config, Arc::new(Silent)).await?;
    let entries = engine::rebuild(node.engine.shared()).await;
    node.close().await;
    Ok(format!("made again from {} entries", entries?))
}

fn told(findings: &[Finding]) -> Answer {
    let wrong = findings.iter().filter(|finding| !finding.ok).count();
    let line = |finding: &Finding| {
        format!("{}  {:<14} {}", if finding.ok { "ok   " } else { "WRONG" }, finding.name, finding.detail)
    };
    Answer {
        object: json!({ "ok": wrong == 0, "checks": findings }),
        lines: findings.iter().map(line).collect(),
        failed: (wrong > 0).then(|| format!("{wrong} of {} checks failed.", findings.len())),
    }
}

fn found<E: std::fmt::Display>(name: &'static str, outcome: Result<String, E>) -> Finding {
    match outcome {
        Ok(detail) => Finding { name, ok: true, detail },
        Err(error) => Finding { name, ok: false, detail: format!("{error:#}") },
    }
}

fn data_folder(folder: &Folder) -> Finding {
    let looked = || {
        folder.demand_initialised()?;
        let mode = fs::metadata(folder.path())?.permissions().mode() & 0o777;
        anyhow::ensure!(mode & 0o077 == 0, "{} has mode {mode:04o}: chmod 0700", folder.path().display());
        Ok(format!("{} is private", folder.path().display()))
    };
    found::<anyhow::Error>("folder", looked())
}

fn key(folder: &Folder, config: &Config) -> Finding {
    // Whether it opens anything is seen when the record is opened.
    found("key", node::provider(folder, config, 1).map(|_| "is there and readable by its owner alone".into()))
}

fn certificate(folder: &Folder, config: &Config) -> Finding {
    let files = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => Files { certificate: certificate.clone(), key: key.clone() },
        _ => Files::of_folder(folder.path()),
    };
    let looked = files.load().and_then(|identity| {
        identity.config()?;
        Ok(format!("SHA-256 {}", identity.fingerprint()))
    });
    found("certificate", looked)
}

/// As `df` sees it; nothing where there is no `df`.
async fn space(folder: &Folder) -> Option<Finding> {
    let output = tokio::process::Command::new("df").arg("-Pk").arg(folder.path()).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let free: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    let (ok, mib) = (free >= FREE_KIB_MIN, free >> 10);
    let advice = if ok { "" } else { ": make room, below 512 MiB writes fail soon" };
    Some(Finding { name: "disk", ok, detail: format!("{mib} MiB are free{advice}") })
}

async fn record(place: &Place) -> Finding {
    let order = Order { by: None, command: Command::KeysStatus };
    let opened = alone::run(place, order, &mut Nowhere).await;
    found("record", opened.map(|_| "its keys open, the newest entry of every channel holds".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_thing_is_a_failure() {
        let finding = |ok| Finding { name: "key", ok, detail: "d".into() };
        assert!(told(&[finding(true)]).failed.is_none());
        let answer = told(&[finding(true), finding(false)]);
        assert_eq!(answer.failed.as_deref(), Some("1 of 2 checks failed."));
        assert_eq!(answer.object["ok"], false);
        assert!(answer.lines[1].starts_with("WRONG"));
    }
}
