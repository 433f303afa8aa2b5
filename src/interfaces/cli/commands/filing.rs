//! `export --target`: drafted, attested in the author's name, and filed; or, with `--dry-run`, what the target will keep and lose.

use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};

use super::Answer;
use super::export::Export;
use crate::features::channels::Class;
use crate::features::chart::exports::Filings;
use crate::features::chart::exports::model::State;
use crate::features::identity;
use crate::kernel::base::{Fault, PatientId, Refusal, Stop, ThingId};
use crate::kernel::engine::Data;
use crate::kernel::policy::Subject;
use crate::server::Node;

/// Seconds the command waits for the receiver; the server, or the next one, goes on.
const WAIT_SECONDS: u32 = 120;

/// Ids as they were typed; none if none were.
pub(super) fn ids<T: FromStr>(field: &'static str, typed: &[String]) -> Result<Option<Vec<T>>, Refusal> {
    let ids: Result<Vec<T>, _> = typed.iter().map(|id| id.parse()).collect();
    let ids = ids.map_err(|_| Refusal::invalid(field, "This is named by its id."))?;
    Ok((!ids.is_empty()).then_some(ids))
}

/// Record classes as they were typed; none if none were.
pub(super) fn classes(typed: &[String]) -> Result<Option<Vec<Class>>, Refusal> {
    let wrong = |_| Refusal::invalid("class", "A class is care_record, coordination or operational.");
    let classes: Vec<Class> = serde_json::from_value(json!(typed)).map_err(wrong)?;
    Ok((!classes.is_empty()).then_some(classes))
}

fn members(value: Value) -> Result<Data, Fault> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Fault::Defect("a command is not an object")),
    }
}

pub(super) async fn file(
    node: &Node,
    subject: Subject,
    patient: PatientId,
    target: &str,
    asked: &Export,
) -> Result<Answer, Stop> {
    let mut draft = members(json!({ "patient": patient, "target": target, "from": asked.from, "to": asked.to }))?;
    for (name, typed) in [("channels", &asked.channels), ("items", &asked.items), ("entries", &asked.entries)] {
        if !typed.is_empty() {
            draft.insert(name.into(), json!(typed));
        }
    }
    if let Some(classes) = classes(&asked.classes)? {
        draft.insert("classes".into(), json!(classes));
    }
    if let Some(purpose) = &asked.purpose {
        draft.insert("purpose".into(), json!(purpose));
    }
    let drafted = node.engine.run(subject.clone(), "export.draft", draft).await?;
    let export = drafted["export"].clone();
    let of = |more: Value| -> Result<Data, Fault> {
        let mut data = members(json!({ "export": export }))?;
        data.extend(members(more)?);
        Ok(data)
    };
    if asked.dry_run {
        let preview = node.engine.run(subject.clone(), "export.preview", of(json!({}))?).await?;
        node.engine.run(subject, "export.withdraw", of(json!({ "reason": "A dry run" }))?).await?;
        return Ok(previewed(target, preview));
    }
    let attesting = of(json!({ "rev": drafted["rev"], "statement": asked.attest }))?;
    node.engine.run(subject.clone(), "export.attest", attesting).await?;
    let id: ThingId = export.as_str().and_then(|id| id.parse().ok()).ok_or(Fault::Defect("an export without an id"))?;
    settle(node, id).await?;
    let shown = node.engine.run(subject, "export.get", of(json!({}))?).await?;
    Ok(filed(target, shown))
}

/// Files it here, beside whatever job runs, until it is through or has to wait.
async fn settle(node: &Node, export: ThingId) -> Result<(), Stop> {
    let filings = Filings::new(node.engine.clone(), identity::operator(&node.engine, None).await?);
    for _ in 0..WAIT_SECONDS {
        let state = filings.file_now(export).await?;
        if !matches!(state, State::Attested | State::Filing) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

fn previewed(target: &str, preview: Value) -> Answer {
    let mut lines = vec![format!("{target}: {} entries of {} channels", preview["entries"], preview["channels"])];
    for kind in preview["kinds"].as_array().into_iter().flatten() {
        let word = |name: &str| kind[name].as_str().unwrap_or_default().to_owned();
        lines.push(format!("{}: {} {}", word("kind"), kind["entries"], word("kept")));
    }
    Answer { object: preview, lines, failed: None }
}

fn filed(target: &str, shown: Value) -> Answer {
    let state = shown["state"].as_str().unwrap_or_default().to_owned();
    let mut line = format!("{target}: {state}");
    if let Some(filed) = shown.get("filed") {
        line.push_str(&format!(", {} entries, {} sent", filed["entries"], filed["resources"]));
    }
    let words = shown["outcome"]["words"].as_str().unwrap_or_default();
    if let (false, Some(next)) = (words.is_empty(), shown["next_at"].as_str()) {
        line.push_str(&format!(", tried again at {next}: {words}"));
    }
    let failed = (state == State::Failed.text()).then(|| {
        format!("The target did not take it ({}): {words}", shown["outcome"]["code"].as_str().unwrap_or_default())
    });
    Answer { object: shown, lines: vec![line], failed }
}
