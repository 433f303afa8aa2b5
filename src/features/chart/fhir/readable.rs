//! Resources in words: what a person reads in a section of a document. Pure: from the resources alone, so that text and resources cannot
//! say different things.

use serde_json::Value;

use crate::kernel::crypto::{from_base64, hash, hex};

/// A time as a person reads it, with its zone.
pub(super) fn time(kept: &str) -> String {
    match (kept.split_once('T'), kept.strip_suffix('Z')) {
        (Some(_), Some(utc)) => format!("{} UTC", utc.replacen('T', " ", 1)),
        _ => kept.to_owned(),
    }
}

/// A head of parts and the lines under it; what is empty is left out.
pub(super) fn paragraph(head: &[&str], lines: &[&str]) -> String {
    let parts: Vec<&str> = head.iter().copied().filter(|part| !part.is_empty()).collect();
    let mut text = parts.join(" · ");
    for line in lines.iter().filter(|line| !line.is_empty()) {
        text.push('\n');
        text.push_str(line);
    }
    text
}

fn text<'r>(resource: &'r Value, pointer: &str) -> &'r str {
    resource.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn labelled(label: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{label}: {value}") }
}

fn list<'r>(resource: &'r Value, member: &str) -> &'r [Value] {
    resource[member].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn displays(references: &[Value]) -> String {
    let names: Vec<&str> = references.iter().filter_map(|one| one["display"].as_str()).collect();
    names.join("; ")
}

/// What was said, asked or done. `role` is what its author is.
pub(super) fn lines(resource: &Value, role: &str) -> Vec<String> {
    match resource["resourceType"].as_str().unwrap_or_default() {
        "Communication" => communication(resource, role),
        "DocumentReference" => document(resource, role),
        "Task" => task(resource, role),
        "Provenance" => provenance(resource),
        _ => Vec::new(),
    }
}

/// A file: name, type, size and SHA-256 of its content, where that is here.
fn file(attachment: &Value) -> String {
    let data = attachment["data"].as_str().and_then(from_base64);
    let sha256 = data.map(|bytes| format!("{} bytes, SHA-256 {}", bytes.len(), hex(&hash(&bytes))));
    let parts = [text(attachment, "/title"), text(attachment, "/contentType"), sha256.as_deref().unwrap_or_default()];
    labelled("File", &parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "))
}

fn notes(resource: &Value) -> Vec<String> {
    let note = |one: &Value| {
        let author = [text(one, "/authorReference/display"), text(one, "/authorString")].concat();
        paragraph(&[&time(text(one, "/time")), &author, text(one, "/text")], &[])
    };
    list(resource, "note").iter().map(note).collect()
}

fn communication(resource: &Value, role: &str) -> Vec<String> {
    let (sent, item) = (time(text(resource, "/sent")), displays(list(resource, "about")));
    let head = [
        sent.as_str(),
        text(resource, "/sender/display"),
        role,
        text(resource, "/category/0/text"),
        text(resource, "/priority"),
        text(resource, "/medium/0/coding/0/display"),
    ];
    let mut lines = vec![labelled("Care plan item", &item), labelled("To", &displays(list(resource, "recipient")))];
    for payload in list(resource, "payload") {
        if let Some(words) = payload["contentString"].as_str() {
            lines.push(words.to_owned());
        } else if payload["contentAttachment"].is_object() {
            lines.push(file(&payload["contentAttachment"]));
        } else {
            lines.push(text(payload, "/contentReference/display").to_owned());
        }
    }
    lines.push(labelled("Why it was retracted", text(resource, "/statusReason/text")));
    lines.extend(notes(resource));
    vec![paragraph(&head, &lines.iter().map(String::as_str).collect::<Vec<_>>())]
}

fn document(resource: &Value, role: &str) -> Vec<String> {
    let attachment = &resource["content"][0]["attachment"];
    let plain = text(attachment, "/contentType").starts_with("text/plain");
    let data = attachment["data"].as_str().filter(|_| plain).and_then(from_base64);
    let words = data.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| file(attachment));
    let documented = labelled("Documented", &time(text(resource, "/date")));
    let head = [documented.as_str(), text(resource, "/author/0/display"), role, text(resource, "/description")];
    vec![paragraph(&head, &[&words])]
}

