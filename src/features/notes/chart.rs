//! Notes as the chart takes them: the text as a DocumentReference, the discussion as a Communication that points to it, and for late
//! ones a Provenance that says so (FHIR R4).
//! Does not know: Bundles, requests, who sends it. Nothing is invented: what the record does not say is left out.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::model::{Logged, Medium, Participant};
use super::{ADDENDED, CONFIRMED, DISPUTED, LOGGED};
use crate::features::channels::{Offered, Words, chart_text, narrative, participation_mode, without_empty};
use crate::kernel::base::Micros;
use crate::kernel::base::world::{MINUTE, parse_rfc3339, rfc3339_millis};
use crate::kernel::crypto;
use crate::kernel::log::Fact;

const US_CORE: &str = "http://hl7.org/fhir/us/core/";

/// What the discussion is called, and its code of *v3-ParticipationMode*.
const fn mode(medium: Medium) -> (&'static str, &'static str, &'static str) {
    match medium {
        Medium::Phone => ("Telephone call", "PHONE", "telephone"),
        Medium::InPerson => ("Conversation in person", "FACE", "face-to-face"),
        Medium::Video => ("Video call", "VIDEOCONF", "videoconferencing"),
        Medium::Email => ("E-mail", "EMAILWRIT", "email"),
        Medium::Fax => ("Fax", "FAXWRIT", "telefax"),
        Medium::Letter => ("Letter", "MAILWRIT", "mail"),
        Medium::Other => ("Discussion", "VERBAL", "verbal"),
    }
}

/// The LOINC code of the note, by how people talked and the author's profession.
fn loinc(medium: Medium, profession: &str) -> &'static str {
    let profession = profession.to_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| profession.contains(word));
    match medium {
        Medium::Phone if is(&["nurse", "nursing"]) => "34139-6",
        Medium::Phone if is(&["social work"]) => "34844-1",
        Medium::Phone => "34748-4",
        Medium::Video => "34098-4",
        Medium::InPerson | Medium::Other => "34109-9",
        Medium::Email | Medium::Fax | Medium::Letter => "52033-8",
    }
}

/// The id of the Communication that says a discussion was held: another thing than the note, the same in every export.
#[must_use]
pub fn communication_id(note: Uuid) -> Uuid {
    part(note, "discussion")
}

fn part(note: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&note, name.as_bytes())
}

/// A kept time as a FHIR `dateTime`, which has seconds (R4 datatypes).
fn date_time(kept: &str) -> String {
    let seconds = kept.as_bytes().get(16) == Some(&b':');
    parse_rfc3339(kept).ok().filter(|_| !seconds).map_or_else(|| kept.to_owned(), rfc3339_millis)
}

/// The resources of a `note.logged`; none for any other entry: what came later is told with the note.
#[must_use]
pub fn resources(fact: &Fact, context: &Value) -> Vec<Value> {
    if &*fact.event != LOGGED {
        return Vec::new();
    }
    let Ok(note) = fact.read::<Logged>() else { return Vec::new() };
    let offered = Offered(context);
    let (id, event) = (fact.id.to_string(), communication_id(fact.id.0).to_string());
    let mut resources = vec![document(offered, &id, &note), discussion(offered, &id, &event, &note)];
    if note.late {
        resources.push(late_entry(offered, &part(fact.id.0, "late entry").to_string(), [&id, &event], &note, fact.at));
    }
    resources
}

fn period(note: &Logged) -> Value {
    without_empty(json!({"start": date_time(&note.held_at), "end": note.ended_at.as_deref().map(date_time)}))
}

fn named(one: &Participant) -> String {
    match &one.role {
        Some(role) => format!("{}, {role}", one.name),
        None => one.name.clone(),
    }
}

fn title(note: &Logged) -> String {
    let with: Vec<String> = note.with.iter().map(named).collect();
    chart_text(&format!("{} with {}", mode(note.medium).0, with.join("; ")))
}

/// The whole note as one text: what it was, about what, what was said, what was decided, who wrote it down.
fn text(offered: Offered<'_>, note: &Logged) -> String {
    let held = match &note.ended_at {
        Some(ended) => format!("{} to {ended}", note.held_at),
        None => note.held_at.clone(),
    };
    let item = offered.get("item")["display"].as_str().unwrap_or_default();
    let mut text = format!("{}, {held}.\nCare plan item: {item}\n\n{}\n", title(note), chart_text(&note.words.plain()));
    if !note.decisions.is_empty() {
        text.push_str("\nDecisions:\n");
        for decision in &note.decisions {
            let _ = writeln!(text, "- {}", chart_text(decision));
        }
    }
    let who = offered.get("author")["display"].as_str().unwrap_or_default();
    let late = if note.late { " (late entry)" } else { "" };
    let _ = write!(text, "\nDocumented {} by {who}{late}.", offered.text("recorded"));
    text
}

