//! One connection after sign-in: frames in, commands begun, answers and events out, until something ends it.
//! Does not know what an op means. One task; nothing here waits for a peer without also watching what may end the session.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::answers::{Answer, Answers};
use super::line::{Goodbye, Line};
use super::pace::{Pace, Taken};
use super::{Arrival, Sockets, sign_in};
use crate::kernel::base::limits::Limits;
use crate::kernel::base::world::{MINUTE, rfc3339};
use crate::kernel::base::{Code, Micros, Refusal};
use crate::kernel::engine::fields::Fields;
use crate::kernel::live::{Delivery, End, Session};
use crate::kernel::wire::{self, Frame, Request, close};

/// How long before the end of a session its person is told.
const EXPIRING: Micros = 2 * MINUTE;
/// What was delivered is put on record this often.
const ACCOUNT_EVERY: Duration = Duration::from_secs(15 * 60);
/// And tried again so often, at every look, while the database is away.
const ACCOUNT_TRIES: u32 = 24;
/// The wall clock and the seal are looked at this often when nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Answers are waited for this long when the server goes down; with the spread and the goodbye it fits into the listener's drain.
const DRAIN_ANSWERS: Duration = Duration::from_secs(6);
/// Goodbyes are spread over this, so that not everybody comes back at once.
const DRAIN_SPREAD_MS: u16 = 2000;
/// Frames written between two flushes.
const FRAMES_A_FLUSH: usize = 64;
/// Too many commands under way: one of them is usually answered by then.
const INFLIGHT_RETRY_MS: u64 = 100;

/// Serves a connection from the switch of protocols to its end.
pub(super) async fn serve<S>(sockets: Sockets, socket: WebSocketStream<S>, address: IpAddr, arrival: Arrival)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    metrics::gauge!("carethread_sockets").increment(1);
    let mut line = Line::new(socket);
    let live = match arrival {
        Arrival::SignedIn(signed_in) => Box::pin(sign_in::greet(&sockets, &mut line, address, &signed_in)).await,
        // The place before sign-in is given back with the guard.
        Arrival::Stranger(_guard) => Box::pin(sign_in::sign_in(&sockets, &mut line, address)).await,
    };
    let goodbye = match live {
        Err(goodbye) => {
            let code = goodbye.code();
            Box::pin(line.finish(goodbye)).await;
            code
        }
        Ok(live) => Connection::new(sockets, line, live).serve().await,
    };
    metrics::gauge!("carethread_sockets").decrement(1);
    metrics::counter!("carethread_sockets_closed_total", "code" => goodbye.map_or_else(|| "none".into(), |code| code.to_string()))
        .increment(1);
}

/// What a turn of the loop is about.
enum Event {
    Delivery(Delivery),
    Answer(Answer),
    Heard(Utf8Bytes),
    Drain,
    Tick,
}

/// The way down.
struct Drain {
    /// Answers are waited for until then.
    patience: Instant,
    /// When this one says goodbye; none while answers are out.
    goodbye: Option<Instant>,
}

struct Connection<S> {
    sockets: Sockets,
    line: Line<S>,
    live: Session,
    answers: Answers,
    pace: Pace,
    /// `resume`s and `ping`s, which are answered behind events.
    held: usize,
    /// The coming end of the session was told.
    told_end: bool,
    pinged: Instant,
    accounted: Instant,
    /// Since then it was tried so often without success.
    unaccounted: u32,
    drain: Option<Drain>,
}

