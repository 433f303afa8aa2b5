//! What a running server says of itself to `doctor`, sealed or not.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A server on its folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// `https://HOST:PORT` as printed.
    pub url: String,
    /// Where it really listens.
    pub address: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Whether its keys are loaded.
    pub sealed: bool,
    /// Whether it is going down.
    pub draining: bool,
    /// Channels that do not hold: they are read, not written to.
    pub channels_held: usize,
    /// Whether audit or site log do not hold.
    pub suspect: bool,
}

impl Status {
    /// Of this process.
    #[must_use]
    pub fn new(url: String, address: SocketAddr) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let pid = std::process::id();
        Self { url, address, pid, version, sealed: false, draining: false, channels_held: 0, suspect: false }
    }
}
