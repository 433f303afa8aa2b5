//! The source's words for a state, whether they mean an item is over, and when it is due.

use super::concept::{Concept, end_of};
use super::element::{Element, MISSING, Report};
use crate::kernel::base::Micros;

/// The states FHIR R4 knows for what can become an item, and whether they close it. Source: the required value sets
/// condition-clinical, condition-ver-status, goal-status, care-plan-activity-status, request-status, task-status,
/// medicationrequest-status, appointmentstatus, fm-status.
const STATES: &[(&str, bool)] = &[
    ("accepted", false),
    ("active", false),
    ("arrived", false),
    ("booked", false),
    ("cancelled", true),
    ("checked-in", false),
    ("completed", true),
    ("draft", false),
    ("entered-in-error", true),
    ("failed", true),
    ("fulfilled", true),
    ("in-progress", false),
    ("inactive", true),
    ("noshow", true),
    ("not-started", false),
    ("on-hold", false),
    ("pending", false),
    ("planned", false),
    ("proposed", false),
    ("ready", false),
    ("received", false),
    ("recurrence", false),
    ("refuted", true),
    ("rejected", true),
    ("relapse", false),
    ("remission", true),
    ("requested", false),
    ("resolved", true),
    ("revoked", true),
    ("scheduled", false),
    ("stopped", true),
    ("unknown", false),
    ("waitlist", false),
];

/// What the source says of an item's state.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct State {
    /// The source's word, as a constant.
    pub word: Option<&'static str>,
    /// It is over.
    pub closed: bool,
}

/// That word as a state; none where FHIR does not know it.
pub(super) fn state(word: &str) -> Option<State> {
    let (word, closed) = STATES.iter().find(|(known, _)| *known == word)?;
    Some(State { word: Some(word), closed: *closed })
}

/// The state of a resource that becomes an item. What is missing or unknown is listed and leaves the item open: to close it
/// would hide it.
pub(super) fn of_resource(element: &Element<'_>, kind: &str, report: &mut Report) -> State {
    match kind {
        "Condition" => of_condition(element, report),
        "Goal" => of_code(element, "lifecycleStatus", report),
        _ => of_code(element, "status", report),
    }
}

/// The state in the code member of that name, which FHIR requires.
pub(super) fn of_code(element: &Element<'_>, name: &str, report: &mut Report) -> State {
    let path = format!("{}.{name}", element.path);
    let Some(member) = element.member(name) else {
        report.note_at(element.file, &path, MISSING);
        return State::default();
    };
    let Some(word) = member.text(report) else { return State::default() };
    state(word).unwrap_or_else(|| {
        report.note(&member, "not a status FHIR knows here");
        State::default()
    })
}

/// Closed by either: a Condition entered in error has no clinical status at all (FHIR rule con-5).
fn of_condition(element: &Element<'_>, report: &mut Report) -> State {
    let mut found = State::default();
    for name in ["clinicalStatus", "verificationStatus"] {
        let Some(member) = element.object_of(name, report) else { continue };
        let concept = Concept::of(&member, report);
        let states: Vec<State> = concept.codes.iter().filter_map(|coding| coding.code.and_then(state)).collect();
        if name == "clinicalStatus" {
            if states.is_empty() {
                report.note(&member, "no clinical status FHIR knows");
            }
            found = states.first().copied().unwrap_or_default();
        } else if let Some(closing) = states.iter().find(|state| state.closed) {
            found = *closing;
        }
    }
    found
}

/// When an item of that type is due; the latest where the source names several moments.
pub(super) fn due(element: &Element<'_>, kind: &str, report: &mut Report) -> Option<Micros> {
    match kind {
        "Goal" => {
            let targets = element.objects_of("target", report);
            targets.iter().filter_map(|target| moment(target, &["dueDate"], report)).max()
        }
        "Task" => moment(element, &["restriction", "period", "end"], report),
        "Appointment" => moment(element, &["start"], report),
        "ServiceRequest" | "DeviceRequest" | "CommunicationRequest" => timed(element, "occurrence", report),
        "activity" => timed(element, "scheduled", report),
        _ => None,
    }
}

/// The end of a choice of dateTime, Period and Timing.
fn timed(element: &Element<'_>, stem: &str, report: &mut Report) -> Option<Micros> {
    let name = |type_name: &str| format!("{stem}{type_name}");
    moment(element, &[&name("DateTime")], report)
        .or_else(|| moment(element, &[&name("Period"), "end"], report))
        .or_else(|| moment(element, &[&name("Timing"), "repeat", "boundsPeriod", "end"], report))
}

fn moment(element: &Element<'_>, names: &[&str], report: &mut Report) -> Option<Micros> {
    let (last, parents) = names.split_last()?;
    let mut at = element.clone();
    for name in parents {
        at = at.object_of(name, report)?;
    }
    let member = at.member(last)?;
    let text = member.text(report)?;
    let end = end_of(text);
    if end.is_none() {
        report.note(&member, "not a date or time");
    }
    end
}
