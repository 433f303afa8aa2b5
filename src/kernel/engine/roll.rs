//! The roll of this node: who is connected, what people say of themselves, and which entries reached them. In memory only.
//! Does not know: sockets, tables, who may see any of it. Connections enter and leave, features tell it what a commit kept, and whoever
//! shows any of it has asked policy first.
//! Invariant: bounded by the people who are connected or said something; nobody is announced more often than [`ANNOUNCED_EVERY`].

pub mod delivered;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Shared;
use crate::kernel::base::{Micros, UserId};
use delivered::Delivered;

/// Without a connection for so long somebody is offline: a connection that comes back sooner was never away.
pub const OFFLINE_AFTER: Micros = 10_000_000;
/// Between two announcements of one person.
pub const ANNOUNCED_EVERY: Micros = 3_000_000;

/// What people say of themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Attention {
    /// Nothing.
    #[default]
    Available,
    /// Not at hand.
    Away,
    /// Not to be alerted but by what is urgent.
    DoNotDisturb,
}

impl Attention {
    /// Every one, in the order of its number in the database.
    pub const ALL: [Self; 3] = [Self::Available, Self::Away, Self::DoNotDisturb];

    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Available => 0,
            Self::Away => 1,
            Self::DoNotDisturb => 2,
        }
    }

    /// From the number in the database.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at).copied())
    }

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Away => "away",
            Self::DoNotDisturb => "do_not_disturb",
        }
    }
}

/// What somebody said, and how long it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Said {
    /// What.
    pub attention: Attention,
    /// Until when; none is until they say something else.
    pub until: Option<Micros>,
}

impl Said {
    /// What of it holds at `now`.
    #[must_use]
    pub fn at(self, now: Micros) -> Self {
        if self.until.is_some_and(|until| now >= until) { Self::default() } else { self }
    }
}

/// Whether somebody is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Presence {
    /// Connected.
    Online,
    /// Connected, and said to be away.
    Away,
    /// Not connected.
    #[default]
    Offline,
}

impl Presence {
    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Away => "away",
            Self::Offline => "offline",
        }
    }
}

/// How somebody is shown to those who may know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// Whether they are there.
    pub presence: Presence,
    /// Not to be alerted but by what is urgent.
    pub do_not_disturb: bool,
    /// How long what they said holds, where it shows.
    pub until: Option<Micros>,
}

#[derive(Default)]
struct Here {
    connections: usize,
    /// When the last connection went.
    left_at: Option<Micros>,
    said: Said,
    told: Shown,
    told_at: Option<Micros>,
}

impl Here {
    fn shown(&self, now: Micros) -> Shown {
        let said = self.said.at(now);
        // A clock that stepped back keeps nobody here.
        let just_left = self.left_at.is_some_and(|left| (0..OFFLINE_AFTER).contains(&(now - left)));
        let connected = self.connections > 0 || just_left;
        let do_not_disturb = said.attention == Attention::DoNotDisturb;
        let presence = match (connected, said.attention) {
            (false, _) => Presence::Offline,
            (true, Attention::Away) => Presence::Away,
            (true, _) => Presence::Online,
        };
        let until = said.until.filter(|_| do_not_disturb || presence == Presence::Away);
        Shown { presence, do_not_disturb, until }
    }

    /// Whether there is nothing left to know or to tell.
    fn is_over(&self, now: Micros) -> bool {
        self.connections == 0
            && self.shown(now) == Shown::default()
            && self.told == Shown::default()
            && self.said.at(now) == Said::default()
    }
}

/// Who is here. One for each node.
#[derive(Default)]
pub struct Roll {
    people: Mutex<HashMap<UserId, Here>>,
    /// What reached whom, until it is written down.
    pub delivered: Delivered,
}

