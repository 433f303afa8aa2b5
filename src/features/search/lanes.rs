//! How many searches there are at a time, and how many of them work. Does not know what they do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::kernel::base::{Code, Refusal, UserId};

/// Searches of one person: one that is read, one that is typed.
const OF_ONE_MAX: usize = 2;
/// Searches of all; each that waits holds little more than its question.
const ALL_MAX: usize = 64;
/// Searches that work at a time: each keeps a reader of the database and, for much of the time, a core.
const WORKING_MAX: usize = 2;
/// A search works this long before it lets the next one have its turn, and keeps a snapshot no longer.
pub const TURN: Duration = Duration::from_millis(150);

static SEARCHES: Mutex<BTreeMap<UserId, usize>> = Mutex::new(BTreeMap::new());
static WORKING: Semaphore = Semaphore::const_new(WORKING_MAX);

fn searches() -> std::sync::MutexGuard<'static, BTreeMap<UserId, usize>> {
    SEARCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place among the searches, given back when it is dropped.
pub struct Entered(UserId);

/// Takes a place.
///
/// # Errors
/// `rate_limited` when the person has two, `busy` when all are taken.
pub fn enter(user: UserId) -> Result<Entered, Refusal> {
    let mut searches = searches();
    let all: usize = searches.values().sum();
    let own = searches.get(&user).copied().unwrap_or(0);
    if own >= OF_ONE_MAX {
        let detail = "Two of your searches are under way. Wait for one, or cancel it.";
        return Err(Refusal::new(Code::RateLimited).detail(detail).retry_after_ms(500));
    }
    if all >= ALL_MAX {
        return Err(Refusal::new(Code::Busy).detail("Too many searches are under way.").retry_after_ms(1000));
    }
    searches.insert(user, own + 1);
    Ok(Entered(user))
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut searches = searches();
        match searches.get_mut(&self.0) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(searches.remove(&self.0)),
        }
    }
}

/// Waits for a turn to work; turns are given in the order asked for.
pub async fn turn() -> SemaphorePermit<'static> {
    WORKING.acquire().await.expect("turns are never closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_two_places_and_gets_them_back() {
        let user = UserId::from_bytes([0xa5; 16]);
        let first = enter(user).ok();
        let second = enter(user).ok();
        assert!(first.is_some() && second.is_some());
        assert_eq!(enter(user).err().map(|refusal| refusal.code), Some(Code::RateLimited));
        drop(first);
        assert!(enter(user).is_ok());
        drop(second);
        assert!(!searches().contains_key(&user));
    }
}
