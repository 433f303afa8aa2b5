//! The Patient resource, and the chart each resource of theirs is laid into.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::bundle::Source;
use super::concept::{Concept, is_date};
use super::element::{Element, Report};
use super::known::Lookup;
use super::owners::Owner;
use super::reading::{PatientSource, ResourceKey};
use super::references::identifiers;
use super::titles;
use crate::kernel::base::Phi;

const UNNAMED: &str = "Unnamed patient";

/// All charts of one reading.
pub(super) type Charts = BTreeMap<ResourceKey, PatientSource>;

/// A chart for each Patient of this call.
pub(super) fn charts(sources: &[Source<'_>], owners: &[Owner], report: &mut Report) -> Charts {
    let mut charts = Charts::new();
    for (source, owner) in sources.iter().zip(owners) {
        if let Owner::Themself(key) = owner {
            let mut chart = read(key, &source.element(), report);
            chart.server = source.base.clone();
            chart.place = Some(source.place());
            chart.raw = Some(Phi::new(source.raw.to_owned()));
            charts.insert(key.clone(), chart);
        }
    }
    charts
}

/// The chart of that patient; of one who is only known it is made when first needed.
pub(super) fn chart<'c>(charts: &'c mut Charts, key: &ResourceKey, lookup: &Lookup<'_>) -> &'c mut PatientSource {
    charts.entry(key.clone()).or_insert_with(|| {
        let (known, value) = lookup.resource(key).map_or((None, None), |(known, value)| (Some(known), value));
        let value = value.unwrap_or(&Value::Null);
        let element = Element::root("", String::new(), value);
        // What was wrong with it was said when it was imported.
        let mut chart = read(key, &element, &mut Report::default());
        chart.server = known.and_then(|known| known.server.clone());
        chart
    })
}

fn read(key: &ResourceKey, element: &Element<'_>, report: &mut Report) -> PatientSource {
    let birth_date = element.text_of("birthDate", report);
    if birth_date.is_some_and(|date| !is_date(date)) {
        report.note_at(element.file, &format!("{}.birthDate", element.path), "not a date");
    }
    PatientSource {
        key: key.clone(),
        server: None,
        name: Phi::new(name(element, report)),
        birth_date: birth_date.filter(|date| is_date(date)).map(|date| Phi::new(date.to_owned())),
        gender: gender(element, report),
        language: language(element, report).map(|code| Phi::new(code.to_owned())),
        identifiers: pairs(element, report),
        items: Vec::new(),
        kept: Vec::new(),
        team: Vec::new(),
        notes: Vec::new(),
        place: None,
        raw: None,
    }
}

fn name(element: &Element<'_>, report: &mut Report) -> String {
    // Lower is better; a name that is no longer used is better than none.
    let rank = |used: Option<&str>| match used {
        Some("official") => 0,
        Some("usual") => 1,
        None => 2,
        Some("nickname") => 3,
        Some("anonymous") => 4,
        Some("temp") => 5,
        Some("maiden") => 6,
        Some("old") => 7,
        Some(_) => 8,
    };
    let mut best: Option<(i32, String)> = None;
    for name in element.objects_of("name", report) {
        let words = written(&name, report);
        let rank = rank(name.text_of("use", report));
        if !words.is_empty() && best.as_ref().is_none_or(|(other, _)| rank < *other) {
            best = Some((rank, words));
        }
    }
    best.map_or_else(|| UNNAMED.to_owned(), |(_, words)| words)
}

/// A HumanName as one line.
fn written(name: &Element<'_>, report: &mut Report) -> String {
    let whole = name.text_of("text", report).map(titles::one_line).filter(|text| !text.is_empty());
    whole.unwrap_or_else(|| {
        let mut parts: Vec<&str> = Vec::new();
        for member in ["prefix", "given"] {
            parts.extend(name.list_of(member, report).iter().filter_map(|part| part.text(report)));
        }
        parts.extend(name.text_of("family", report));
        parts.extend(name.list_of("suffix", report).iter().filter_map(|part| part.text(report)));
        titles::one_line(&parts.join(" "))
    })
}

fn gender(element: &Element<'_>, report: &mut Report) -> Option<&'static str> {
    let gender = element.text_of("gender", report)?;
    let known = ["male", "female", "other", "unknown"].into_iter().find(|known| *known == gender);
    if known.is_none() {
        report.note_at(element.file, &format!("{}.gender", element.path), "not a gender FHIR knows");
    }
    known
}

fn language<'a>(element: &Element<'a>, report: &mut Report) -> Option<&'a str> {
    let spoken = element.objects_of("communication", report);
    let preferred = |one: &&Element<'a>| one.value.get("preferred") == Some(&Value::Bool(true));
    let chosen = spoken.iter().find(preferred).or(spoken.first())?;
    let concept = Concept::member(chosen, "language", report)?;
    let code = concept.codes.iter().find_map(|coding| coding.code);
    code.or_else(|| concept.words()).filter(|language| language.len() <= 100)
}

/// The (system, value) pairs of a resource that have both.
fn pairs(element: &Element<'_>, report: &mut Report) -> Vec<(Phi<String>, Phi<String>)> {
    let mut pairs = Vec::new();
    for identifier in element.objects_of("identifier", report) {
        let (system, value) = (identifier.text_of("system", report), identifier.text_of("value", report));
        if let (Some(system), Some(value)) = (system, value)
            && !system.is_empty()
            && !value.is_empty()
        {
            pairs.push((Phi::new(system.to_owned()), Phi::new(value.to_owned())));
        }
    }
    pairs
}

/// Whether two Patients under one id may be one person: they share an identifier, or both birth date and name are the same
/// (or not said). Two people under one id is what happens when files of two servers meet.
pub(super) fn same_person(a: &Value, b: &Value) -> bool {
    let of_a: BTreeSet<(&str, &str)> = identifiers(a).collect();
    if identifiers(b).any(|pair| of_a.contains(&pair)) {
        return true;
    }
    let mut silent = Report::default();
    let mut facts = |value: &Value| {
        let element = Element::root("", String::new(), value);
        let chart = read(&ResourceKey::new(""), &element, &mut silent);
        (chart.birth_date.map(Phi::into_revealed), Some(chart.name.into_revealed()).filter(|name| name != UNNAMED))
    };
    let ((born, called), (other_born, other_called)) = (facts(a), facts(b));
    let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    agree(&born, &other_born) && agree(&called, &other_called)
}
