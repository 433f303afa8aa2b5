//! `resume`: what a client asks for, and what it gets. Pure.
//! Does not know queues, pages or frames going out.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Map, Value, json};

use super::pages::Survey;
use super::queue::ME;
use crate::kernel::base::limits::{CURSORS_MAX, RESUME_ENTRIES_MAX};
use crate::kernel::base::{ChannelId, Refusal};
use crate::kernel::policy;

/// The name of the person's own channel on the wire.
const ME_NAME: &str = "me";

/// The channel as on the wire: its id, or `me`.
#[must_use]
pub fn name(channel: ChannelId) -> String {
    if channel == ME { ME_NAME.into() } else { channel.to_string() }
}

/// The channel behind a name on the wire; none for what cannot name one: such a one never existed.
#[must_use]
pub fn channel_of(text: &str) -> Option<ChannelId> {
    if text == ME_NAME {
        return Some(ME);
    }
    text.parse().ok().filter(|channel| *channel != ME)
}

/// One `resume` frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// The highest `seq` the client holds, by channel.
    pub(super) cursors: BTreeMap<ChannelId, i64>,
    /// Cursors of what cannot be a channel.
    strangers: Vec<String>,
    /// Only these besides the cursors; none is everything readable.
    pub(super) follow: Option<BTreeSet<ChannelId>>,
}

impl Asked {
    /// Reads the `data` of a frame.
    ///
    /// # Errors
    /// `invalid` with the field.
    pub(super) fn read(data: &Map<String, Value>) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        let wrong = || Refusal::invalid("cursors", "`cursors` is {channel: seq}, with seq a whole number from 0.");
        match data.get("cursors") {
            None | Some(Value::Null) => {}
            Some(Value::Object(cursors)) if cursors.len() <= CURSORS_MAX => {
                for (channel, seq) in cursors {
                    let seq = seq.as_i64().filter(|seq| *seq >= 0).ok_or_else(wrong)?;
                    match channel_of(channel) {
                        Some(channel) => drop(asked.cursors.insert(channel, seq)),
                        None => asked.strangers.push(channel.clone()),
                    }
                }
            }
            Some(_) => return Err(wrong()),
        }
        let wrong = || Refusal::invalid("follow", "`follow` is a list of channels.");
        match data.get("follow") {
            None | Some(Value::Null) => {}
            Some(Value::Array(channels)) => {
                let named: Option<Vec<&str>> = channels.iter().map(Value::as_str).collect();
                asked.follow = Some(named.ok_or_else(wrong)?.into_iter().filter_map(channel_of).collect());
            }
            Some(_) => return Err(wrong()),
        }
        Ok(asked)
    }
}

/// What a `resume` comes to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    /// From where each channel is followed: what comes after is sent.
    pub(super) starts: BTreeMap<ChannelId, i64>,
    /// Cursors that are of no use. Why is not said.
    pub(super) reset: BTreeSet<String>,
    /// Whether one of them was of a channel the person may not read, for the audit trail.
    pub(super) refused: bool,
}

/// Lays what is asked for over what may be read. `followed` go on where they are unless a cursor moves them.
pub(super) fn plan(asked: &Asked, survey: &Survey, followed: &HashSet<ChannelId>) -> Plan {
    let mut plan = Plan { refused: !asked.strangers.is_empty(), ..Plan::default() };
    plan.reset.extend(asked.strangers.iter().cloned());
    for (channel, cursor) in &asked.cursors {
        let head = if *channel == ME { Some(survey.me) } else { survey.readable.get(channel).map(|stand| stand.head) };
        let Some(head) = head else {
            plan.refused = true;
            plan.reset.insert(name(*channel));
            continue;
        };
        // What is dropped of `me` cannot be sent; asking from the first one is asking from the first that is kept.
        let dropped = *channel == ME && (1..survey.me_dropped).contains(cursor);
        let from = if *channel == ME { (*cursor).max(survey.me_dropped.min(head)) } else { *cursor };
        if *cursor > head || head - from > RESUME_ENTRIES_MAX || dropped {
            plan.reset.insert(name(*channel));
        } else {
            plan.starts.insert(*channel, from);
        }
    }
    let all = survey.readable.iter().map(|(channel, stand)| (*channel, stand.head)).chain([(ME, survey.me)]);
    for (channel, head) in all {
        let wanted = asked.follow.as_ref().is_none_or(|follow| follow.contains(&channel));
        if wanted && !asked.cursors.contains_key(&channel) && !followed.contains(&channel) {
            plan.starts.insert(channel, head);
        }
    }
    plan
}

/// The answer of a `resume`, as it grows.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Events sent, by channel.
    pub(super) sent: BTreeMap<ChannelId, i64>,
    pub(super) reset: BTreeSet<String>,
    gaps: BTreeMap<ChannelId, Vec<[i64; 2]>>,
}

impl Answer {
    /// Begins with the channels that were named by a cursor.
    pub(super) fn new(asked: &Asked, plan: &Plan) -> Self {
        let sent =
            asked.cursors.keys().filter(|channel| plan.starts.contains_key(channel)).map(|id| (*id, 0)).collect();
        Self { sent, reset: plan.reset.clone(), gaps: BTreeMap::new() }
    }

    pub(super) fn count(&mut self, channel: ChannelId) {
        *self.sent.entry(channel).or_default() += 1;
    }

    /// Takes the gaps of a page in; one that touches the last goes on with it.
    pub(super) fn add_gaps(&mut self, channel: ChannelId, gaps: &[[i64; 2]]) {
        for gap in gaps {
            let held = self.gaps.entry(channel).or_default();
            match held.last_mut() {
                Some(last) if last[1] + 1 >= gap[0] => last[1] = last[1].max(gap[1]),
                _ => held.push(*gap),
            }
        }
    }

    /// The channel is gone while it was read: as if it had never been.
    pub(super) fn lose(&mut self, channel: ChannelId) {
        self.gaps.remove(&channel);
        if self.sent.remove(&channel).is_some() {
            self.reset.insert(name(channel));
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let sent: Map<String, Value> = self.sent.iter().map(|(channel, n)| (name(*channel), json!(n))).collect();
        let mut answer = Map::new();
        answer.insert("sent".into(), sent.into());
        answer.insert("reset".into(), self.reset.iter().cloned().collect());
        if !self.gaps.is_empty() {
            let gaps: Map<String, Value> =
                self.gaps.iter().map(|(channel, gaps)| (name(*channel), json!(gaps))).collect();
            answer.insert("gaps".into(), gaps.into());
        }
        Value::Object(answer)
    }
}

/// The first and last `seq` that a plan opens for reading, by channel, for the audit trail.
pub(super) fn ranges(plan: &Plan, survey: &Survey) -> Vec<(ChannelId, i64, i64)> {
    let entries = plan.starts.iter().filter_map(|(channel, sent)| {
        let stand = survey.readable.get(channel)?;
        let parts = policy::spans(&stand.spans, sent + 1, stand.head);
        Some((*channel, parts.first().map_or(sent + 1, |part| part[0]), stand.head))
    });
    entries.collect()
}
