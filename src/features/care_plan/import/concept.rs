//! The data types of FHIR that several readers share: CodeableConcept, Annotation, Identifier, dates.

use super::element::{Element, Report};
use super::reading::{Code, NoteSource};
use crate::kernel::base::Phi;
use crate::kernel::base::world::{Micros, parse_rfc3339};

/// A CodeableConcept.
#[derive(Clone, Default)]
pub(super) struct Concept<'a> {
    pub text: Option<&'a str>,
    pub codes: Vec<Coding<'a>>,
}

#[derive(Clone, Copy)]
pub(super) struct Coding<'a> {
    pub system: Option<&'a str>,
    pub code: Option<&'a str>,
    pub display: Option<&'a str>,
}

impl<'a> Concept<'a> {
    /// Reads an element that is a CodeableConcept.
    pub fn of(element: &Element<'a>, report: &mut Report) -> Self {
        let coding = |coding: Element<'a>, report: &mut Report| Coding {
            system: coding.text_of("system", report),
            code: coding.text_of("code", report),
            display: coding.text_of("display", report),
        };
        let codes = element.objects_of("coding", report).into_iter().map(|element| coding(element, report)).collect();
        Self { text: element.text_of("text", report), codes }
    }

    /// The CodeableConcept member of that name.
    pub fn member(element: &Element<'a>, name: &str, report: &mut Report) -> Option<Self> {
        element.object_of(name, report).map(|element| Self::of(&element, report))
    }

    /// Its words: the text, else the first display, else the first code.
    pub fn words(&self) -> Option<&'a str> {
        let displays = self.codes.iter().map(|coding| coding.display);
        let codes = self.codes.iter().map(|coding| coding.code);
        std::iter::once(self.text).chain(displays).chain(codes).flatten().find(|words| !words.trim().is_empty())
    }

    /// Its codings, as they are handed out.
    pub fn to_codes(&self) -> Vec<Code> {
        let phi = |text: Option<&str>| text.map(|text| Phi::new(text.to_owned()));
        self.codes
            .iter()
            .map(|coding| Code { system: phi(coding.system), code: phi(coding.code), display: phi(coding.display) })
            .collect()
    }
}

/// The Annotations in the list member of that name.
pub(super) fn notes(element: &Element<'_>, name: &str, report: &mut Report) -> Vec<NoteSource> {
    let mut notes = Vec::new();
    for note in element.objects_of(name, report) {
        let Some(text) = note.text_of("text", report) else { continue };
        let reference = note.object_of("authorReference", report);
        let display = reference.and_then(|reference| reference.text_of("display", report));
        let author = note.text_of("authorString", report).or(display).map(|author| Phi::new(author.to_owned()));
        let at = note.text_of("time", report).filter(|at| at.len() <= 40).map(str::to_owned);
        notes.push(NoteSource { author, at, text: Phi::new(text.to_owned()) });
    }
    notes
}

/// A FHIR date: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, of a day that exists.
pub(super) fn is_date(text: &str) -> bool {
    first_day(text).is_some()
}

fn first_day(text: &str) -> Option<jiff::civil::Date> {
    if !text.bytes().enumerate().all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
    {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<i16>().ok());
    let part = |range| number(range).and_then(|number| i8::try_from(number).ok());
    let (month, day) = match text.len() {
        4 => (1, 1),
        7 => (part(5..7)?, 1),
        10 => (part(5..7)?, part(8..10)?),
        _ => return None,
    };
    jiff::civil::Date::new(number(0..4)?, month, day).ok()
}

/// The end of what a FHIR date or dateTime names: a moment, or the last microsecond of the day, month or year in UTC.
pub(super) fn end_of(text: &str) -> Option<Micros> {
    let Some(first) = first_day(text) else { return parse_rfc3339(text).ok() };
    let last = match text.len() {
        4 => first.last_of_year(),
        7 => first.last_of_month(),
        _ => first,
    };
    let after = last.tomorrow().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(after.timestamp().as_microsecond() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_due_date_ends_with_its_day() {
        let moment = |text: &str| parse_rfc3339(text).ok();
        assert_eq!(end_of("2026-03-02"), moment("2026-03-02T23:59:59.999999Z"));
        assert_eq!(end_of("2024-02"), moment("2024-02-29T23:59:59.999999Z"));
        assert_eq!(end_of("2024"), moment("2024-12-31T23:59:59.999999Z"));
        assert_eq!(end_of("2026-03-02T10:00:00+01:00"), moment("2026-03-02T09:00:00Z"));
        for wrong in [
            "",
            "2024-13",
            "2023-02-29",
            "24",
            "2024-2-1",
            "+024",
            "2024-02-30T",
            "tomorrow",
            "９９９９",
            "2024-02-0１",
        ] {
            assert_eq!(end_of(wrong), None, "{wrong}");
        }
    }
}
