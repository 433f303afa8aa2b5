//! An answer to a check-in as the chart takes it (FHIR R4): a Communication with each question and its answer. What was asked is no
//! statement about a patient and stands with the answers only.
//! Does not know: Bundles, requests, who sends it.

use serde_json::Value;

use super::ANSWERED;
use super::model::Answered;
use crate::features::channels::{Offered, Said, without_empty};
use crate::kernel::log::Fact;

/// The resource of a `checkin.answered`; none for any other entry.
pub(super) fn resources(fact: &Fact, context: &Value) -> Vec<Value> {
    if &*fact.event != ANSWERED {
        return Vec::new();
    }
    let Ok(answered) = fact.read::<Answered>() else { return Vec::new() };
    let offered = Offered(context);
    let said = Said::of("Answer to a check-in", text(offered.list("questions"), &answered));
    vec![without_empty(said.communication(fact, offered))]
}

fn text(questions: &[Value], answered: &Answered) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (at, answer) in answered.answers.iter().enumerate() {
        match questions.get(at).and_then(Value::as_str) {
            Some(question) => parts.push(format!("{question}\n{answer}")),
            None => parts.push(answer.clone()),
        }
    }
    let sbar = answered.sbar.iter().flat_map(|sbar| sbar.parts());
    parts.extend(sbar.map(|(name, part)| format!("{name}:\n{part}")));
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::features::channels::charted;

    #[test]
    fn each_answer_stands_under_its_question() {
        let body = json!({"id": Uuid::from_u128(7), "checkin": Uuid::from_u128(5), "item": Uuid::from_u128(2),
            "answers": ["Well", "No"], "sbar": {"situation": "Calm"}});
        let (fact, context) = charted("checkin.answered", &body, json!({"questions": ["How is he?", "Pain?"]}));
        let resources = resources(&fact, &context);
        let [answer] = &resources[..] else { panic!("{resources:?}") };
        let text = "How is he?\nWell\n\nPain?\nNo\n\nSituation:\nCalm";
        assert_eq!(answer["payload"], json!([{ "contentString": text }]));
        assert_eq!((&answer["about"][0], &answer["partOf"][0]), (&context["item"], &context["header"]));
        let (fact, context) = charted("checkin.opened", &json!({}), json!({}));
        assert!(super::resources(&fact, &context).is_empty());
    }
}
