//! The commands on sessions and personal access tokens.
//! Does not know: tokens, only their hashes; what a session may do, which is its person's.

use serde_json::{Value, json};

use super::accounts::{close_sessions, person, plain, required};
use super::directory::{all_accounts, by_handle};
use super::model::{DAY, NewToken, SESSION_LASTS, STEP_UP_LASTS, SessionKind, role_names};
use super::sql::{self, NewSession, SessionRow};
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{Code, Fault, Micros, Refusal, SessionId, Stop, ThingId, UserId};
use crate::kernel::crypto::from_hex;
use crate::kernel::engine::fields::Fields;
use crate::kernel::engine::{Data, Read, Reply, Write};
use crate::kernel::policy::Right;

/// Rows of ended sessions are kept this long; what was done in them stays in the audit.
const FORGOTTEN_AFTER: Micros = 30 * DAY;
/// A session's activity reaches the database this late at most: two rounds of [`super::Door::keep`].
const TOUCH_SLACK: Micros = 2 * MINUTE;

fn token_hash(data: &Data) -> Result<Vec<u8>, Stop> {
    let hash = from_hex(required(data, "token_hash")?).filter(|hash| hash.len() == 32);
    Ok(hash.ok_or(Fault::Defect("a token's hash is not 32 bytes"))?)
}

/// The same answer for every wrong credential.
pub(super) fn wrong_credential() -> Refusal {
    Refusal::new(Code::Unauthenticated).detail("These credentials do not open an account, or no longer.")
}

/// `session.open`: by the person whose password was just found right; `verified` is the hash it was compared with.
pub(super) async fn open(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::OwnAccount)?;
    let (user, now) = (cx.subject().user, cx.now());
    let row = sql::account(cx.ledger().tx(), user).await?.ok_or_else(wrong_credential)?;
    // Suspended, or given another password, between the comparison and this commit.
    if !person(cx, user).await?.2 || row.password_hash.as_deref() != Some(required(data, "verified")?) {
        return Err(wrong_credential().into());
    }
    let id: SessionId = Fields(data).required_id("session")?;
    let address = cx.subject().address.map(|address| address.to_string());
    let new = NewSession {
        id,
        account: user,
        kind: SessionKind::Password.number(),
        token_hash: &token_hash(data)?,
        label: Fields(data).string("label")?,
        address: address.as_deref(),
        at: now,
        expires_at: now + SESSION_LASTS,
        stepped_up_until: now + STEP_UP_LASTS,
    };
    sql::add_session(cx.ledger().change(), &new).await?;
    cx.about(ThingId(id.0));
    plain(json!({}))
}

/// `password.set`: by its person, who gave the old one; ends the other sessions, and the one it came by has stepped up.
pub(super) async fn change_password(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::OwnAccount)?;
    let (user, session, now) = (cx.subject().user, cx.subject().session, cx.now());
    let row = sql::account(cx.ledger().tx(), user).await?.ok_or_else(wrong_credential)?;
    if row.password_hash.as_deref() != Some(required(data, "verified")?) {
        return Err(Refusal::conflict("The password was changed meanwhile.").into());
    }
    let hash = required(data, "password_hash")?;
    sql::set_password(cx.ledger().change(), user, hash).await?;
    let ended = close_sessions(cx, user, session).await?;
    // A token never steps up, whoever holds it.
    if let Some(session) = session
        && sql::session(cx.ledger().tx(), session).await?.is_some_and(|row| row.kind == SessionKind::Password.number())
    {
        sql::step_up(cx.ledger().change(), session, now + STEP_UP_LASTS).await?;
    }
    cx.ledger().raise(user).await?;
    plain(json!({"ended": ended}))
}

