//! Notes as the chart takes them: the text as a DocumentReference, the discussion as a Communication that points to it, and for late
//! ones a Provenance that says so (FHIR R4).
//! Does not know: Bundles, requests, who sends it. Nothing is invented: what the record does not say is left out.

use std::fmt::Write as _;

use serde_json::{Value, json};
use uuid::Uuid;

use super::model::life::Addended;
use super::model::{Logged, Medium, Participant};
use super::{ADDENDED, CONFIRMED, DISPUTED, LOGGED};
use crate::features::channels::{
    Offered, attachment, chart_text, date_time, narrative, participation_mode, without_empty,
};
use crate::kernel::base::Micros;
use crate::kernel::base::world::{MINUTE, parse_rfc3339};
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

fn time(kept: &str) -> String {
    date_time(kept).unwrap_or_else(|| kept.to_owned())
}

/// The resources of a `note.logged` or `note.addended`; none for any other entry: what came later is told with the note.
#[must_use]
pub fn resources(fact: &Fact, context: &Value) -> Vec<Value> {
    let offered = Offered(context);
    match &*fact.event {
        LOGGED => fact.read().map_or_else(|_| Vec::new(), |note| logged(fact, offered, &note)),
        ADDENDED => fact.read().map_or_else(|_| Vec::new(), |added| vec![addendum(fact, offered, &added)]),
        _ => Vec::new(),
    }
}

fn logged(fact: &Fact, offered: Offered<'_>, note: &Logged) -> Vec<Value> {
    let (id, event) = (fact.id.to_string(), communication_id(fact.id.0).to_string());
    let mut resources = vec![document(offered, &id, note), discussion(offered, &id, &event, note)];
    let original = note.mail.as_ref().and_then(|_| offered.list("files").iter().find(|file| is_mail(file)));
    let original = original.map(|file| (part(fact.id.0, "original").to_string(), file));
    if let Some((original, file)) = &original {
        resources.push(mail(offered, original, file, note));
    }
    if note.late || original.is_some() {
        let reason = if note.late { "late entry" } else { "from mail" };
        let (id, source) = (part(fact.id.0, reason).to_string(), original.as_ref().map(|(id, _)| id.as_str()));
        resources.push(origin(offered, &id, [&fact.id.to_string(), &event], note, (fact.at, source)));
    }
    resources
}

/// Whether a file is the mail a note was made from.
fn is_mail(file: &Value) -> bool {
    file["type"] == "message/rfc822"
}

fn period(note: &Logged) -> Value {
    without_empty(json!({"start": time(&note.held_at), "end": note.ended_at.as_deref().map(time)}))
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
    if let Some(id) = note.mail.as_ref().and_then(|mail| mail.message_id.as_deref()) {
        let _ = writeln!(text, "\nMessage-ID: {}", chart_text(id));
    }
    let _ = write!(text, "\nDocumented {} by {who}{late}.", offered.text("recorded"));
    text
}

/// A DocumentReference without what it is called, says and belongs to.
fn reference_frame(offered: Offered<'_>, id: &str) -> Value {
    let mut related = vec![offered.get("item"), offered.get("plan")];
    related.retain(|one| !one.is_null());
    related.dedup_by(|a, b| a["reference"] == b["reference"]);
    json!({
        "resourceType": "DocumentReference",
        "meta": {
            "profile": [format!("{US_CORE}StructureDefinition/us-core-documentreference")],
            "security": offered.security(),
        },
        "extension": offered.goals(),
        "masterIdentifier": offered.identifier(id),
        "identifier": [offered.identifier(id)],
        "status": "current",
        "docStatus": "final",
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
        "context": {"related": related},
    })
}

/// A text as the content of a document.
fn text_content(offered: Offered<'_>, text: &str, title: &str) -> Value {
    json!([{"attachment": {
        "contentType": "text/plain; charset=utf-8",
        "data": crypto::base64(text.as_bytes()),
        "size": text.len(),
        "hash": crypto::base64(&crypto::attachment_hash(text.as_bytes())),
        "title": title,
        "creation": offered.get("recorded"),
    }}])
}

