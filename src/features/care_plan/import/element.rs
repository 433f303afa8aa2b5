//! A JSON value together with where it stands, and the list of what was wrong.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::NOT_UNDERSTOOD_MAX;
use super::bundle::Source;
use super::reading::NotUnderstood;
use crate::kernel::base::Phi;

pub(super) const NOT_TEXT: &str = "not a text";
pub(super) const NOT_LIST: &str = "not a list";
pub(super) const NOT_OBJECT: &str = "not an object";
pub(super) const MISSING: &str = "required and missing";

/// One element of a resource.
#[derive(Clone)]
pub(super) struct Element<'a> {
    pub file: &'a str,
    pub path: String,
    /// Which of its list it is; 0 outside lists.
    pub position: usize,
    pub value: &'a Value,
}

impl<'a> Element<'a> {
    /// The root of a resource.
    pub const fn root(file: &'a str, path: String, value: &'a Value) -> Self {
        Self { file, path, position: 0, value }
    }

    /// The member of that name; none where it is absent, null, or this is not an object.
    pub fn member(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Self { file: self.file, path: format!("{}.{name}", self.path), position: 0, value })
    }

    /// As text. Anything else is listed and read as absent.
    pub fn text(&self, report: &mut Report) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            report.note(self, NOT_TEXT);
        }
        text
    }

    /// The text member of that name.
    pub fn text_of(&self, name: &str, report: &mut Report) -> Option<&'a str> {
        self.member(name)?.text(report)
    }

    /// The elements of the list member of that name, without nulls (they stand for extended primitives). Absent is empty.
    pub fn list_of(&self, name: &str, report: &mut Report) -> Vec<Self> {
        let Some(list) = self.member(name) else { return Vec::new() };
        let Some(values) = list.value.as_array() else {
            report.note(&list, NOT_LIST);
            return Vec::new();
        };
        let element =
            |(position, value)| Self { file: self.file, path: format!("{}[{position}]", list.path), position, value };
        values.iter().enumerate().filter(|(_, value)| !value.is_null()).map(element).collect()
    }

    /// As [`Element::list_of`], where each element must be an object; others are listed.
    pub fn objects_of(&self, name: &str, report: &mut Report) -> Vec<Self> {
        let mut elements = self.list_of(name, report);
        elements.retain(|element| element.is_object(report));
        elements
    }

    /// The member of that name where it is an object; anything else is listed.
    pub fn object_of(&self, name: &str, report: &mut Report) -> Option<Self> {
        self.member(name).filter(|element| element.is_object(report))
    }

    fn is_object(&self, report: &mut Report) -> bool {
        if !self.value.is_object() {
            report.note(self, NOT_OBJECT);
        }
        self.value.is_object()
    }
}

/// What was not understood so far.
#[derive(Default)]
pub(super) struct Report {
    listed: Vec<NotUnderstood>,
    /// One complaint a place: an element may be read by several readers.
    places: BTreeSet<(String, String)>,
    more: usize,
}

impl Report {
    /// A part that could not be read; its resource goes on without it.
    pub fn note(&mut self, element: &Element<'_>, reason: &'static str) {
        self.note_at(element.file, &element.path, reason);
    }

    /// As [`Report::note`], for something that is not there.
    pub fn note_at(&mut self, file: &str, path: &str, reason: &'static str) {
        if self.listed.len() >= NOT_UNDERSTOOD_MAX {
            self.more += 1;
        } else if self.places.insert((file.to_owned(), path.to_owned())) {
            self.add(file, path.to_owned(), reason.into(), None);
        }
    }

    /// A whole resource that is left out, with all its bytes.
    pub fn refuse(&mut self, source: &Source<'_>, path: String, reason: &'static str) {
        self.refuse_bytes(source.file, path, reason.into(), Some(source.raw));
    }

    /// A whole entry, line or file that is left out.
    pub fn refuse_bytes(&mut self, file: &str, path: String, reason: Cow<'static, str>, verbatim: Option<&str>) {
        if self.listed.len() >= NOT_UNDERSTOOD_MAX {
            self.more += 1;
        } else {
            self.add(file, path, reason, verbatim);
        }
    }

    fn add(&mut self, file: &str, path: String, reason: Cow<'static, str>, verbatim: Option<&str>) {
        let verbatim = verbatim.map(|text| Phi::new(text.to_owned()));
        self.listed.push(NotUnderstood { file: file.to_owned(), path, reason, verbatim });
    }

    /// The list, by file and place; where it was cut, the last line says how much is missing.
    pub fn into_listed(mut self) -> Vec<NotUnderstood> {
        // Stable, so that within one place the order of finding stays.
        self.listed.sort_by(|a, b| (&a.file, natural(&a.path)).cmp(&(&b.file, natural(&b.path))));
        if self.more > 0 {
            let reason = format!("{} more are not listed", self.more).into();
            self.listed.push(NotUnderstood { file: String::new(), path: String::new(), reason, verbatim: None });
        }
        self.listed
    }
}

/// A path whose numbers compare as numbers, so that `entry[10]` comes after `entry[9]`.
fn natural(path: &str) -> Vec<(u64, &str)> {
    path.split_inclusive(['[', ']', ' ', ':'])
        .map(|part| (part.trim_end_matches([']', ':']).parse().unwrap_or(u64::MAX), part))
        .collect()
}
