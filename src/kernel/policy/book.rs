//! What policy holds in memory: persons with their `authz_epoch`, open sessions, and the standing at patients in use.
//! The committer puts a new state in after its commit and before it replies; readers load what is absent.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::access::Access;
use super::decide::Subject;
use super::{PersonKind, Roles};
use crate::kernel::base::{ChannelId, Micros, PatientId, SessionId, UserId};

/// Patients held before the whole cache is dropped: about 2 KiB each.
const PATIENTS_MAX: usize = 20_000;

/// One account as policy sees it.
#[derive(Clone, Debug)]
pub struct Person {
    /// What it stands for.
    pub kind: PersonKind,
    /// Server roles.
    pub roles: Roles,
    /// Not suspended.
    pub active: bool,
    /// Raised by every change of what the person may do; shared with their sockets, which compare before each event.
    pub epoch: Arc<AtomicI64>,
}

impl Person {
    /// The subject they are without a session: what is decided for them while they ask nothing.
    #[must_use]
    pub fn subject(&self, user: UserId) -> Subject {
        Subject {
            user,
            kind: self.kind,
            roles: self.roles,
            session: None,
            address: None,
            epoch: self.epoch.load(Ordering::Acquire),
            stepped_up_until: 0,
            command_line: false,
        }
    }
}

/// A session as every request and socket of it sees it.
#[derive(Debug)]
pub struct SessionState {
    /// Whose.
    pub user: UserId,
    /// Absolute end.
    pub expires_at: Micros,
    /// Idle log-off after this long without activity; none for tokens.
    pub idle: Option<Micros>,
    /// Last time the person did something.
    pub active_at: AtomicI64,
    /// Until when a factor entered lately counts as step-up.
    pub stepped_up_until: AtomicI64,
    /// Ended before its time.
    pub ended: AtomicBool,
}

impl SessionState {
    /// Whether it may still be used at `now`.
    #[must_use]
    pub fn holds(&self, now: Micros) -> bool {
        !self.ended.load(Ordering::Acquire) && now < self.ends_at()
    }

    /// When it ends if nothing more is done.
    #[must_use]
    pub fn ends_at(&self) -> Micros {
        let idle_end =
            self.idle.map_or(Micros::MAX, |idle| self.active_at.load(Ordering::Relaxed).saturating_add(idle));
        self.expires_at.min(idle_end)
    }

    /// The person did something at `now`.
    pub fn touch(&self, now: Micros) {
        self.active_at.fetch_max(now, Ordering::Relaxed);
    }

    /// Until when a factor entered lately counts as step-up.
    #[must_use]
    pub fn stepped_up_until(&self) -> Micros {
        self.stepped_up_until.load(Ordering::Relaxed)
    }

    /// A factor was entered just now.
    pub fn step_up(&self, until: Micros) {
        self.stepped_up_until.fetch_max(until, Ordering::Relaxed);
    }
}

/// The shared memory of policy.
#[derive(Default)]
pub struct Book {
    persons: RwLock<HashMap<UserId, Person>>,
    sessions: RwLock<HashMap<SessionId, Arc<SessionState>>>,
    patients: RwLock<HashMap<PatientId, Arc<Access>>>,
    /// Counts drops of the cache: a load begun before a drop is not put in after it.
    generation: AtomicI64,
    /// Channels whose record was found broken: nothing is written to them.
    held: RwLock<HashSet<ChannelId>>,
    /// Something of the record beside channels was found broken.
    suspect: AtomicBool,
    /// The largest wall time ever seen: turning the clock back revives no session.
    latest: AtomicI64,
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    /// The person, if there is such an account.
    #[must_use]
    pub fn person(&self, user: UserId) -> Option<Person> {
        read(&self.persons).get(&user).cloned()
    }

