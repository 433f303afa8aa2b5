//! `user`: accounts.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Answer, columns, data_of, op, text};
use crate::features::identity::{self, Identifier};
use crate::kernel::base::{Refusal, Secret, Stop, UserId};
use crate::kernel::policy::Subject;
use crate::server::Node;

/// `user add`
#[derive(Serialize, Deserialize)]
pub struct Add {
    /// What is typed to sign in.
    pub handle: String,
    /// The person's name.
    pub name: String,
    /// What the account stands for, as on the wire.
    pub kind: String,
    /// Such as `nurse`.
    pub profession: Option<String>,
    /// Where the person works.
    pub organization: Option<String>,
    /// Server roles, as on the wire.
    pub roles: Vec<String>,
    /// None: signs in by token only.
    pub password: Option<String>,
    /// An address the person writes from.
    #[serde(default)]
    pub email: Option<String>,
    /// Numbers others know the practitioner by, `SYSTEM|VALUE`.
    #[serde(default)]
    pub identifiers: Vec<String>,
}

/// Who writes: the account of that handle, or the built-in user, with the authority of the host.
pub(super) async fn author(node: &Node, by: Option<&str>) -> Result<Subject, Stop> {
    Ok(identity::operator(&node.engine, by).await?)
}

/// The account of a handle.
pub(super) async fn named(node: &Node, field: &'static str, handle: &str) -> Result<UserId, Stop> {
    let found = identity::find(&node.engine, handle).await?;
    Ok(found.ok_or_else(|| Refusal::not_found().field(field).detail("There is no user of this handle."))?)
}

pub(super) async fn list(node: &Node, subject: Subject) -> Result<Answer, Stop> {
    let object = Value::Object(op(node, subject, "user.list", json!({})).await?);
    let rows: Vec<Vec<String>> = object["users"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|user| {
            let mut row: Vec<String> =
                ["handle", "name", "kind", "id"].iter().map(|cell| text(user, cell).to_owned()).collect();
            let roles: Vec<&str> = user["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            row.push(roles.join(","));
            row.push(if user["active"] == false { "suspended".into() } else { String::new() });
            row
        })
        .collect();
    Ok(Answer { lines: columns(&rows), object, failed: None })
}

pub(super) async fn activity(node: &Node, subject: Subject, name: &str, handle: &str) -> Result<Answer, Stop> {
    let object = Value::Object(op(node, subject, name, json!({ "handle": handle })).await?);
    let what = if name == "user.suspend" { "is suspended" } else { "may sign in again" };
    Ok(Answer { object, lines: vec![format!("{handle} {what}.")], failed: None })
}

pub(super) async fn add(node: &Node, subject: Subject, add: Add) -> Result<Answer, Stop> {
    let Add { handle, name, kind, profession, organization, roles, password, email, identifiers } = add;
    // Nobody is made whose identifiers are none.
    identifiers.iter().try_for_each(|one| Identifier::parse(one).map(drop))?;
    let data = json!({
        "handle": handle, "name": name, "kind": kind, "profession": profession, "organization": organization,
        "roles": roles,
    });
    let made = node.door.add_user(subject.clone(), data_of(data), password.map(Secret::new)).await?;
    if let Some(email) = email {
        op(node, subject.clone(), "user.email", json!({"handle": handle, "add": email})).await?;
    }
    for identifier in identifiers {
        op(node, subject.clone(), "user.identifier", json!({"handle": handle, "add": identifier})).await?;
    }
    let object = json!({ "id": made["id"], "handle": made["handle"] });
    Ok(Answer { lines: vec![format!("{handle} is {}.", text(&object, "id"))], object, failed: None })
}

pub(super) async fn password(node: &Node, subject: Subject, handle: &str, password: String) -> Result<Answer, Stop> {
    let object = node.door.set_password(subject, handle, Secret::new(password)).await?;
    Ok(Answer { object, lines: vec![format!("The password of {handle} is set; all sessions ended.")], failed: None })
}

pub(super) async fn email(
    node: &Node,
    subject: Subject,
    handle: &str,
    add: Option<String>,
    remove: Option<String>,
) -> Result<Answer, Stop> {
    if add.is_some() || remove.is_some() {
        op(node, subject.clone(), "user.email", json!({"handle": handle, "add": add, "remove": remove})).await?;
    }
    let object = Value::Object(op(node, subject, "user.emails", json!({ "handle": handle })).await?);
    let lines =
        object["emails"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(Answer { object, lines, failed: None })
}

pub(super) async fn identifier(
    node: &Node,
    subject: Subject,
    handle: &str,
    add: Option<String>,
    remove: Option<String>,
) -> Result<Answer, Stop> {
    if add.is_some() || remove.is_some() {
        op(node, subject.clone(), "user.identifier", json!({"handle": handle, "add": add, "remove": remove})).await?;
    }
    let object = Value::Object(op(node, subject, "user.identifiers", json!({ "handle": handle })).await?);
    let lines =
        object["identifiers"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(Answer { object, lines, failed: None })
}
