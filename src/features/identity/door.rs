//! The door: everything that turns a credential into a [`Subject`]. One per server, shared by cloning; it holds what must not outlive
//! the process (failures counted, tickets, hashes of tokens in use) and runs password hashes away from the committer.
//! Does not know: sockets, HTTP, cookies; what a person may do.
//! Invariants: a credential leaves here only inside [`Secret`]; who is unknown costs as much as who is known and is answered alike;
//! every failure is audited before it is answered.
//!
//! The ops `login` (no op of the registry: it makes a session, which an op has already) and `password.change` (it hashes) come through
//! here: interfaces call [`Door::run`] for every public op, which hands on all but the latter.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::lockout::{Attempted, Consequence, Lockout};
use super::model::{SessionKind, folded};
use super::password::{self, Hashing, Place};
use super::sessions::wrong_credential;
use super::sql::{self, AccountRow, SessionRow};
use super::tickets::Tickets;
use crate::kernel::base::config::SecondFactor;
use crate::kernel::base::world::MINUTE;
use crate::kernel::base::{Code, Fault, Micros, Refusal, Secret, SessionId, Stop, ThingId, UserId};
use crate::kernel::crypto::token::{SESSION_PREFIX, new_token, token_hash};
use crate::kernel::crypto::{Hash, hex};
use crate::kernel::engine::{Boxed, Data, Engine, Progress};
use crate::kernel::policy::audit::Draft;
use crate::kernel::policy::{SessionState, Subject};

/// Lanes of attempts: those on one account go one after another. More than hashes at once, so that lanes are seldom shared.
const LANES: usize = 64;
/// Tokens whose session is found without the database; about 2 MB.
const KNOWN_MAX: usize = 20_000;
/// Audit rows of strangers under way: a flood of wrong tokens gets this much of the committer's queue and no more.
const STRANGERS_MAX: usize = 64;

/// Somebody who is signed in.
pub struct SignedIn {
    /// Who asks from now on; `session` and `address` are set.
    pub subject: Subject,
    /// The session, or the personal access token in use.
    pub session: SessionId,
    /// Shared with every holder: look at it before each use, touch it when the person does something.
    pub state: Arc<SessionState>,
    /// The token of a session that was opened just now.
    pub token: Option<Secret<String>>,
    /// What the person's device seals with what it has not sent yet; with a session that was opened just now.
    pub outbox_key: Option<Zeroizing<[u8; 32]>>,
    /// Absolute end; idle log-off may come first.
    pub expires_at: Micros,
}

/// See the head of this file.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    hashing: Hashing,
    lanes: Vec<tokio::sync::Mutex<()>>,
    lockout: Mutex<Lockout>,
    tickets: Mutex<Tickets>,
    known: Mutex<HashMap<Hash, SessionId>>,
    strangers: Semaphore,
    /// One second, as the delays of the lockout mean it.
    second: Duration,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No holder leaves a half-made state behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn told(fault: impl Into<Stop>) -> Refusal {
    let stop = fault.into();
    if let Stop::Failed(fault) = &stop {
        // The text of a database error may quote a value.
        let what =
            if matches!(fault, Fault::Database(_)) { "the database failed".to_owned() } else { fault.to_string() };
        tracing::error!(error = %what, "A sign-in failed on our side");
    }
    stop.refusal()
}

impl Door {
    /// Over an engine. Drop every clone before [`Engine::stop`].
    ///
    /// # Errors
    /// The database's.
    pub async fn open(engine: Engine) -> Result<Self, Fault> {
        Self::with_second(engine, Duration::from_secs(1)).await
    }

    pub(super) async fn with_second(engine: Engine, second: Duration) -> Result<Self, Fault> {
        let mut tx = engine.shared().db.read().await?;
        // The largest time ever seen, over restarts: a clock turned back revives nothing.
        if let Some(latest) = sql::latest(&mut tx).await? {
            engine.book().latest(latest);
        }
        drop(tx);
        let inner = Inner {
            hashing: Hashing::new(engine.world().clone()),
            lanes: (0..LANES).map(|_| tokio::sync::Mutex::default()).collect(),
            lockout: Mutex::default(),
            tickets: Mutex::default(),
            known: Mutex::default(),
            strangers: Semaphore::new(STRANGERS_MAX),
            second,
            engine,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What it stands before.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// Now, or the largest time ever seen.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.engine().book().latest(self.engine().world().now())
    }

    /// As [`Engine::run`], with the one op that must not run in the committer. Queued before the first wait, as there.
    pub fn run(&self, subject: Subject, op: &str, data: Data) -> Boxed<'static, Result<Value, Refusal>> {
        if op == "password.change" {
            let door = self.clone();
            return Box::pin(async move { door.change_password(subject, data).await });
        }
        Box::pin(self.engine().run(subject, op, data))
    }

