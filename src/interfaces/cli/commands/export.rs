//! `export`: the record of a patient, taken out and filed.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Answer, filing, patient};
use crate::features::chart::{self, ExportRequest, Format, Out};
use crate::kernel::base::world::parse_rfc3339;
use crate::kernel::base::{ChannelId, Micros, PatientId, Refusal, Stop};
use crate::kernel::policy::Subject;
use crate::server::Node;

/// `export`
#[derive(Serialize, Deserialize)]
pub struct Export {
    /// The patient: an id, or `SYSTEM|VALUE`.
    pub patient: String,
    /// A word of [`Format`].
    pub format: String,
    /// Only what this format has not had yet.
    pub since_last: bool,
    /// These channels only; all if none.
    pub channels: Vec<String>,
    /// RFC 3339.
    pub from: Option<String>,
    /// RFC 3339.
    pub to: Option<String>,
    /// With an entry for the patient.
    pub with_patient: bool,
    /// Why it is taken out.
    #[serde(default)]
    pub purpose: Option<String>,
    /// A configured target, instead of a file.
    #[serde(default)]
    pub target: Option<String>,
    /// What the author stands for.
    #[serde(default)]
    pub attest: Option<String>,
    /// Nothing is filed.
    #[serde(default)]
    pub dry_run: bool,
    /// About these plan items only.
    #[serde(default)]
    pub items: Vec<String>,
    /// Of these record classes only.
    #[serde(default)]
    pub classes: Vec<String>,
    /// These entries only.
    #[serde(default)]
    pub entries: Vec<String>,
    /// An attested draft of a file: it says the rest.
    #[serde(default)]
    pub export: Option<String>,
    /// Somebody sees how far it has come.
    #[serde(default)]
    pub watched: bool,
    /// Where the command line writes it, as typed: for the answer.
    pub path: String,
}

pub(super) async fn export(node: &Node, subject: Subject, asked: Export, out: &mut dyn Out) -> Result<Answer, Stop> {
    let patient = patient::named(node, &asked.patient).await?;
    if let Some(target) = &asked.target {
        return filing::file(node, subject, patient, target, &asked).await;
    }
    let format = Format::from_text(&asked.format)
        .ok_or_else(|| Refusal::invalid("format", "This build does not write that format."))?;
    let request = match &asked.export {
        Some(export) => attested(node, &subject, patient, export, format).await?,
        None => chosen(patient, format, &asked)?,
    };
    let summary = Box::pin(chart::export(&node.engine, &subject, request, out)).await?;
    let object = json!({ "path": asked.path, "entries": summary.entries, "channels": summary.channels });
    let line = format!("{}: {} entries of {} channels", asked.path, summary.entries, summary.channels);
    Ok(Answer { object, lines: vec![line], failed: None })
}

/// What was typed.
fn chosen(patient: PatientId, format: Format, asked: &Export) -> Result<ExportRequest, Refusal> {
    let channels = asked.channels.iter().map(|id| id.parse::<ChannelId>()).collect::<Result<Vec<_>, _>>();
    let channels = channels.map_err(|_| Refusal::invalid("channel", "A channel is named by its id."))?;
    Ok(ExportRequest {
        items: filing::ids("item", &asked.items)?,
        entries: filing::ids("entry", &asked.entries)?,
        classes: filing::classes(&asked.classes)?,
        channels: (!channels.is_empty()).then_some(channels),
        from: time("from", asked.from.as_deref())?,
        to: time("to", asked.to.as_deref())?,
        since_last: asked.since_last,
        with_patient: asked.with_patient,
        purpose: asked.purpose.clone(),
        ..ExportRequest::all(patient, format)
    })
}

/// What people stand for, in the form it was drafted in.
async fn attested(
    node: &Node,
    subject: &Subject,
    patient: PatientId,
    export: &str,
    format: Format,
) -> Result<ExportRequest, Stop> {
    let export = export.parse().map_err(|_| Refusal::invalid("export", "This is named by its id."))?;
    let request = chart::exports::attested(&node.engine, subject, patient, export).await?;
    if request.format != format {
        let detail = format!("This export was drafted as {}.", request.format.text());
        return Err(Refusal::invalid("format", &detail).into());
    }
    Ok(request)
}

fn time(field: &'static str, text: Option<&str>) -> Result<Option<Micros>, Refusal> {
    let wrong = |_| Refusal::invalid(field, "A time is written as RFC 3339: 2026-11-21T21:00:00Z.");
    text.map(parse_rfc3339).transpose().map_err(wrong)
}