impl Roll {
    fn people(&self) -> MutexGuard<'_, HashMap<UserId, Here>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, user: UserId) {
        let mut people = self.people();
        let here = people.entry(user).or_default();
        here.connections += 1;
        here.left_at = None;
    }

    fn leave(&self, user: UserId, now: Micros) {
        if let Some(here) = self.people().get_mut(&user) {
            here.connections = here.connections.saturating_sub(1);
            if here.connections == 0 {
                here.left_at = Some(now);
            }
        }
    }

    /// Takes in what somebody said, after its commit.
    pub fn say(&self, user: UserId, said: Said) {
        self.people().entry(user).or_default().said = said;
    }

    /// How somebody is shown at `now`.
    #[must_use]
    pub fn shown(&self, user: UserId, now: Micros) -> Shown {
        self.people().get(&user).map(|here| here.shown(now)).unwrap_or_default()
    }

    /// At most `most` people who are shown in another way than was told last. They count as told from here on.
    pub fn changed(&self, now: Micros, most: usize) -> Vec<(UserId, Shown)> {
        let mut changed = Vec::new();
        self.people().retain(|user, here| {
            let shown = here.shown(now);
            let early = here.told_at.is_some_and(|at| (0..ANNOUNCED_EVERY).contains(&(now - at)));
            if shown != here.told && !early && changed.len() < most {
                (here.told, here.told_at) = (shown, Some(now));
                changed.push((*user, shown));
            }
            !here.is_over(now)
        });
        changed
    }
}

/// One connection of a person on the roll, for as long as it is held.
pub struct Attendance {
    shared: Arc<Shared>,
    user: UserId,
}

impl Attendance {
    /// Puts a connection on the roll.
    #[must_use]
    pub fn new(shared: &Arc<Shared>, user: UserId) -> Self {
        shared.roll.enter(user);
        Self { shared: shared.clone(), user }
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let now = self.shared.book.latest(self.shared.world.now());
        self.shared.roll.leave(self.user, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: usize = usize::MAX;
    const SECOND: Micros = 1_000_000;

    fn user() -> UserId {
        UserId::from_bytes([7; 16])
    }

    fn online() -> Shown {
        Shown { presence: Presence::Online, ..Shown::default() }
    }

    #[test]
    fn a_connection_that_comes_back_was_never_away() {
        let roll = Roll::default();
        roll.enter(user());
        assert_eq!(roll.changed(0, ALL), [(user(), online())]);
        roll.leave(user(), 5 * SECOND);
        assert_eq!(roll.shown(user(), 14 * SECOND), online());
        assert!(roll.changed(14 * SECOND, ALL).is_empty());
        roll.enter(user());
        assert!(roll.changed(60 * SECOND, ALL).is_empty());
        roll.leave(user(), 60 * SECOND);
        assert_eq!(roll.changed(70 * SECOND, ALL), [(user(), Shown::default())]);
        assert!(roll.people().is_empty(), "nothing is kept of somebody who is told to be gone");
    }

    #[test]
    fn two_devices_are_one_person() {
        let roll = Roll::default();
        roll.enter(user());
        roll.enter(user());
        assert_eq!(roll.changed(0, ALL).len(), 1);
        roll.leave(user(), 0);
        assert_eq!(roll.shown(user(), 3600 * SECOND), online());
    }

    #[test]
    fn flapping_is_told_seldom_and_the_end_of_it_is_told() {
        let roll = Roll::default();
        roll.enter(user());
        let mut told = 0;
        for step in 0..100 {
            let attention = if step % 2 == 0 { Attention::Away } else { Attention::Available };
            roll.say(user(), Said { attention, until: None });
            told += roll.changed(step * SECOND / 10, ALL).len();
        }
        assert!(told <= 4, "{told} in ten seconds");
        roll.changed(13 * SECOND, ALL);
        assert!(roll.changed(16 * SECOND, ALL).is_empty());
        assert_eq!(roll.shown(user(), 16 * SECOND), online());
    }

    #[test]
    fn what_was_said_holds_until_its_time_and_shows_when_offline() {
        let roll = Roll::default();
        roll.say(user(), Said { attention: Attention::DoNotDisturb, until: Some(60 * SECOND) });
        let quiet = Shown { presence: Presence::Offline, do_not_disturb: true, until: Some(60 * SECOND) };
        assert_eq!(roll.changed(0, ALL), [(user(), quiet)]);
        assert_eq!(roll.changed(60 * SECOND, ALL), [(user(), Shown::default())]);
        roll.say(user(), Said { attention: Attention::Away, until: None });
        assert_eq!(roll.shown(user(), 0), Shown::default(), "away is said of somebody who is there");
    }

    #[test]
    fn a_crowd_is_told_of_little_by_little() {
        let roll = Roll::default();
        for number in 0..120_u8 {
            roll.enter(UserId::from_bytes([number; 16]));
        }
        let rounds: Vec<usize> = (0..4).map(|_| roll.changed(0, 50).len()).collect();
        assert_eq!(rounds, [50, 50, 20, 0]);
    }
}
