//! Entries of fixed members as names and values: changes of plan, team and channel, filings, and kinds this transcript does not know by
//! name. Ids are replaced by what they stand for; nothing is left out but what the reader sees beside it.

use serde_json::Value;

use super::block::{Line, Sort};
use super::body::{Body, told_time};
use super::tell::{Telling, Told};
use crate::kernel::base::{ChannelId, ItemId, ThingId, UserId};
use crate::kernel::log::Fact;

/// Headings of the kinds that are told this way.
const HEADINGS: [(&str, &str); 18] = [
    ("plan_item.added", "Care plan item added"),
    ("plan_item.changed", "Care plan item changed"),
    ("plan_item.closed", "Care plan item closed"),
    ("channel.opened", "Conversation opened"),
    ("channel.changed", "Conversation changed"),
    ("channel.archived", "Conversation archived"),
    ("team.joined", "Joined the care team"),
    ("team.changed", "Part in the care team changed"),
    ("team.left", "Left the care team"),
    ("patient.registered", "Patient registered"),
    ("patient.changed", "Record of the patient changed"),
    ("export.filed", "Filed"),
    ("export.attested", "Export attested"),
    ("export.withdrawn", "Attested export taken back"),
    ("export.superseded", "Export replaced by another"),
    ("export.failed", "Not taken by the receiver"),
    ("checkin.scheduled", "Check-ins scheduled"),
    ("break_glass.opened", "Opened in an emergency"),
];

/// An entry as its members.
pub fn details(telling: &Telling<'_>, fact: &Fact, body: &Body) -> Told {
    let known = HEADINGS.iter().find(|(event, _)| *event == &*fact.event);
    let heading = known.map_or_else(|| fact.event.replace(['.', '_'], " "), |(_, heading)| (*heading).to_owned());
    let told = Told::new(Sort::Event, heading);
    let skipped: &[&str] = &["id", "patient", "care_team", "items", "rev"];
    told.lists("Details", members(telling, body, skipped))
}

/// Members as lines, but those.
pub fn members(telling: &Telling<'_>, body: &Body, skipped: &[&str]) -> Vec<Line> {
    let Some(members) = body.whole().as_object() else { return Vec::new() };
    let told = members.iter().filter(|(name, _)| !skipped.contains(&name.as_str()));
    told.map(|(name, one)| Line::ours(format!("{}: ", label(name))).with(value(telling, one))).collect()
}

/// What a change says: before and after, member by member.
pub fn before_and_after(telling: &Telling<'_>, body: &Body) -> Vec<Line> {
    let after = body.get("after").as_object().into_iter().flatten();
    let line = |(name, now): (&String, &Value)| {
        let before = value(telling, body.get("before").get(name).unwrap_or(&Value::Null));
        Line::ours(format!("{}: ", label(name))).with(before).and(" → ").with(value(telling, now))
    };
    after.map(line).collect()
}

/// Responsibilities, which are words.
pub fn responsibilities(body: &Body) -> Vec<Line> {
    body.texts("responsibilities").map(|one| Line::ours(label(one))).collect()
}

/// What was done to a task, in words.
pub fn change(word: &str) -> String {
    match word {
        "" => "changed".into(),
        "accept" | "assign" | "start" | "fail" => format!("{word}ed"),
        "decline" | "complete" | "update" => format!("{word}d"),
        "hold" => "put on hold".into(),
        "cancel" => "cancelled".into(),
        other => format!("changed ({})", label(other)),
    }
}

fn label(name: &str) -> String {
    name.replace('_', " ")
}

/// A value: ids as what they stand for, times with their zone, lists and members one after the other.
pub fn value(telling: &Telling<'_>, of: &Value) -> Line {
    match of {
        Value::Null => Line::ours("none"),
        Value::Bool(yes) => Line::ours(if *yes { "yes" } else { "no" }),
        Value::Number(number) => Line::ours(number.to_string()),
        Value::String(text) => text_value(telling, text),
        Value::Array(list) if list.is_empty() => Line::ours("none"),
        Value::Array(list) => Line::joined(list.iter().map(|one| value(telling, one)), "; "),
        Value::Object(members) => Line::joined(
            members.iter().map(|(name, one)| Line::ours(format!("{}: ", label(name))).with(value(telling, one))),
            ", ",
        ),
    }
}

fn text_value(telling: &Telling<'_>, text: &str) -> Line {
    let Ok(user) = text.parse::<UserId>() else {
        let is_time = text.len() >= 20 && text.as_bytes()[4] == b'-' && text.as_bytes()[10] == b'T';
        return if is_time { Line::ours(told_time(text)) } else { Line::theirs(text) };
    };
    let (item, thing, channel) = (ItemId(user.0), ThingId(user.0), ChannelId(user.0));
    let gathered = telling.gathered;
    if gathered.people.knows(user) {
        gathered.people.name(user)
    } else if gathered.survey.item(item).is_some() {
        telling.item(item)
    } else if let Some(title) = gathered.task_of(thing).and_then(|task| task.members["title"].as_str()) {
        Line::ours("the task ").told(title)
    } else if gathered.counts.contains_key(&channel) {
        Line::theirs(gathered.channel_name(channel))
    } else if telling.beside.places.contains_key(&thing) {
        telling.place(channel, Some(thing))
    } else {
        Line::ours(text)
    }
}