fn document(offered: Offered<'_>, id: &str, note: &Logged) -> Value {
    let text = text(offered, note);
    let title = title(note);
    let mut related = vec![offered.get("item"), offered.get("plan")];
    related.retain(|one| !one.is_null());
    related.dedup_by(|a, b| a["reference"] == b["reference"]);
    without_empty(json!({
        "resourceType": "DocumentReference",
        "meta": {
            "profile": [format!("{US_CORE}StructureDefinition/us-core-documentreference")],
            "security": offered.security(),
        },
        "text": narrative(&[&text]),
        "extension": offered.goals(),
        "masterIdentifier": offered.identifier(id),
        "identifier": [offered.identifier(id)],
        "status": "current",
        "docStatus": "final",
        "type": {
            "coding": [{"system": "http://loinc.org", "code": loinc(note.medium, offered.text("profession"))}],
            "text": format!("Note of a discussion: {}", mode(note.medium).2),
        },
        "category": [{"coding": [{
            "system": format!("{US_CORE}CodeSystem/us-core-documentreference-category"),
            "code": "clinical-note",
            "display": "Clinical Note",
        }]}],
        "subject": offered.get("subject"),
        "date": offered.get("recorded"),
        "author": [offered.get("author")],
        "authenticator": offered.get("author"),
        "custodian": offered.get("organization"),
        "description": title,
        "content": [{"attachment": {
            "contentType": "text/plain; charset=utf-8",
            "data": crypto::base64(text.as_bytes()),
            "size": text.len(),
            "hash": crypto::base64(&crypto::attachment_hash(text.as_bytes())),
            "title": title,
            "creation": offered.get("recorded"),
        }}],
        "context": {"period": period(note), "related": related},
    }))
}

/// Who took part: the account where there is one, else the name.
fn reference(offered: Offered<'_>, one: &Participant) -> Value {
    let known = one.user.and_then(|user| offered.known(&user.to_string())).cloned();
    known.unwrap_or_else(|| json!({"display": chart_text(&named(one))}))
}

fn discussion(offered: Offered<'_>, note_id: &str, id: &str, note: &Logged) -> Value {
    let (_, code, display) = mode(note.medium);
    let header = Some(offered.get("header")).filter(|header| !header.is_null());
    let item = Some(offered.get("item")).filter(|item| !item.is_null());
    let with: Vec<Value> = note.with.iter().map(|one| reference(offered, one)).collect();
    without_empty(json!({
        "resourceType": "Communication",
        "meta": {"security": offered.security()},
        "extension": offered.goals(),
        "identifier": [offered.identifier(id)],
        "basedOn": offered.list("based_on"),
        "partOf": header.into_iter().collect::<Vec<_>>(),
        "status": "completed",
        "medium": participation_mode(code, display),
        "subject": offered.get("subject"),
        "topic": {"text": format!("Outside discussion: {display}")},
        "about": item.into_iter().collect::<Vec<_>>(),
        "sent": date_time(&note.held_at),
        "recipient": with,
        "sender": offered.get("author"),
        "payload": [{"contentReference": {"reference": format!("DocumentReference/{note_id}"), "display": title(note)}}],
        "note": offered.list("changes").iter().filter_map(remark).collect::<Vec<_>>(),
    }))
}

/// What was said of the note later: who, when and what (*Annotation*, FHIR R4).
fn remark(one: &Value) -> Option<Value> {
    let said = one.get("data")?;
    let text = match one.get("event")?.as_str()? {
        CONFIRMED => "Confirmed by a participant".to_owned(),
        DISPUTED => format!("Disputed by a participant: {}", said.get("reason")?.as_str()?),
        ADDENDED => format!("Addendum: {}", Words::deserialize(said).ok()?.plain()),
        _ => return None,
    };
    Some(json!({"authorReference": one.get("author")?, "time": one.get("recorded")?, "text": chart_text(&text)}))
}

