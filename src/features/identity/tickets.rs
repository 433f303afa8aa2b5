//! One-use tickets for a socket: browsers cannot set a header on a WebSocket, and a token in a URL ends up in logs.
//! Does not know: sessions beyond their id. Tickets live in memory only; a restart ends them, and they last half a minute anyway.

use std::collections::{HashMap, VecDeque};

use crate::kernel::base::{Code, Micros, Refusal, Secret, SessionId, World};
use crate::kernel::crypto::Hash;
use crate::kernel::crypto::token::{TICKET_PREFIX, new_token, token_hash};

/// From ticket to socket is one round trip of a browser.
const LASTS: Micros = 30_000_000;
/// Open tickets: past any herd of browsers that reconnects at once; about 1 MB.
const OPEN_MAX: usize = 10_000;

/// The open tickets, by the hash of each.
#[derive(Default)]
pub struct Tickets {
    open: HashMap<Hash, (SessionId, Micros)>,
    /// In the order they lapse.
    order: VecDeque<(Hash, Micros)>,
}

impl Tickets {
    /// A ticket for `session`, and when it lapses.
    ///
    /// # Errors
    /// `busy` when too many are open.
    pub fn issue(
        &mut self,
        world: &World,
        session: SessionId,
        now: Micros,
    ) -> Result<(Secret<String>, Micros), Refusal> {
        while let Some((hash, _)) = self.order.front().filter(|(_, lapses)| *lapses <= now) {
            self.open.remove(hash);
            self.order.pop_front();
        }
        if self.order.len() >= OPEN_MAX {
            return Err(Refusal::new(Code::Busy).detail("Too many tickets are open. Try again.").retry_after_ms(1000));
        }
        let (ticket, lapses) = (new_token(world, TICKET_PREFIX), now + LASTS);
        let hash = token_hash(ticket.expose());
        self.open.insert(hash, (session, lapses));
        self.order.push_back((hash, lapses));
        Ok((ticket, lapses))
    }

    /// Takes a ticket: the session it stands for, once, before it lapses.
    pub fn redeem(&mut self, ticket: &str, now: Micros) -> Option<SessionId> {
        let (session, lapses) = self.open.remove(&token_hash(ticket))?;
        (now < lapses).then_some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_once_within_half_a_minute() {
        let (world, session) = (World::system(), SessionId(World::system().id()));
        let mut tickets = Tickets::default();
        let (ticket, lapses) = tickets.issue(&world, session, 1000).unwrap();
        assert!(ticket.expose().starts_with("ct_tic_") && lapses == 30_001_000);
        assert_eq!(tickets.redeem("ct_tic_x", 1000), None);
        assert_eq!(tickets.redeem(ticket.expose(), 30_000_999), Some(session));
        assert_eq!(tickets.redeem(ticket.expose(), 2000), None);
        let (late, lapses) = tickets.issue(&world, session, 0).unwrap();
        assert_eq!(tickets.redeem(late.expose(), lapses), None);
    }

    #[test]
    fn open_tickets_are_bounded_and_lapse() {
        let (world, session) = (World::system(), SessionId::ZERO);
        let mut tickets = Tickets::default();
        for _ in 0..OPEN_MAX {
            tickets.issue(&world, session, 0).unwrap();
        }
        assert_eq!(tickets.issue(&world, session, LASTS - 1).err().unwrap().code, Code::Busy);
        tickets.issue(&world, session, LASTS).unwrap();
        assert_eq!((tickets.open.len(), tickets.order.len()), (1, 1));
    }
}
