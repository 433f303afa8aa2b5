//! Whose each resource is. Nothing is guessed: a resource whose patient is not certain is listed and left out.

use super::bundle::Source;
use super::element::{Element, MISSING, Report};
use super::kinds::Belongs;
use super::reading::ResourceKey;
use super::references::{Index, Target, list};

/// Whose a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// It is this patient.
    Themself(ResourceKey),
    /// Of this patient.
    Patient(ResourceKey),
    /// Of no patient, by its nature.
    Nobody,
    /// Of a patient who is not known. It stands in the report.
    Refused,
}

const NO_PATIENT: &str = "the patient is missing";
const NOT_A_PATIENT: &str = "does not lead to a Patient";
const SEVERAL_PATIENTS: &str = "leads to more than one patient";
const ONLY_NAMED: &str = "the patient is only named, and no patient is found by name";

/// The owner of each source, by position.
pub(super) fn owners(sources: &[Source<'_>], index: &Index<'_>, report: &mut Report) -> Vec<Owner> {
    let mut owners: Vec<Owner> = Vec::with_capacity(sources.len());
    for (position, source) in sources.iter().enumerate() {
        let element = source.element();
        let found = match source.belongs {
            Belongs::Themself => Ok(Owner::Themself(source.key.clone())),
            Belongs::Nobody | Belongs::Bundle | Belongs::Provenance => Ok(Owner::Nobody),
            Belongs::To(name) => named(position, &element, name, sources, index)
                .and_then(|owner| owner.ok_or((format!("{}.{name}", source.path), NO_PATIENT))),
            Belongs::May(name) => {
                named(position, &element, name, sources, index).map(|owner| owner.unwrap_or(Owner::Nobody))
            }
            Belongs::Appointment => appointment(position, &element, sources, index),
        };
        owners.push(found.unwrap_or_else(|(path, reason)| {
            report.refuse(source, path, reason);
            Owner::Refused
        }));
    }
    for (position, source) in sources.iter().enumerate().filter(|(_, source)| source.belongs == Belongs::Provenance) {
        match provenance(position, source, &owners, index) {
            Ok(owner) => owners[position] = owner,
            Err((path, reason)) => {
                report.refuse(source, path, reason);
                owners[position] = Owner::Refused;
            }
        }
    }
    owners
}

type Wrong = (String, &'static str);

/// The patient an element leads to; none where it is absent. A list (Account, Contract) must agree on one.
fn named(
    position: usize,
    element: &Element<'_>,
    name: &str,
    sources: &[Source<'_>],
    index: &Index<'_>,
) -> Result<Option<Owner>, Wrong> {
    let Some(reference) = element.member(name) else { return Ok(None) };
    let Some(values) = reference.value.as_array() else {
        return lead(position, &reference, sources, index).map(|key| Some(Owner::Patient(key)));
    };
    let mut found = None;
    for (at, value) in values.iter().enumerate() {
        let one = Element::root(reference.file, format!("{}[{at}]", reference.path), value);
        let key = lead(position, &one, sources, index)?;
        if found.as_ref().is_some_and(|found| *found != key) {
            return Err((one.path, SEVERAL_PATIENTS));
        }
        found = Some(key);
    }
    Ok(found.map(Owner::Patient))
}

/// The key of the patient a reference leads to.
fn lead(
    position: usize,
    reference: &Element<'_>,
    sources: &[Source<'_>],
    index: &Index<'_>,
) -> Result<ResourceKey, Wrong> {
    let wrong = |reason| Err((reference.path.clone(), reason));
    if !reference.value.is_object() {
        return wrong(super::element::NOT_OBJECT);
    }
    match index.resolve(Some(position), reference, &["Patient"]) {
        Target::Here(target) if sources[target].belongs == Belongs::Themself => Ok(sources[target].key.clone()),
        Target::Known(key) => match index.lookup.resource(&key) {
            Some((known, _)) if known.kind == "Patient" => Ok(known.patient.clone().unwrap_or(key)),
            _ => wrong(NOT_A_PATIENT),
        },
        Target::Here(_) | Target::Contained(..) => wrong(NOT_A_PATIENT),
        Target::Named(_) => wrong(ONLY_NAMED),
        Target::Nothing(reason) => wrong(reason),
    }
}

/// The patient a contained or known resource says it is of; none where it says nothing.
pub(super) fn said(
    position: usize,
    element: &Element<'_>,
    belongs: Belongs,
    sources: &[Source<'_>],
    index: &Index<'_>,
) -> Result<Option<ResourceKey>, Wrong> {
    let (Belongs::To(name) | Belongs::May(name)) = belongs else { return Ok(None) };
    element.member(name).map(|reference| lead(position, &reference, sources, index)).transpose()
}

fn appointment(
    position: usize,
    element: &Element<'_>,
    sources: &[Source<'_>],
    index: &Index<'_>,
) -> Result<Owner, Wrong> {
    let path = format!("{}.participant", element.path);
    let mut found: Option<ResourceKey> = None;
    for participant in list(element.value, "participant") {
        let Some(actor) = participant.get("actor") else { continue };
        let actor = Element::root(element.file, path.clone(), actor);
        // Rooms and practitioners take part as well; they need not be known.
        let Ok(key) = lead(position, &actor, sources, index) else { continue };
        if found.as_ref().is_some_and(|found| *found != key) {
            return Err((path, SEVERAL_PATIENTS));
        }
        found = Some(key);
    }
    found.map(Owner::Patient).ok_or((path, NO_PATIENT))
}

/// Of the one patient its targets belong to; of nobody where they belong to nobody or to several.
fn provenance(position: usize, source: &Source<'_>, owners: &[Owner], index: &Index<'_>) -> Result<Owner, Wrong> {
    let path = format!("{}.target", source.path);
    let (mut patient, mut several, mut resolved) = (None, false, false);
    for target in list(&source.value, "target") {
        let target = Element::root(source.file, path.clone(), target);
        let key = match index.resolve(Some(position), &target, &[]) {
            Target::Here(at) => {
                resolved |= owners[at] != Owner::Refused;
                match &owners[at] {
                    Owner::Themself(key) | Owner::Patient(key) => Some(key.clone()),
                    Owner::Nobody | Owner::Refused => None,
                }
            }
            Target::Known(key) => {
                resolved = true;
                index.lookup.resource(&key).and_then(|(known, _)| known.patient.clone())
            }
            Target::Contained(..) | Target::Named(_) | Target::Nothing(_) => None,
        };
        several |= key.is_some() && patient.is_some() && patient != key;
        patient = patient.or(key);
    }
    match patient {
        Some(key) if !several => Ok(Owner::Patient(key)),
        None if !resolved => Err((
            path,
            if list(&source.value, "target").is_empty() { MISSING } else { "leads to nothing whose patient is known" },
        )),
        _ => Ok(Owner::Nobody),
    }
}
