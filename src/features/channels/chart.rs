//! Messages as the chart takes them: one Communication (FHIR R4) with the words as they stand now, a note on it for each acknowledgement
//! and confirmation, and a Provenance for each later change the receiver has to hear of. A check-back is words of its own: a
//! Communication in response to the message. What notes write alike stands here too.
//! Does not know: Bundles, requests, who sends it. Nothing is invented: what the record does not say is left out.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answers;
use super::message::{Amended, Posted, Priority, Retracted};
use super::posting;
use super::words::Words;
use crate::kernel::base::ThingId;
use crate::kernel::base::world::{parse_rfc3339, rfc3339_millis};
use crate::kernel::log::Fact;

/// What stands for the words of a message that was taken back, whoever took it back.
pub const RETRACTED_TEXT: &str = "Retracted by author";
const PERTAINS_TO_GOAL: &str = "http://hl7.org/fhir/StructureDefinition/resource-pertainsToGoal";
const TERMINOLOGY: &str = "http://terminology.hl7.org/CodeSystem/";

/// What the exporter offers to every kind, read by name (the table stands at the head of `features/chart`).
#[derive(Clone, Copy)]
pub struct Offered<'a>(pub &'a Value);

impl<'a> Offered<'a> {
    /// A member; null if it is not there.
    #[must_use]
    pub fn get(self, name: &str) -> &'a Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    /// A truth value, false if it is not there.
    #[must_use]
    pub fn is(self, name: &str) -> bool {
        self.get(name).as_bool().unwrap_or(false)
    }

    /// A text, empty if it is not there.
    #[must_use]
    pub fn text(self, name: &str) -> &'a str {
        self.get(name).as_str().unwrap_or_default()
    }

    /// A list, empty if it is not there.
    #[must_use]
    pub fn list(self, name: &str) -> &'a [Value] {
        self.get(name).as_array().map_or(&[], Vec::as_slice)
    }

    /// An identifier of ours.
    #[must_use]
    pub fn identifier(self, id: &str) -> Value {
        json!({"system": self.get("system"), "value": id})
    }

    /// What one of our ids stands for in the chart.
    #[must_use]
    pub fn known(self, id: &str) -> Option<&'a Value> {
        self.get("known").get(id)
    }

    /// The goals it is about, as extensions (*pertainsToGoal*).
    #[must_use]
    pub fn goals(self) -> Vec<Value> {
        self.list("goals").iter().map(|goal| json!({"url": PERTAINS_TO_GOAL, "valueReference": goal})).collect()
    }

    /// Confidentiality, and whether patient or family wrote it.
    #[must_use]
    pub fn security(self) -> Value {
        let code = if self.is("restricted") { "R" } else { "N" };
        let mut labels = vec![json!({"system": format!("{TERMINOLOGY}v3-Confidentiality"), "code": code})];
        if self.is("family") {
            labels.push(json!({"system": format!("{TERMINOLOGY}v3-ObservationValue"), "code": "PATAST"}));
        }
        json!(labels)
    }

    /// Everyone the list names but the author of the entry.
    #[must_use]
    pub fn recipients(self) -> Vec<Value> {
        let author = &self.get("author")["reference"];
        self.list("recipients").iter().filter(|one| one["reference"] != *author).cloned().collect()
    }

    /// The files of the entry as *Attachment*: with their bytes where there is room for them, else by name, size and SHA-256.
    #[must_use]
    pub fn attachments(self) -> Vec<Value> {
        self.list("files").iter().map(attachment).collect()
    }

    /// A Provenance about `target`, by a person and this server.
    #[must_use]
    pub fn provenance(self, id: &str, target: &[String], activity: &str, recorded: &Value, who: &Value) -> Value {
        let agent = |code: &str, who: &Value| json!({"type": {"coding": [{"system": format!("{TERMINOLOGY}provenance-participant-type"), "code": code}]}, "who": who});
        let targets: Vec<Value> = target.iter().map(|reference| json!({ "reference": reference })).collect();
        json!({
            "resourceType": "Provenance",
            "id": id,
            "target": targets,
            "recorded": recorded,
            "activity": {"coding": [{"system": format!("{TERMINOLOGY}v3-DataOperation"), "code": activity}]},
            "agent": [agent("author", who), agent("assembler", self.get("device"))],
        })
    }
}

/// A file of `files` as *Attachment* (FHIR R4): `hash` is the SHA-1 of `data`. One without data says in its title what it is known by.
#[must_use]
pub fn attachment(file: &Value) -> Value {
    let text = |name: &str| file[name].as_str().unwrap_or_default();
    let title = match (file.get("name"), file.get("data")) {
        (None, _) => format!("File {}: not readable for whoever exported this", text("id")),
        (_, Some(_)) => chart_text(text("name")),
        (_, None) => {
            format!("{} ({} bytes, SHA-256 {}; not included)", chart_text(text("name")), file["size"], text("sha256"))
        }
    };
    without_empty(json!({
        "contentType": file["type"],
        "data": file["data"],
        "size": file["size"],
        "hash": file["sha1"],
        "title": title,
    }))
}