/// `password.rehash`: the same password under today's parameters.
pub(super) async fn rehash(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::OwnAccount)?;
    let user = cx.subject().user;
    let row = sql::account(cx.ledger().tx(), user).await?.ok_or_else(wrong_credential)?;
    let (verified, hash) = (required(data, "verified")?, required(data, "password_hash")?);
    if row.password_hash.as_deref() == Some(verified) {
        sql::set_password(cx.ledger().change(), user, hash).await?;
    }
    plain(json!({}))
}

/// `session.end`: one of one's own, or all of them. A token that is ended is revoked.
pub(super) async fn end(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::OwnAccount)?;
    let (fields, now) = (Fields(data), cx.now());
    let (user, current) = (cx.subject().user, cx.subject().session);
    let all = fields.boolean("all")?.unwrap_or(false);
    let wanted = match fields.string("session")? {
        Some("current") => current,
        Some(_) => fields.id("session")?,
        None if all => None,
        None => return Err(Refusal::invalid("session", "Name a session, or all: true.").into()),
    };
    let mut ending = sql::open_sessions(cx.ledger().tx(), user).await?;
    if !all {
        ending.retain(|row| Some(row.id) == wanted);
        if ending.is_empty() {
            return Err(Refusal::not_found().into());
        }
    }
    for row in &ending {
        sql::end_session(cx.ledger().change(), row.id, now).await?;
        cx.ledger().end_session(row.id);
    }
    if let Some(wanted) = wanted {
        cx.about(ThingId(wanted.0));
    }
    // Whatever was decided for this person on the way out is decided again.
    cx.ledger().raise(user).await?;
    plain(json!({"ended": ending.len()}))
}

/// `session.list`
pub(super) async fn list(cx: &mut Read) -> Result<Value, Stop> {
    cx.permit_server(Right::OwnAccount)?;
    let (user, current, now) = (cx.subject().user, cx.subject().session, cx.now());
    let idle = Micros::from(cx.shared().config.limits.idle_minutes) * MINUTE;
    let rows = sql::open_sessions(cx.tx(), user).await?;
    let book = &cx.shared().book;
    let mut sessions = Vec::new();
    for row in rows {
        let Some(kind) = SessionKind::from_number(row.kind) else { continue };
        let active_at = active_at(book.session(row.id).as_deref(), &row);
        let lapsed = now >= row.expires_at || (kind == SessionKind::Password && now >= active_at + idle);
        if lapsed {
            continue;
        }
        sessions.push(json!({
            "id": row.id.to_string(), "kind": kind.text(), "label": row.label, "created_at": rfc3339(row.created_at),
            "active_at": rfc3339(active_at), "expires_at": rfc3339(row.expires_at), "current": Some(row.id) == current,
        }));
    }
    Ok(json!({"sessions": sessions}))
}

/// Memory knows better than the row, which is written once a minute.
fn active_at(state: Option<&crate::kernel::policy::SessionState>, row: &SessionRow) -> Micros {
    let held = state.map_or(0, |state| state.active_at.load(std::sync::atomic::Ordering::Relaxed));
    held.max(row.active_at)
}

/// `token.issue`
pub(super) async fn issue_token(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let new = NewToken::parse(Fields(data))?;
    let account = sql::account_of_handle(cx.ledger().tx(), &new.handle).await?;
    let account =
        account.ok_or_else(|| Refusal::not_found().field("handle").detail("There is no user of this handle."))?;
    let (id, now) = (SessionId(cx.new_id()), cx.now());
    let expires_at = now + new.lasts;
    let row = NewSession {
        id,
        account: account.id,
        kind: SessionKind::Token.number(),
        token_hash: &token_hash(data)?,
        label: new.label.as_deref(),
        address: None,
        at: now,
        expires_at,
        stepped_up_until: if new.exports { expires_at } else { 0 },
    };
    sql::add_session(cx.ledger().change(), &row).await?;
    cx.about(ThingId(id.0));
    plain(json!({"id": id.to_string(), "expires_at": rfc3339(expires_at)}))
}

