//! One session of LMTP: a peer says who it is, names sender and recipients, sends a mail, and hears of each recipient what became of it.

use smtp_proto::Request;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;

use crate::features::intake::{self, RAW_BYTES_MAX};
use crate::kernel::base::{Code, Refusal};
use crate::kernel::engine::Engine;
use crate::kernel::policy::Subject;

/// Octets of a command (RFC 5321 section 4.5.3.1.4, with room for parameters), and of a line of a mail: longer ones come from broken
/// programs and are kept as they are as long as the mail has room.
const COMMAND_BYTES_MAX: u64 = 2048;
/// Recipients of one mail.
const RECIPIENTS_MAX: usize = 100;
/// Commands that are not understood.
const ERRORS_MAX: usize = 20;
/// Waiting for the next line.
const QUIET_MAX: Duration = Duration::from_secs(300);
/// For one mail.
const DATA_MAX: Duration = Duration::from_secs(600);

type Answer = (u16, &'static str);

const CLOSING: Answer = (421, "4.3.2 Closing");
const BUSY: Answer = (450, "4.3.2 Busy, try again later");
const TOO_LARGE: Answer = (552, "5.3.4 At most 10 MiB");

/// A connection: lines in, answers out.
struct Wire<L> {
    line: BufReader<L>,
}

enum Heard {
    Command(Vec<u8>),
    TooLong,
    End,
}

impl<L: AsyncRead + AsyncWrite + Unpin> Wire<L> {
    async fn say(&mut self, text: &str) -> std::io::Result<()> {
        let sent = async {
            self.line.get_mut().write_all(text.as_bytes()).await?;
            self.line.get_mut().flush().await
        };
        timeout(QUIET_MAX, sent).await?
    }

    async fn answer(&mut self, (code, text): Answer) -> std::io::Result<()> {
        self.say(&format!("{code} {text}\r\n")).await
    }

    /// The next command with its line end. Of one that is too long the rest is read and thrown away.
    async fn command(&mut self) -> std::io::Result<Heard> {
        let mut line = Vec::new();
        let read = (&mut self.line).take(COMMAND_BYTES_MAX).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(Heard::End);
        }
        if line.ends_with(b"\n") {
            return Ok(Heard::Command(line));
        }
        while !line.ends_with(b"\n") {
            line.clear();
            if (&mut self.line).take(COMMAND_BYTES_MAX).read_until(b'\n', &mut line).await? == 0 {
                return Ok(Heard::End);
            }
        }
        Ok(Heard::TooLong)
    }

    /// A mail up to its lone dot; none if it is too large. What is too large is read to its end all the same.
    async fn mail(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let (mut mail, mut begins, mut fits) = (Vec::new(), true, true);
        loop {
            let mut line = Vec::new();
            let read = (&mut self.line).take(64 << 10).read_until(b'\n', &mut line).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if begins && (line == b".\r\n" || line == b".\n") {
                return Ok(fits.then_some(mail));
            }
            // RFC 5321 section 4.5.2: a dot was put before a line that begins with one.
            let content = line.strip_prefix(b".").filter(|_| begins).unwrap_or(&line);
            begins = line.ends_with(b"\n");
            fits = fits && mail.len() + content.len() <= RAW_BYTES_MAX;
            if fits {
                mail.extend_from_slice(content);
            } else {
                mail = Vec::new();
            }
        }
    }
}

#[derive(Default)]
struct Envelope {
    greeted: bool,
    sender: bool,
    recipients: Vec<String>,
}

/// Runs a session to its end. `free`: there is a place for it.
pub(super) async fn run<L>(
    line: L,
    engine: &Engine,
    host: &Subject,
    free: bool,
    stop: CancellationToken,
) -> std::io::Result<()>
where
    L: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = Wire { line: BufReader::new(line) };
    if !free {
        return wire.answer((421, "4.3.2 Too many sessions, try again later")).await;
    }
    wire.answer((220, "LMTP carethread")).await?;
    let (mut envelope, mut errors) = (Envelope::default(), 0);
    while errors < ERRORS_MAX {
        let heard = tokio::select! {
            () = stop.cancelled() => return wire.answer(CLOSING).await,
            heard = timeout(QUIET_MAX, wire.command()) => heard,
        };
        let Ok(heard) = heard else { return wire.answer(CLOSING).await };
        let line = match heard? {
            Heard::Command(line) => line,
            Heard::End => return Ok(()),
            Heard::TooLong => {
                errors += 1;
                wire.answer((500, "5.5.6 The line is too long")).await?;
                continue;
            }
        };
        match Request::parse(&mut line.iter()) {
            Ok(Request::Quit) => return wire.answer((221, "2.0.0 Bye")).await,
            Ok(Request::Data) => data(&mut wire, engine, host, &mut envelope).await?,
            Ok(Request::Lhlo { .. }) => {
                envelope = Envelope { greeted: true, ..Envelope::default() };
                wire.say(&format!("250-carethread\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE {RAW_BYTES_MAX}\r\n"))
                    .await?;
            }
            request => {
                let answer = step(request, &mut envelope, &engine.shared().config.mail.domain);
                errors += usize::from(answer.0 >= 500);
                wire.answer(answer).await?;
            }
        }
    }
    wire.answer((421, "4.7.0 Too many errors")).await
}