fn goodbye_of(end: End) -> Goodbye {
    match end {
        End::Ended => Goodbye::new(close::SESSION_ENDED, "the session ended"),
        End::TooSlow => Goodbye::new(close::TOO_SLOW, "too slow: resume from the last event"),
        End::Sealed => Goodbye::new(close::DRAINING, "the server is sealed"),
        End::Failed => Goodbye::new(close::INTERNAL, "something failed here"),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(sockets: Sockets, line: Line<S>, live: Session) -> Self {
        let now = Instant::now();
        let pace = Pace::new(&sockets.door().engine().shared().config.limits, now);
        Self {
            sockets,
            line,
            live,
            answers: Answers::default(),
            pace,
            held: 0,
            told_end: false,
            pinged: now,
            accounted: now,
            unaccounted: 0,
            drain: None,
        }
    }

    /// Gives the code it ended with.
    async fn serve(mut self) -> Option<u16> {
        let goodbye = loop {
            if let Err(goodbye) = self.turn().await {
                break goodbye;
            }
        };
        let code = goodbye.code();
        let delivered = self.live.take_delivered();
        let Self { sockets, line, live, answers, .. } = self;
        // From here on nothing is queued for it and nothing more is read for it; writes that are queued are done all the same.
        drop((live, answers));
        let record = async move {
            let engine = sockets.door().engine().clone();
            drop(sockets);
            engine.audit(delivered.into_iter().collect()).await
        };
        let ((), recorded) = Box::pin(async { tokio::join!(line.finish(goodbye), record) }).await;
        if recorded.is_err() {
            tracing::error!("What was delivered over a connection could not be put on record");
        }
        code
    }

    fn limits(&self) -> &Limits {
        &self.sockets.door().engine().shared().config.limits
    }

    fn silence(&self) -> Duration {
        Duration::from_secs(self.limits().silence_seconds.into())
    }

    async fn turn(&mut self) -> Result<(), Goodbye> {
        if let Some(drain) = &mut self.drain
            && drain.goodbye.is_none()
            && (self.answers.len() == 0 || Instant::now() >= drain.patience)
        {
            let random = u16::from_be_bytes(self.sockets.door().engine().world().bytes());
            let spread = Duration::from_millis((random % DRAIN_SPREAD_MS).into());
            drain.goodbye = Some(Instant::now() + spread);
        }
        let timer = self.timer();
        let Self { sockets, line, live, answers, drain, .. } = self;
        let event = tokio::select! {
            delivery = live.next() => Event::Delivery(delivery),
            answer = answers.next(sockets.door()) => Event::Answer(answer),
            heard = line.hear(), if drain.is_none() => Event::Heard(heard?),
            () = sockets.shared.draining.cancelled(), if drain.is_none() => Event::Drain,
            () = sleep_until(timer) => Event::Tick,
        };
        // A session that ran out meanwhile is not revived by what its peer sent too late.
        if let Some(end) = live.over() {
            let last = if let Event::Answer(answer) = event { Some(answer) } else { None };
            self.part(end, last).await;
            return Err(goodbye_of(end));
        }
        match event {
            Event::Delivery(delivery) => {
                self.deliver(delivery).await?;
                self.write_waiting().await
            }
            Event::Answer(answer) => {
                self.answer(answer).await?;
                self.write_waiting().await
            }
            Event::Heard(text) => self.heard(&text).await,
            Event::Drain => {
                self.drain = Some(Drain { patience: Instant::now() + DRAIN_ANSWERS, goodbye: None });
                self.write(wire::notice("draining", "The server is going down. Come back in a moment.", Map::new()))
                    .await
            }
            Event::Tick => self.tick().await,
        }
    }

    /// When something is due even if nothing happens.
    fn timer(&self) -> Instant {
        let now = Instant::now();
        let ping = self.pinged + Duration::from_secs(self.limits().ping_seconds.into());
        let end = now + Duration::from_micros(self.until_told().unsigned_abs());
        let due = [ping, self.line.heard + self.silence(), self.accounted + ACCOUNT_EVERY, now + LOOK_EVERY, end];
        let drain = self.drain.as_ref().map(|drain| drain.goodbye.unwrap_or(drain.patience));
        due.into_iter().chain(drain).chain(self.answers.progress_due()).min().unwrap_or(now)
    }

    /// Time until the next thing to say about the end of the session; never negative.
    fn until_told(&self) -> Micros {
        let left = self.live.state().ends_at() - self.sockets.door().now();
        if self.told_end { left.max(0) } else { (left - EXPIRING).max(0) }
    }

    async fn tick(&mut self) -> Result<(), Goodbye> {
        let now = Instant::now();
        if now >= self.line.heard + self.silence() {
            return Err(Goodbye::silent());
        }
        if self.sockets.door().engine().shared().vault.keyring().is_sealed() {
            return Err(goodbye_of(End::Sealed));
        }
        if self.drain.as_ref().and_then(|drain| drain.goodbye).is_some_and(|at| now >= at) {
            return Err(Goodbye::draining());
        }
        for (id, scanned, of) in self.answers.take_progress(now) {
            let more = [("id".to_owned(), id), ("scanned".into(), scanned.into()), ("of".into(), of.into())];
            self.write(wire::notice("progress", "This takes longer.", more.into_iter().collect())).await?;
        }
        if now >= self.pinged + Duration::from_secs(self.limits().ping_seconds.into()) {
            self.pinged = now;
            let Self { line, live, .. } = self;
            guarded(live, async {
                line.ping().await?;
                line.flush().await
            })
            .await?;
        }
        if now >= self.accounted + ACCOUNT_EVERY {
            let delivered = self.live.take_delivered();
            let engine = self.sockets.door().engine();
            match (engine.audit(delivered.iter().cloned().collect()).await, delivered) {
                (Ok(()), _) => (self.accounted, self.unaccounted) = (now, 0),
                // The database may be back soon. Until then there is nothing new to deliver.
                (Err(refusal), Some(delivered)) if refusal.code == Code::Busy && self.unaccounted < ACCOUNT_TRIES => {
                    self.live.keep_delivered(delivered);
                    self.accounted += LOOK_EVERY;
                    self.unaccounted += 1;
                }
                // No row, no delivery.
                (Err(_), _) => return Err(goodbye_of(End::Failed)),
            }
        }
        let ends_at = self.live.state().ends_at();
        let left = ends_at - self.sockets.door().now();
        if left > EXPIRING {
            self.told_end = false;
        } else if !self.told_end && left > 0 {
            self.told_end = true;
            let more = [("expires_at".to_owned(), Value::from(rfc3339(ends_at)))].into_iter().collect();
            let text = "You will be signed out unless you do something.";
            self.write(wire::notice("session_expiring", text, more)).await?;
        }
        Ok(())
    }

    /// Everything that can go out now, up to so many frames, and one flush for all of it.
    async fn write_waiting(&mut self) -> Result<(), Goodbye> {
        for _ in 0..FRAMES_A_FLUSH {
            if let Some(delivery) = self.live.next().now_or_never() {
                self.deliver(delivery).await?;
            } else if let Some(answer) = self.answers.ready(self.sockets.door()) {
                self.answer(answer).await?;
            } else {
                break;
            }
        }
        let Self { line, live, .. } = self;
        guarded(live, line.flush()).await?;
        // Now, and not when it was queued: what stands here has left the program.
        live.flushed();
        Ok(())
    }

    async fn answer(&mut self, answer: Answer) -> Result<(), Goodbye> {
        if let (true, Ok(page)) = (answer.page, &answer.answered) {
            for event in page.get("events").and_then(Value::as_array).into_iter().flatten() {
                let channel = event.get("channel").and_then(Value::as_str).and_then(|id| id.parse().ok());
                if let (Some(channel), Some(seq)) = (channel, event.get("seq").and_then(Value::as_i64)) {
                    self.live.handed_over(channel, seq);
                }
            }
        }
        self.feed(answer_frame(answer)).await
    }

    async fn deliver(&mut self, delivery: Delivery) -> Result<(), Goodbye> {
        match delivery {
            Delivery::Event(frame) => self.feed(frame).await,
            Delivery::Resumed { id, answer } => {
                self.held = self.held.saturating_sub(1);
                self.feed(framed(&id, &answer)).await
            }
            Delivery::Marked(id) => {
                self.held = self.held.saturating_sub(1);
                let time = rfc3339(self.sockets.door().now());
                self.feed(wire::reply(&id, &json!({ "time": time }))).await
            }
            Delivery::End(end) => {
                self.part(end, None).await;
                Err(goodbye_of(end))
            }
        }
    }

    /// Whoever ended the session itself gets the answer to that: it comes a moment after the end is known here.
    async fn part(&mut self, end: End, first: Option<Answer>) {
        if end != End::Ended || !self.live.state().ended.load(Ordering::Acquire) {
            return;
        }
        let Self { sockets, line, answers, .. } = self;
        let last = async {
            if let Some(answer) = first.filter(|answer| !answer.read) {
                line.feed(answer_frame(answer)).await?;
            }
            while answers.writes() > 0 {
                let answer = answers.next(sockets.door()).await;
                if !answer.read {
                    line.feed(answer_frame(answer)).await?;
                }
            }
            line.flush().await
        };
        // Nobody is waited for any more.
        let _ = timeout(Duration::from_secs(1), last).await;
    }

    async fn feed(&mut self, frame: Frame) -> Result<(), Goodbye> {
        let Self { line, live, .. } = self;
        guarded(live, line.feed(frame)).await
    }

    async fn write(&mut self, frame: Frame) -> Result<(), Goodbye> {
        let Self { line, live, .. } = self;
        guarded(live, async {
            line.feed(frame).await?;
            line.flush().await
        })
        .await
    }

    async fn heard(&mut self, text: &str) -> Result<(), Goodbye> {
        let (id, request) = match wire::parse(text) {
            Ok(parsed) => parsed,
            Err(refusal) => {
                let one_too_many = self.pace.bad(Instant::now());
                self.write(wire::error(&Value::Null, &refusal)).await?;
                return if one_too_many {
                    Err(Goodbye::new(close::BAD_FRAMES, "too many unreadable frames"))
                } else {
                    Ok(())
                };
            }
        };
        let begun = match self.pace.take(Instant::now()) {
            Taken::Flood => return Err(Goodbye::new(close::TOO_FAST, "far too many commands")),
            Taken::Later(ms) => Err(too_many("Too many commands. Wait, then repeat with the same key.", ms)),
            Taken::Yes if self.answers.len() + self.held >= self.inflight() => {
                Err(too_many("Too many commands are unanswered. Wait for some.", INFLIGHT_RETRY_MS))
            }
            Taken::Yes => match request {
                Ok(request) => self.command(request)?,
                Err(refusal) => Err(refusal),
            },
        };
        match begun {
            Ok(()) => Ok(()),
            Err(refusal) => self.write(wire::error(&id, &refusal)).await,
        }
    }

    fn inflight(&self) -> usize {
        usize::try_from(self.limits().inflight).unwrap_or(usize::MAX)
    }

    /// Begins a command. The outer error ends the connection.
    fn command(&mut self, request: Request) -> Result<Result<(), Refusal>, Goodbye> {
        let Request { id, op, data } = request;
        let now = self.sockets.door().now();
        Ok(match op.as_str() {
            // Behind the events: a client may tell by it that it has what there was.
            "ping" => {
                self.held += 1;
                self.live.mark(id);
                Ok(())
            }
            "login" => Err(Refusal::conflict("This socket is signed in already. Open another one.")),
            "resume" => self.live.resume(id, &data).map(|()| self.held += 1),
            "typing" => Fields(&data).required_id("channel").map(|channel| {
                self.live.state().touch(now);
                let typing = self.live.typing(channel);
                self.answers.push(id, async move { typing.await.map(|()| Value::Object(Map::new())) });
            }),
            "cancel" => cancelled_id(&data).map(|of| {
                let found = self.answers.cancel(&of);
                self.answers.push(id, async move { Ok(json!({ "cancelled": found })) });
            }),
            _ => {
                let Some(subject) = self.live.subject() else { return Err(goodbye_of(End::Ended)) };
                if self.answers.begin(self.sockets.door(), id, subject, op, data) {
                    self.live.state().touch(now);
                }
                Ok(())
            }
        })
    }
}

/// The frame that `cancel` names.
fn cancelled_id(data: &Map<String, Value>) -> Result<Value, Refusal> {
    let id = data.get("id").filter(|id| id.is_number() || id.is_string());
    id.cloned().ok_or_else(|| Refusal::invalid("id", "This field is the `id` of the frame to cancel."))
}

fn too_many(detail: &str, ms: u64) -> Refusal {
    Refusal::new(Code::RateLimited).detail(detail).retry_after_ms(ms)
}

fn framed(id: &Value, answered: &Result<Value, Refusal>) -> Frame {
    match answered {
        Ok(answer) => wire::reply(id, answer),
        Err(refusal) => wire::error(id, refusal),
    }
}

fn answer_frame(answer: Answer) -> Frame {
    framed(&answer.id, &answer.answered)
}

/// Writes unless the session ends meanwhile, or the peer takes nothing for too long.
async fn guarded(live: &Session, written: impl Future<Output = Result<(), Goodbye>>) -> Result<(), Goodbye> {
    let stuck = Duration::from_secs(u64::from(Limits::default().silence_seconds));
    tokio::select! {
        biased;
        written = written => written,
        end = live.stopped() => Err(goodbye_of(end)),
        () = sleep(stuck) => Err(Goodbye::silent()),
    }
}
