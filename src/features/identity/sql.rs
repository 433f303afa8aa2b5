//! Statements of identity: organizations, accounts, sessions and tokens. No other module reads or writes these tables.
//! Does not know: what a password hash or a sealed name says.

use uuid::Uuid;

use crate::kernel::base::{Micros, OrganizationId, SessionId, UserId};
use crate::kernel::store::{Tx, id_list, on_db, statements};

statements! {
    ORGANIZATION_ADD = "INSERT INTO organization (id, name, custodian, created_at) VALUES ($1, $2, $3, $4)";
    ORGANIZATION_NAMED = "SELECT id, name, custodian FROM organization WHERE name = $1";
    ORGANIZATIONS = "SELECT id, name, custodian FROM organization ORDER BY created_at, id";
    ACCOUNT_ADD = "INSERT INTO account (id, handle, folded, revision, name, profession, organization, password_hash, created_at) VALUES ($1, $2, $3, 1, $4, $5, $6, $7, $8)";
    ACCOUNT_GET = "SELECT id, handle, revision, name, profession, organization, password_hash FROM account WHERE id = $1";
    ACCOUNT_OF_HANDLE = "SELECT id, handle, revision, name, profession, organization, password_hash FROM account WHERE folded = $1";
    ACCOUNTS_OF = "SELECT id, handle, revision, name, profession, organization, password_hash FROM account
        WHERE id IN (SELECT unhex(value) FROM json_each($1))";
    ACCOUNTS = "SELECT id, handle, revision, name, profession, organization, password_hash FROM account ORDER BY folded";
    ACCOUNT_SET = "UPDATE account SET revision = $2, name = $3, profession = $4, organization = $5 WHERE id = $1";
    PASSWORD_SET = "UPDATE account SET password_hash = $2 WHERE id = $1";
    SESSION_ADD = "INSERT INTO session (id, account, kind, token_hash, label, address, created_at, active_at, expires_at, stepped_up_until, ended) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, NULL)";
    SESSION_GET = "SELECT id, account, kind, label, created_at, active_at, expires_at, stepped_up_until, ended FROM session WHERE id = $1";
    SESSION_OF_TOKEN = "SELECT id, account, kind, label, created_at, active_at, expires_at, stepped_up_until, ended FROM session WHERE token_hash = $1";
    SESSIONS_OPEN = "SELECT id, account, kind, label, created_at, active_at, expires_at, stepped_up_until, ended FROM session WHERE account = $1 AND ended IS NULL ORDER BY created_at, id";
    SESSIONS_KIND = "SELECT id, account, kind, label, created_at, active_at, expires_at, stepped_up_until, ended FROM session WHERE kind = $1 AND ended IS NULL ORDER BY created_at, id";
    SESSION_END = "UPDATE session SET ended = $2 WHERE id = $1 AND ended IS NULL";
    SESSION_TOUCH = "UPDATE session SET active_at = $2 WHERE id = $1 AND active_at < $2";
    SESSION_STEP_UP = "UPDATE session SET stepped_up_until = $2 WHERE id = $1";
    SESSIONS_LAPSE = "UPDATE session SET ended = $1 WHERE ended IS NULL AND (expires_at <= $1 OR (kind = $2 AND active_at <= $3))";
    SESSIONS_FORGET = "DELETE FROM session WHERE ended < $1";
    ADDRESS_ADD = "INSERT INTO account_address (mac, id, account, sealed, at) VALUES ($1, $2, $3, $4, $5)";
    ADDRESS_OWNER = "SELECT account FROM account_address WHERE mac = $1";
    ADDRESS_DROP = "DELETE FROM account_address WHERE mac = $1 AND account = $2";
    ADDRESSES_OF = "SELECT id, sealed FROM account_address WHERE account = $1 ORDER BY at, id";
    IDENTIFIER_ADD = "INSERT INTO account_identifier (mac, id, account, sealed, at) VALUES ($1, $2, $3, $4, $5)";
    IDENTIFIER_OWNER = "SELECT account FROM account_identifier WHERE mac = $1";
    IDENTIFIER_DROP = "DELETE FROM account_identifier WHERE mac = $1 AND account = $2";
    IDENTIFIERS_OF = "SELECT account, id, sealed FROM account_identifier
        WHERE account IN (SELECT unhex(value) FROM json_each($1)) ORDER BY at, id";
    LATEST = "SELECT MAX(active_at) AS latest FROM session";
}

/// A row of `organization`.
#[derive(Clone, sqlx::FromRow)]
pub(super) struct OrganizationRow {
    pub id: OrganizationId,
    pub name: String,
    pub custodian: bool,
}

