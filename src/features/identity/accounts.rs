//! The commands on accounts and organizations. Internal: the command line gives them, nobody over the wire.
//! Does not know: passwords, only their hashes.

use serde_json::json;

use super::directory::{OPERATOR, name_of};
use super::model::{AccountChange, NewAccount, SessionKind, folded, known_handle};
use super::sql::{self, AccountRow, OrganizationRow};
use crate::kernel::base::{Fault, OrganizationId, Refusal, SessionId, Stop, ThingId, UserId};
use crate::kernel::crypto::Purpose;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Reply, Write};
use crate::kernel::policy::{self, PersonKind, Right, Roles};

/// A whole answer of these members.
pub(super) fn plain(answer: serde_json::Value) -> Result<Reply, Stop> {
    match answer {
        serde_json::Value::Object(members) => Ok(Reply::Plain(members)),
        _ => Err(Fault::Defect("an answer is no object").into()),
    }
}

/// `organization.add`: the first one with `custodian` owns the deployment.
pub(super) async fn add_organization(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let fields = Fields(data);
    let name = fields.required_title("name")?;
    let custodian = fields.boolean("custodian")?.unwrap_or(false);
    let there = sql::organizations(cx.ledger().tx()).await?;
    if there.iter().any(|row| row.name == name) {
        return Err(Refusal::conflict("There is an organization of this name.").field("name").into());
    }
    if custodian && there.iter().any(|row| row.custodian) {
        return Err(Refusal::conflict("The deployment has its organization already.").field("custodian").into());
    }
    let id = new_organization(cx, name, custodian).await?;
    plain(json!({"id": id.to_string()}))
}

async fn new_organization(cx: &mut Write<'_>, name: String, custodian: bool) -> Result<OrganizationId, Stop> {
    let (row, now) = (OrganizationRow { id: OrganizationId(cx.new_id()), name, custodian }, cx.now());
    sql::add_organization(cx.ledger().change(), &row, now).await?;
    Ok(row.id)
}

/// The organization of that name, made if need be; for none, the one that owns the deployment.
async fn organization_for(cx: &mut Write<'_>, name: Option<String>) -> Result<Option<OrganizationId>, Stop> {
    let Some(name) = name else {
        let rows = sql::organizations(cx.ledger().tx()).await?;
        return Ok(rows.into_iter().find(|row| row.custodian).map(|row| row.id));
    };
    match sql::organization_named(cx.ledger().tx(), &name).await? {
        Some(row) => Ok(Some(row.id)),
        None => new_organization(cx, name, false).await.map(Some),
    }
}

/// `user.add`
pub(super) async fn add_user(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let new = NewAccount::parse(Fields(data))?;
    let id = UserId(cx.new_id());
    add_account(cx, id, new).await
}

/// `operator.add`: the built-in user, under the id of whoever asks.
pub(super) async fn add_operator(cx: &mut Write<'_>) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let new = NewAccount {
        handle: OPERATOR.into(),
        name: OPERATOR.into(),
        kind: PersonKind::Service,
        profession: None,
        organization: None,
        roles: Roles::default(),
        password_hash: None,
    };
    let id = cx.subject().user;
    add_account(cx, id, new).await
}

async fn add_account(cx: &mut Write<'_>, id: UserId, new: NewAccount) -> Result<Reply, Stop> {
    let folded = folded(&new.handle);
    if sql::account_of_handle(cx.ledger().tx(), &folded).await?.is_some() {
        return Err(Refusal::conflict("This handle is taken.").field("handle").into());
    }
    let organization = if new.organization.is_none() && new.kind.is_family() {
        None
    } else {
        organization_for(cx, new.organization).await?
    };
    let name = cx.ledger().vault().seal_system(Purpose::Identity, id.0, 1, new.name.as_bytes())?;
    let row = AccountRow {
        id,
        handle: new.handle,
        revision: 1,
        name,
        profession: new.profession,
        organization,
        password_hash: new.password_hash,
    };
    let now = cx.now();
    sql::add_account(cx.ledger().change(), &row, &folded, now).await?;
    cx.ledger().add_person(id, new.kind, new.roles).await?;
    cx.about(ThingId(id.0));
    plain(json!({"id": id.to_string(), "handle": row.handle}))
}

