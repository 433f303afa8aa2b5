//! The edges: TLS, HTTP, WebSocket, mail and the command line. They parse strings once, hand typed commands down, and write
//! what comes back as frames. They open no transaction and decide nothing.

pub mod certificate;
pub mod cli;
pub mod documents;
pub mod events;
pub mod http;
pub mod mail;
pub mod pin;
pub mod socket;
pub mod tls;