fn note_type(note: &Logged, offered: Offered<'_>) -> Value {
    json!({
        "coding": [{"system": "http://loinc.org", "code": loinc(note.medium, offered.text("profession"))}],
        "text": format!("Note of a discussion: {}", mode(note.medium).2),
    })
}

fn document(offered: Offered<'_>, id: &str, note: &Logged) -> Value {
    let text = text(offered, note);
    let title = title(note);
    let mut document = reference_frame(offered, id);
    document["text"] = narrative(&[&text]);
    document["type"] = note_type(note, offered);
    document["content"] = text_content(offered, &text, &title);
    document["description"] = title.into();
    document["context"]["period"] = period(note);
    without_empty(document)
}

/// What was added to a note later: a document of its own that appends it (mapping of edits).
fn addendum(fact: &Fact, offered: Offered<'_>, added: &Addended) -> Value {
    let who = offered.get("author")["display"].as_str().unwrap_or_default();
    let item = offered.get("item")["display"].as_str().unwrap_or_default();
    let words = chart_text(&added.words.plain());
    let text = format!(
        "Addendum to the note of a discussion.\nCare plan item: {item}\n\n{words}\n\nAdded {} by {who}.",
        offered.text("recorded")
    );
    let mut document = reference_frame(offered, &fact.id.to_string());
    let target = json!({"reference": format!("DocumentReference/{}", added.note)});
    document["relatesTo"] = json!([{"code": "appends", "target": target}]);
    document["text"] = narrative(&[&text]);
    // *Progress note*: of what kind the discussion was, the note itself says.
    document["type"] =
        json!({"coding": [{"system": "http://loinc.org", "code": "11506-3"}], "text": "Addendum to a note"});
    document["content"] = text_content(offered, &text, "Addendum to a note");
    document["description"] = "Addendum to a note".into();
    without_empty(document)
}

/// The mail a note was made from, as it came.
fn mail(offered: Offered<'_>, id: &str, file: &Value, note: &Logged) -> Value {
    let mut document = reference_frame(offered, id);
    let mut attachment = attachment(file);
    attachment["creation"] = time(&note.held_at).into();
    document["type"] = note_type(note, offered);
    document["content"] = json!([{ "attachment": attachment }]);
    document["description"] = "E-mail as it was received".into();
    document["context"]["period"] = period(note);
    without_empty(document)
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
    let said =
        json!({"contentReference": {"reference": format!("DocumentReference/{note_id}"), "display": title(note)}});
    let original = note.mail.as_ref().and_then(|_| offered.list("files").iter().position(is_mail));
    let files = offered.list("files").iter().enumerate().filter(|(at, _)| Some(*at) != original);
    let attached = files.map(|(_, file)| json!({ "contentAttachment": attachment(file) }));
    without_empty(json!({
        "resourceType": "Communication",
        "meta": {"security": offered.security()},
        "extension": offered.goals(),
        "identifier": [offered.identifier(id)],
        "basedOn": offered.list("based_on"),
        "partOf": header.into_iter().collect::<Vec<_>>(),
        "status": "completed",
        "category": [{
            "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/communication-category",
                "code": "notification",
            }],
            "text": "Discussion outside the channel",
        }],
        "medium": participation_mode(code, display),
        "subject": offered.get("subject"),
        "topic": {"text": format!("Outside discussion: {display}")},
        "about": item.into_iter().collect::<Vec<_>>(),
        "sent": time(&note.held_at),
        "recipient": with,
        "sender": offered.get("author"),
        "payload": std::iter::once(said).chain(attached).collect::<Vec<_>>(),
        "note": offered.list("changes").iter().filter_map(remark).collect::<Vec<_>>(),
    }))
}

/// What was said of the note later: who, when and what (*Annotation*, FHIR R4).
fn remark(one: &Value) -> Option<Value> {
    let said = one.get("data")?;
    let text = match one.get("event")?.as_str()? {
        CONFIRMED => "Confirmed by a participant".to_owned(),
        DISPUTED => format!("Disputed by a participant: {}", said.get("reason")?.as_str()?),
        _ => return None,
    };
    Some(json!({"authorReference": one.get("author")?, "time": one.get("recorded")?, "text": chart_text(&text)}))
}

