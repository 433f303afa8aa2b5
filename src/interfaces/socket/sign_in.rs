//! Before sign-in: `hello`, then at most four small frames within the time there is.
//! Does not know what a credential is worth: the door does.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::Sockets;
use super::line::{Goodbye, Line};
use crate::features::identity::SignedIn;
use crate::kernel::base::limits::{Limits, SIGN_IN_FRAME_BYTES_MAX, SIGN_IN_FRAMES_MAX};
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Code, Refusal, Secret};
use crate::kernel::engine::Data;
use crate::kernel::engine::fields::Fields;
use crate::kernel::live::Session;
use crate::kernel::wire::{self, Hello, close};

/// `user, session, expires_at`, as `hello` and `login` tell them.
fn told(signed_in: &SignedIn) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("user".into(), signed_in.subject.user.to_string().into());
    members.insert("session".into(), signed_in.session.to_string().into());
    members.insert("expires_at".into(), rfc3339(signed_in.expires_at).into());
    members
}

fn silence(limits: &Limits) -> Duration {
    Duration::from_secs(limits.silence_seconds.into())
}

/// Takes the person's place among the sockets.
fn open(sockets: &Sockets, signed_in: &SignedIn, address: IpAddr) -> Result<Session, Refusal> {
    let state = signed_in.state.clone();
    Session::open(sockets.door().engine(), &sockets.shared.hub, signed_in.session, state, Some(address))
}

/// What is left to say to somebody for whom there is no place.
fn no_place(refusal: &Refusal) -> Goodbye {
    if refusal.code == Code::RateLimited {
        Goodbye::new(close::TOO_FAST, "this account has as many sockets as it may have")
    } else {
        Goodbye::new(close::SESSION_ENDED, "the session ended")
    }
}

/// Greets somebody who signed in by the upgrade.
pub(super) async fn greet<S>(
    sockets: &Sockets,
    line: &mut Line<S>,
    address: IpAddr,
    signed_in: &SignedIn,
) -> Result<Session, Goodbye>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = &sockets.door().engine().shared().config.limits;
    let hello = Hello { signed_in: Some(told(signed_in)), now: sockets.door().now() };
    line.send(wire::hello(&hello, limits), silence(limits)).await?;
    match open(sockets, signed_in, address) {
        Ok(session) => Ok(session),
        Err(refusal) => {
            line.send(wire::error(&Value::Null, &refusal), silence(limits)).await?;
            Err(no_place(&refusal))
        }
    }
}

/// Greets a stranger and waits for `login`.
pub(super) async fn sign_in<S>(sockets: &Sockets, line: &mut Line<S>, address: IpAddr) -> Result<Session, Goodbye>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = &sockets.door().engine().shared().config.limits;
    let deadline = Instant::now() + Duration::from_secs(limits.sign_in_seconds.into());
    let hello = Hello { signed_in: None, now: sockets.door().now() };
    line.send(wire::hello(&hello, limits), silence(limits)).await?;
    for _ in 0..SIGN_IN_FRAMES_MAX {
        let text = hear(sockets, line, deadline).await?;
        if text.len() > SIGN_IN_FRAME_BYTES_MAX {
            return Err(Goodbye::new(close::NO_SIGN_IN, "sign in first: frames may have 4096 bytes until then"));
        }
        let answer = match wire::parse(&text) {
            Err(refusal) => wire::error(&Value::Null, &refusal),
            Ok((id, Err(refusal))) => wire::error(&id, &refusal),
            Ok((id, Ok(request))) if request.op == "login" => {
                match Box::pin(attempt(sockets, request.data, address)).await {
                    Ok((session, answer)) => {
                        line.send(wire::reply(&id, &answer), silence(limits)).await?;
                        return Ok(session);
                    }
                    Err(Attempt::Refused(refusal)) => wire::error(&id, &refusal),
                    Err(Attempt::NoPlace(refusal)) => {
                        line.send(wire::error(&id, &refusal), silence(limits)).await?;
                        return Err(no_place(&refusal));
                    }
                }
            }
            Ok((id, Ok(_))) => {
                let refusal = Refusal::new(Code::Unauthenticated).detail("Sign in first: op `login`.");
                wire::error(&id, &refusal)
            }
        };
        line.send(answer, silence(limits)).await?;
    }
    hear(sockets, line, deadline).await?;
    Err(Goodbye::new(close::NO_SIGN_IN, "too many frames before sign-in"))
}

async fn hear<S>(sockets: &Sockets, line: &mut Line<S>, deadline: Instant) -> Result<Utf8Bytes, Goodbye>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        biased;
        () = sockets.shared.draining.cancelled() => Err(Goodbye::draining()),
        () = sleep_until(deadline) => Err(Goodbye::new(close::NO_SIGN_IN, "no sign-in in time")),
        heard = line.hear() => heard,
    }
}

/// What a `login` failed on.
enum Attempt {
    Refused(Refusal),
    NoPlace(Refusal),
}

impl From<Refusal> for Attempt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

async fn attempt(sockets: &Sockets, data: Data, address: IpAddr) -> Result<(Session, Value), Attempt> {
    let (door, fields) = (sockets.door(), Fields(&data));
    let signed_in = match fields.string("token")? {
        Some(token) => door.sign_in_token(token, Some(address)).await?,
        None => {
            let missing = |field| move || Refusal::invalid(field, "Sign in by `token`, or by `handle` and `password`.");
            let handle = fields.string("handle")?.ok_or_else(missing("token"))?;
            let password = fields.string("password")?.ok_or_else(missing("password"))?;
            let password = Secret::new(password.to_owned());
            door.sign_in_password(handle, password, fields.string("code")?, Some(address)).await?
        }
    };
    let session = open(sockets, &signed_in, address).map_err(Attempt::NoPlace)?;
    let listed = door.run(signed_in.subject.clone(), "channel.list", Data::new()).await?;
    let mut answer = told(&signed_in);
    answer.insert("channels".into(), listed.get("channels").cloned().unwrap_or_default());
    Ok((session, Value::Object(answer)))
}
