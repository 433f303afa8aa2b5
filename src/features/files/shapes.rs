//! Types that say what ops about files take and answer.

use schemars::JsonSchema;
use serde::Serialize;

use crate::kernel::base::{ChannelId, FileId, UserId};
use crate::kernel::engine::shape::Time;

/// Asks what files are.
#[derive(JsonSchema)]
pub struct AskFiles {
    /// Where.
    pub channel: ChannelId,
    /// Which, each once.
    #[schemars(length(max = 20))]
    pub files: Vec<FileId>,
}

/// What files are.
#[derive(Serialize, JsonSchema)]
pub struct FileList {
    /// In the order they were asked for.
    pub files: Vec<FileShape>,
}

/// One file.
#[derive(Serialize, JsonSchema)]
pub struct FileShape {
    /// Which.
    pub id: FileId,
    /// As it was called.
    pub name: String,
    /// As what it is served.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Bytes.
    pub size: i64,
    /// SHA-256, hex.
    #[schemars(length(equal = 64))]
    pub sha256: String,
    /// Who uploaded it.
    pub by: UserId,
    /// When.
    #[schemars(with = "Time")]
    pub at: String,
}

/// What an upload is answered with.
#[derive(Serialize, JsonSchema)]
pub struct Stored {
    /// The file, to be named in `files` of a message or note.
    pub id: FileId,
    /// Bytes.
    pub size: i64,
    /// SHA-256, hex.
    #[schemars(length(equal = 64))]
    pub sha256: String,
    /// As what it will be served.
    #[serde(rename = "type")]
    pub media_type: String,
}
