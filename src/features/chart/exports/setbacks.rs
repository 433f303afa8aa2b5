//! What a filing does when a parcel does not arrive: it waits and sends the same bytes, looks what is there, sends less at once, moves files
//! out, or gives up. Does not know connections.
//! Invariant: each of them comes to an end.

use std::time::Duration;

use super::job::{Filing, Written, micros};
use super::making::Planned;
use super::model::State;
use super::sql::ParcelRow;
use crate::features::chart::targets::{Outcome, Receiver, Remote};
use crate::kernel::base::{Code, Micros, Stop};

/// The first pause after an attempt that came to nothing; it doubles each time.
const PAUSE_FIRST: Micros = 2_000_000;
/// The longest one.
pub(super) const PAUSE_LAST: Micros = 3_600_000_000;
/// Attempts until it is given up: three days of hourly ones.
const ATTEMPTS_MAX: i64 = 84;

impl Filing<'_> {
    /// The receiver could not be asked what has to be known first.
    pub(super) async fn unplanned(&mut self, outcome: Outcome) -> Result<(), Stop> {
        let state = self.found.state()?;
        match outcome {
            Outcome::Again { after, words } => self.again(state, after, words).await,
            Outcome::Stopped { code, words } => self.fail(&code, &words).await,
            _ => self.again(state, None, String::new()).await,
        }
    }

    /// The same bytes, later.
    pub(super) async fn again(&mut self, state: State, after: Option<Duration>, words: String) -> Result<(), Stop> {
        if self.found.row.attempts >= ATTEMPTS_MAX {
            return self.fail("unreachable", &words).await;
        }
        let pause = pause(self.found.row.attempts, self.filings.engine.world().bytes::<4>());
        let next = self.now() + after.map_or(pause, |after| micros(after).max(pause.min(PAUSE_FIRST)));
        self.found.row.attempts += 1;
        self.say("again", &words);
        self.write(state, Some(next), Written::default()).await
    }

    /// What is there is not what we thought: it is looked at, and the parcel made anew, once.
    pub(super) async fn refetch(
        &mut self,
        receiver: &Receiver,
        mut planned: Planned,
        mut row: ParcelRow,
        words: String,
    ) -> Result<(), Stop> {
        if self.found.view.job.refetched {
            return self.fail("conflict", &words).await;
        }
        for sent in planned.sent.iter().filter(|sent| sent.update) {
            let first = &sent.resource["identifier"][0];
            let (Some(system), Some(value)) = (first["system"].as_str(), first["value"].as_str()) else { continue };
            match receiver.read_back(&sent.class, system, value).await {
                Ok(Some(Remote { location, etag, .. })) => {
                    let held = self.holdings.entry(sent.id).or_default();
                    (held.location, held.etag) = (Some(location), etag);
                }
                Ok(None) => {
                    let held = self.holdings.entry(sent.id).or_default();
                    (held.location, held.etag) = (None, None);
                }
                Err(outcome) => return self.unplanned(outcome).await,
            }
        }
        self.found.view.job.refetched = true;
        self.say("again", &words);
        self.make(&mut planned, &mut row).await
    }

    /// Less at once; where that is one resource, without its files.
    pub(super) async fn smaller(&mut self, planned: &Planned) -> Result<(), Stop> {
        let job = &mut self.found.view.job;
        if planned.bundle {
            job.limit = Some(u32::try_from(planned.sent.len() / 2).unwrap_or_default());
            return self.replan().await;
        }
        let smaller = planned.sent.first().and_then(|sent| job.files.after(sent));
        let Some(files) = smaller.filter(|files| *files != job.files) else {
            return self.fail("too_large", "The receiver does not take a resource of that size.").await;
        };
        job.files = files;
        self.replan().await
    }

    /// From the beginning, but for what the receiver has by now.
    pub(super) async fn replan(&mut self) -> Result<(), Stop> {
        self.found.view.job = self.found.view.job.anew();
        let (state, now) = (self.found.state()?, self.now());
        self.write(state, Some(now), Written { plan: Some(Vec::new()), ..Written::default() }).await
    }

    /// The record does not let it go on: whoever attested may not read it any more, or something of ours failed.
    pub(super) async fn hindered(&mut self, stop: Stop) -> Result<(), Stop> {
        match stop {
            Stop::Refused(refusal) if !passes(refusal.code) => {
                let words = refusal.detail.clone().unwrap_or_else(|| refusal.code.title().to_owned());
                self.fail(refusal.code.text(), &words).await
            }
            // Somebody changed it meanwhile: the next look sees how it stands.
            Stop::Refused(refusal) if refusal.code == Code::Conflict => Ok(()),
            _ => {
                let state = self.found.state()?;
                self.again(state, None, String::new()).await
            }
        }
    }
}

/// Whether a refusal is about this moment, and not about who attested.
const fn passes(code: Code) -> bool {
    matches!(code, Code::Busy | Code::Conflict | Code::Internal | Code::RateLimited | Code::Sealed)
}

/// The pause before the next attempt: exponential, between the half and the whole, so that not all come back at once.
fn pause(attempts: i64, chance: [u8; 4]) -> Micros {
    let doubled = u32::try_from(attempts.clamp(0, 30)).unwrap_or_default();
    let whole = PAUSE_FIRST.saturating_mul(1_i64 << doubled).min(PAUSE_LAST);
    whole / 2 + i64::from(u32::from_be_bytes(chance)) * (whole / 2) / i64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let (least, most) = ([0; 4], [255; 4]);
        assert_eq!((pause(0, least), pause(0, most)), (PAUSE_FIRST / 2, PAUSE_FIRST));
        assert_eq!((pause(3, least), pause(3, most)), (PAUSE_FIRST * 4, PAUSE_FIRST * 8));
        assert_eq!((pause(40, least), pause(84, most)), (PAUSE_LAST / 2, PAUSE_LAST));
    }
}
