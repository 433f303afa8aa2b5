//! `team`: who cares for a patient.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, op, patient, user};
use crate::kernel::base::Stop;
use crate::kernel::policy::Subject;
use crate::server::Node;

/// `team add`
#[derive(Serialize, Deserialize)]
pub struct Add {
    /// The patient: an id, or `SYSTEM|VALUE`.
    pub patient: String,
    /// Who, by handle.
    pub user: String,
    /// As what.
    pub role: String,
    /// `lead`, `plan`, `barriers`.
    pub responsibilities: Vec<String>,
    /// Stands on shared channels and items only.
    pub family: bool,
}

pub(super) async fn add(node: &Node, subject: Subject, add: Add) -> Result<Answer, Stop> {
    let patient = patient::named(node, &add.patient).await?;
    let user = user::named(node, "user", &add.user).await?;
    let data = json!({
        "patient": patient, "user": user, "role": add.role, "responsibilities": add.responsibilities,
        "family": add.family.then_some(true),
    });
    let joined = Value::Object(op(node, subject, "team.add", data).await?);
    let object = json!({ "patient": patient, "user": user, "seq": joined["seq"] });
    Ok(Answer { object, lines: vec![format!("{} cares for {patient} now.", add.user)], failed: None })
}
