//! The load generator: many sockets, messages at a rate or as fast as they come back, and what became of each.
//!
//! Does not know a protocol: a [`Dialect`] does. Stamps are microseconds after the start of the load, on one clock, so that a
//! delivery's time is exact without any two clocks agreeing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::SinkExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::dialect::{Dialect, Member, Seen};
use super::histogram::Histogram;
use crate::interfaces::pin;

/// From TCP to the end of the greeting.
const CONNECT: Duration = Duration::from_secs(30);

/// A connected client socket.
pub type Wire = WebSocketStream<TlsStream<TcpStream>>;

/// The server under load.
#[derive(Clone)]
pub struct Target {
    /// How it is called in tables.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process, for memory and processor time; must be on this machine.
    pub pid: Option<u32>,
    tls: Arc<ClientConfig>,
}

impl Target {
    /// A server that is recognised by its certificate (DER).
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        name: &str,
        address: SocketAddr,
        certificate: CertificateDer<'static>,
        pid: Option<u32>,
    ) -> anyhow::Result<Self> {
        Ok(Self { name: name.to_owned(), address, pid, tls: pin::client(certificate)? })
    }

    /// TCP, TLS, upgrade.
    ///
    /// # Errors
    /// When any of them fails.
    pub async fn connect(&self, path: &str, token: Option<&str>) -> anyhow::Result<Wire> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?;
        let mut request = format!("wss://{}{path}", self.address).into_client_request()?;
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}"))?);
        }
        let settings = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        Ok(tokio_tungstenite::client_async_with_config(request, tls, Some(settings)).await?.0)
    }

    /// As [`Target::connect`], then the dialect's greeting, within 30 s.
    ///
    /// # Errors
    /// When the server refuses or says nothing.
    pub async fn enter(&self, dialect: &dyn Dialect, member: Member) -> anyhow::Result<Wire> {
        let entering = async {
            let (path, token) = dialect.upgrade(member);
            let mut wire = self.connect(&path, token.as_deref()).await?;
            for frame in dialect.greeting(member) {
                wire.send(Message::text(frame)).await?;
                answered(&mut wire, dialect).await?;
            }
            Ok(wire)
        };
        timeout(CONNECT, entering).await.context("no answer to signing in")?
    }
}

/// Reads until an answer.
async fn answered(wire: &mut Wire, dialect: &dyn Dialect) -> anyhow::Result<()> {
    loop {
        let Message::Text(frame) = wire.next().await.context("the server closed")?? else {
            continue;
        };
        match dialect.read(&frame) {
            Seen::Reply(_) => return Ok(()),
            Seen::Refused { code, .. } => bail!("refused: {code}"),
            Seen::Event { .. } | Seen::Other => {}
        }
    }
}

/// What became of the load so far, over all sockets.
pub struct Tally {
    start: Instant,
    /// Messages sent.
    pub posted: AtomicU64,
    /// Messages received, over all sockets.
    pub delivered: AtomicU64,
    /// Sockets lost.
    pub fallen: AtomicU64,
    /// From sending to each receiving, of messages stamped after [`Tally::measure`].
    pub delivery: Histogram,
    measured_from_us: AtomicU64,
    /// While set, a sender whose message came back sends the next one.
    driving: AtomicBool,
    refused: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            posted: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            fallen: AtomicU64::new(0),
            delivery: Histogram::default(),
            measured_from_us: AtomicU64::new(u64::MAX),
            driving: AtomicBool::new(false),
            refused: Mutex::default(),
        }
    }

    /// Now, in microseconds of this load.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// From now on deliveries are timed: what went before was warming up.
    pub fn measure(&self) {
        self.measured_from_us.store(self.now_us(), Ordering::Relaxed);
    }

    /// Refusals by code.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<String, u64> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refuse(&self, code: String) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    fn deliver(&self, stamp_us: u64) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        if stamp_us >= self.measured_from_us.load(Ordering::Relaxed) {
            self.delivery.add(self.now_us().saturating_sub(stamp_us));
        }
    }
}

