//! HTTP: the listener and the WebSocket upgrade under the routes. Does not know what a frame means.

pub mod accept;
pub mod addresses;
mod pace;
#[cfg(test)]
mod tests;
pub mod upgrade;
pub mod websocket;
