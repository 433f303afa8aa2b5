//! The audit trail: one line a decision, chained, in the transaction of what it is about. No row, no action; no content in a row.

use std::net::IpAddr;

use serde::Serialize;

use super::decide::Subject;
use crate::kernel::base::{ChannelId, Micros, PatientId, SessionId, ThingId, UserId};

/// What happened, before it has its place in the stream.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Draft {
    /// Who; none for strangers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<UserId>,
    /// Basis of access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<&'static str>,
    /// Session or token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Peer address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The op, or `sign_in`, `deliver`.
    pub action: String,
    /// `message`, `note`, `plan`, `identity`, `audit`, `key` ...
    #[serde(skip_serializing_if = "str::is_empty")]
    pub category: &'static str,
    /// Whose record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientId>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// About what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ThingId>,
    /// First and last `seq` read, written or delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<[i64; 2]>,
    /// First and last `seq` by channel, where a row is about several: live delivery. An end below its begin: followed, nothing owed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<(ChannelId, i64, i64)>,
    /// `done` or the code of the refusal.
    pub outcome: &'static str,
    /// How many identical refusals the row stands for, where more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Draft {
    /// A row about `subject` doing `action`.
    #[must_use]
    pub fn of(subject: &Subject, action: &str) -> Self {
        Self {
            actor: Some(subject.user),
            session: subject.session,
            address: subject.address,
            action: action.to_owned(),
            outcome: "done",
            ..Self::default()
        }
    }

    /// A row about somebody who is not signed in.
    #[must_use]
    pub fn of_stranger(address: Option<IpAddr>, action: &str, outcome: &'static str) -> Self {
        Self { address, action: action.to_owned(), outcome, ..Self::default() }
    }

    /// The line as stored and chained: its bytes are what `H(row bytes)` is taken over.
    #[must_use]
    pub fn line(&self, stream: i64, n: i64, at: Micros) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            stream: i64,
            n: i64,
            time_us: Micros,
            #[serde(flatten)]
            draft: &'a Draft,
        }
        serde_json::to_string(&Line { stream, n, time_us: at, draft: self }).expect("ids, numbers and fixed words")
    }
}
