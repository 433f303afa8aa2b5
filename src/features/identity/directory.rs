//! Looking up accounts and organizations, for other features and the edges.
//! Does not know: who may ask. A caller holds a permit for what it shows.

use std::collections::HashMap;

use super::model::folded;
use super::sql::{self, AccountRow};
use crate::kernel::base::{Code, Fault, Micros, OrganizationId, Phi, Refusal, Stop, UserId};
use crate::kernel::crypto::Purpose;
use crate::kernel::engine::{Engine, Ledger, Read};
use crate::kernel::log::Vault;
use crate::kernel::policy::{self, Book, PersonKind, Roles, Subject};

/// The handle of the built-in user that writes for the command line.
pub const OPERATOR: &str = "operator";

/// An account as others see it.
#[derive(Clone)]
pub struct Account {
    /// The account.
    pub id: UserId,
    /// What it signs in with.
    pub handle: String,
    /// The person's name.
    pub name: Phi<String>,
    /// What it stands for.
    pub kind: PersonKind,
    /// Server roles.
    pub roles: Roles,
    /// Not suspended.
    pub active: bool,
    /// Profession, in the organization's words.
    pub profession: Option<String>,
    /// Where the person works.
    pub organization: Option<OrganizationId>,
}

/// An organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// The organization.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// Owns the deployment: custodian of exports.
    pub custodian: bool,
}

/// The name of a row, opened.
pub(super) fn name_of(vault: &Vault, row: &AccountRow) -> Result<String, Fault> {
    let name = vault.open_system(Purpose::Identity, row.id.0, row.revision, &row.name)?;
    String::from_utf8(name.to_vec()).map_err(|_| Fault::Integrity("the name of an account is no text"))
}

fn seen(vault: &Vault, row: AccountRow, kind: PersonKind, roles: Roles, active: bool) -> Result<Account, Fault> {
    let name = Phi::new(name_of(vault, &row)?);
    let AccountRow { id, handle, profession, organization, .. } = row;
    Ok(Account { id, handle, name, kind, roles, active, profession, organization })
}

fn from_book(vault: &Vault, book: &Book, row: AccountRow) -> Result<Option<Account>, Fault> {
    let Some(person) = book.person(row.id) else { return Ok(None) };
    seen(vault, row, person.kind, person.roles, person.active).map(Some)
}

/// Accounts by id; an id that is none is left out.
///
/// # Errors
/// The database's, or a name does not open.
pub async fn accounts(cx: &mut Read, ids: &[UserId]) -> Result<HashMap<UserId, Account>, Fault> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sql::accounts_of(cx.tx(), ids.iter().map(|id| id.0)).await?;
    let shared = cx.shared();
    let found = rows.into_iter().map(|row| from_book(&shared.vault, &shared.book, row));
    found.filter_map(Result::transpose).map(|account| account.map(|account| (account.id, account))).collect()
}

/// Names by id; an id that is none is left out.
///
/// # Errors
/// As [`accounts`].
pub async fn names(cx: &mut Read, ids: &[UserId]) -> Result<HashMap<UserId, String>, Fault> {
    let accounts = accounts(cx, ids).await?;
    Ok(accounts.into_iter().map(|(id, account)| (id, account.name.into_revealed())).collect())
}

/// Every account, by handle.
///
/// # Errors
/// As [`accounts`].
pub async fn all_accounts(cx: &mut Read) -> Result<Vec<Account>, Fault> {
    let rows = sql::accounts(cx.tx()).await?;
    let shared = cx.shared();
    rows.into_iter().filter_map(|row| from_book(&shared.vault, &shared.book, row).transpose()).collect()
}

/// One account as the open transaction has it; none if there is no such account.
///
/// # Errors
/// As [`accounts`].
pub async fn account(ledger: &mut Ledger, id: UserId) -> Result<Option<Account>, Fault> {
    let Some(row) = sql::account(ledger.tx(), id).await? else { return Ok(None) };
    let Some(person) = policy::sql::person(ledger.tx(), id).await? else { return Ok(None) };
    let kind = PersonKind::from_number(person.kind).ok_or(Fault::Integrity("unknown kind of person"))?;
    seen(ledger.vault(), row, kind, Roles(person.roles), person.active).map(Some)
}

/// The account of a handle; case does not matter.
///
/// # Errors
/// The database's.
pub async fn by_handle(cx: &mut Read, handle: &str) -> Result<Option<UserId>, Fault> {
    Ok(sql::account_of_handle(cx.tx(), &folded(handle)).await?.map(|row| row.id))
}

/// As [`by_handle`], outside a command: for the command line, which names people by handle.
///
/// # Errors
/// The database's.
pub async fn find(engine: &Engine, handle: &str) -> Result<Option<UserId>, Fault> {
    let mut tx = engine.shared().db.read().await?;
    Ok(sql::account_of_handle(&mut tx, &folded(handle)).await?.map(|row| row.id))
}

/// Every organization, the oldest first.
///
/// # Errors
/// The database's.
pub async fn organizations(cx: &mut Read) -> Result<Vec<Organization>, Fault> {
    let rows = sql::organizations(cx.tx()).await?;
    Ok(rows.into_iter().map(|row| Organization { id: row.id, name: row.name, custodian: row.custodian }).collect())
}

/// Who the command line acts as: the user of that handle, else the built-in one. Has the authority of the host either way.
///
/// # Errors
/// `not_found`, field `by`, if there is no such active user.
pub async fn operator(engine: &Engine, by: Option<&str>) -> Result<Subject, Refusal> {
    let handle = by.unwrap_or(OPERATOR);
    let found = find(engine, handle).await.map_err(|fault| Stop::Failed(fault).refusal())?;
    let subject = found
        .and_then(|user| engine.subject(user))
        .ok_or_else(|| Refusal::new(Code::NotFound).field("by").detail("There is no active user of this handle."))?;
    Ok(Subject { command_line: true, stepped_up_until: Micros::MAX, ..subject })
}