/// A row of `account`.
#[derive(Clone, sqlx::FromRow)]
pub(super) struct AccountRow {
    pub id: UserId,
    pub handle: String,
    /// What the name is sealed to, with the id.
    pub revision: i64,
    /// The name, sealed under the system key.
    pub name: Vec<u8>,
    pub profession: Option<String>,
    pub organization: Option<OrganizationId>,
    /// An argon2id PHC string; none for accounts without password sign-in.
    pub password_hash: Option<String>,
}

/// A row of `session`: a session opened by password, or a personal access token.
#[derive(Clone, sqlx::FromRow)]
pub(super) struct SessionRow {
    pub id: SessionId,
    pub account: UserId,
    /// [`super::model::SessionKind`] as a number.
    pub kind: i16,
    pub label: Option<String>,
    pub created_at: Micros,
    pub active_at: Micros,
    pub expires_at: Micros,
    pub stepped_up_until: Micros,
    pub ended: Option<Micros>,
}

/// A new row of `session`.
pub(super) struct NewSession<'a> {
    pub id: SessionId,
    pub account: UserId,
    pub kind: i16,
    pub token_hash: &'a [u8],
    pub label: Option<&'a str>,
    pub address: Option<&'a str>,
    pub at: Micros,
    pub expires_at: Micros,
    pub stepped_up_until: Micros,
}

pub(super) async fn add_organization(tx: &mut Tx, row: &OrganizationRow, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(ORGANIZATION_ADD)
        .bind(row.id)
        .bind(&row.name)
        .bind(row.custodian)
        .bind(at)
        .execute(c)
        .await
        .map(drop))
}

pub(super) async fn organization_named(tx: &mut Tx, name: &str) -> sqlx::Result<Option<OrganizationRow>> {
    on_db!(tx, |c| sqlx::query_as(ORGANIZATION_NAMED).bind(name).fetch_optional(c).await)
}

pub(super) async fn organizations(tx: &mut Tx) -> sqlx::Result<Vec<OrganizationRow>> {
    on_db!(tx, |c| sqlx::query_as(ORGANIZATIONS).fetch_all(c).await)
}

pub(super) async fn add_account(tx: &mut Tx, row: &AccountRow, folded: &str, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ACCOUNT_ADD)
            .bind(row.id)
            .bind(&row.handle)
            .bind(folded)
            .bind(&row.name)
            .bind(&row.profession)
            .bind(row.organization)
            .bind(&row.password_hash)
            .bind(at)
            .execute(c)
            .await
            .map(drop)
    })
}

pub(super) async fn account(tx: &mut Tx, id: UserId) -> sqlx::Result<Option<AccountRow>> {
    on_db!(tx, |c| sqlx::query_as(ACCOUNT_GET).bind(id).fetch_optional(c).await)
}

pub(super) async fn account_of_handle(tx: &mut Tx, folded: &str) -> sqlx::Result<Option<AccountRow>> {
    on_db!(tx, |c| sqlx::query_as(ACCOUNT_OF_HANDLE).bind(folded).fetch_optional(c).await)
}

pub(super) async fn accounts_of(tx: &mut Tx, ids: impl IntoIterator<Item = Uuid>) -> sqlx::Result<Vec<AccountRow>> {
    let ids = id_list(ids);
    on_db!(tx, |c| sqlx::query_as(ACCOUNTS_OF).bind(&ids).fetch_all(c).await)
}

pub(super) async fn accounts(tx: &mut Tx) -> sqlx::Result<Vec<AccountRow>> {
    on_db!(tx, |c| sqlx::query_as(ACCOUNTS).fetch_all(c).await)
}

pub(super) async fn set_account(tx: &mut Tx, row: &AccountRow) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ACCOUNT_SET)
            .bind(row.id)
            .bind(row.revision)
            .bind(&row.name)
            .bind(&row.profession)
            .bind(row.organization)
            .execute(c)
            .await
            .map(drop)
    })
}

pub(super) async fn set_password(tx: &mut Tx, id: UserId, hash: &str) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(PASSWORD_SET).bind(id).bind(hash).execute(c).await.map(drop))
}

pub(super) async fn add_session(tx: &mut Tx, new: &NewSession<'_>) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(SESSION_ADD)
            .bind(new.id)
            .bind(new.account)
            .bind(new.kind)
            .bind(new.token_hash)
            .bind(new.label)
            .bind(new.address)
            .bind(new.at)
            .bind(new.expires_at)
            .bind(new.stepped_up_until)
            .execute(c)
            .await
            .map(drop)
    })
}

pub(super) async fn session(tx: &mut Tx, id: SessionId) -> sqlx::Result<Option<SessionRow>> {
    on_db!(tx, |c| sqlx::query_as(SESSION_GET).bind(id).fetch_optional(c).await)
}

pub(super) async fn session_of_token(tx: &mut Tx, token_hash: &[u8]) -> sqlx::Result<Option<SessionRow>> {
    on_db!(tx, |c| sqlx::query_as(SESSION_OF_TOKEN).bind(token_hash).fetch_optional(c).await)
}

