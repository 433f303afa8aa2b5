//! What a person reads of an item: its title and detail.

use super::concept::Concept;
use super::element::{Element, Report};
use super::{DETAIL_CHARS_MAX, TITLE_CHARS_MAX};

/// Words on one line, runs of white space as one space, controls gone, cut at [`TITLE_CHARS_MAX`] characters.
pub(super) fn one_line(words: &str) -> String {
    whole_line(words).chars().take(TITLE_CHARS_MAX).collect()
}

fn whole_line(words: &str) -> String {
    let clean: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Title and detail of words and what else there is to say.
pub(super) fn title_and_detail(words: &str, more: Vec<String>) -> (String, Option<String>) {
    let title = one_line(words);
    let cut = title.chars().count() == TITLE_CHARS_MAX && whole_line(words).chars().count() > TITLE_CHARS_MAX;
    let parts: Vec<String> = cut
        .then(|| words.trim().to_owned())
        .into_iter()
        .chain(more)
        .filter(|part| !part.trim().is_empty() && *part != title)
        .collect();
    let detail: String = parts.join("\n").chars().take(DETAIL_CHARS_MAX).collect();
    (title, Some(detail).filter(|detail| !detail.is_empty()))
}

/// The words for a resource of a type that can be an item; none where it has none.
pub(super) fn words<'a>(element: &Element<'a>, kind: &str, report: &mut Report) -> Option<&'a str> {
    let found = match kind {
        "Goal" => concept(element, "description", report),
        "Task" => {
            // "fulfill" says what to do with the request, not what the work is.
            let code = Concept::member(element, "code", report).filter(|code| {
                !code.codes.iter().any(|coding| coding.system == Some("http://hl7.org/fhir/CodeSystem/task-code"))
            });
            code.and_then(|code| code.words()).or_else(|| element.text_of("description", report))
        }
        "Appointment" => element.text_of("description", report).or_else(|| {
            let services = element.objects_of("serviceType", report);
            first(services.iter(), report).or_else(|| concept(element, "appointmentType", report))
        }),
        "CommunicationRequest" => {
            let payload = element.objects_of("payload", report);
            let said = payload.iter().find_map(|part| part.text_of("contentString", report));
            said.or_else(|| first(element.objects_of("category", report).iter(), report))
        }
        "DeviceRequest" => {
            concept(element, "codeCodeableConcept", report).or_else(|| display(element, "codeReference", report))
        }
        "MedicationRequest" => concept(element, "medicationCodeableConcept", report)
            .or_else(|| display(element, "medicationReference", report)),
        "NutritionOrder" => nutrition(element, report),
        "VisionPrescription" => {
            let lenses = element.objects_of("lensSpecification", report);
            lenses.iter().find_map(|lens| concept(lens, "product", report))
        }
        "RequestGroup" => concept(element, "code", report).or_else(|| {
            let actions = element.objects_of("action", report);
            actions.iter().find_map(|action| action.text_of("title", report))
        }),
        _ => concept(element, "code", report),
    };
    found.filter(|words| !whole_line(words).is_empty())
}

/// An activity told in place: its description, else its code.
pub(super) fn activity_words<'a>(detail: &Element<'a>, report: &mut Report) -> Option<&'a str> {
    let description = detail.text_of("description", report).filter(|words| !whole_line(words).is_empty());
    description.or_else(|| concept(detail, "code", report)).filter(|words| !whole_line(words).is_empty())
}

fn nutrition<'a>(element: &Element<'a>, report: &mut Report) -> Option<&'a str> {
    let diet = element.object_of("oralDiet", report);
    let diets = diet.as_ref().map(|diet| diet.objects_of("type", report)).unwrap_or_default();
    let supplements = element.objects_of("supplement", report);
    let formula = element.object_of("enteralFormula", report);
    first(diets.iter(), report)
        .or_else(|| diet.and_then(|diet| diet.text_of("instruction", report)))
        .or_else(|| {
            supplements
                .iter()
                .find_map(|one| concept(one, "type", report).or_else(|| one.text_of("productName", report)))
        })
        .or_else(|| formula.and_then(|formula| concept(&formula, "baseFormulaType", report)))
}

fn first<'e, 'a: 'e>(mut concepts: impl Iterator<Item = &'e Element<'a>>, report: &mut Report) -> Option<&'a str> {
    concepts.find_map(|one| Concept::of(one, report).words())
}

fn concept<'a>(element: &Element<'a>, name: &str, report: &mut Report) -> Option<&'a str> {
    Concept::member(element, name, report).and_then(|concept| concept.words())
}

fn display<'a>(element: &Element<'a>, name: &str, report: &mut Report) -> Option<&'a str> {
    element.object_of(name, report).and_then(|reference| reference.text_of("display", report))
}

/// What else a person should read: targets of a goal, the work of a task, how a medication is taken.
pub(super) fn more(element: &Element<'_>, kind: &str, report: &mut Report) -> Vec<String> {
    let owned = |text: Option<&str>| text.map(str::to_owned).into_iter().collect();
    match kind {
        "Goal" => {
            let targets = element.objects_of("target", report);
            targets.iter().filter_map(|target| goal_target(target, report)).collect()
        }
        "Task" => owned(element.text_of("description", report)),
        "Appointment" => owned(element.text_of("comment", report)),
        "ServiceRequest" => owned(element.text_of("patientInstruction", report)),
        "MedicationRequest" => {
            let doses = element.objects_of("dosageInstruction", report);
            doses.iter().filter_map(|dose| dose.text_of("text", report).map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

/// A Goal's target on one line: measure, value, due date.
fn goal_target(target: &Element<'_>, report: &mut Report) -> Option<String> {
    let measure = concept(target, "measure", report).map(str::to_owned);
    let range = target.object_of("detailRange", report).map(|range| {
        let end = |name: &str, report: &mut Report| {
            range.object_of(name, report).and_then(|end| quantity(&end, report)).unwrap_or_default()
        };
        format!("{} to {}", end("low", report), end("high", report))
    });
    let value = target
        .object_of("detailQuantity", report)
        .and_then(|one| quantity(&one, report))
        .or(range)
        .or_else(|| target.text_of("detailString", report).map(str::to_owned))
        .or_else(|| concept(target, "detailCodeableConcept", report).map(str::to_owned));
    let line = [measure, value].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let line = match target.text_of("dueDate", report) {
        Some(due) => format!("{line} by {due}"),
        None => line,
    };
    Some(whole_line(&line)).filter(|line| !line.is_empty())
}

fn quantity(element: &Element<'_>, report: &mut Report) -> Option<String> {
    let value = element.value.get("value").filter(|value| value.is_number())?;
    let parts = [
        element.text_of("comparator", report).map(str::to_owned),
        Some(value.to_string()),
        element.text_of("unit", report).map(str::to_owned),
    ];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_title_is_cut_by_characters_and_kept_whole_in_the_detail() {
        let long = "é ".repeat(400);
        let (title, detail) = title_and_detail(&long, vec!["and more".into()]);
        assert_eq!(title.chars().count(), TITLE_CHARS_MAX);
        assert_eq!(detail.as_deref(), Some(format!("{}\nand more", long.trim()).as_str()));
        assert_eq!(title_and_detail(" a\n\u{0}b\t c ", Vec::new()), ("a b c".to_owned(), None));
        let (_, detail) = title_and_detail(&"x".repeat(20_000), Vec::new());
        assert_eq!(detail.map(|detail| detail.len()), Some(DETAIL_CHARS_MAX));
    }
}