    /// Puts a person in or replaces what is known, keeping the shared epoch cell.
    pub fn put_person(&self, user: UserId, kind: PersonKind, roles: Roles, active: bool, epoch: i64) {
        let mut persons = write(&self.persons);
        if let Some(person) = persons.get_mut(&user) {
            person.kind = kind;
            person.roles = roles;
            person.active = active;
            person.epoch.fetch_max(epoch, Ordering::AcqRel);
        } else {
            persons.insert(user, Person { kind, roles, active, epoch: Arc::new(AtomicI64::new(epoch)) });
        }
    }

    /// The session if it is loaded.
    #[must_use]
    pub fn session(&self, session: SessionId) -> Option<Arc<SessionState>> {
        read(&self.sessions).get(&session).cloned()
    }

    /// Puts a session in; one that is already there wins, so that its activity is not lost.
    /// The caller reads the session again afterwards: one that ended since it was read before is then ended here too.
    pub fn put_session(&self, id: SessionId, state: SessionState) -> Arc<SessionState> {
        write(&self.sessions).entry(id).or_insert_with(|| Arc::new(state)).clone()
    }

    /// Ends a session: every holder of its state sees it at once.
    pub fn end_session(&self, id: SessionId) {
        if let Some(state) = write(&self.sessions).remove(&id) {
            state.ended.store(true, Ordering::Release);
        }
    }

    /// Forgets sessions that are over, so that memory holds open ones only; tells what was active since `since`.
    pub fn sweep_sessions(&self, now: Micros, since: Micros) -> Vec<(SessionId, Micros)> {
        let mut active = Vec::new();
        write(&self.sessions).retain(|id, state| {
            let at = state.active_at.load(Ordering::Relaxed);
            if at >= since {
                active.push((*id, at));
            }
            state.holds(now)
        });
        active
    }

    /// The standing at a patient, if loaded.
    #[must_use]
    pub fn access(&self, patient: PatientId) -> Option<Arc<Access>> {
        read(&self.patients).get(&patient).cloned()
    }

    /// To be taken before a load and handed to [`Book::put_loaded`].
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Puts in what a reader loaded, unless something newer is there or the cache was dropped meanwhile.
    pub fn put_loaded(&self, access: Arc<Access>, generation: i64) -> Arc<Access> {
        let mut patients = write(&self.patients);
        if let Some(held) = patients.get(&access.patient)
            && held.version >= access.version
        {
            return held.clone();
        }
        if self.generation() == generation && patients.len() < PATIENTS_MAX {
            patients.insert(access.patient, access.clone());
        }
        access
    }

    /// Puts in what the committer committed.
    pub fn put_committed(&self, access: Arc<Access>) {
        let mut patients = write(&self.patients);
        if patients.len() >= PATIENTS_MAX {
            patients.clear();
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        patients.insert(access.patient, access);
    }

    /// Drops every patient: after a failed commit nothing in memory is to be believed.
    pub fn forget_patients(&self) {
        let mut patients = write(&self.patients);
        patients.clear();
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Holds a channel: its record does not hold.
    pub fn hold(&self, channel: ChannelId) {
        write(&self.held).insert(channel);
    }

    /// Lets go of a channel that holds again.
    pub fn release(&self, channel: ChannelId) {
        write(&self.held).remove(&channel);
    }

    /// Whether nothing may be written to a channel.
    #[must_use]
    pub fn is_held(&self, channel: ChannelId) -> bool {
        read(&self.held).contains(&channel)
    }

    /// How many channels are held.
    #[must_use]
    pub fn held_channels(&self) -> usize {
        read(&self.held).len()
    }

    /// Whether something of the record beside channels was found broken.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    /// See [`Book::is_suspect`].
    pub fn set_suspect(&self, suspect: bool) {
        self.suspect.store(suspect, Ordering::Relaxed);
    }

    /// `now`, or the largest time ever seen if that is later.
    pub fn latest(&self, now: Micros) -> Micros {
        self.latest.fetch_max(now, Ordering::AcqRel).max(now)
    }
}
