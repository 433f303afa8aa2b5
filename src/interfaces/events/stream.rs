//! One stream from its first line to its last: events as they come, the cursors with each, a comment when nothing happens.
//! Does not know what an event says. A task of its own, so that whatever ends the session ends the stream also while its peer takes
//! nothing; what it hands over waits in one piece at most.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::cursors::Trail;
use crate::interfaces::socket::Sockets;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{ChannelId, Micros};
use crate::kernel::live::{Delivery, End, Session};
use crate::kernel::wire::{self, Frame, close};

/// How long before the end of a session its person is told.
const EXPIRING: Micros = 2 * MINUTE;
/// What was delivered is put on record this often.
const ACCOUNT_EVERY: Duration = Duration::from_secs(15 * 60);
/// The wall clock and the seal are looked at this often when nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The last word may take this long, of one who is too slow as of the others.
const GOODBYE: Duration = Duration::from_secs(1);
/// Goodbyes are spread over this, so that not everybody comes back at once.
const DRAIN_SPREAD_MS: u16 = 2000;
/// A client comes back after a second, and as much again by chance.
const RETRY_MS: u16 = 1000;
/// Events of one piece, and about how large it may grow.
const EVENTS_A_PIECE: usize = 64;
const PIECE_BYTES: usize = 64 * 1024;

/// Why a stream ends.
#[derive(Clone, Copy)]
enum Ending {
    /// The peer is gone.
    Gone,
    /// The session, as [`End`] says.
    Over(End),
    /// The server goes down.
    Draining,
}

impl Ending {
    /// The last event: its name, and what it says.
    fn told(self) -> Option<(&'static str, &'static str, u16)> {
        Some(match self {
            Self::Gone => return None,
            Self::Over(End::Ended) => ("end", "session_ended", close::SESSION_ENDED),
            Self::Over(End::TooSlow) => ("slow", "slow", close::TOO_SLOW),
            Self::Over(End::Sealed) => ("end", "sealed", close::DRAINING),
            Self::Over(End::Failed) => ("end", "internal", close::INTERNAL),
            Self::Draining => ("end", "draining", close::DRAINING),
        })
    }
}

/// One person's stream.
pub struct Stream {
    sockets: Sockets,
    live: Session,
    trail: Trail,
    /// What is not handed over yet.
    piece: String,
    events: usize,
    told_end: bool,
    pinged: Instant,
    accounted: Instant,
    /// When it says goodbye, once the server goes down.
    goodbye: Option<Instant>,
}

impl Stream {
    /// Of a session that was told what to resume; `named` are the channels its cursors name.
    pub fn new(sockets: Sockets, live: Session, named: &[ChannelId]) -> Self {
        let now = Instant::now();
        let mut trail = Trail::default();
        named.iter().for_each(|channel| trail.note(*channel));
        Self {
            sockets,
            live,
            trail,
            piece: String::new(),
            events: 0,
            told_end: false,
            pinged: now,
            accounted: now,
            goodbye: None,
        }
    }

    /// Starts it; what it sends comes out of the body.
    pub fn begin(self) -> Body {
        let (out, pieces) = mpsc::channel::<Bytes>(1);
        tokio::spawn(self.serve(out));
        Body::from_stream(futures_util::stream::unfold(pieces, |mut pieces| async {
            pieces.recv().await.map(|piece| (Ok::<_, Infallible>(piece), pieces))
        }))
    }

    async fn serve(mut self, out: mpsc::Sender<Bytes>) {
        metrics::gauge!("carethread_event_streams").increment(1);
        let retry = RETRY_MS + self.chance() % RETRY_MS;
        let _ = write!(self.piece, "retry: {retry}\n\n");
        let ending = loop {
            if let Err(ending) = self.turn(&out).await {
                break ending;
            }
        };
        let delivered = self.live.take_delivered();
        let Self { sockets, live, .. } = self;
        // From here on nothing is queued for it and nothing more is read for it.
        drop(live);
        if let Some((event, code, number)) = ending.told() {
            let last = format!("event: {event}\ndata: {}\n\n", json!({"code": code, "close": number}));
            let _ = timeout(GOODBYE, out.send(last.into())).await;
        }
        drop(out);
        if sockets.parts().door.engine().audit(delivered.into_iter().collect()).await.is_err() {
            tracing::error!("What was delivered over a stream could not be put on record");
        }
        metrics::gauge!("carethread_event_streams").decrement(1);
    }

    fn chance(&self) -> u16 {
        u16::from_be_bytes(self.sockets.parts().door.engine().world().bytes())
    }

    async fn turn(&mut self, out: &mpsc::Sender<Bytes>) -> Result<(), Ending> {
        let timer = self.timer();
        let draining = self.goodbye.is_some();
        let Self { sockets, live, .. } = self;
        let delivery = tokio::select! {
            delivery = live.next() => Some(delivery),
            () = sockets.parts().draining.cancelled(), if !draining => {
                let spread = Duration::from_millis((self.chance() % DRAIN_SPREAD_MS).into());
                self.goodbye = Some(Instant::now() + spread);
                self.notice("draining", "The server is going down. Come back in a moment.", Map::new());
                None
            }
            () = out.closed() => return Err(Ending::Gone),
            () = sleep_until(timer) => None,
        };
        if let Some(end) = self.live.over() {
            return Err(Ending::Over(end));
        }
        match delivery {
            Some(delivery) => self.gather(delivery)?,
            None => self.tick().await?,
        }
        self.hand_over(out).await
    }

