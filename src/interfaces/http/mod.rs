//! HTTP: the listener, the routes, and the WebSocket upgrade under them. Parses strings once and hands typed commands down.

pub mod accept;
pub mod addresses;
pub mod caller;
pub mod disclosures;
pub mod exports;
pub mod files;
pub mod guard;
pub mod health;
pub mod imports;
pub mod intake;
pub mod ops;
pub mod origin;
mod pace;
pub mod page;
pub mod problem;
pub mod published;
pub mod rate;
pub mod routes;
pub mod sessions;
pub mod site;
#[cfg(test)]
mod tests;
pub mod upgrade;
pub mod websocket;

pub use routes::{routes, sealed_routes};
pub use site::{Parts, Site};
