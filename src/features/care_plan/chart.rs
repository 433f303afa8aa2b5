//! A plan item as the chart takes it (FHIR R4): goals as Goal, problems and barriers as Condition, activities as Task. The two standing
//! items are no resources: they are the CarePlan, which is the exporter's.
//! Pure. Does not know Bundles or what else is exported; `context` is what the exporter offers every kind, with the item as it stands
//! in `current`.

use serde_json::{Value, json};

use super::entries::{ADDED, Added, Code, Content, Kind};
use crate::kernel::log::Fact;
use crate::kernel::policy::Holder;

/// The resources of an entry; none for entries that only change another.
pub(super) fn resources(fact: &Fact, context: &Value) -> Vec<Value> {
    if *fact.event != *ADDED {
        return Vec::new();
    }
    let Ok(item) = serde_json::from_value::<Added>(context["current"].clone()) else { return Vec::new() };
    let resource = match item.kind {
        Some(Kind::Goal) => goal(context, &item),
        Some(Kind::Problem | Kind::Barrier) => condition(context, &item),
        Some(Kind::Activity) => task(context, &item),
        None => return Vec::new(),
    };
    vec![with_source(resource, &context["source"])]
}

/// Elements of a source that are its server's own, or that point into it.
const NOT_SENT_BACK: [&str; 8] =
    ["resourceType", "id", "meta", "text", "contained", "implicitRules", "language", "identifier"];