/// What is answered to a command that takes no mail.
fn step(
    request: Result<Request<std::borrow::Cow<'_, str>>, smtp_proto::Error>,
    envelope: &mut Envelope,
    domain: &str,
) -> Answer {
    match request {
        Ok(Request::Mail { .. }) if !envelope.greeted => (503, "5.5.1 LHLO first"),
        Ok(Request::Mail { .. }) if envelope.sender => (503, "5.5.1 There is a sender already"),
        Ok(Request::Mail { from }) if from.size > RAW_BYTES_MAX => TOO_LARGE,
        Ok(Request::Mail { .. }) => {
            envelope.sender = true;
            (250, "2.1.0 Ok")
        }
        Ok(Request::Rcpt { .. }) if !envelope.sender => (503, "5.5.1 MAIL first"),
        Ok(Request::Rcpt { .. }) if envelope.recipients.len() >= RECIPIENTS_MAX => (452, "4.5.3 Too many recipients"),
        Ok(Request::Rcpt { to }) => match to.address.rsplit_once('@') {
            Some((_, at)) if at.eq_ignore_ascii_case(domain) => {
                envelope.recipients.push(to.address.into_owned());
                (250, "2.1.5 Ok")
            }
            _ => (550, "5.1.2 No domain of ours"),
        },
        Ok(Request::Rset) => {
            *envelope = Envelope { greeted: envelope.greeted, ..Envelope::default() };
            (250, "2.0.0 Ok")
        }
        Ok(Request::Noop { .. }) => (250, "2.0.0 Ok"),
        // RFC 2033 section 4.1: a peer that takes this for SMTP must hear that it is not.
        Ok(Request::Ehlo { .. } | Request::Helo { .. }) => (500, "5.5.1 This is LMTP"),
        Ok(Request::Vrfy { .. }) => (252, "2.1.5 Send it and see"),
        Ok(_) => (502, "5.5.1 Not done here"),
        Err(smtp_proto::Error::UnknownCommand) => (500, "5.5.2 Unknown command"),
        Err(smtp_proto::Error::UnsupportedParameter { .. } | smtp_proto::Error::InvalidParameter { .. }) => {
            (555, "5.5.4 Unknown parameter")
        }
        Err(_) => (501, "5.5.4 Cannot be read"),
    }
}

/// `DATA`: one answer for each recipient, in their order.
async fn data<L>(wire: &mut Wire<L>, engine: &Engine, host: &Subject, envelope: &mut Envelope) -> std::io::Result<()>
where
    L: AsyncRead + AsyncWrite + Unpin,
{
    if envelope.recipients.is_empty() {
        return wire.answer((503, "5.5.1 No recipient")).await;
    }
    wire.answer((354, "Go on")).await?;
    let Ok(mail) = timeout(DATA_MAX, wire.mail()).await else { return wire.answer(CLOSING).await };
    let mail = mail?;
    let Envelope { recipients, .. } = std::mem::replace(envelope, Envelope { greeted: true, ..Envelope::default() });
    for recipient in recipients {
        let answer = match &mail {
            None => TOO_LARGE,
            Some(raw) => match intake::deliver(engine, host, &recipient, raw).await {
                Ok(_) => (250, "2.0.0 Taken"),
                Err(refusal) => told(&refusal),
            },
        };
        wire.answer(answer).await?;
    }
    Ok(())
}

fn told(refusal: &Refusal) -> Answer {
    match refusal.code {
        Code::Invalid => (554, "5.6.0 This is no e-mail"),
        Code::Conflict => (554, "5.4.6 This mail goes in circles"),
        Code::TooLarge => TOO_LARGE,
        _ => BUSY,
    }
}