/// One code of *v3-ParticipationMode*.
#[must_use]
pub fn participation_mode(code: &str, display: &str) -> Value {
    json!([{"coding": [{"system": format!("{TERMINOLOGY}v3-ParticipationMode"), "code": code, "display": display}]}])
}

/// A text as FHIR holds one: no control characters but tab and line ends (*string*, FHIR R4).
#[must_use]
pub fn chart_text(text: &str) -> String {
    let allowed = |c: char| match c {
        '\t' | '\n' | '\r' => true,
        // XML has no place for them in a narrative.
        '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control(),
    };
    text.chars().map(|c| if allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// A kept time as a FHIR `dateTime` (R4 datatypes), which has seconds; a day stays one, anything else is none.
#[must_use]
pub fn date_time(kept: &str) -> Option<String> {
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
    if matches!(kept.len(), 4 | 7 | 10) && digits(kept) {
        return Some(kept.to_owned());
    }
    let seconds = kept.as_bytes().get(16) == Some(&b':');
    parse_rfc3339(kept).ok().map(|at| if seconds { kept.to_owned() } else { rfc3339_millis(at) })
}

/// A generated narrative: each line a paragraph, everything escaped, nothing active.
#[must_use]
pub fn narrative(lines: &[&str]) -> Value {
    let mut div = String::from("<div xmlns=\"http://www.w3.org/1999/xhtml\">");
    for line in lines.iter().filter(|line| !line.is_empty()) {
        let _ = write!(div, "<p>{}</p>", escaped(&chart_text(line)));
    }
    div.push_str("</div>");
    json!({"status": "generated", "div": div})
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("<br/>"),
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

/// Removes members that are null or empty: FHIR has neither.
#[must_use]
pub fn without_empty(mut resource: Value) -> Value {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    if let Some(members) = resource.as_object_mut() {
        members.retain(|_, value| !empty(value));
    }
    resource
}

/// What became of a message after it was posted.
struct Current {
    words: Words,
    retracted: Option<String>,
}

/// A change of `changes`, as the type its event says; none if it is another one.
fn change<T: serde::de::DeserializeOwned>(change: &Value, event: &str) -> Option<T> {
    if change.get("event")?.as_str()? != event {
        return None;
    }
    T::deserialize(change.get("data")?).ok()
}

/// Why it was taken back, for people.
fn reason(retracted: Retracted) -> String {
    // What was moved has a word of the protocol for a reason.
    if retracted.withholds.is_empty() { retracted.reason } else { "Wrong patient".into() }
}

fn current(posted: Words, changes: &[Value]) -> Current {
    let mut current = Current { words: posted, retracted: None };
    for one in changes {
        if let Some(Amended { words, .. }) = change(one, posting::AMENDED) {
            current.words = words;
        } else if let Some(retracted) = change(one, posting::RETRACTED) {
            current.retracted = Some(reason(retracted));
        }
    }
    current
}

/// The resources of a `message.posted` or `message.checked_back`; none for any other entry: corrections are told with the message they
/// correct.
#[must_use]
pub fn resources(fact: &Fact, context: &Value) -> Vec<Value> {
    match &*fact.event {
        posting::POSTED => fact.read().map_or_else(|_| Vec::new(), |posted| message(fact, Offered(context), posted)),
        answers::CHECKED_BACK => {
            fact.read().map_or_else(|_| Vec::new(), |answer| vec![check_back(fact, Offered(context), answer)])
        }
        _ => Vec::new(),
    }
}

fn message(fact: &Fact, offered: Offered<'_>, posted: Posted) -> Vec<Value> {
    let changes = offered.list("changes");
    let current = current(posted.words, changes);
    let urgent = posted.priority.is_some_and(|priority| priority != Priority::Routine);
    let said = Said {
        category: if urgent { "alert" } else { "notification" },
        to: posted.reply_to,
        files: true,
        retracted: current.retracted,
        ..Said::of("Care team message", current.words.plain())
    };
    let mut communication = said.communication(fact, offered);
    communication["priority"] = posted.priority.map(Priority::text).into();
    if let Some(task) = posted.task.and_then(|task| offered.known(&task.to_string())) {
        communication["about"].as_array_mut().into_iter().for_each(|about| about.push(task.clone()));
    }
    communication["note"] = changes.iter().filter_map(remark).collect();
    let mut resources = vec![without_empty(communication)];
    let id = fact.id.to_string();
    resources.extend(changes.iter().filter_map(|change| correction(offered, &id, change)));
    resources
}

/// A check-back, whose words are gone where it is withheld.
#[derive(Deserialize)]
struct Understood {
    message: ThingId,
    #[serde(default)]
    text: String,
}

/// What was understood of a message, in response to it. It goes with the message where that went to the wrong patient.
fn check_back(fact: &Fact, offered: Offered<'_>, answer: Understood) -> Value {
    let retracted = offered.list("changes").iter().find_map(|one| change(one, posting::RETRACTED)).map(reason);
    let said = Said { to: Some(answer.message), retracted, ..Said::of("Check-back", answer.text) };
    without_empty(said.communication(fact, offered))
}

/// What somebody wrote, as it stands now.
pub struct Said<'s> {
    /// What we call such words.
    pub kind: &'s str,
    /// A code of *communication-category*.
    pub category: &'s str,
    /// The message or handoff it answers.
    pub to: Option<ThingId>,
    /// The words.
    pub text: String,
    /// Why it was taken back.
    pub retracted: Option<String>,
    /// With the files of the entry.
    pub files: bool,
    /// Part of the conversation it stands in: what stands in the plan channel is part of none.
    pub threaded: bool,
}

impl<'s> Said<'s> {
    /// Words of that kind in a conversation, a notification that answers nothing.
    #[must_use]
    pub const fn of(kind: &'s str, text: String) -> Self {
        Self { kind, category: "notification", to: None, text, retracted: None, files: false, threaded: true }
    }

    /// The Communication, with members that may be empty.
    #[must_use]
    pub fn communication(self, fact: &Fact, offered: Offered<'_>) -> Value {
        let Self { kind, category, to, text, retracted, files, threaded } = self;
        let content = if retracted.is_some() { RETRACTED_TEXT.into() } else { chart_text(&text) };
        // Only a message can be answered in FHIR; a reply to a note stands beside it by its item.
        let answered = to.and_then(|to| offered.known(&to.to_string()).cloned());
        let answered =
            answered.filter(|to| to["reference"].as_str().is_some_and(|to| to.starts_with("Communication/")));
        let who = offered.get("author")["display"].as_str().unwrap_or_default();
        let head = format!("{who}, {}", offered.text("recorded"));
        let item = offered.get("item")["display"].as_str().unwrap_or_default();
        let attached = if files && retracted.is_none() { offered.attachments() } else { Vec::new() };
        let names: Vec<&str> = attached.iter().filter_map(|one| one["title"].as_str()).collect();
        let mut payload = vec![json!({ "contentString": content })];
        payload.extend(attached.iter().map(|one| json!({ "contentAttachment": one })));
        json!({
            "resourceType": "Communication",
            "meta": {"security": offered.security()},
            "text": narrative(&[&head, item, &content, &names.join("\n")]),
            "extension": offered.goals(),
            "identifier": [offered.identifier(&fact.id.to_string())],
            "basedOn": offered.list("based_on"),
            "partOf": if threaded { some(offered.get("header")) } else { Vec::new() },
            "inResponseTo": answered.into_iter().collect::<Vec<_>>(),
            "status": if retracted.is_some() { "entered-in-error" } else { "completed" },
            "statusReason": retracted.as_ref().map(|reason| json!({"text": chart_text(reason)})),
            "category": [{"coding": [{"system": format!("{TERMINOLOGY}communication-category"), "code": category}], "text": kind}],
            "medium": participation_mode("ONLINEWRIT", "online written"),
            "subject": offered.get("subject"),
            "about": some(offered.get("item")),
            "sent": offered.get("recorded"),
            "received": offered.get("received"),
            "recipient": offered.recipients(),
            "sender": offered.get("author"),
            "payload": payload,
        })
    }
}

/// An acknowledgement or confirmation: who, when and that, no words of anybody (*Annotation*, FHIR R4).
fn remark(one: &Value) -> Option<Value> {
    let text = match one.get("event")?.as_str()? {
        answers::ACKNOWLEDGED => "Acknowledged",
        answers::CONFIRMED => "Check-back confirmed",
        _ => return None,
    };
    Some(json!({"authorReference": one.get("author")?, "time": one.get("recorded")?, "text": text}))
}

/// The member as a list of one; empty if there is none.
fn some(value: &Value) -> Vec<&Value> {
    Some(value).filter(|value| !value.is_null()).into_iter().collect()
}

/// What a receiver is told of a change: a retraction always, anything else only if it has an older state of the message.
fn correction(offered: Offered<'_>, message: &str, one: &Value) -> Option<Value> {
    let event = one.get("event")?.as_str()?;
    let (activity, reason) = match event {
        posting::RETRACTED => ("NULLIFY", reason(change(one, event)?)),
        posting::AMENDED => ("UPDATE", "Amended by the author".to_owned()),
        posting::RELINKED => ("UPDATE", "Linked to another care plan item".to_owned()),
        _ => return None,
    };
    let had = one.get("had").and_then(Value::as_bool).unwrap_or(false);
    if had || (activity == "UPDATE" && !offered.is("update")) {
        return None;
    }
    let target = [format!("Communication/{message}")];
    let id = one.get("id")?.as_str()?;
    let mut provenance = offered.provenance(id, &target, activity, one.get("recorded")?, one.get("author")?);
    let members: &mut Map<String, Value> = provenance.as_object_mut()?;
    members.insert("reason".into(), json!([{"text": chart_text(&reason)}]));
    if activity == "UPDATE" {
        // Which version the receiver holds is known to the receiver alone: named by what identifies the message.
        let what = json!({"identifier": offered.identifier(message), "display": "The message as received before"});
        members.insert("entity".into(), json!([{"role": "revision", "what": what}]));
    }
    Some(provenance)
}