/// What the source says and we do not goes back with the item, but for what points to things of the server it came from.
#[must_use]
pub fn with_source(mut resource: Value, source: &Value) -> Value {
    let same = source["resourceType"] == resource["resourceType"];
    let (Some(theirs), Some(ours)) = (source.as_object().filter(|_| same), resource.as_object_mut()) else {
        return resource;
    };
    for (name, value) in theirs.iter().filter(|(name, _)| !NOT_SENT_BACK.contains(&name.as_str())) {
        let said = |name: &str| ours.get(name).is_some_and(|value| !is_empty(value));
        if said(name) || name.strip_prefix('_').is_some_and(said) {
            continue;
        }
        if let Some(value) = standing_alone(value) {
            ours.insert(name.clone(), value);
        }
    }
    let identifiers = theirs.get("identifier").and_then(standing_alone);
    if let (Some(Value::Array(theirs)), Some(Value::Array(ours))) = (identifiers, ours.get_mut("identifier")) {
        ours.extend(theirs);
    }
    resource
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// A value without the elements that refer to something; none if nothing is left of it.
fn standing_alone(value: &Value) -> Option<Value> {
    fn refers(value: &Value) -> bool {
        match value {
            Value::Array(elements) => elements.iter().any(refers),
            Value::Object(members) => members.contains_key("reference") || members.values().any(refers),
            _ => false,
        }
    }
    match value {
        Value::Array(elements) => {
            let kept: Vec<Value> = elements.iter().filter(|element| !refers(element)).cloned().collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        other => (!refers(other)).then(|| other.clone()),
    }
}

fn identifier(context: &Value, item: &Added) -> Value {
    json!([{ "system": context["system"], "value": item.id }])
}

/// Codings of the source and the title; nothing that neither of them holds.
fn concept(content: &Content) -> Value {
    let coding = |code: &Code| json!({ "system": code.system, "code": code.code, "display": code.display });
    json!({ "coding": content.codes.iter().map(coding).collect::<Vec<_>>(), "text": content.title })
}

/// The detail, then the notes of the source with who wrote them.
fn annotations(content: &Content) -> Vec<Value> {
    let detail = content.detail.iter().map(|detail| json!({ "text": detail }));
    let notes = content.notes.iter().map(|note| {
        // A time that FHIR does not read stays with the words it belongs to.
        let time = note.at.as_deref().filter(|at| is_date_time(at));
        json!({ "authorString": note.author, "time": time, "text": note.text })
    });
    detail.chain(notes).collect()
}

/// A FHIR `dateTime` (R4 datatypes): a year, month or day, or a time to the second with its offset.
fn is_date_time(text: &str) -> bool {
    let whole_time = text.len() >= 20 && text.as_bytes().get(16) == Some(&b':');
    super::super::patients::is_date(text) || (whole_time && text.parse::<jiff::Timestamp>().is_ok())
}

/// Addressed items that are of that type in the chart.
fn addressed(context: &Value, item: &Added, class: &str) -> Vec<Value> {
    let known = |id: &crate::kernel::base::ItemId| context["known"].get(id.to_string());
    let references = item.content.addresses.iter().filter_map(known);
    references.filter(|one| one["reference"].as_str().is_some_and(|text| text.starts_with(class))).cloned().collect()
}

fn goal(context: &Value, item: &Added) -> Value {
    const STATES: [&str; 9] = [
        "proposed",
        "planned",
        "accepted",
        "active",
        "on-hold",
        "completed",
        "cancelled",
        "entered-in-error",
        "rejected",
    ];
    let status = match item.status.as_str() {
        status if STATES.contains(&status) => status,
        "stopped" | "revoked" => "cancelled",
        _ if item.closed => "completed",
        _ => "active",
    };
    let day = item.content.due.as_deref().and_then(|due| due.get(..10.min(due.len())));
    json!({
        "resourceType": "Goal",
        "identifier": identifier(context, item),
        "lifecycleStatus": status,
        "description": concept(&item.content),
        "subject": context["subject"],
        "target": day.map(|day| json!([{ "dueDate": day }])),
        "addresses": addressed(context, item, "Condition/"),
        "note": annotations(&item.content),
    })
}

fn condition(context: &Value, item: &Added) -> Value {
    const CLINICAL: [&str; 6] = ["active", "recurrence", "relapse", "inactive", "remission", "resolved"];
    let error = item.status == "entered-in-error";
    let clinical = match item.status.as_str() {
        status if CLINICAL.contains(&status) => status,
        "completed" => "resolved",
        _ if item.closed => "inactive",
        _ => "active",
    };
    let coded = |system: &str, code: &str| json!({ "coding": [{ "system": system, "code": code }] });
    // A condition entered in error has no clinical status (FHIR rule con-5).
    let clinical = (!error).then(|| coded("http://terminology.hl7.org/CodeSystem/condition-clinical", clinical));
    let verification =
        error.then(|| coded("http://terminology.hl7.org/CodeSystem/condition-ver-status", "entered-in-error"));
    // What stands in the way of care: US Core's tag for social determinants of health, and our word.
    let barrier = (item.kind == Some(Kind::Barrier)).then(|| {
        let sdoh = json!({ "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-category", "code": "sdoh" });
        json!([{ "coding": [sdoh], "text": "Barrier" }])
    });
    json!({
        "resourceType": "Condition",
        "identifier": identifier(context, item),
        "clinicalStatus": clinical,
        "verificationStatus": verification,
        "category": barrier,
        "code": concept(&item.content),
        "subject": context["subject"],
        "note": annotations(&item.content),
    })
}

fn task(context: &Value, item: &Added) -> Value {
    const STATES: [&str; 12] = [
        "draft",
        "requested",
        "received",
        "accepted",
        "rejected",
        "ready",
        "cancelled",
        "in-progress",
        "on-hold",
        "failed",
        "completed",
        "entered-in-error",
    ];
    let status = match item.status.as_str() {
        status if STATES.contains(&status) => status,
        "stopped" | "revoked" | "noshow" => "cancelled",
        _ if item.closed => "completed",
        // Nobody has to accept it, and that somebody began is not known.
        _ => "ready",
    };
    let owner = match &item.content.owner {
        Some(Holder::User(user)) => context["known"].get(user.to_string()).unwrap_or(&context["team"]),
        _ => &context["team"],
    };
    let goals = context["goals"].as_array().map(Vec::as_slice).unwrap_or_default();
    let pertains = goals.iter().map(|goal| {
        json!({ "url": "http://hl7.org/fhir/StructureDefinition/resource-pertainsToGoal", "valueReference": goal })
    });
    let plan = context["plan"]["reference"].as_str().and_then(|reference| reference.split_once('/'));
    let due = item.content.due.as_deref().filter(|due| is_date_time(due));
    json!({
        "resourceType": "Task",
        "extension": pertains.collect::<Vec<_>>(),
        "identifier": identifier(context, item),
        "basedOn": [context["plan"]],
        "groupIdentifier": plan.map(|(_, id)| json!({ "system": context["system"], "value": id })),
        "status": status,
        "intent": "plan",
        "code": concept(&item.content),
        "description": item.content.title,
        "for": context["subject"],
        "authoredOn": context["recorded"],
        "lastModified": context["modified"],
        "requester": context["author"],
        "owner": owner,
        "restriction": due.map(|due| json!({ "period": { "end": due } })),
        "note": annotations(&item.content),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_source_says_and_we_do_not_goes_back_without_what_points_into_its_server() {
        let ours = json!({"resourceType": "Goal", "identifier": [{"value": "ours"}], "lifecycleStatus": "active", "target": null, "note": []});
        let source = json!({
            "resourceType": "Goal", "id": "g1", "meta": {"versionId": "3"}, "identifier": [{"value": "theirs"}],
            "lifecycleStatus": "proposed", "priority": {"text": "high"}, "target": [{"dueDate": "2027-01-01"}],
            "expressedBy": {"reference": "Patient/9"}, "_lifecycleStatus": {"extension": []},
            "extension": [{"url": "https://a.example/x", "valueString": "kept"}, {"url": "https://a.example/y", "valueReference": {"reference": "Goal/1"}}],
        });
        let sent = with_source(ours.clone(), &source);
        let expected = json!({
            "resourceType": "Goal", "identifier": [{"value": "ours"}, {"value": "theirs"}], "lifecycleStatus": "active",
            "target": [{"dueDate": "2027-01-01"}], "note": [], "priority": {"text": "high"},
            "extension": [{"url": "https://a.example/x", "valueString": "kept"}],
        });
        assert_eq!(sent, expected);
        assert_eq!(with_source(ours.clone(), &json!({"resourceType": "ServiceRequest", "priority": "asap"})), ours);
        assert_eq!(with_source(ours.clone(), &Value::Null), ours);
    }
}