/// The account that `handle` names.
pub(super) async fn named(cx: &mut Write<'_>, data: &Data) -> Result<AccountRow, Stop> {
    let handle = known_handle(Fields(data))?;
    let row = sql::account_of_handle(cx.ledger().tx(), &handle).await?;
    let row = row.ok_or_else(|| Refusal::not_found().field("handle").detail("There is no user of this handle."))?;
    cx.about(ThingId(row.id.0));
    Ok(row)
}

/// An account as policy has it in the open transaction.
pub(super) async fn person(cx: &mut Write<'_>, user: UserId) -> Result<(PersonKind, Roles, bool), Stop> {
    let row = policy::sql::person(cx.ledger().tx(), user).await?;
    let row = row.ok_or(Fault::Integrity("an account that policy does not know"))?;
    let kind = PersonKind::from_number(row.kind).ok_or(Fault::Integrity("unknown kind of person"))?;
    Ok((kind, Roles(row.roles), row.active))
}

/// `user.set`
pub(super) async fn set_user(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let change = AccountChange::parse(Fields(data))?;
    let mut row = named(cx, data).await?;
    let (kind, roles, active) = person(cx, row.id).await?;
    if kind.is_family() && change.roles.is_some_and(|roles| roles != Roles::default()) {
        return Err(Refusal::invalid("roles", "Server roles are for staff and integrations.").into());
    }
    if change.organization.is_some() {
        row.organization = organization_for(cx, change.organization).await?;
    }
    let name = match change.name {
        Some(name) => name,
        None => name_of(cx.ledger().vault(), &row)?,
    };
    row.revision += 1;
    row.name = cx.ledger().vault().seal_system(Purpose::Identity, row.id.0, row.revision, name.as_bytes())?;
    row.profession = change.profession.or(row.profession);
    sql::set_account(cx.ledger().change(), &row).await?;
    if let Some(new) = change.roles.filter(|new| *new != roles) {
        cx.ledger().set_person(row.id, kind, new, active).await?;
    }
    plain(json!({"id": row.id.to_string()}))
}

/// `user.suspend`: every session ends with the commit; tokens do not open until the account is restored.
pub(super) async fn suspend(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let row = named(cx, data).await?;
    if row.handle == OPERATOR {
        return Err(Refusal::conflict("The command line writes by this user.").field("handle").into());
    }
    let (kind, roles, _) = person(cx, row.id).await?;
    cx.ledger().set_person(row.id, kind, roles, false).await?;
    let ended = close_sessions(cx, row.id, None).await?;
    plain(json!({"id": row.id.to_string(), "ended": ended}))
}

/// `user.restore`
pub(super) async fn restore(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let row = named(cx, data).await?;
    let (kind, roles, _) = person(cx, row.id).await?;
    cx.ledger().set_person(row.id, kind, roles, true).await?;
    plain(json!({"id": row.id.to_string()}))
}

/// `user.password`: as set by the host; every session ends.
pub(super) async fn set_password(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let hash = required(data, "password_hash")?;
    let row = named(cx, data).await?;
    sql::set_password(cx.ledger().change(), row.id, hash).await?;
    let ended = close_sessions(cx, row.id, None).await?;
    cx.ledger().raise(row.id).await?;
    plain(json!({"id": row.id.to_string(), "ended": ended}))
}

/// A member that the program itself put in.
pub(super) fn required<'a>(data: &'a Data, field: &'static str) -> Result<&'a str, Refusal> {
    Fields(data).string(field)?.ok_or_else(|| Refusal::invalid(field, "This field is required."))
}

/// Ends the sessions of an account but `kept`. A personal access token is another credential: its sockets and requests end now,
/// the token itself stays until it is revoked.
pub(super) async fn close_sessions(
    cx: &mut Write<'_>,
    account: UserId,
    kept: Option<SessionId>,
) -> Result<usize, Stop> {
    let now = cx.now();
    let open = sql::open_sessions(cx.ledger().tx(), account).await?;
    let mut ended = 0;
    for row in open.into_iter().filter(|row| Some(row.id) != kept) {
        if row.kind == SessionKind::Password.number() {
            sql::end_session(cx.ledger().change(), row.id, now).await?;
        }
        cx.ledger().end_session(row.id);
        ended += 1;
    }
    Ok(ended)
}