/// `token.revoke`
pub(super) async fn revoke_token(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let id: SessionId = Fields(data).required_id("id")?;
    let row = sql::session(cx.ledger().tx(), id).await?;
    let row = row.filter(|row| row.kind == SessionKind::Token.number() && row.ended.is_none());
    let row = row.ok_or_else(|| Refusal::not_found().field("id").detail("There is no such token."))?;
    let now = cx.now();
    sql::end_session(cx.ledger().change(), id, now).await?;
    cx.ledger().end_session(id);
    cx.ledger().raise(row.account).await?;
    cx.about(ThingId(id.0));
    plain(json!({"id": id.to_string()}))
}

/// `token.list`, of one `handle` or of all.
pub(super) async fn list_tokens(cx: &mut Read, data: &Data) -> Result<Value, Stop> {
    cx.permit_server(Right::Administer)?;
    let now = cx.now();
    let of: Option<UserId> = match Fields(data).string("handle")? {
        None => None,
        Some(handle) => Some(by_handle(cx, handle).await?.ok_or_else(|| Refusal::not_found().field("handle"))?),
    };
    let rows = sql::sessions_of_kind(cx.tx(), SessionKind::Token.number()).await?;
    let accounts = all_accounts(cx).await?;
    let handle_of = |user: UserId| accounts.iter().find(|account| account.id == user).map(|account| &account.handle);
    let open = rows.iter().filter(|row| now < row.expires_at && of.is_none_or(|user| row.account == user));
    let tokens: Vec<Value> = open
        .map(|row| {
            let active_at = active_at(cx.shared().book.session(row.id).as_deref(), row);
            json!({
                "id": row.id.to_string(), "user": row.account.to_string(), "handle": handle_of(row.account),
                "label": row.label, "created_at": rfc3339(row.created_at), "active_at": rfc3339(active_at),
                "expires_at": rfc3339(row.expires_at),
                "allow": if row.stepped_up_until > 0 { json!(["export"]) } else { json!([]) },
            })
        })
        .collect();
    Ok(json!({"tokens": tokens}))
}

/// `user.list`
pub(super) async fn list_users(cx: &mut Read) -> Result<Value, Stop> {
    cx.permit_server(Right::Administer)?;
    let accounts = all_accounts(cx).await?;
    let organizations = super::directory::organizations(cx).await?;
    let users: Vec<Value> = accounts
        .into_iter()
        .map(|account| {
            let organization = organizations.iter().find(|organization| Some(organization.id) == account.organization);
            json!({
                "id": account.id.to_string(), "handle": account.handle, "name": account.name.reveal(),
                "kind": account.kind.text(), "profession": account.profession,
                "organization": organization.map(|organization| &organization.name),
                "roles": role_names(account.roles), "active": account.active,
            })
        })
        .collect();
    Ok(json!({"users": users}))
}

/// `session.touch`: what was active, so that a restart knows; with `lapse`, ends in the database what ended by itself, so that no clock
/// turned back between two runs revives it.
pub(super) async fn touch(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let wrong = || Refusal::invalid("sessions", "A map from session to microseconds.");
    let mut touched: Vec<(SessionId, Micros)> = Vec::new();
    for (id, at) in data.get("sessions").and_then(Value::as_object).ok_or_else(wrong)? {
        touched.push((id.parse().map_err(|_| wrong())?, at.as_i64().ok_or_else(wrong)?));
    }
    let lapse = Fields(data).boolean("lapse")?.unwrap_or(false);
    let now = cx.now();
    let idle = Micros::from(cx.ledger().shared().config.limits.idle_minutes) * MINUTE;
    for (id, at) in touched {
        sql::touch_session(cx.ledger().change(), id, at).await?;
    }
    if lapse {
        let tx = cx.ledger().change();
        sql::lapse(tx, now, SessionKind::Password.number(), now - idle - TOUCH_SLACK).await?;
        sql::forget(tx, now - FORGOTTEN_AFTER).await?;
    }
    plain(json!({}))
}