    /// When something is due even if nothing happens.
    fn timer(&self) -> Instant {
        let now = Instant::now();
        let left = self.left();
        let told = if self.told_end { left.max(0) } else { (left - EXPIRING).max(0) };
        let end = now + Duration::from_micros(told.unsigned_abs());
        let due = [self.next_ping(), self.accounted + ACCOUNT_EVERY, now + LOOK_EVERY, end];
        due.into_iter().chain(self.goodbye).min().unwrap_or(now)
    }

    fn next_ping(&self) -> Instant {
        let limits = &self.sockets.parts().door.engine().shared().config.limits;
        self.pinged + Duration::from_secs(limits.ping_seconds.into())
    }

    /// Until the session ends; nothing here keeps it going.
    fn left(&self) -> Micros {
        self.live.state().ends_at() - self.sockets.parts().door.now()
    }

    async fn tick(&mut self) -> Result<(), Ending> {
        let now = Instant::now();
        if self.sockets.parts().door.engine().shared().vault.keyring().is_sealed() {
            return Err(Ending::Over(End::Sealed));
        }
        if self.goodbye.is_some_and(|at| now >= at) {
            return Err(Ending::Draining);
        }
        if now >= self.next_ping() {
            self.pinged = now;
            self.piece.push_str(": ping\n\n");
        }
        if now >= self.accounted + ACCOUNT_EVERY {
            self.accounted = now;
            let delivered = self.live.take_delivered();
            let engine = self.sockets.parts().door.engine();
            // No row, no delivery.
            if engine.audit(delivered.into_iter().collect()).await.is_err() {
                return Err(Ending::Over(End::Failed));
            }
        }
        let left = self.left();
        if left > EXPIRING {
            self.told_end = false;
        } else if !self.told_end && left > 0 {
            self.told_end = true;
            let ends_at = rfc3339(self.live.state().ends_at());
            let more = [("expires_at".to_owned(), Value::from(ends_at))].into_iter().collect();
            self.notice("session_expiring", "You will be signed out unless you do something.", more);
        }
        Ok(())
    }

    /// Everything that can go out now, up to so much.
    fn gather(&mut self, first: Delivery) -> Result<(), Ending> {
        self.take(first)?;
        while self.events < EVENTS_A_PIECE && self.piece.len() < PIECE_BYTES {
            let Some(delivery) = self.live.next().now_or_never() else { break };
            self.take(delivery)?;
        }
        Ok(())
    }

    fn take(&mut self, delivery: Delivery) -> Result<(), Ending> {
        match delivery {
            Delivery::Event(frame) => {
                if let Some(channel) = self.live.take_moved() {
                    self.trail.note(channel);
                    self.id();
                }
                self.data(&frame);
                self.events += 1;
            }
            Delivery::Resumed { answer: Ok(answer), .. } => {
                self.piece.push_str("event: resumed\n");
                self.id();
                let _ = write!(self.piece, "data: {answer}\n\n");
            }
            Delivery::Resumed { answer: Err(_), .. } => return Err(Ending::Over(End::Failed)),
            Delivery::Marked(_) => {}
            Delivery::End(end) => return Err(Ending::Over(end)),
        }
        Ok(())
    }

    fn id(&mut self) {
        let id = self.trail.id(self.live.cursors());
        let _ = writeln!(self.piece, "id: {id}");
    }

    /// A frame is one line: JSON has none of its own.
    fn data(&mut self, frame: &Frame) {
        let _ = write!(self.piece, "data: {}\n\n", frame.as_str());
    }

    fn notice(&mut self, code: &str, text: &str, more: Map<String, Value>) {
        self.piece.push_str("event: notice\n");
        self.data(&wire::notice(code, text, more));
    }

    /// Hands the piece over unless the session ends meanwhile, or the peer takes nothing for too long.
    async fn hand_over(&mut self, out: &mpsc::Sender<Bytes>) -> Result<(), Ending> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.events = 0;
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        let silence = self.sockets.parts().door.engine().shared().config.limits.silence_seconds;
        let taken = async {
            out.send(piece).await.map_err(|_| Ending::Gone)?;
            // There is room for one: when there is again, the piece was taken to be written.
            out.reserve().await.map(drop).map_err(|_| Ending::Gone)
        };
        let outcome = tokio::select! {
            biased;
            taken = taken => taken,
            end = self.live.stopped() => Err(Ending::Over(end)),
            () = sleep(Duration::from_secs(silence.into())) => Err(Ending::Gone),
        };
        if outcome.is_ok() {
            self.live.flushed();
        }
        outcome
    }
}