/// Sockets that are signed in and listen. Dropping it cuts them; [`Crowd::leave`] says goodbye.
pub struct Crowd {
    /// What became of what they sent.
    pub tally: Arc<Tally>,
    orders: Vec<mpsc::UnboundedSender<u64>>,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// Signs `members` in, 16 at a time, each on its own socket.
    ///
    /// # Errors
    /// When one of them is refused.
    pub async fn gather(target: &Target, dialect: &Arc<dyn Dialect>, members: &[Member]) -> anyhow::Result<Self> {
        let entering = members.iter().map(|member| async move {
            let wire = target.enter(dialect.as_ref(), *member).await.context("signing a member in")?;
            anyhow::Ok((*member, wire))
        });
        let wires: Vec<(Member, Wire)> = stream::iter(entering).buffered(16).try_collect().await?;
        let (tally, mut tasks, mut orders) = (Arc::new(Tally::new()), JoinSet::new(), Vec::new());
        for (number, (member, wire)) in (0..).zip(wires) {
            let (order, inbox) = mpsc::unbounded_channel();
            let seat = Seat { member, number, next_id: 1, again: order.downgrade(), tally: Arc::clone(&tally) };
            tasks.spawn(seat.attend(wire, Arc::clone(dialect), inbox));
            orders.push(order);
        }
        Ok(Self { tally, orders, tasks })
    }

    /// How many sockets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Lets socket `number` send one message stamped `stamp_us`.
    pub fn post(&self, number: usize, stamp_us: u64) {
        // A fallen socket takes no orders; it is in the tally already.
        let _ = self.orders[number].send(stamp_us);
    }

    /// Lets the first `senders` sockets keep `window` messages under way each, until [`Crowd::rest`].
    pub fn drive(&self, senders: usize, window: usize) {
        self.tally.driving.store(true, Ordering::Relaxed);
        for number in 0..senders.min(self.len()) {
            (0..window).for_each(|_| self.post(number, self.tally.now_us()));
        }
    }

    /// Ends [`Crowd::drive`] and waits, 10 s at most, until each message reached each of `receivers` sockets.
    /// Returns how many deliveries are missing.
    pub async fn rest(&self, receivers: u64) -> u64 {
        self.tally.driving.store(false, Ordering::Relaxed);
        let missing = || {
            let refused: u64 = self.tally.refused().values().sum();
            let owed = (self.tally.posted.load(Ordering::Relaxed) - refused) * receivers;
            owed.saturating_sub(self.tally.delivered.load(Ordering::Relaxed))
        };
        for _ in 0..100 {
            sleep(Duration::from_millis(100)).await;
            if missing() == 0 {
                break;
            }
        }
        missing()
    }

    /// Closes every socket and waits, 10 s at most, until all are gone.
    pub async fn leave(mut self) {
        self.orders.clear();
        let _ = timeout(Duration::from_secs(10), async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}

/// One socket of a crowd.
struct Seat {
    member: Member,
    number: u32,
    next_id: u64,
    /// To order a repeat of oneself later, without keeping the crowd alive.
    again: mpsc::WeakUnboundedSender<u64>,
    tally: Arc<Tally>,
}

impl Seat {
    async fn attend(mut self, mut wire: Wire, dialect: Arc<dyn Dialect>, mut orders: mpsc::UnboundedReceiver<u64>) {
        loop {
            let stamp_us = tokio::select! {
                read = wire.next() => match read {
                    Some(Ok(Message::Text(frame))) => match self.see(&dialect.read(&frame)) {
                        Some(stamp_us) => stamp_us,
                        None => continue,
                    },
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => break,
                },
                order = orders.recv() => match order {
                    Some(stamp_us) => stamp_us,
                    // The crowd goes home.
                    None => return drop(wire.close(None).await),
                },
            };
            let frame: Utf8Bytes = dialect.post(self.member, self.next_id, stamp_us, self.number);
            self.next_id += 1;
            self.tally.posted.fetch_add(1, Ordering::Relaxed);
            if wire.send(Message::Text(frame)).await.is_err() {
                break;
            }
        }
        self.tally.fallen.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a frame; answers the stamp of the message to send now, if one is due.
    fn see(&self, seen: &Seen) -> Option<u64> {
        let driving = self.tally.driving.load(Ordering::Relaxed);
        match seen {
            Seen::Event { stamp_us, sender } => {
                self.tally.deliver(*stamp_us);
                (driving && *sender == self.number).then(|| self.tally.now_us())
            }
            Seen::Refused { code, retry_after_ms } => {
                self.tally.refuse(code.clone());
                if driving {
                    let (again, tally, wait) = (self.again.clone(), Arc::clone(&self.tally), (*retry_after_ms).max(1));
                    tokio::spawn(async move {
                        sleep(Duration::from_millis(wait)).await;
                        if let Some(order) = again.upgrade().filter(|_| tally.driving.load(Ordering::Relaxed)) {
                            let _ = order.send(tally.now_us());
                        }
                    });
                }
                None
            }
            Seen::Reply(_) | Seen::Other => None,
        }
    }
}