    /// As [`Door::run`], for a reading op: see [`Engine::run_watched`].
    pub fn run_watched(
        &self,
        subject: Subject,
        op: &str,
        data: Data,
        progress: Arc<Progress>,
    ) -> impl Future<Output = Result<Value, Refusal>> + Send + 'static + use<> {
        self.engine().run_watched(subject, op, data, progress)
    }

    /// Opens a session by handle and password. `code` is reserved for a second factor and not looked at until one can be enrolled.
    ///
    /// # Errors
    /// `unauthenticated`, alike for a wrong password, an unknown handle and a suspended account, and late from the fifth time on;
    /// `rate_limited` from the tenth; `busy` when too many sign in at once.
    pub async fn sign_in_password(
        &self,
        handle: &str,
        password: Secret<String>,
        code: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<SignedIn, Refusal> {
        let _reserved = code;
        let (account, place) = self.attempt(&folded(handle), &password, address).await?;
        if self.engine().shared().config.sign_in.second_factor == SecondFactor::Required {
            let refusal = Refusal::new(Code::Unauthenticated)
                .detail("A second factor is demanded here and this account has none. Ask an administrator.");
            return Err(self.failed(address, Some(account.id), refusal).await);
        }
        let verified = account.password_hash.clone().unwrap_or_default();
        let subject = self.engine().subject(account.id).ok_or_else(wrong_credential)?;
        let subject = Subject { address, ..subject };
        let (token, session) =
            (new_token(self.engine().world(), SESSION_PREFIX), SessionId(self.engine().world().id()));
        let hash = token_hash(token.expose());
        let opening = json!({"session": session.to_string(), "token_hash": hex(&hash), "verified": verified});
        self.internal(subject.clone(), "session.open", opening).await?;
        if password::is_weak(&verified) {
            self.rehash(subject, &place, &password, &verified).await;
        }
        self.remember(hash, session);
        let mut signed_in = self.enter(Credential::Session(session), address).await?;
        metrics::counter!("carethread_sign_ins_total", "by" => "password").increment(1);
        signed_in.token = Some(token);
        let keyring = self.engine().shared().vault.keyring();
        signed_in.outbox_key = Some(keyring.outbox(account.id).map_err(|fault| Stop::Failed(fault).refusal())?);
        Ok(signed_in)
    }

    /// Signs in by a session's token or a personal access token: `login`, the upgrade, a cookie. Audited, and activity of the person.
    ///
    /// # Errors
    /// `unauthenticated`, alike for a token that never was, one that ended or lapsed, and one of a suspended account.
    pub async fn sign_in_token(&self, token: &str, address: Option<IpAddr>) -> Result<SignedIn, Refusal> {
        match self.by_token(token, address).await {
            Ok((signed_in, _)) => self.arrived(signed_in, "token").await,
            Err(refusal) => Err(self.failed(address, None, refusal).await),
        }
    }

    /// As [`Door::sign_in_token`], for each HTTP request: audited the first time only, since each op has a row of its own, and not activity
    /// by itself. Whoever runs an op for it that is what a person does touches the state.
    ///
    /// # Errors
    /// As [`Door::sign_in_token`].
    pub async fn bearer(&self, token: &str, address: Option<IpAddr>) -> Result<SignedIn, Refusal> {
        match self.by_token(token, address).await {
            Ok((signed_in, true)) => Ok(signed_in),
            Ok((signed_in, false)) => self.audited(signed_in, "bearer").await,
            Err(refusal) => Err(self.failed(address, None, refusal).await),
        }
    }

    /// A one-use ticket for a socket of this session, and when it lapses.
    ///
    /// # Errors
    /// `busy` when too many are open.
    pub fn new_ticket(&self, session: SessionId) -> Result<(Secret<String>, Micros), Refusal> {
        lock(&self.inner.tickets).issue(self.engine().world(), session, self.now())
    }

    /// Signs in by a ticket.
    ///
    /// # Errors
    /// `unauthenticated`, also when its session ended meanwhile.
    pub async fn redeem_ticket(&self, ticket: &str, address: Option<IpAddr>) -> Result<SignedIn, Refusal> {
        let found = lock(&self.inner.tickets).redeem(ticket, self.now());
        let entered = match found {
            Some(session) => self.enter(Credential::Session(session), address).await,
            None => Err(wrong_credential()),
        };
        match entered {
            Ok(signed_in) => self.arrived(signed_in, "ticket").await,
            Err(refusal) => Err(self.failed(address, None, refusal).await),
        }
    }
}