fn late_entry(offered: Offered<'_>, id: &str, [note_id, event]: [&str; 2], note: &Logged, at: Micros) -> Value {
    let target = [format!("DocumentReference/{note_id}"), format!("Communication/{event}")];
    let author = offered.get("author");
    let mut provenance = offered.provenance(id, &target, "CREATE", offered.get("recorded"), author);
    let ended = parse_rfc3339(note.ended_at.as_deref().unwrap_or(&note.held_at)).unwrap_or(at);
    let minutes = at.saturating_sub(ended) / MINUTE;
    let reason = format!("Late entry: documented {minutes} minutes after the discussion");
    // *occurred[x]*: a discussion of unknown length has a beginning only.
    provenance["occurredPeriod"] = period(note);
    provenance["reason"] = json!([{ "text": reason }]);
    if let Some(agents) = provenance["agent"].as_array_mut() {
        let informants = note.with.iter().map(|one| reference(offered, one)).map(|who| {
            json!({"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "code": "informant"}]}, "who": who})
        });
        let assembler = agents.pop();
        agents.extend(informants);
        agents.extend(assembler);
    }
    provenance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::channels::charted;

    fn note(more: Value) -> Value {
        let mut body = json!({"id": Uuid::from_u128(7), "item": Uuid::from_u128(2), "medium": "phone", "held_at": "2026-03-02T15:10:00Z", "ended_at": "2026-03-02T15:22:00Z",
            "with": [{"name": "Ada Okafor", "role": "daughter", "user": Uuid::from_u128(4)}, {"name": "Dr. <Osei>"}], "text": "Two missed doses", "decisions": ["Weekly pillbox"], "late": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    #[test]
    fn a_late_note_is_text_event_and_delay() {
        let (fact, context) = charted("note.logged", &note(json!({})), json!({"profession": "Registered nurse"}));
        let resources = resources(&fact, &context);
        let [document, event, provenance] = &resources[..] else { panic!("{resources:?}") };
        assert_eq!(document["identifier"][0]["value"], json!(Uuid::from_u128(7)));
        assert_eq!(document["type"]["coding"][0]["code"], json!("34139-6"));
        assert_eq!(
            document["context"]["period"],
            json!({"start": "2026-03-02T15:10:00Z", "end": "2026-03-02T15:22:00Z"})
        );
        assert_eq!(document["context"]["related"], json!([context["item"], context["plan"]]));
        assert_eq!((&document["custodian"], &document["date"]), (&context["organization"], &context["recorded"]));
        let data = crypto::from_base64(document["content"][0]["attachment"]["data"].as_str().unwrap()).unwrap();
        let text = String::from_utf8(data).unwrap();
        for part in
            ["Ada Okafor, daughter", "Two missed doses", "- Weekly pillbox", "(late entry)", "Care plan item: Pressure"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        let div = document["text"]["div"].as_str().unwrap();
        assert!(div.contains("Dr. &lt;Osei&gt;") && !div.contains("<Osei>"));
        assert_eq!(event["medium"][0]["coding"][0]["code"], json!("PHONE"));
        assert_eq!((&event["about"][0], &event["sent"]), (&context["item"], &json!("2026-03-02T15:10:00Z")));
        assert_eq!(event["recipient"][0], context["known"][Uuid::from_u128(4).to_string()]);
        assert_eq!(event["recipient"][1], json!({"display": "Dr. <Osei>"}));
        let reference = format!("Communication/{}", event["identifier"][0]["value"].as_str().unwrap());
        assert_ne!(event["identifier"], document["identifier"]);
        assert_eq!(provenance["target"][1]["reference"], json!(reference));
        assert_eq!(provenance["reason"][0]["text"], json!("Late entry: documented 40 minutes after the discussion"));
        let agents: Vec<&Value> =
            provenance["agent"].as_array().unwrap().iter().map(|agent| &agent["type"]["coding"][0]["code"]).collect();
        assert_eq!(agents, ["author", "informant", "informant", "assembler"]);
    }

    #[test]
    fn what_was_said_of_a_note_later_stands_beside_the_event() {
        let change = |event: &str, data: Value| json!({"event": event, "id": Uuid::from_u128(8), "recorded": "2026-03-02T17:00:00.000Z", "author": {"reference": "Practitioner/b"}, "had": false, "data": data});
        let changes = [
            change("note.reminded", json!({"note": Uuid::from_u128(7)})),
            change("note.confirmed", json!({"note": Uuid::from_u128(7), "state": "confirmed"})),
            change("note.disputed", json!({"note": Uuid::from_u128(7), "reason": "Three doses", "state": "disputed"})),
            change("note.addended", json!({"note": Uuid::from_u128(7), "text": "It was three"})),
        ];
        let (fact, context) = charted("note.logged", &note(json!({})), json!({ "changes": changes }));
        let resources = resources(&fact, &context);
        let texts: Vec<&Value> = resources[1]["note"].as_array().unwrap().iter().map(|one| &one["text"]).collect();
        let expected =
            ["Confirmed by a participant", "Disputed by a participant: Three doses", "Addendum: It was three"];
        assert_eq!(texts, expected);
        assert_eq!(resources[1]["note"][0]["authorReference"], json!({"reference": "Practitioner/b"}));
        let (fact, context) = charted("note.opened", &json!({}), json!({}));
        assert!(super::resources(&fact, &context).is_empty());
    }

    #[test]
    fn a_note_in_time_has_no_provenance_and_nothing_empty() {
        let without = json!({"late": false, "ended_at": null, "medium": "letter"});
        let (fact, context) = charted("note.logged", &note(without), json!({"organization": null}));
        let resources = resources(&fact, &context);
        assert_eq!(resources.len(), 2);
        assert_eq!(resources[0]["type"]["coding"][0]["code"], json!("52033-8"));
        assert_eq!(resources[0]["context"]["period"], json!({"start": "2026-03-02T15:10:00Z"}));
        assert!(resources[0].get("custodian").is_none());
    }
}
