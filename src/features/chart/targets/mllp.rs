//! An HL7 v2 interface over MLLP (HL7 v2.5.1, chapter 2 and appendix C; MLLP release 1): a message, and its acknowledgement.
//! One message is in flight on a connection, which is kept until something goes wrong on it. A message that was not acknowledged goes
//! again with the same bytes, so the same MSH-10, by which the receiver knows it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::Outcome;
use super::outcome::tidy;
use super::trust;
use crate::features::chart::hl7v2::ack::{self, Ack};
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
/// Characters of what a receiver says that are shown.
const WORDS_CHARS_MAX: usize = 2000;
/// Error conditions of table 0357 that pass: application record locked, application internal error.
const PASSING: &[&str] = &["206", "207"];

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
        match ack::ack(&bytes) {
            Err(words) => Outcome::again(words),
            Ok(ack) if ack.control_id != control_id => {
                Outcome::again("The answer is for another message (MSA-2 is not our MSH-10).")
            }
            Ok(ack) => {
                *kept = Some(stream);
                outcome(&ack)
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

/// What an acknowledgement comes to: fhir-mapping section 10.
fn outcome(ack: &Ack) -> Outcome {
    let words = tidy(&format!("{} {}", ack.code, ack.words), WORDS_CHARS_MAX);
    let passes = !ack.errors.is_empty() && ack.errors.iter().all(|error| PASSING.contains(&error.as_str()));
    match ack.code.as_str() {
        "AA" | "CA" => Outcome::Done { remote: Vec::new(), words },
        "AE" | "CE" if passes => Outcome::again(words),
        _ => Outcome::stopped("refused", words),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &str) -> Option<(String, &'static str, String)> {
        let ack = ack::ack(lines.as_bytes()).ok()?;
        let id = ack.control_id.clone();
        Some(match outcome(&ack) {
            Outcome::Done { words, .. } => (id, "done", words),
            Outcome::Again { words, .. } => (id, "again", words),
            Outcome::Stopped { words, .. } => (id, "stopped", words),
            _ => panic!("an acknowledgement comes to nothing else"),
        })
    }

    #[test]
    fn every_code_comes_to_what_it_should() {
        let head = "MSH|^~\\&|CHART|R|US|R|20260302||ACK|1|P|2.5.1\r";
        for (rest, outcome, words) in [
            ("MSA|AA|ID\r", "done", "AA"),
            ("MSA|CA|ID\r", "done", "CA"),
            (
                "MSA|AE|ID\rERR|||207^Application internal error^HL70357|E||||try \\F\\ later\r",
                "again",
                "AE try | later",
            ),
            ("MSA|CE|ID\rERR|||206^Locked^HL70357|E\r", "again", "CE Locked"),
            ("MSA|AE|ID\rERR|||101^Missing^HL70357|E|||diagnostic|no patient\r", "stopped", "AE no patient"),
            ("MSA|AE|ID\rERR|||207^^|E\rERR|||204^Unknown key^HL70357|E\r", "stopped", "AE 207^^; Unknown key"),
            ("MSA|AE|ID|only here\r", "stopped", "AE only here"),
            ("MSA|AE|ID|two\\.br\\lines\r", "stopped", "AE two lines"),
            ("MSA|AR|ID\rERR|||207^Busy^HL70357|E\r", "stopped", "AR Busy"),
            ("MSA|CR|ID\r", "stopped", "CR"),
        ] {
            let expected = Some(("ID".to_owned(), outcome, words.to_owned()));
            assert!(told(&format!("{head}{rest}")) == expected, "{rest}: {:?}", told(&format!("{head}{rest}")));
        }
        for none in ["", "MSH", "no HL7", "MSA|AA|ID", head, &format!("{head}MSA|XX|ID\r")] {
            assert!(told(none).is_none(), "{none}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_receiver_sends_comes_to_something(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), tail in "[A-Z0-9|^~\\\\&\r\n ]{0,80}") {
            for answer in [bytes, format!("MSH|^~\\&|{tail}\rMSA|AE|1|{tail}\rERR|{tail}").into_bytes()] {
                if let Ok(ack) = ack::ack(&answer) {
                    drop(outcome(&ack));
                }
            }
        }
    }
}
