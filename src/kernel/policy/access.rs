//! Who stands where at one patient: memberships, channels and their readers, as [`super::decide`] reads them.

use std::collections::{BTreeMap, HashMap};

use super::responsibility::Cover;
use crate::kernel::base::{ChannelId, Micros, PatientId, UserId};

/// Who a channel is for. It never widens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Every member of staff in the care team.
    Staff,
    /// The patient and family too.
    Shared,
    /// A listed part of the team.
    Named,
}

impl Audience {
    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Staff => 0,
            Self::Shared => 1,
            Self::Named => 2,
        }
    }

    /// From the number in the database.
    #[must_use]
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Staff),
            1 => Some(Self::Shared),
            2 => Some(Self::Named),
            _ => None,
        }
    }

    /// As on the wire.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Shared => "shared",
            Self::Named => "named",
        }
    }

    /// From the wire.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Staff, Self::Shared, Self::Named].into_iter().find(|audience| audience.text() == text)
    }
}

/// What a channel carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelKind {
    /// Plan, team and patient events; takes no messages.
    Plan,
    /// Messages, notes, tasks.
    Conversation,
}

impl ChannelKind {
    /// The number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Plan => 0,
            Self::Conversation => 1,
        }
    }

    /// From the number in the database; anything unknown is a conversation.
    #[must_use]
    pub const fn from_number(number: i16) -> Self {
        if number == 0 { Self::Plan } else { Self::Conversation }
    }
}

/// A span of `seq` that one person may read: both ends inclusive, no end while the standing lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// First readable `seq`.
    pub from: i64,
    /// Last readable `seq`.
    pub to: Option<i64>,
}

/// One person's current membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Member {
    /// Standing on shared channels and shared items only.
    pub family: bool,
    /// The one accountable person.
    pub lead: bool,
    /// May change the plan.
    pub plan: bool,
    /// May change barriers.
    pub barriers: bool,
    /// When it ends by itself.
    pub until: Option<Micros>,
}

impl Member {
    /// Whether the membership holds at `now`. Its end is the clock's, not the job's that records it.
    #[must_use]
    pub fn holds(&self, now: Micros) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What policy knows of one channel.
#[derive(Clone, Debug)]
pub struct ChannelAccess {
    /// Who it is for.
    pub audience: Audience,
    /// What it carries.
    pub kind: ChannelKind,
    /// Read-only for good.
    pub archived: bool,
    /// Per person the spans they may read, ascending.
    pub readers: HashMap<UserId, Vec<Interval>>,
}

impl ChannelAccess {
    /// The spans of one person, none if there is no open one: removal ends history too.
    #[must_use]
    pub fn readable_by(&self, user: UserId) -> Option<&[Interval]> {
        let spans = self.readers.get(&user)?;
        spans.last().is_some_and(|last| last.to.is_none()).then_some(spans.as_slice())
    }
}

/// Everything policy knows of one patient.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whose record.
    pub patient: PatientId,
    /// Raised by every commit that touches the patient's standing; a cache with a lower one is stale.
    pub version: i64,
    /// Current memberships.
    pub members: HashMap<UserId, Member>,
    /// Every channel of the patient.
    pub channels: BTreeMap<ChannelId, ChannelAccess>,
    /// Who stands in for whom, past and future covers too.
    pub covers: Vec<Cover>,
    /// The record is read-only.
    pub closed: bool,
}

impl Access {
    /// A patient nobody stands at yet.
    #[must_use]
    pub fn new(patient: PatientId) -> Self {
        Self {
            patient,
            version: 0,
            members: HashMap::new(),
            channels: BTreeMap::new(),
            covers: Vec::new(),
            closed: false,
        }
    }

    /// The channel the patient has from birth.
    #[must_use]
    pub fn plan_channel(&self) -> Option<ChannelId> {
        self.channels.iter().find(|(_, channel)| channel.kind == ChannelKind::Plan).map(|(id, _)| *id)
    }

    /// The membership of `user`, if it holds at `now`.
    #[must_use]
    pub fn member(&self, user: UserId, now: Micros) -> Option<&Member> {
        self.members.get(&user).filter(|member| member.holds(now))
    }

    /// The lead, if one is named.
    #[must_use]
    pub fn lead(&self, now: Micros) -> Option<UserId> {
        self.members.iter().find(|(_, member)| member.lead && member.holds(now)).map(|(user, _)| *user)
    }

    /// Channels that `user` reads at `now`, with their spans.
    pub fn readable(&self, user: UserId, now: Micros) -> impl Iterator<Item = (ChannelId, &[Interval])> {
        let member = self.member(user, now).is_some();
        self.channels
            .iter()
            .filter(move |_| member)
            .filter_map(move |(id, channel)| channel.readable_by(user).map(|spans| (*id, spans)))
    }
}

/// The holes of `spans` inside `from..=to`: what a page must name as `gaps`.
#[must_use]
pub fn gaps(spans: &[Interval], from: i64, to: i64) -> Vec<[i64; 2]> {
    let mut holes = Vec::new();
    let mut next = from;
    for span in spans {
        if span.from > next && next <= to {
            holes.push([next, (span.from - 1).min(to)]);
        }
        next = next.max(span.to.map_or(i64::MAX, |end| end.saturating_add(1)));
    }
    if next <= to {
        holes.push([next, to]);
    }
    holes
}

/// The parts of `from..=to` that `spans` cover, ascending.
#[must_use]
pub fn spans(readable: &[Interval], from: i64, to: i64) -> Vec<[i64; 2]> {
    readable
        .iter()
        .map(|span| [span.from.max(from), span.to.unwrap_or(i64::MAX).min(to)])
        .filter(|[first, last]| first <= last)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every `seq` of a page is either readable or in a gap, never both, never neither.
        #[test]
        fn gaps_and_spans_divide_a_page(lengths in prop::collection::vec((0_i64..5, 1_i64..5), 0..6), open in any::<bool>(), from in 1_i64..20, length in 0_i64..30) {
            let mut at = 1;
            let mut readable = Vec::new();
            for (pause, run) in lengths {
                at += pause;
                readable.push(Interval { from: at, to: Some(at + run - 1) });
                at += run;
            }
            if open {
                readable.push(Interval { from: at + 1, to: None });
            }
            let to = from + length;
            let holes = gaps(&readable, from, to);
            let parts = spans(&readable, from, to);
            for seq in from..=to {
                let inside = |list: &[[i64; 2]]| list.iter().filter(|[first, last]| (*first..=*last).contains(&seq)).count();
                prop_assert_eq!(inside(&holes) + inside(&parts), 1, "seq {}", seq);
            }
        }
    }
}
