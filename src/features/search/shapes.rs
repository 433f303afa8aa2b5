//! What `search` takes and answers, as types for the published documents; the answer is made of them.

use schemars::JsonSchema;
use serde::Serialize;

use super::query::{HITS_MAX, QUERY_CHARS_MAX};
use crate::kernel::base::{ChannelId, ItemId, PatientId, ThingId, UserId};
use crate::kernel::engine::shape::Time;

/// Looks for words in messages, notes and plan items.
#[derive(JsonSchema)]
pub struct SearchWords {
    /// A part of what was said; case, width and composition of characters make no difference.
    #[schemars(length(min = 1, max = QUERY_CHARS_MAX))]
    pub text: String,
    /// At this patient only.
    pub patient: Option<PatientId>,
    /// In this channel only.
    pub channel: Option<ChannelId>,
    /// By this person only.
    pub author: Option<UserId>,
    /// About this plan item only, as it is linked now.
    pub item: Option<ItemId>,
    /// At this time or later.
    #[schemars(with = "Option<Time>")]
    pub from: Option<String>,
    /// Before this time.
    #[schemars(with = "Option<Time>")]
    pub to: Option<String>,
    /// `next` of the answer before: goes on behind it.
    pub before: Option<String>,
    /// At most so many hits.
    #[schemars(range(min = 1, max = HITS_MAX))]
    pub limit: Option<usize>,
}

/// A message, note or plan item that says what was looked for.
#[derive(Serialize, JsonSchema)]
pub struct Hit {
    /// Where the entry stands that says so.
    pub channel: ChannelId,
    /// Its place there.
    pub seq: i64,
    /// Its event.
    pub event: String,
    /// The message, note or plan item.
    pub id: ThingId,
    /// The plan item it is about now.
    pub item: Option<ItemId>,
    /// When the entry was accepted.
    #[schemars(with = "Time")]
    pub at: String,
    /// Who wrote it.
    pub by: UserId,
    /// What is said around the hit, with `…` where something is left out.
    pub excerpt: String,
}

/// What was found.
#[derive(Serialize, JsonSchema)]
pub struct Found {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// There is more, or may be.
    pub more: bool,
    /// With `more`: what to give as `before` to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// It was ended by `cancel` before all was gone over. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<bool>,
}
