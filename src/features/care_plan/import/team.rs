//! CareTeams of the source, read for display beside our own team. Members are never matched by name.

use serde_json::Value;

use super::bundle::Source;
use super::concept::Concept;
use super::element::{Element, Report};
use super::kinds;
use super::owners::Owner;
use super::patient::{self, Charts};
use super::reading::{Participant, ResourceKey, Role, TeamSource};
use super::references::{Index, Target, identifiers, list};
use crate::kernel::base::Phi;

/// Identifiers of one member: a thousand participants may name one practitioner, and each gets a copy.
const IDENTIFIERS_MAX: usize = 20;

const MEMBERS: &[&str] = &["Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Organization", "CareTeam"];

/// Lays every CareTeam of a patient, also those a CarePlan contains, into the patient's chart.
pub(super) fn read_teams(
    sources: &[Source<'_>],
    owners: &[Owner],
    index: &Index<'_>,
    charts: &mut Charts,
    report: &mut Report,
) {
    for (position, (source, owner)) in sources.iter().zip(owners).enumerate() {
        let Owner::Patient(patient) = owner else { continue };
        let mut teams = Vec::new();
        let root = source.element();
        if source.kind == "CareTeam" {
            teams.push(team(position, source.key.clone(), &root, sources, index, report));
        }
        if source.kind == "CarePlan" {
            for (inner, value) in list(&source.value, "contained").iter().enumerate() {
                let text = |name: &str| value.get(name).and_then(Value::as_str);
                if let (Some("CareTeam"), Some(id)) = (text("resourceType"), text("id")) {
                    let element = Element::root(source.file, format!("{}.contained[{inner}]", source.path), value);
                    teams.push(team(position, source.key.within(id), &element, sources, index, report));
                }
            }
        }
        if !teams.is_empty() {
            patient::chart(charts, patient, index.lookup).team.extend(teams);
        }
    }
}

fn team(
    position: usize,
    key: ResourceKey,
    element: &Element<'_>,
    sources: &[Source<'_>],
    index: &Index<'_>,
    report: &mut Report,
) -> TeamSource {
    let name = element.text_of("name", report).map(|name| Phi::new(name.to_owned()));
    let participants = element.objects_of("participant", report);
    let participants = participants.iter().map(|one| participant(position, one, sources, index, report)).collect();
    TeamSource { key, name, participants }
}

fn participant(
    position: usize,
    element: &Element<'_>,
    sources: &[Source<'_>],
    index: &Index<'_>,
    report: &mut Report,
) -> Participant {
    let phi = |text: &str| Phi::new(text.to_owned());
    let roles = element.objects_of("role", report);
    let roles = roles
        .iter()
        .map(|role| Concept::of(role, report))
        .map(|role| Role { text: role.words().map(phi), codes: role.to_codes() })
        .collect();
    let period = element.object_of("period", report);
    let moment = |name: &str, report: &mut Report| {
        period.as_ref().and_then(|period| period.text_of(name, report)).filter(|at| at.len() <= 40).map(str::to_owned)
    };
    let (start, end) = (moment("start", report), moment("end", report));
    let on_behalf_of =
        element.object_of("onBehalfOf", report).and_then(|reference| reference.text_of("display", report)).map(phi);
    let reference = element.object_of("member", report);
    let display = reference.as_ref().and_then(|reference| reference.text_of("display", report)).map(phi);
    let (member, identifiers) =
        reference.map(|reference| member(position, &reference, sources, index)).unwrap_or_default();
    Participant { roles, member, identifiers, display, on_behalf_of, start, end }
}

/// The member's key, and the identifiers an account may be matched by.
type Member = (Option<ResourceKey>, Vec<(Phi<String>, Phi<String>)>);

fn member(position: usize, reference: &Element<'_>, sources: &[Source<'_>], index: &Index<'_>) -> Member {
    // A member who is not in the files is usual and said by the display: nothing to list.
    let pairs = |value: &Value| -> Vec<(Phi<String>, Phi<String>)> {
        let whole = identifiers(value).filter(|(system, _)| !system.is_empty());
        whole
            .take(IDENTIFIERS_MAX)
            .map(|(system, value)| (Phi::new(system.to_owned()), Phi::new(value.to_owned())))
            .collect()
    };
    let said = reference.value.get("identifier").map(|identifier| serde_json::json!({ "identifier": [identifier] }));
    let said = said.map(|said| pairs(&said)).unwrap_or_default();
    match index.resolve(Some(position), reference, MEMBERS) {
        Target::Here(at) => (Some(sources[at].key.clone()), [pairs(&sources[at].value), said].concat()),
        Target::Known(key) => {
            let known = index.lookup.resource(&key).and_then(|(_, value)| value).map(pairs).unwrap_or_default();
            (Some(key), [known, said].concat())
        }
        Target::Contained(at, inner) => {
            let value = &list(&sources[at].value, "contained")[inner];
            let id = value
                .get("id")
                .and_then(Value::as_str)
                .filter(|_| value.get("resourceType").and_then(Value::as_str).and_then(kinds::kind).is_some());
            (id.map(|id| sources[at].key.within(id)), [pairs(value), said].concat())
        }
        Target::Named(_) | Target::Nothing(_) => (None, said),
    }
}
