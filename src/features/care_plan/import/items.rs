//! One resource, or one activity told in place, into one plan item. Does not know plans or whose it is.

use super::concept::{Concept, notes};
use super::element::{Element, Report};
use super::reading::{ItemKind, ItemSource, Place, ResourceKey};
use super::references::list;
use super::{status, titles};
use crate::kernel::base::Phi;

/// What stands behind an item.
pub(super) struct Origin<'a> {
    pub key: ResourceKey,
    /// Its JSON, byte for byte.
    pub raw: &'a str,
    pub place: Option<Place>,
    /// What a reference to it calls it; used where it has no words of its own.
    pub called: Option<&'a str>,
}

/// An item of a Condition, a Goal, or a resource that can be an activity.
pub(super) fn of_resource(
    element: &Element<'_>,
    kind: &'static str,
    origin: Origin<'_>,
    report: &mut Report,
) -> ItemSource {
    let id =
        element.value.get("id").and_then(serde_json::Value::as_str).map(titles::one_line).filter(|id| !id.is_empty());
    let words = titles::words(element, kind, report).or(origin.called).map(str::to_owned);
    let words = words.or(id).unwrap_or_else(|| format!("Unnamed {kind}"));
    let more = titles::more(element, kind, report);
    let (coded, item_kind) = match kind {
        "Goal" => ("description", ItemKind::Goal),
        "Condition" if is_barrier(element) => ("code", ItemKind::Barrier),
        "Condition" => ("code", ItemKind::Problem),
        "DeviceRequest" => ("codeCodeableConcept", ItemKind::Activity),
        "MedicationRequest" => ("medicationCodeableConcept", ItemKind::Activity),
        _ => ("code", ItemKind::Activity),
    };
    let state = status::of_resource(element, kind, report);
    let due = status::due(element, kind, report);
    let notes = notes(element, "note", report);
    let codes = Concept::member(element, coded, report).unwrap_or_default().to_codes();
    ItemSource { codes, due, notes, ..bare(origin, item_kind, state, &words, more) }
}

/// An item of `CarePlan.activity.detail`.
pub(super) fn of_detail(detail: &Element<'_>, position: usize, origin: Origin<'_>, report: &mut Report) -> ItemSource {
    let concept = Concept::member(detail, "code", report).unwrap_or_default();
    let words =
        titles::activity_words(detail, report).map_or_else(|| format!("Activity {}", position + 1), str::to_owned);
    let more = concept.words().map(str::to_owned).into_iter().collect();
    let state = status::of_code(detail, "status", report);
    let due = status::due(detail, "activity", report);
    ItemSource { codes: concept.to_codes(), due, ..bare(origin, ItemKind::Activity, state, &words, more) }
}

/// An item of nothing but the words of a reference: open, without code, flagged.
pub(super) fn of_words(words: &str, kind: ItemKind, origin: Origin<'_>) -> ItemSource {
    ItemSource { flagged: true, ..bare(origin, kind, status::State::default(), words, Vec::new()) }
}

fn bare(origin: Origin<'_>, kind: ItemKind, state: status::State, words: &str, more: Vec<String>) -> ItemSource {
    let (title, detail) = titles::title_and_detail(words, more);
    ItemSource {
        key: origin.key,
        kind,
        title: Phi::new(title),
        detail: detail.map(Phi::new),
        codes: Vec::new(),
        closed: state.closed,
        source_status: state.word,
        due: None,
        addresses: Vec::new(),
        plans: Vec::new(),
        flagged: false,
        notes: Vec::new(),
        place: origin.place,
        raw: Phi::new(origin.raw.to_owned()),
    }
}

/// A Condition about social determinants of health: category `sdoh` (US Core), or the categories and profiles of SDOHCC.
fn is_barrier(element: &Element<'_>) -> bool {
    let text = |value: &serde_json::Value, name: &str| {
        value.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let coded = list(element.value, "category")
        .iter()
        .flat_map(|category| list(category, "coding"))
        .any(|coding| text(coding, "code").eq_ignore_ascii_case("sdoh") || text(coding, "system").contains("SDOHCC"));
    let profiles = element.value.get("meta").map_or(&[][..], |meta| list(meta, "profile"));
    coded || profiles.iter().any(|profile| profile.as_str().is_some_and(|profile| profile.contains("SDOHCC")))
}

/// The references of an item that may lead to other items.
pub(super) fn links<'a>(element: &Element<'a>, kind: &str, report: &mut Report) -> Vec<Element<'a>> {
    let mut links = match kind {
        "Goal" => element.objects_of("addresses", report),
        "Condition" => Vec::new(),
        "Task" => {
            element.object_of("focus", report).into_iter().chain(element.object_of("reasonReference", report)).collect()
        }
        "activity" => [element.objects_of("goal", report), element.objects_of("reasonReference", report)].concat(),
        _ => element.objects_of("reasonReference", report),
    };
    for extension in element.objects_of("extension", report) {
        if extension.text_of("url", report) == Some("http://hl7.org/fhir/StructureDefinition/resource-pertainsToGoal") {
            links.extend(extension.object_of("valueReference", report));
        }
    }
    links
}