/// What a session is found by.
#[derive(Clone, Copy)]
enum Credential {
    Token(Hash),
    Session(SessionId),
}

impl Door {
    pub(super) fn hashing(&self) -> &Hashing {
        &self.inner.hashing
    }

    pub(super) async fn internal(&self, subject: Subject, op: &str, data: Value) -> Result<Value, Refusal> {
        let Value::Object(data) = data else { return Err(told(Fault::Defect("the data of an op is no object"))) };
        self.engine().run_internal(subject, op, data).await
    }

    /// Compares a password with that of the account, if there is one; counts what comes of it. Gives the place among the hashes, too.
    pub(super) async fn attempt(
        &self,
        folded: &str,
        password: &Secret<String>,
        address: Option<IpAddr>,
    ) -> Result<(AccountRow, Place), Refusal> {
        if self.engine().shared().vault.keyring().is_sealed() {
            return Err(Refusal::new(Code::Sealed));
        }
        let attempted = Attempted::new(folded, address);
        self.not_refused(&attempted, address).await?;
        let place = self.inner.hashing.place()?;
        let (user, consequence) = {
            let _lane = self.inner.lanes[attempted.lane(LANES)].lock().await;
            self.not_refused(&attempted, address).await?;
            let account = self.read_handle(folded).await.map_err(told)?;
            let stored = account.as_ref().and_then(|account| account.password_hash.as_deref());
            let fits = self.inner.hashing.verify(&place, password, stored).await.map_err(told)?;
            let user = account.as_ref().map(|account| account.id);
            let active = user.is_some_and(|user| self.engine().subject(user).is_some());
            match account.filter(|_| fits && active) {
                Some(account) => {
                    lock(&self.inner.lockout).succeeded(&attempted);
                    return Ok((account, place));
                }
                None => (user, lock(&self.inner.lockout).failed(attempted, self.now())),
            }
        };
        drop(place);
        match consequence {
            Consequence::Delayed(delay) => {
                let refusal = self.failed(address, user, wrong_credential()).await;
                // Whole seconds by rule, scaled for tests.
                tokio::time::sleep(self.inner.second * u32::try_from(delay.as_secs()).unwrap_or(u32::MAX)).await;
                Err(refusal)
            }
            Consequence::Refused(left) => Err(self.failed(address, user, too_many(left)).await),
        }
    }

    async fn not_refused(&self, attempted: &Attempted, address: Option<IpAddr>) -> Result<(), Refusal> {
        let left = lock(&self.inner.lockout).refused_for(attempted, self.now());
        match left {
            None => Ok(()),
            Some(left) => Err(self.failed(address, None, too_many(left)).await),
        }
    }

    /// Counts and audits a failure; gives the refusal back.
    async fn failed(&self, address: Option<IpAddr>, account: Option<UserId>, refusal: Refusal) -> Refusal {
        metrics::counter!("carethread_sign_in_failures_total", "code" => refusal.code.text()).increment(1);
        let row = Draft {
            category: "identity",
            object: account.map(|account| ThingId(account.0)),
            ..Draft::of_stranger(address, "sign_in", refusal.code.text())
        };
        let _turn = self.inner.strangers.acquire().await;
        // Refused either way: that its row is missing does not let anybody in.
        match self.engine().audit(vec![row]).await {
            Ok(()) => refusal,
            Err(unwritten) => unwritten,
        }
    }

