//! Stands between the program and PostgreSQL and cuts a connection at its COMMIT (protocol 3.0: a message is a type, a length that
//! counts itself, and that many bytes; only the first one of a connection has no type).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The server never gets it.
    Before,
    /// Nobody waits for what the server does with it.
    Sent,
    /// The server has answered; the answer does not arrive.
    Answered,
    /// It is held back for longer than anybody waits, then the server gets it all the same.
    Late,
}

const CUTS: [At; 4] = [At::Before, At::Sent, At::Answered, At::Late];

/// Longer than a commit is waited for.
const LATE: Duration = Duration::from_secs(7);

/// The one in between.
pub struct Cutter {
    /// Where the program is to connect.
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    server: u16,
    /// 0, or which of `CUTS` is next, plus one.
    armed: AtomicU8,
    cuts: AtomicUsize,
}

impl Cutter {
    /// Before the server at that port.
    pub async fn new(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner { server, armed: AtomicU8::new(0), cuts: AtomicUsize::new(0) });
        let shared = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A connection ends in whichever way the test wants it to.
                let inner = Arc::clone(&shared);
                tokio::spawn(async move { inner.pass(client).await });
            }
        });
        Self { port, inner }
    }

    /// Cuts the next connection that commits.
    pub fn arm(&self, at: At) {
        let which = CUTS.iter().position(|cut| *cut == at).unwrap();
        self.inner.armed.store(u8::try_from(which).unwrap() + 1, Ordering::SeqCst);
    }

    /// How many were cut.
    pub fn cuts(&self) -> usize {
        self.inner.cuts.load(Ordering::SeqCst)
    }
}

impl Inner {
    async fn pass(&self, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", self.server)).await?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let length = from_client.read_u32().await?;
        let mut first = vec![0; length as usize - 4];
        from_client.read_exact(&mut first).await?;
        to_server.write_all(&[&length.to_be_bytes()[..], &first].concat()).await?;
        let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        loop {
            let kind = from_client.read_u8().await?;
            let length = from_client.read_u32().await?;
            let mut body = vec![0; length as usize - 4];
            from_client.read_exact(&mut body).await?;
            let message = [&[kind][..], &length.to_be_bytes(), &body].concat();
            let commits = (kind == b'Q' || kind == b'P') && body.windows(6).any(|word| word == b"COMMIT");
            let armed = if commits { self.armed.swap(0, Ordering::SeqCst) } else { 0 };
            let Some(at) = usize::from(armed).checked_sub(1).map(|which| CUTS[which]) else {
                to_server.write_all(&message).await?;
                continue;
            };
            self.cuts.fetch_add(1, Ordering::SeqCst);
            // From here on the client hears nothing.
            back.abort();
            let _ = back.await;
            match at {
                At::Before => {}
                At::Sent => to_server.write_all(&message).await?,
                At::Answered => {
                    to_server.write_all(&message).await?;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                At::Late => {
                    tokio::time::sleep(LATE).await;
                    to_server.write_all(&message).await?;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            return Ok(());
        }
    }
}
