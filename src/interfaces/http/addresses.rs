//! How many connections each network has open, so that one of them cannot take every place.
//!
//! Does not know sockets: it is told when one comes, and a guard tells it when that one goes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts open connections by address; IPv6 by /64, because one host is given that many. Shared by cloning.
///
/// The table holds one row for each network with an open connection, so the cap on all connections bounds it.
#[derive(Clone)]
pub struct AddressCounter {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
}

impl AddressCounter {
    /// A counter that admits `most` connections of one address at a time.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { open: Arc::default(), most }
    }

    /// Counts one more connection of `address` until the guard is dropped; `None` when that address has its share.
    #[must_use]
    pub fn enter(&self, address: IpAddr) -> Option<AddressGuard> {
        let network = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_default();
        if *count >= self.most {
            if *count == 0 {
                open.remove(&network);
            }
            return None;
        }
        *count += 1;
        drop(open);
        Some(AddressGuard { open: Arc::clone(&self.open), network })
    }

    /// How many connections `address` has open.
    #[must_use]
    pub fn open(&self, address: IpAddr) -> usize {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&network(address)).copied().unwrap_or(0)
    }
}

/// One counted connection. Dropping it gives the place back: for the cap before sign-in, drop it at sign-in.
pub struct AddressGuard {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    network: IpAddr,
}

impl Drop for AddressGuard {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.network);
            }
        }
    }
}

/// The address as counted: IPv4 whole (also when mapped into IPv6), IPv6 cut to /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let counter = AddressCounter::new(2);
        let first = counter.enter(at("192.0.2.1"));
        let second = counter.enter(at("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(counter.enter(at("192.0.2.1")).is_none());
        assert!(counter.enter(at("192.0.2.2")).is_some());
        drop(first);
        assert_eq!(counter.open(at("192.0.2.1")), 1);
        assert!(counter.enter(at("192.0.2.1")).is_some());
    }

    #[test]
    fn a_host_cannot_multiply_itself_inside_its_64() {
        let counter = AddressCounter::new(1);
        let guard = counter.enter(at("2001:db8:0:1::1"));
        assert!(counter.enter(at("2001:db8:0:1:ffff::9")).is_none());
        assert!(counter.enter(at("2001:db8:0:2::1")).is_some());
        drop(guard);
        assert!(counter.open.lock().unwrap().is_empty());
    }
}