    /// The row of a sign-in, committed before anything is told; the person did something.
    async fn arrived(&self, signed_in: SignedIn, by: &'static str) -> Result<SignedIn, Refusal> {
        signed_in.state.touch(self.now());
        self.audited(signed_in, by).await
    }

    async fn audited(&self, signed_in: SignedIn, by: &'static str) -> Result<SignedIn, Refusal> {
        metrics::counter!("carethread_sign_ins_total", "by" => by).increment(1);
        let row = Draft { category: "identity", ..Draft::of(&signed_in.subject, "sign_in") };
        self.engine().audit(vec![row]).await?;
        Ok(signed_in)
    }

    /// The session of a token, and whether it was in use already.
    async fn by_token(&self, token: &str, address: Option<IpAddr>) -> Result<(SignedIn, bool), Refusal> {
        let hash = token_hash(token);
        let known = lock(&self.inner.known).get(&hash).copied();
        if let Some(session) = known {
            if let Some(state) = self.engine().book().session(session) {
                return Ok((self.present(session, state, address)?, true));
            }
            lock(&self.inner.known).remove(&hash);
        }
        let signed_in = self.enter(Credential::Token(hash), address).await?;
        self.remember(hash, signed_in.session);
        Ok((signed_in, false))
    }

    fn remember(&self, hash: Hash, session: SessionId) {
        let mut known = lock(&self.inner.known);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(hash, session);
    }

    /// From the database into memory, unless it is there.
    async fn enter(&self, credential: Credential, address: Option<IpAddr>) -> Result<SignedIn, Refusal> {
        if self.engine().shared().vault.keyring().is_sealed() {
            return Err(Refusal::new(Code::Sealed));
        }
        let row = self.read_session(credential).await.map_err(told)?.filter(|row| row.ended.is_none());
        let row = row.ok_or_else(wrong_credential)?;
        let kind =
            SessionKind::from_number(row.kind).ok_or_else(|| told(Fault::Integrity("unknown kind of session")))?;
        let idle = Micros::from(self.engine().shared().config.limits.idle_minutes) * MINUTE;
        let state = SessionState {
            user: row.account,
            expires_at: row.expires_at,
            idle: (kind == SessionKind::Password).then_some(idle),
            active_at: row.active_at.into(),
            stepped_up_until: row.stepped_up_until.into(),
            ended: false.into(),
        };
        let state = self.engine().book().put_session(row.id, state);
        // It may have been ended between the look and the line above; whoever ends it later finds it in memory.
        let again = self.read_session(Credential::Session(row.id)).await.map_err(told)?;
        if again.is_none_or(|row| row.ended.is_some()) {
            self.engine().book().end_session(row.id);
            return Err(wrong_credential());
        }
        self.present(row.id, state, address)
    }

    /// Whoever comes by a session that is in memory.
    fn present(
        &self,
        session: SessionId,
        state: Arc<SessionState>,
        address: Option<IpAddr>,
    ) -> Result<SignedIn, Refusal> {
        let subject =
            self.engine().subject(state.user).filter(|_| state.holds(self.now())).ok_or_else(wrong_credential)?;
        let subject =
            Subject { session: Some(session), address, stepped_up_until: state.stepped_up_until(), ..subject };
        let expires_at = state.expires_at;
        Ok(SignedIn { subject, session, state, token: None, outbox_key: None, expires_at })
    }

    async fn read_session(&self, credential: Credential) -> Result<Option<SessionRow>, Fault> {
        let mut tx = self.engine().shared().db.read().await?;
        Ok(match credential {
            Credential::Token(hash) => sql::session_of_token(&mut tx, &hash).await?,
            Credential::Session(id) => sql::session(&mut tx, id).await?,
        })
    }

    pub(super) async fn read_handle(&self, folded: &str) -> Result<Option<AccountRow>, Fault> {
        let mut tx = self.engine().shared().db.read().await?;
        Ok(sql::account_of_handle(&mut tx, folded).await?)
    }
}

fn too_many(left: Micros) -> Refusal {
    let ms = u64::try_from(left / 1000).unwrap_or(0).max(1);
    Refusal::new(Code::RateLimited).detail("Too many failed sign-ins. Wait, then try again.").retry_after_ms(ms)
}
