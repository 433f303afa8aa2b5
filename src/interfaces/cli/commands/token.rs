//! `token`: personal access tokens.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, columns, data_of, op, text};
use crate::kernel::base::Stop;
use crate::kernel::policy::Subject;
use crate::server::Node;

/// `token issue`
#[derive(Serialize, Deserialize)]
pub struct Issue {
    /// Whose handle.
    pub user: String,
    /// What for.
    pub label: Option<String>,
    /// How long it lasts.
    pub days: Option<u32>,
    /// What it may do that tokens may not otherwise, as on the wire.
    pub allow: Vec<String>,
}

pub(super) async fn list(node: &Node, subject: Subject, handle: Option<String>) -> Result<Answer, Stop> {
    let object = Value::Object(op(node, subject, "token.list", json!({ "handle": handle })).await?);
    let rows: Vec<Vec<String>> = object["tokens"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|token| {
            let cells = ["id", "handle", "expires_at", "label"];
            cells.iter().map(|cell| text(token, cell).to_owned()).collect()
        })
        .collect();
    Ok(Answer { lines: columns(&rows), object, failed: None })
}

pub(super) async fn revoke(node: &Node, subject: Subject, id: &str) -> Result<Answer, Stop> {
    let object = Value::Object(op(node, subject, "token.revoke", json!({ "id": id })).await?);
    Ok(Answer { object, lines: vec![format!("{id} is revoked.")], failed: None })
}

pub(super) async fn issue(node: &Node, subject: Subject, issue: Issue) -> Result<Answer, Stop> {
    let Issue { user, label, days, allow } = issue;
    let data = data_of(json!({ "handle": user, "label": label, "days": days, "allow": allow }));
    let issued = node.door.issue_token(subject, data).await?;
    let object = json!({ "token": issued["token"], "id": issued["id"], "expires_at": issued["expires_at"] });
    let until =
        format!("{} lasts until {}. The token is not shown again.", text(&object, "id"), text(&object, "expires_at"));
    Ok(Answer { lines: vec![text(&object, "token").to_owned(), until], object, failed: None })
}