fn task(resource: &Value, role: &str) -> Vec<String> {
    let due = labelled("due", &time(text(resource, "/restriction/period/end")));
    let made = time(text(resource, "/authoredOn"));
    let owner = match text(resource, "/owner/display") {
        "" => "the care team",
        name => name,
    };
    let owner = labelled("owner", owner);
    let head = [
        &made,
        text(resource, "/requester/display"),
        role,
        text(resource, "/status"),
        &owner,
        &due,
        text(resource, "/priority"),
    ];
    let mut lines =
        vec![labelled("Care plan item", text(resource, "/focus/display")), text(resource, "/description").to_owned()];
    lines.push(labelled("Why", text(resource, "/statusReason/text")));
    lines.push(labelled("Begun", &time(text(resource, "/executionPeriod/start"))));
    lines.push(labelled("Ended", &time(text(resource, "/executionPeriod/end"))));
    lines.extend(notes(resource));
    vec![paragraph(&head, &lines.iter().map(String::as_str).collect::<Vec<_>>())]
}

fn provenance(resource: &Value) -> Vec<String> {
    let activity = match text(resource, "/activity/coding/0/code") {
        "NULLIFY" => "Retracted",
        "UPDATE" => "Changed",
        _ => "Documented",
    };
    let recorded = time(text(resource, "/recorded"));
    let head = [&recorded, text(resource, "/agent/0/who/display"), activity, text(resource, "/reason/0/text")];
    vec![paragraph(&head, &[])]
}

/// A plan item, or the plan.
pub(super) fn item(resource: &Value) -> Vec<String> {
    let class = text(resource, "/resourceType");
    if class == "CarePlan" {
        return vec![paragraph(&["Care plan", text(resource, "/status")], &[])];
    }
    let title = [text(resource, "/description/text"), text(resource, "/code/text")].concat();
    let status = [
        text(resource, "/lifecycleStatus"),
        text(resource, "/clinicalStatus/coding/0/code"),
        text(resource, "/status"),
    ];
    let due = [text(resource, "/target/0/dueDate"), text(resource, "/restriction/period/end")].concat();
    let kind = if class == "Task" { "Activity" } else { class };
    let lines = notes(resource);
    let head = [kind, &title, &status.concat(), &labelled("due", &due)];
    vec![paragraph(&head, &lines.iter().map(String::as_str).collect::<Vec<_>>())]
}

/// Who is on the team, as what and since when.
pub(super) fn team(resource: &Value) -> Vec<String> {
    let member = |one: &Value| {
        let since = labelled("since", &time(text(one, "/period/start")));
        paragraph(&[text(one, "/member/display"), text(one, "/role/0/text"), &since], &[])
    };
    let members: Vec<String> = list(resource, "participant").iter().map(member).collect();
    vec![paragraph(&["Care team"], &members.iter().map(String::as_str).collect::<Vec<_>>())]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_reads_as_a_message() {
        let message = json!({"resourceType": "Communication", "sent": "2026-03-02T14:31:07.412Z", "sender": {"display": "Maja"},
            "category": [{"text": "Care team message"}], "priority": "urgent", "about": [{"display": "Pressure"}],
            "recipient": [{"display": "Ada"}, {"display": "Ben"}],
            "payload": [{"contentString": "BP 162/95\nat home"}, {"contentAttachment": {"title": "a.txt", "contentType": "text/plain", "data": "YWJj"}}],
            "note": [{"authorReference": {"display": "Ben"}, "time": "2026-03-02T15:00:00.000Z", "text": "Acknowledged"}]});
        let lines = lines(&message, "Nurse");
        let expected = "2026-03-02 14:31:07.412 UTC · Maja · Nurse · Care team message · urgent\nCare plan item: Pressure\nTo: Ada; Ben\n\
            BP 162/95\nat home\nFile: a.txt, text/plain, 3 bytes, SHA-256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n\
            2026-03-02 15:00:00.000 UTC · Ben · Acknowledged";
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn a_note_is_its_text_and_a_mail_its_file() {
        let of = |content: Value| {
            lines(
                &json!({"resourceType": "DocumentReference", "date": "2026-03-02T14:31:07.412Z", "author": [{"display": "Maja"}],
                "content": [{"attachment": content}]}),
                "",
            )
        };
        let note = of(json!({"contentType": "text/plain; charset=utf-8", "data": "YWJj"}));
        assert_eq!(note, ["Documented: 2026-03-02 14:31:07.412 UTC · Maja\nabc"]);
        let mail = of(json!({"contentType": "message/rfc822", "title": "original.eml", "data": "YWJj"}));
        assert!(mail[0].contains("File: original.eml, message/rfc822, 3 bytes, SHA-256 ba7816bf"), "{mail:?}");
    }
}
