//! Failed sign-ins counted per account and network: each is slower than the last, then refused for a while.
//! Does not know: whether an account exists; unknown ones are counted alike. Pure: time is handed in.
//! Invariant: memory is bounded by how many failures the hash limiter lets through in [`REFUSED_FOR`], and by [`COUNTED_MAX`].

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::kernel::base::Micros;
use crate::kernel::base::world::MINUTE;
use crate::kernel::crypto::{self, Hash};

/// This failure is the first that is delayed.
const DELAYED_FROM: u32 = 5;
/// This failure is the first that is refused, with all attempts after it.
const REFUSED_FROM: u32 = 10;
/// For how long attempts are refused, and failures remembered.
const REFUSED_FOR: Micros = 15 * MINUTE;
/// Accounts and networks counted at once. Two hashes at a time make at most about 40,000 failures in [`REFUSED_FOR`].
const COUNTED_MAX: usize = 50_000;

/// One account as seen from one network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Attempted {
    handle: Hash,
    network: Option<Ipv6Addr>,
}

impl Attempted {
    /// The account of that folded handle, there or not, tried from that address.
    #[must_use]
    pub fn new(folded: &str, address: Option<IpAddr>) -> Self {
        Self { handle: crypto::hash(folded.as_bytes()), network: address.map(network) }
    }

    /// One of `of` lanes: attempts in the same lane go one after another, so that none slips past the count.
    #[must_use]
    pub fn lane(&self, of: usize) -> usize {
        usize::from(u16::from_be_bytes([self.handle[0], self.handle[1]])) % of
    }
}

/// The network of an address: IPv4 /24, IPv6 /48.
fn network(address: IpAddr) -> Ipv6Addr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            std::net::Ipv4Addr::new(a, b, c, 0).to_ipv6_mapped()
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
        }
    }
}

/// What follows a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consequence {
    /// Told after this long.
    Delayed(Duration),
    /// Refused from here on, for this long.
    Refused(Micros),
}

struct Count {
    failures: u32,
    last: Micros,
}

/// The counts.
#[derive(Default)]
pub struct Lockout {
    counts: HashMap<Attempted, Count>,
}

impl Lockout {
    /// How much longer attempts are refused; none if they are not.
    #[must_use]
    pub fn refused_for(&self, attempted: &Attempted, now: Micros) -> Option<Micros> {
        let count = self.counts.get(attempted).filter(|count| count.failures >= REFUSED_FROM)?;
        let left = count.last + REFUSED_FOR - now;
        (left > 0).then_some(left)
    }

    /// Counts a failure.
    pub fn failed(&mut self, attempted: Attempted, now: Micros) -> Consequence {
        if !self.counts.contains_key(&attempted) && self.counts.len() >= COUNTED_MAX {
            self.make_room(now);
        }
        let count = self.counts.entry(attempted).or_insert(Count { failures: 0, last: now });
        if now - count.last >= REFUSED_FOR {
            count.failures = 0;
        }
        count.failures += 1;
        count.last = now;
        match count.failures {
            0..DELAYED_FROM => Consequence::Delayed(Duration::ZERO),
            n @ DELAYED_FROM..REFUSED_FROM => Consequence::Delayed(Duration::from_secs(1 << (n - DELAYED_FROM))),
            _ => Consequence::Refused(REFUSED_FOR),
        }
    }

    /// A success ends the count.
    pub fn succeeded(&mut self, attempted: &Attempted) {
        self.counts.remove(attempted);
    }

    fn make_room(&mut self, now: Micros) {
        self.counts.retain(|_, count| now - count.last < REFUSED_FOR);
        if self.counts.len() >= COUNTED_MAX
            && let Some(oldest) = self.counts.iter().min_by_key(|(_, count)| count.last).map(|(key, _)| *key)
        {
            self.counts.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(handle: &str, address: &str) -> Attempted {
        Attempted::new(handle, Some(address.parse().unwrap()))
    }

    #[test]
    fn failures_are_delayed_then_refused_for_a_quarter_of_an_hour() {
        let (mut lockout, maja) = (Lockout::default(), from("maja", "10.1.2.3"));
        let mut told = Vec::new();
        for second in 0..10 {
            assert_eq!(lockout.refused_for(&maja, second * 1_000_000), None);
            told.push(lockout.failed(maja, second * 1_000_000));
        }
        let seconds = [0, 0, 0, 0, 1, 2, 4, 8, 16].map(|s| Consequence::Delayed(Duration::from_secs(s)));
        assert_eq!(told[..9], seconds);
        assert_eq!(told[9], Consequence::Refused(15 * MINUTE));
        let tenth = 9_000_000;
        assert_eq!(lockout.refused_for(&maja, tenth + MINUTE), Some(14 * MINUTE));
        assert_eq!(lockout.refused_for(&maja, tenth + 15 * MINUTE), None);
        let after = lockout.failed(maja, tenth + 15 * MINUTE);
        assert_eq!(after, Consequence::Delayed(Duration::ZERO), "the count starts anew");
    }

    #[test]
    fn a_success_ends_the_count_and_others_are_not_touched() {
        let (mut lockout, maja) = (Lockout::default(), from("maja", "10.1.2.3"));
        for _ in 0..10 {
            lockout.failed(maja, 0);
        }
        assert!(lockout.refused_for(&from("maja", "10.1.2.200"), 1).is_some(), "the same network");
        for other in [from("maja", "10.1.3.3"), from("per", "10.1.2.3"), Attempted::new("maja", None)] {
            assert_eq!(lockout.refused_for(&other, 1), None);
        }
        lockout.succeeded(&maja);
        assert_eq!(lockout.refused_for(&maja, 1), None);
    }

    #[test]
    fn networks_are_24_and_48_bits() {
        assert_eq!(from("a", "2001:db8:7:1::1"), from("a", "2001:db8:7:ffff::2"));
        assert_ne!(from("a", "2001:db8:7::1"), from("a", "2001:db8:8::1"));
        assert_eq!(from("a", "::ffff:10.1.2.9"), from("a", "10.1.2.3"));
    }

    #[test]
    fn memory_is_bounded() {
        let mut lockout = Lockout::default();
        for n in 0..COUNTED_MAX + 10 {
            lockout.failed(from(&n.to_string(), "10.0.0.1"), 5);
        }
        assert_eq!(lockout.counts.len(), COUNTED_MAX);
        lockout.failed(from("later", "10.0.0.1"), 5 + REFUSED_FOR);
        assert_eq!(lockout.counts.len(), 1);
    }
}
