//! `report`: what the privacy officer reviews.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, op, patient, text};
use crate::features::chart::disclosure;
use crate::kernel::base::Stop;
use crate::kernel::policy::Subject;
use crate::server::Node;

/// Messages asked for at once.
const PAGE: i64 = 200;

/// `report wrong-patient`: every message that was moved, the newest first.
pub(super) async fn wrong_patient(node: &Node, subject: Subject, of: Option<&str>) -> Result<Answer, Stop> {
    let patient = match of {
        None => None,
        Some(of) => Some(patient::named(node, of).await?),
    };
    let (mut messages, mut before): (Vec<Value>, Option<Value>) = (Vec::new(), None);
    loop {
        let data = json!({ "patient": patient, "before": before, "limit": PAGE });
        let mut page = Value::Object(op(node, subject.clone(), "wrong_patient.list", data).await?);
        let Value::Array(found) = page["messages"].take() else { break };
        before = found.last().map(|last| last["message"].clone());
        messages.extend(found);
        if page["more"] != true {
            break;
        }
    }
    let mut lines: Vec<String> = messages.iter().flat_map(told).collect();
    if lines.is_empty() {
        lines.push("No message was moved.".into());
    }
    Ok(Answer { object: json!({ "messages": messages }), lines, failed: None })
}

/// `report disclosures`
#[derive(Serialize, Deserialize)]
pub struct Disclosures {
    /// The patient: an id, or `SYSTEM|VALUE`.
    pub patient: String,
    /// As FHIR AuditEvents; a table otherwise.
    pub fhir: bool,
    /// RFC 3339.
    pub from: Option<String>,
    /// RFC 3339.
    pub to: Option<String>,
}

/// `report disclosures`: the accounting of disclosures of one patient, the newest first.
pub(super) async fn disclosures(node: &Node, subject: Subject, asked: Disclosures) -> Result<Answer, Stop> {
    let patient = patient::named(node, &asked.patient).await?;
    let times = [asked.from.as_deref(), asked.to.as_deref()];
    let found = disclosure::all(&node.engine, &subject, patient, times).await?;
    if asked.fhir {
        let bundle = disclosure::bundle(&node.engine, patient, &found);
        return Ok(Answer { lines: vec![bundle.to_string()], object: bundle, failed: None });
    }
    let lines = std::iter::once(disclosure::HEADINGS.to_owned()).chain(found.iter().map(disclosure::line));
    let lines = lines.map(|line| line.trim_end_matches(['\r', '\n']).to_owned()).collect();
    Ok(Answer { object: json!({ "disclosures": found }), lines, failed: None })
}

/// A message as lines for a person.
fn told(message: &Value) -> Vec<String> {
    let who = |one: &Value| match text(one, "name") {
        "" => text(one, "user").to_owned(),
        name => format!("{name} ({})", text(one, "user")),
    };
    let place = |one: &Value| format!("channel {} seq {}", text(one, "channel"), one["seq"]);
    let mut lines = vec![
        format!("{}  moved by {}: {}", text(message, "moved_at"), who(&message["moved_by"]), text(message, "reason")),
        format!(
            "  from patient {} {}, written by {}",
            text(message, "patient"),
            place(message),
            who(&message["author"])
        ),
        format!("  to patient {} {}", text(message, "to_patient"), place(&message["to"])),
    ];
    let exposed = message["exposed"].as_array().map(Vec::as_slice).unwrap_or_default();
    if exposed.is_empty() {
        lines.push("  nobody else had been sent it".into());
    }
    for one in exposed {
        let sent = Some(text(one, "sent_at")).filter(|at| !at.is_empty()).map(|at| format!("sent {at}"));
        let read = one["read"].as_bool().unwrap_or_default().then(|| format!("read {}", text(one, "read_at")));
        let parts: Vec<String> = sent.into_iter().chain(read).collect();
        lines.push(format!("  {}: {}", who(one), parts.join(", ").trim_end()));
    }
    lines
}
