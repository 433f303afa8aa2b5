//! Looking up people by name, and what the site says of itself.

use serde_json::{Value, json};
use uuid::Uuid;

use super::directory::{all_accounts, organizations};
use super::model::folded;
use crate::kernel::base::{Refusal, Stop};
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read};
use crate::kernel::policy::{self, Object, PersonKind, Right};

/// Fewer letters would find half of a hospital.
const QUERY_CHARS_MIN: usize = 2;
/// Of one answer; whoever finds too many types on.
const FOUND_MAX: usize = 20;

/// `user.find`: active people whose name or handle holds the words, the best match first. Staff find each other and the
/// family members that have accounts; a name says nothing of any record.
pub(super) async fn find(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    let query = folded(Fields(data).required_title("query")?.trim());
    cx.permit_server(Right::LookUpPeople)?;
    if query.chars().count() < QUERY_CHARS_MIN {
        return Err(Refusal::invalid("query", "Two letters at least.").into());
    }
    let organizations = organizations(cx).await?;
    let mut found: Vec<(u8, String, Value)> = Vec::new();
    for account in
        all_accounts(cx).await?.into_iter().filter(|account| account.active && account.kind != PersonKind::Service)
    {
        let name = account.name.reveal();
        let (by_name, by_handle) = (folded(name), folded(&account.handle));
        let rank = match (by_name.find(&query), by_handle.find(&query)) {
            (None, None) => continue,
            (Some(0), _) | (_, Some(0)) => 0,
            (Some(at), _) if by_name[..at].ends_with(' ') => 1,
            _ => 2,
        };
        let works_at = |id: Uuid| organizations.iter().find(|organization| organization.id.0 == id);
        let organization = account.organization.and_then(|id| works_at(id.0)).map(|organization| &organization.name);
        let shown = json!({
            "id": account.id, "handle": account.handle, "name": name, "kind": account.kind.text(),
            "profession": account.profession, "organization": organization,
        });
        found.push((rank, by_name, shown));
    }
    found.sort_by(|(rank, name, _), (other_rank, other, _)| (rank, name).cmp(&(other_rank, other)));
    let more = found.len() > FOUND_MAX;
    let users: Vec<Value> = found.into_iter().take(FOUND_MAX).map(|(_, _, shown)| shown).collect();
    Ok(json!({ "users": users, "more": more }))
}

/// `site.get`
pub(super) async fn site(cx: &mut Read) -> Result<Value, Stop> {
    cx.permit_server(Right::OwnAccount)?;
    let owner = organizations(cx).await?.into_iter().find(|organization| organization.custodian);
    // How staff begin their messages is not for the family's page.
    let staff = policy::decide(cx.subject(), Right::UseTemplates, Object::Server, cx.now()).is_ok();
    let site = &cx.shared().config.site;
    Ok(json!({
        "organization": owner.map(|organization| organization.name),
        "emergency_number": site.emergency_number,
        "templates": if staff { json!(site.templates) } else { json!([]) },
    }))
}
