//! The hub: which sessions listen to which channel.
//! Does not know: payloads, features, SQL. It hands on frames that were encoded once.
//! Invariant: a session's queue is bounded; a full queue ends the session, it never blocks the hub.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::queue::{Queue, Queued, Standing};
use crate::kernel::base::{ChannelId, Micros, SessionId, UserId, World};
use crate::kernel::engine::{News, Outlet, Passing};
use crate::kernel::log::Fact;
use crate::kernel::wire::Frame;

/// Locks that channels and people are spread over: fan-out of one channel holds up one in so many others.
const SHARDS: usize = 64;
/// Between two `typing` of one person in one channel.
const TYPING_EVERY: Micros = 1_000_000;
/// People whose last `typing` in a channel is kept; beyond that more are passed over.
const TYPING_MAX: usize = 256;

/// A map under several locks.
struct Sharded<K, V>([Mutex<HashMap<K, V>>; SHARDS]);

impl<K: Hash + Eq, V> Sharded<K, V> {
    fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// The shard of an id: the last byte of a UUID is random in every version drawn here.
    fn of(&self, id: &[u8; 16]) -> MutexGuard<'_, HashMap<K, V>> {
        self.0[usize::from(id[15]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Listener {
    queue: Arc<Queue>,
    standing: Standing,
}

#[derive(Default)]
struct Ears {
    listeners: Vec<Listener>,
    typed: Vec<(UserId, Micros)>,
}

impl Ears {
    fn tell_others(&self, channel: ChannelId, by: UserId, frame: &Frame, now: Micros) {
        for listener in self.listeners.iter().filter(|listener| listener.queue.user != by) {
            let queued = Queued { channel, seq: None, frame: frame.clone() };
            listener.queue.offer(queued, listener.standing, now);
        }
    }
}

/// Who listens to what. One for each node.
pub struct Hub {
    world: World,
    channels: Sharded<ChannelId, Ears>,
    people: Sharded<UserId, Vec<Arc<Queue>>>,
    sessions: Sharded<SessionId, Vec<Arc<Queue>>>,
}

/// The person has as many sockets as one may have.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Hub {
    /// A hub nobody listens to.
    #[must_use]
    pub fn new(world: World) -> Arc<Self> {
        Arc::new(Self { world, channels: Sharded::new(), people: Sharded::new(), sessions: Sharded::new() })
    }

    /// A place for one more connection of `user`, given back when it is dropped. `epoch` is the person's shared cell.
    ///
    /// # Errors
    /// [`Full`] when the person has `most` of them.
    pub(super) fn enter(
        self: &Arc<Self>,
        user: UserId,
        session: SessionId,
        epoch: Arc<AtomicI64>,
        most: usize,
    ) -> Result<Place, Full> {
        let queue = Arc::new(Queue::new(user, session, epoch));
        let mut people = self.people.of(user.bytes());
        let queues = people.entry(user).or_default();
        if queues.len() >= most {
            return Err(Full);
        }
        queues.push(queue.clone());
        drop(people);
        self.sessions.of(session.bytes()).entry(session).or_default().push(queue.clone());
        metrics::gauge!("carethread_sessions").increment(1);
        Ok(Place { hub: self.clone(), queue, followed: HashSet::new() })
    }

    /// Tells those who listen to `channel`, but not the author, that `by` writes: at most once a second, and it is not kept.
    pub(super) fn typing(&self, channel: ChannelId, by: UserId, frame: &Frame) {
        let now = self.world.now();
        let mut channels = self.channels.of(channel.bytes());
        let Some(ears) = channels.get_mut(&channel) else { return };
        // A clock that stepped back must not silence anyone for longer.
        ears.typed.retain(|(_, at)| (0..TYPING_EVERY).contains(&(now - at)));
        if ears.typed.len() >= TYPING_MAX || ears.typed.iter().any(|(user, _)| *user == by) {
            return;
        }
        ears.typed.push((by, now));
        ears.tell_others(channel, by, frame, now);
    }

    /// Whether anybody but `by` listens to `channel`.
    pub(super) fn is_heard(&self, channel: ChannelId, by: UserId) -> bool {
        let channels = self.channels.of(channel.bytes());
        channels.get(&channel).is_some_and(|ears| ears.listeners.iter().any(|listener| listener.queue.user != by))
    }

    /// Tells those who listen to `channel`, but not `by` themselves, how `by` is shown. Not kept.
    pub(super) fn presence(&self, channel: ChannelId, by: UserId, frame: &Frame) {
        let now = self.world.now();
        if let Some(ears) = self.channels.of(channel.bytes()).get(&channel) {
            ears.tell_others(channel, by, frame, now);
        }
    }

    fn tell(&self, fact: &Fact, now: Micros) {
        let channels = self.channels.of(fact.channel.bytes());
        let Some(ears) = channels.get(&fact.channel).filter(|ears| !ears.listeners.is_empty()) else { return };
        let frame = fact.frame();
        for listener in &ears.listeners {
            let queued = Queued { channel: fact.channel, seq: Some(fact.seq), frame: frame.clone() };
            listener.queue.offer(queued, listener.standing, now);
        }
    }

    /// Tells those who listen to its channel of something that is not kept.
    fn pass(&self, passing: &Passing, now: Micros) {
        let channels = self.channels.of(passing.channel.bytes());
        for listener in channels.get(&passing.channel).map_or(&[][..], |ears| &ears.listeners) {
            let queued = Queued { channel: passing.channel, seq: None, frame: passing.frame.clone() };
            listener.queue.offer(queued, listener.standing, now);
        }
    }

    /// The connections of a person, copied out so that no two locks are held at a time.
    fn queues_of(&self, user: UserId) -> Vec<Arc<Queue>> {
        self.people.of(user.bytes()).get(&user).cloned().unwrap_or_default()
    }

    /// What is listened to, for tests: channels, people and sessions in the maps.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 3] {
        let count = |sizes: &mut dyn Iterator<Item = usize>| sizes.sum();
        [
            count(&mut self.channels.0.iter().map(|shard| shard.lock().unwrap().len())),
            count(&mut self.people.0.iter().map(|shard| shard.lock().unwrap().len())),
            count(&mut self.sessions.0.iter().map(|shard| shard.lock().unwrap().len())),
        ]
    }
}

impl Outlet for Hub {
    fn publish(&self, news: News) {
        let now = self.world.now();
        for session in &news.ended {
            let queues = self.sessions.of(session.bytes()).get(session).cloned().unwrap_or_default();
            queues.iter().for_each(|queue| queue.end());
        }
        // Before the entries themselves: whoever meets one under new rights finds here from where to read.
        if !news.raised.is_empty() {
            let mut firsts = HashMap::new();
            for fact in &news.facts {
                firsts.entry(fact.channel).or_insert(fact.seq);
            }
            for user in &news.raised {
                for queue in self.queues_of(*user) {
                    queue.note_fresh(&firsts);
                    queue.ask_recheck();
                }
            }
        }
        for fact in &news.facts {
            self.tell(fact, now);
        }
        for passing in &news.passing {
            self.pass(passing, now);
        }
        for personal in news.personal {
            for queue in self.queues_of(personal.user) {
                queue.offer_me(personal.seq, personal.frame.clone(), now);
            }
        }
    }
}

fn forget<K: Hash + Eq>(map: &mut HashMap<K, Vec<Arc<Queue>>>, key: &K, queue: &Arc<Queue>) {
    if let Some(queues) = map.get_mut(key) {
        queues.retain(|other| !Arc::ptr_eq(other, queue));
        if queues.is_empty() {
            map.remove(key);
        }
    }
}

/// One connection's place in the hub. Dropping it ends every subscription.
pub(super) struct Place {
    hub: Arc<Hub>,
    pub(super) queue: Arc<Queue>,
    followed: HashSet<ChannelId>,
}

impl Place {
    pub(super) fn hub(&self) -> Arc<Hub> {
        self.hub.clone()
    }