/// Where a note comes from: how late it was written down, and the mail it was made from.
fn origin(
    offered: Offered<'_>,
    id: &str,
    [note_id, event]: [&str; 2],
    note: &Logged,
    (at, source): (Micros, Option<&str>),
) -> Value {
    let target = [format!("DocumentReference/{note_id}"), format!("Communication/{event}")];
    let author = offered.get("author");
    let mut provenance = offered.provenance(id, &target, "CREATE", offered.get("recorded"), author);
    // *occurred[x]*: a discussion of unknown length has a beginning only.
    provenance["occurredPeriod"] = period(note);
    if note.late {
        let ended = parse_rfc3339(note.ended_at.as_deref().unwrap_or(&note.held_at)).unwrap_or(at);
        let minutes = at.saturating_sub(ended) / MINUTE;
        let reason = format!("Late entry: documented {minutes} minutes after the discussion");
        provenance["reason"] = json!([{ "text": reason }]);
    }
    if let Some(source) = source {
        let what = json!({"reference": format!("DocumentReference/{source}")});
        provenance["entity"] = json!([{"role": "source", "what": what}]);
    }
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
        let expected = ["Confirmed by a participant", "Disputed by a participant: Three doses"];
        assert_eq!(texts, expected);
        assert_eq!(resources[1]["note"][0]["authorReference"], json!({"reference": "Practitioner/b"}));
        let (fact, context) = charted("note.opened", &json!({}), json!({}));
        assert!(super::resources(&fact, &context).is_empty());
    }

    #[test]
    fn an_addendum_is_a_document_that_appends_the_note() {
        let body = json!({"id": Uuid::from_u128(7), "note": Uuid::from_u128(6), "text": "It was <three>"});
        let (fact, context) = charted("note.addended", &body, json!({}));
        let resources = resources(&fact, &context);
        let [document] = &resources[..] else { panic!("{resources:?}") };
        let target = json!({"reference": format!("DocumentReference/{}", Uuid::from_u128(6))});
        assert_eq!(document["relatesTo"], json!([{"code": "appends", "target": target}]));
        assert_eq!(document["identifier"][0]["value"], json!(Uuid::from_u128(7)));
        let data = crypto::from_base64(document["content"][0]["attachment"]["data"].as_str().unwrap()).unwrap();
        assert!(String::from_utf8(data).unwrap().contains("It was <three>"));
        assert!(document["text"]["div"].as_str().unwrap().contains("It was &lt;three&gt;"));
    }

    #[test]
    fn a_mail_is_named_as_the_source_of_its_note_and_its_other_files_go_with_the_event() {
        let mail = json!({"late": false, "medium": "email", "mail": {"message_id": "a@b"}});
        let files = json!([{"id": "1", "name": "scan.pdf", "type": "application/pdf", "size": 9, "sha256": "ab"},
            {"id": "2", "name": "original.eml", "type": "message/rfc822", "size": 3, "sha256": "cd", "sha1": "x", "data": "YWJj"}]);
        let (fact, context) = charted("note.logged", &note(mail), json!({ "files": files }));
        let resources = resources(&fact, &context);
        let [document, event, original, provenance] = &resources[..] else { panic!("{resources:?}") };
        let attachment = &original["content"][0]["attachment"];
        assert_eq!((&attachment["contentType"], &attachment["data"]), (&json!("message/rfc822"), &json!("YWJj")));
        let reference = format!("DocumentReference/{}", original["identifier"][0]["value"].as_str().unwrap());
        assert_eq!(provenance["entity"], json!([{"role": "source", "what": {"reference": reference}}]));
        assert!(provenance.get("reason").is_none(), "it came in time");
        let payload = event["payload"].as_array().unwrap();
        assert_eq!(payload.len(), 2);
        assert_eq!(payload[1]["contentAttachment"]["title"], json!("scan.pdf (9 bytes, SHA-256 ab; not included)"));
        let data = crypto::from_base64(document["content"][0]["attachment"]["data"].as_str().unwrap()).unwrap();
        assert!(String::from_utf8(data).unwrap().contains("Message-ID: a@b"));
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
