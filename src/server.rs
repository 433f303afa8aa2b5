//! The assembly: config -> store -> keys -> engine -> live -> interfaces, and the reverse on shutdown.
//! Knows every part by name and none from inside; nothing but the command line knows the assembly.

pub mod figures;
pub mod folder;
pub mod init;
pub mod node;
pub mod notify;
pub mod record;
pub mod serve;
pub mod settings;
pub mod status;

pub use folder::{Folder, Hold};
pub use node::{Node, Opened};
