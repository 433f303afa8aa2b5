//! A handoff as the chart takes it (FHIR R4): a Communication from the offerer to the colleague with the sections of I-PASS, and, once it is
//! accepted, a second one in response that says what the colleague understood. What else became of it is a note on the first.
//! Does not know: Bundles, requests, who sends it.

use serde_json::{Value, json};

use super::entries::{ACCEPTED, Accepted, Actions, DECLINED, ESCALATED, Ipass, OFFERED, Offered, Severity, WITHDRAWN};
use crate::features::channels::{Offered as Context, Said, chart_text, without_empty};
use crate::kernel::log::Fact;

/// The resources of an entry; none for those that are told with the offer.
pub(super) fn resources(fact: &Fact, context: &Value) -> Vec<Value> {
    let context = Context(context);
    match &*fact.event {
        OFFERED => fact.read().map_or_else(|_| Vec::new(), |offer| vec![offered(fact, context, &offer)]),
        ACCEPTED => fact.read().map_or_else(|_| Vec::new(), |accepted| vec![synthesis(fact, context, accepted)]),
        _ => Vec::new(),
    }
}

/// The four parts that the offerer says, under their names.
fn sections(ipass: &Ipass) -> String {
    let severity = match ipass.illness_severity {
        Severity::Stable => "stable",
        Severity::Watcher => "watcher",
        Severity::Unstable => "unstable",
    };
    let actions = match &ipass.action_list {
        Actions::Text(text) => text.clone(),
        Actions::List(list) if list.is_empty() => "Nothing to do".to_owned(),
        Actions::List(list) => list.iter().map(|one| format!("- {one}")).collect::<Vec<_>>().join("\n"),
    };
    format!(
        "Illness severity:\n{severity}\n\nPatient summary:\n{}\n\nAction list:\n{actions}\n\nSituation awareness and contingency planning:\n{}",
        ipass.patient_summary, ipass.situation_awareness
    )
}

fn offered(fact: &Fact, context: Context<'_>, offer: &Offered) -> Value {
    let said =
        Said { category: "instruction", threaded: false, ..Said::of("Handoff (I-PASS)", sections(&offer.ipass)) };
    let mut communication = said.communication(fact, context);
    communication["topic"] = json!({"text": "Handoff"});
    communication["recipient"] = json!(context.known(&offer.to.to_string()).into_iter().collect::<Vec<_>>());
    if let Some(about) = communication["about"].as_array_mut() {
        about.extend(offer.tasks.iter().filter_map(|task| context.known(&task.to_string())).cloned());
    }
    communication["note"] = context.list("changes").iter().filter_map(remark).collect();
    without_empty(communication)
}

/// What became of an offer: who, when and that, and why it was not taken (*Annotation*).
fn remark(one: &Value) -> Option<Value> {
    let why = || one["data"]["reason"].as_str().unwrap_or_default();
    let text = match one.get("event")?.as_str()? {
        ACCEPTED => "Accepted".to_owned(),
        DECLINED => format!("Declined: {}", why()),
        WITHDRAWN => format!("Withdrawn: {}", why()),
        ESCALATED => "Brought before whoever has to act".to_owned(),
        _ => return None,
    };
    Some(json!({"authorReference": one.get("author")?, "time": one.get("recorded")?, "text": chart_text(&text)}))
}

fn synthesis(fact: &Fact, context: Context<'_>, accepted: Accepted) -> Value {
    let said = Said {
        to: Some(accepted.handoff),
        threaded: false,
        ..Said::of("Synthesis by the receiver of a handoff", accepted.synthesis)
    };
    without_empty(said.communication(fact, context))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::features::channels::charted;

    #[test]
    fn a_handoff_has_its_sections_and_its_outcome() {
        let body = json!({"id": Uuid::from_u128(7), "patient": Uuid::from_u128(1), "to": Uuid::from_u128(4), "tasks": [Uuid::from_u128(9)],
            "responsibilities": [], "respond_minutes": 30, "ipass": {"illness_severity": "watcher", "patient_summary": "Fever <39>",
            "action_list": ["Cultures", "Fluids"], "situation_awareness": "Call if worse"}});
        let declined = json!({"event": "handoff.declined", "id": Uuid::from_u128(8), "recorded": "2026-03-02T17:00:00.000Z",
            "author": {"reference": "Practitioner/b"}, "had": false, "data": {"reason": "Off duty"}});
        let known = json!({Uuid::from_u128(4).to_string(): {"reference": "Practitioner/4"}, Uuid::from_u128(9).to_string(): {"reference": "Task/9"}});
        let (fact, context) = charted("handoff.offered", &body, json!({"changes": [declined], "known": known}));
        let resources = resources(&fact, &context);
        let [offer] = &resources[..] else { panic!("{resources:?}") };
        let text = offer["payload"][0]["contentString"].as_str().unwrap();
        for part in ["watcher", "Fever <39>", "- Cultures\n- Fluids", "Call if worse"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(offer["recipient"], json!([{"reference": "Practitioner/4"}]));
        assert_eq!(offer["about"], json!([context["item"], {"reference": "Task/9"}]));
        assert_eq!(offer["note"][0]["text"], json!("Declined: Off duty"));
        assert!(offer.get("partOf").is_none(), "the plan channel is no conversation");
    }

    #[test]
    fn a_synthesis_answers_the_handoff() {
        let body = json!({"id": Uuid::from_u128(7), "handoff": Uuid::from_u128(5), "synthesis": "I have it", "tasks": [], "responsibilities": []});
        let (fact, context) = charted("handoff.accepted", &body, json!({}));
        let answer = &resources(&fact, &context)[0];
        assert_eq!(answer["inResponseTo"], json!([{"reference": "Communication/5"}]));
        assert_eq!(answer["payload"], json!([{"contentString": "I have it"}]));
    }
}
