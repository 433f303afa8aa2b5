//! An HL7 v2 interface over MLLP (HL7 v2.5.1, chapter 2 and appendix C; MLLP release 1): a message, and its acknowledgement.
//! One message is in flight on a connection, which is kept until something goes wrong on it. A message that was not acknowledged goes
//! again with the same bytes, so the same MSH-10, by which the receiver knows it.

mod ack;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::Outcome;
use super::trust;
use crate::kernel::base::config::targets::MllpTarget;

/// Begins a frame.
const START: u8 = 0x0B;
/// Ends a frame, before a carriage return.
const END: u8 = 0x1C;
const CR: u8 = 0x0D;
/// Bytes of an acknowledgement.
const ACK_BYTES_MAX: usize = 64 << 10;
/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);

/// Both directions of a connection, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The interface, with the connection that is kept.
pub(super) struct Peer {
    settings: MllpTarget,
    kept: Mutex<Option<Box<dyn Stream>>>,
}

/// Why there is no acknowledgement.
enum Silence {
    /// The connection was over before anything came back.
    Ended,
    /// Something else, in words.
    Broken(&'static str),
}

impl Peer {
    pub(super) fn new(settings: MllpTarget) -> Self {
        Self { settings, kept: Mutex::new(None) }
    }

    /// One attempt. A connection that the receiver closed while it was idle does not count as one.
    pub(super) async fn send(&self, message: &[u8]) -> Outcome {
        let Some(control_id) = ack::control_id(message) else {
            return Outcome::stopped("unsupported", "The message has no MSH-10.");
        };
        let mut kept = self.kept.lock().await;
        let told = match kept.take() {
            Some(mut stream) => match self.exchange(&mut *stream, message).await {
                Err(Silence::Ended) => None,
                told => Some((stream, told)),
            },
            None => None,
        };
        let (stream, told) = match told {
            Some(told) => told,
            None => match self.connect().await {
                Ok(mut stream) => {
                    let told = self.exchange(&mut *stream, message).await;
                    (stream, told)
                }
                Err(outcome) => return outcome,
            },
        };
        let bytes = match told {
            Ok(bytes) => bytes,
            Err(Silence::Ended) => return Outcome::again("The receiver closed the connection without an answer."),
            Err(Silence::Broken(words)) => return Outcome::again(words),
        };
        match ack::read(&bytes) {
            None => Outcome::again("The answer is no acknowledgement."),
            Some(ack) if ack.control_id != control_id => {
                Outcome::again("The answer is for another message (MSA-2 is not our MSH-10).")
            }
            Some(ack) => {
                *kept = Some(stream);
                ack.outcome()
            }
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Outcome> {
        let settings = &self.settings;
        let tcp = tokio::time::timeout(CONNECT, TcpStream::connect(&settings.address)).await;
        let Ok(Ok(tcp)) = tcp else { return Err(Outcome::again("There is no connection to the receiver.")) };
        if !settings.tls {
            return Ok(Box::new(tcp));
        }
        let wrong = |words: String| Outcome::stopped("misconfigured", words);
        let own = settings.certificate.as_deref().zip(settings.key.as_deref());
        let config =
            trust::client(settings.ca_file.as_deref(), own.map(|(a, b): (&Path, &Path)| (a, b))).map_err(wrong)?;
        let name = settings.server_name.as_deref().unwrap_or_else(|| settings.host()).to_owned();
        let name = ServerName::try_from(name).map_err(|_| wrong("server_name is no name of a host.".into()))?;
        match tokio::time::timeout(CONNECT, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await {
            Ok(Ok(tls)) => Ok(Box::new(tls)),
            Ok(Err(error)) => {
                let ended = || "The connection ended before TLS was agreed on.".to_owned();
                Err(Outcome::again(trust::refused(&error).unwrap_or_else(ended)))
            }
            Err(_) => Err(Outcome::again("There was no answer in time.")),
        }
    }

    /// Sends a frame and reads the next one.
    async fn exchange(&self, stream: &mut dyn Stream, message: &[u8]) -> Result<Vec<u8>, Silence> {
        let patience = Duration::from_secs(u64::from(self.settings.ack_seconds));
        let exchanged = tokio::time::timeout(patience, async {
            let mut frame = Vec::with_capacity(message.len() + 3);
            frame.push(START);
            frame.extend_from_slice(message);
            frame.extend_from_slice(&[END, CR]);
            let sent = async {
                stream.write_all(&frame).await?;
                stream.flush().await
            };
            sent.await.map_err(|_| Silence::Ended)?;
            frame_of(stream).await
        });
        exchanged.await.unwrap_or(Err(Silence::Broken("There was no acknowledgement in time.")))
    }
}

/// MSH-10 of a message.
#[must_use]
pub fn control_id(message: &[u8]) -> Option<String> {
    ack::control_id(message)
}

/// What stands between the next start and end. Bytes outside a frame are none of it.
async fn frame_of(stream: &mut dyn Stream) -> Result<Vec<u8>, Silence> {
    let mut read: Vec<u8> = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = match stream.read(&mut chunk).await {
            Ok(0) | Err(_) if read.is_empty() => return Err(Silence::Ended),
            Ok(0) | Err(_) => return Err(Silence::Broken("The answer broke off.")),
            Ok(count) => count,
        };
        read.extend_from_slice(&chunk[..count]);
        if read.len() > ACK_BYTES_MAX {
            return Err(Silence::Broken("The answer is longer than an acknowledgement."));
        }
        if let Some(from) = read.iter().position(|byte| *byte == START)
            && let Some(length) = read[from..].windows(2).position(|pair| pair == [END, CR])
        {
            return Ok(read[from + 1..from + length].to_vec());
        }
    }
}