    /// Listens to a channel, or goes on listening under a newer decision.
    pub(super) fn follow(&mut self, channel: ChannelId, standing: Standing) {
        let mut channels = self.hub.channels.of(channel.bytes());
        let listeners = &mut channels.entry(channel).or_default().listeners;
        if self.followed.insert(channel) {
            listeners.push(Listener { queue: self.queue.clone(), standing });
        } else if let Some(own) = listeners.iter_mut().find(|listener| Arc::ptr_eq(&listener.queue, &self.queue)) {
            own.standing = standing;
        }
    }

    /// Listens no more.
    pub(super) fn unfollow(&mut self, channel: ChannelId) {
        if self.followed.remove(&channel) {
            self.leave(channel);
        }
    }

    fn leave(&self, channel: ChannelId) {
        let mut channels = self.hub.channels.of(channel.bytes());
        if let Some(ears) = channels.get_mut(&channel) {
            ears.listeners.retain(|listener| !Arc::ptr_eq(&listener.queue, &self.queue));
            if ears.listeners.is_empty() {
                channels.remove(&channel);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for channel in std::mem::take(&mut self.followed) {
            self.leave(channel);
        }
        let (user, session) = (self.queue.user, self.queue.session);
        forget(&mut self.hub.people.of(user.bytes()), &user, &self.queue);
        forget(&mut self.hub.sessions.of(session.bytes()), &session, &self.queue);
        metrics::gauge!("carethread_sessions").decrement(1);
    }
}
