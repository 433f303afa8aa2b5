//! The WebSocket interface: `/v1/ws`, sign-in, and one task for each connection (docs/protocol.md).
//! Does not know: what an op means, who may do it, what an event says. It opens no transaction.
//! Invariants: nothing but `hello` and sign-in before sign-in; a peer's frames, commands and silence are bounded; a slow peer holds up
//! nobody but itself; whatever ends a session ends its connection, also while a write to it is stuck.

mod answers;
mod connection;
mod line;
mod pace;
mod sign_in;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::routing::get;
use http::header;
use http::{Request, Response};
use tokio_util::sync::CancellationToken;

use super::http::addresses::{AddressCounter, AddressGuard};
use super::http::caller;
use super::http::origin::{Origin, Origins, client};
use super::http::problem::{no_method, problem};
use super::http::upgrade;
use crate::features::identity::{Door, SignedIn};
use crate::kernel::base::{Code, Refusal};
use crate::kernel::live::Hub;

/// What every socket shares. Shared by cloning.
#[derive(Clone)]
pub struct Sockets {
    shared: Arc<Parts>,
    addresses: AddressCounter,
}

/// What sockets are made of.
pub struct Parts {
    /// Turns credentials into subjects and runs commands.
    pub door: Door,
    /// Where news comes from: the outlet of the door's engine.
    pub hub: Arc<Hub>,
    /// The web sites that are ours.
    pub origins: Origins,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpAddr>,
    /// Cancelled when the server goes down.
    pub draining: CancellationToken,
}

impl Sockets {
    /// Puts the parts together with what the configuration says.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let most = parts.door.engine().shared().config.limits.sockets_per_address;
        let addresses = AddressCounter::new(usize::try_from(most).unwrap_or(usize::MAX));
        Self { shared: Arc::new(parts), addresses }
    }

    /// What they are made of.
    pub(in crate::interfaces) fn parts(&self) -> &Parts {
        &self.shared
    }

    /// Those of each address that are not signed in yet.
    pub(in crate::interfaces) fn addresses(&self) -> &AddressCounter {
        &self.addresses
    }

    fn door(&self) -> &Door {
        &self.shared.door
    }
}

/// The route `/v1/ws`. Merge it under the guard of the other routes.
pub fn routes(sockets: Sockets) -> Router {
    Router::new()
        .route("/v1/ws", get(upgrade))
        .method_not_allowed_fallback(|| async { no_method() })
        .with_state(sockets)
}

/// Somebody at the door: by a credential on the upgrade, or not yet.
enum Arrival {
    SignedIn(Box<SignedIn>),
    Stranger(AddressGuard),
}

/// `/v1/ws`: checks origin, places and credential, then switches protocols and leaves the connection to its task.
async fn upgrade(
    State(sockets): State<Sockets>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request<Body>,
) -> Response<Body> {
    let mut offer = match upgrade::read(&request) {
        Ok(offer) => offer,
        Err(refused) => return refused.response(),
    };
    let ticket = offer.ticket.take();
    let origin = sockets.shared.origins.allow(request.headers());
    if origin == Origin::Foreign {
        return problem(&Refusal::forbidden(
            "This origin is not on the list. See [http] origins in docs/operations.md.",
        ));
    }
    if sockets.shared.draining.is_cancelled() {
        return problem(&Refusal::new(Code::Busy).detail("The server is going down. Come back.").retry_after_ms(1000));
    }
    let address = client(peer, request.headers(), &sockets.shared.trusted_proxies);
    let Some(guard) = sockets.addresses.enter(address) else {
        let refusal = Refusal::new(Code::RateLimited).detail("Too many connections of this address wait for sign-in.");
        return problem(&refusal.retry_after_ms(1000));
    };
    let found = match (caller::token(request.headers(), origin), &ticket) {
        (Some(token), _) => match sockets.door().sign_in_token(token, Some(address)).await {
            Ok(signed_in) => Some(signed_in),
            // Asked for in so many words: a client that set the header wants to know. A browser could not see why the upgrade failed;
            // whoever came by a cookie or a ticket gets `hello` and may sign in there.
            Err(refusal) if request.headers().contains_key(header::AUTHORIZATION) => return problem(&refusal),
            Err(_) => None,
        },
        (None, Some(ticket)) => sockets.door().redeem_ticket(ticket.expose(), Some(address)).await.ok(),
        (None, None) => None,
    };
    let arrival = match found {
        Some(signed_in) => Arrival::SignedIn(Box::new(signed_in)),
        None => Arrival::Stranger(guard),
    };
    let frame_bytes = sockets.door().engine().shared().config.limits.frame_bytes;
    let (response, socket) = offer.accept(&mut request, frame_bytes);
    tokio::spawn(async move {
        // The peer may be gone before the switch.
        if let Ok(socket) = socket.await {
            connection::serve(sockets, socket, address, arrival).await;
        }
    });
    response
}