/// Sessions and tokens of an account that were not ended; some may have lapsed since.
pub(super) async fn open_sessions(tx: &mut Tx, account: UserId) -> sqlx::Result<Vec<SessionRow>> {
    on_db!(tx, |c| sqlx::query_as(SESSIONS_OPEN).bind(account).fetch_all(c).await)
}

pub(super) async fn sessions_of_kind(tx: &mut Tx, kind: i16) -> sqlx::Result<Vec<SessionRow>> {
    on_db!(tx, |c| sqlx::query_as(SESSIONS_KIND).bind(kind).fetch_all(c).await)
}

pub(super) async fn end_session(tx: &mut Tx, id: SessionId, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(SESSION_END).bind(id).bind(at).execute(c).await.map(drop))
}

pub(super) async fn touch_session(tx: &mut Tx, id: SessionId, at: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(SESSION_TOUCH).bind(id).bind(at).execute(c).await.map(drop))
}

pub(super) async fn step_up(tx: &mut Tx, id: SessionId, until: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(SESSION_STEP_UP).bind(id).bind(until).execute(c).await.map(drop))
}

/// Ends what lapsed by `now`: past its absolute end, or of `kind` and not active since `idle_since`.
pub(super) async fn lapse(tx: &mut Tx, now: Micros, kind: i16, idle_since: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(SESSIONS_LAPSE).bind(now).bind(kind).bind(idle_since).execute(c).await.map(drop))
}

/// Deletes rows of sessions that ended before `before`; what they did stays in the audit.
pub(super) async fn forget(tx: &mut Tx, before: Micros) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(SESSIONS_FORGET).bind(before).execute(c).await.map(drop))
}

/// The largest time a session was active at.
pub(super) async fn latest(tx: &mut Tx) -> sqlx::Result<Option<Micros>> {
    on_db!(tx, |c| sqlx::query_scalar(LATEST).fetch_one(c).await)
}

/// An address and whose it is.
pub(super) async fn add_address(
    tx: &mut Tx,
    mac: &[u8],
    id: Uuid,
    account: UserId,
    sealed: &[u8],
    at: Micros,
) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(ADDRESS_ADD).bind(mac).bind(id).bind(account).bind(sealed).bind(at).execute(c).await.map(drop)
    })
}

/// Whose address it is.
pub(super) async fn address_owner(tx: &mut Tx, mac: &[u8]) -> sqlx::Result<Option<UserId>> {
    on_db!(tx, |c| sqlx::query_scalar(ADDRESS_OWNER).bind(mac).fetch_optional(c).await)
}

pub(super) async fn drop_address(tx: &mut Tx, mac: &[u8], account: UserId) -> sqlx::Result<u64> {
    on_db!(tx, |c| sqlx::query(ADDRESS_DROP).bind(mac).bind(account).execute(c).await.map(|done| done.rows_affected()))
}

/// The addresses of an account, sealed, with the row each is sealed to.
pub(super) async fn addresses_of(tx: &mut Tx, account: UserId) -> sqlx::Result<Vec<(Uuid, Vec<u8>)>> {
    on_db!(tx, |c| sqlx::query_as(ADDRESSES_OF).bind(account).fetch_all(c).await)
}

/// An identifier and whose it is.
pub(super) async fn add_identifier(
    tx: &mut Tx,
    mac: &[u8],
    id: Uuid,
    account: UserId,
    sealed: &[u8],
    at: Micros,
) -> sqlx::Result<()> {
    on_db!(tx, |c| {
        sqlx::query(IDENTIFIER_ADD).bind(mac).bind(id).bind(account).bind(sealed).bind(at).execute(c).await.map(drop)
    })
}

/// Whose identifier it is.
pub(super) async fn identifier_owner(tx: &mut Tx, mac: &[u8]) -> sqlx::Result<Option<UserId>> {
    on_db!(tx, |c| sqlx::query_scalar(IDENTIFIER_OWNER).bind(mac).fetch_optional(c).await)
}

pub(super) async fn drop_identifier(tx: &mut Tx, mac: &[u8], account: UserId) -> sqlx::Result<()> {
    on_db!(tx, |c| sqlx::query(IDENTIFIER_DROP).bind(mac).bind(account).execute(c).await.map(drop))
}

/// The identifiers of accounts, sealed, with the row each is sealed to, in the order they were given.
pub(super) async fn identifiers_of(
    tx: &mut Tx,
    accounts: impl IntoIterator<Item = Uuid>,
) -> sqlx::Result<Vec<(UserId, Uuid, Vec<u8>)>> {
    let accounts = id_list(accounts);
    on_db!(tx, |c| sqlx::query_as(IDENTIFIERS_OF).bind(&accounts).fetch_all(c).await)
}
