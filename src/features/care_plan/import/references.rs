//! Where a reference leads: within its resource, its document, the other files of the call, or what is known from before.
//! (FHIR R4, "Resource References" and "Bundle: resolving references in bundles".)
//!
//! Invariant: a reference that could mean two things means nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::bundle::Source;
use super::element::Element;
use super::kinds;
use super::known::Lookup;
use super::reading::ResourceKey;

/// A reference's text, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Locator<'a> {
    /// `#id`; empty for the container itself.
    Contained(&'a str),
    /// `urn:uuid:` in lower case, or another urn as it is.
    Urn(String),
    /// `Type?identifier=system|value`; `system` none where there is no bar.
    Conditional { kind: &'static str, system: Option<String>, value: String },
    /// `Type/id`, with or without a server before it, without a version.
    Typed { base: Option<&'a str>, kind: &'static str, id: &'a str },
    /// Anything else.
    Opaque(&'a str),
}

impl<'a> Locator<'a> {
    pub fn of(text: &'a str) -> Self {
        if let Some(id) = text.strip_prefix('#') {
            return Self::Contained(id);
        }
        if text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:")) {
            // UUIDs compare without case; other urns do not.
            let uuid = text.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:uuid:"));
            return Self::Urn(if uuid { text.to_ascii_lowercase() } else { text.to_owned() });
        }
        if let Some((before, query)) = text.split_once('?') {
            return Self::conditional(before, query).unwrap_or(Self::Opaque(text));
        }
        Self::typed(text).unwrap_or(Self::Opaque(text))
    }

    /// The text without `/_history/n`.
    pub fn without_version(text: &str) -> &str {
        text.split_once("/_history/").map_or(text, |(before, _)| before)
    }

    fn typed(text: &'a str) -> Option<Self> {
        let (rest, id) = Self::without_version(text).rsplit_once('/')?;
        let (base, kind) = rest.rsplit_once('/').map_or((None, rest), |(base, kind)| (Some(base), kind));
        let (kind, _) = kinds::kind(kind)?;
        if id.is_empty() || base.is_some_and(|base| !base.contains("://")) {
            return None;
        }
        Some(Self::Typed { base, kind, id })
    }

    fn conditional(before: &str, query: &str) -> Option<Self> {
        let (kind, _) = kinds::kind(before.rsplit('/').next()?)?;
        let identifier = percent_decoded(query.strip_prefix("identifier=")?)?;
        // A comma asks for any of several, an ampersand for more than an identifier: neither names one resource.
        if query.contains('&') || identifier.contains(',') {
            return None;
        }
        let (system, value) = match identifier.split_once('|') {
            Some((system, value)) => (Some(system.to_owned()), value.to_owned()),
            None => (None, identifier),
        };
        (!value.is_empty()).then_some(Self::Conditional { kind, system, value })
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Where a reference leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// A resource of this call.
    Here(usize),
    /// A resource contained in the resource of the call: its position in `contained`.
    Contained(usize, usize),
    /// A resource of an earlier import.
    Known(ResourceKey),
    /// Nothing but words.
    Named(&'a str),
    /// Nowhere.
    Nothing(&'static str),
}

const NOT_FOUND: &str = "leads to nothing in these files or imported before";
const SEVERAL: &str = "leads to more than one resource";

#[derive(Clone, Copy)]
enum Slot {
    One(usize),
    Many,
}

/// Everything references can lead to.
pub(super) struct Index<'a> {
    sources: &'a [Source<'a>],
    pub lookup: &'a Lookup<'a>,
    /// By document, then any name a reference may use.
    within: BTreeMap<(usize, String), Slot>,
    anywhere: BTreeMap<String, Slot>,
    /// By type, system (none: any) and value.
    identified: BTreeMap<(&'static str, Option<String>, String), Slot>,
    /// By container and id.
    contained: BTreeMap<(usize, &'a str), Slot>,
}

impl<'a> Index<'a> {
    /// `doubtful` names are taken by something that was refused: they lead nowhere.
    pub fn new(sources: &'a [Source<'a>], doubtful: &[(usize, Vec<String>)], lookup: &'a Lookup<'a>) -> Self {
        let mut index = Self {
            sources,
            lookup,
            within: BTreeMap::new(),
            anywhere: BTreeMap::new(),
            identified: BTreeMap::new(),
            contained: BTreeMap::new(),
        };
        for (position, source) in sources.iter().enumerate() {
            for name in source.names() {
                put(&mut index.within, (source.document, name.clone()), position);
                put(&mut index.anywhere, name, position);
            }
            for (system, value) in identifiers(&source.value) {
                put(&mut index.identified, (source.kind, None, value.to_owned()), position);
                put(&mut index.identified, (source.kind, Some(system.to_owned()), value.to_owned()), position);
            }
            for (inner, resource) in list(&source.value, "contained").iter().enumerate() {
                if let Some(id) = resource.get("id").and_then(Value::as_str) {
                    put(&mut index.contained, (position, id), inner);
                }
            }
        }
        for (document, names) in doubtful {
            for name in names {
                index.within.insert((*document, name.clone()), Slot::Many);
                index.anywhere.insert(name.clone(), Slot::Many);
            }
        }
        index
    }

    /// Where `reference`, an element of the resource at `from`, leads. `expected` are the types it may lead to, asked for where
    /// the reference itself does not say; the target's type is left to the caller to check.
    pub fn resolve<'v>(&self, from: Option<usize>, reference: &Element<'v>, expected: &[&'static str]) -> Target<'v> {
        let value = reference.value;
        let words = value.get("display").and_then(Value::as_str).filter(|words| !words.trim().is_empty());
        let (text, identifier) = (value.get("reference"), value.get("identifier"));
        let by_text = match text {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(self.by_text(from, text, expected)),
            Some(_) => Some(Target::Nothing("reference is not a text")),
        };
        match by_text {
            Some(Target::Nothing(reason)) => {
                match identifier.map(|identifier| self.by_identifier(value, identifier, expected)) {
                    None | Some(Target::Nothing(_)) => Target::Nothing(reason),
                    Some(found) => found,
                }
            }
            Some(found) => found,
            None => match (identifier, words) {
                (Some(identifier), _) => self.by_identifier(value, identifier, expected),
                (None, Some(words)) => Target::Named(words),
                (None, None) => Target::Nothing("a reference without reference, identifier or display"),
            },
        }
    }

    fn by_text(&self, from: Option<usize>, text: &str, expected: &[&'static str]) -> Target<'static> {
        match Locator::of(text) {
            Locator::Contained(id) => self.by_container(from, id),
            Locator::Urn(urn) => self.by_name(from, &urn).unwrap_or_else(|| self.known_urn(&urn, expected)),
            Locator::Conditional { kind, system, value } => self.by_value(kind, system, &value),
            Locator::Typed { base, kind, id } => self.by_type(from, base, kind, id),
            Locator::Opaque(text) => self.by_name(from, text).unwrap_or(Target::Nothing(NOT_FOUND)),
        }
    }

    fn by_container(&self, from: Option<usize>, id: &str) -> Target<'static> {
        let Some(from) = from else { return Target::Nothing("leads into a resource that is not in these files") };
        if id.is_empty() {
            return Target::Here(from);
        }
        match self.contained.get(&(from, id)) {
            Some(Slot::One(inner)) => Target::Contained(from, *inner),
            Some(Slot::Many) => Target::Nothing(SEVERAL),
            None => Target::Nothing("leads to nothing contained in this resource"),
        }
    }

    /// In the document first: a `urn:uuid:` or a bare `Type/id` is only unique there.
    fn by_name(&self, from: Option<usize>, name: &str) -> Option<Target<'static>> {
        let document = from.map(|from| self.sources[from].document);
        let near = document.and_then(|document| self.within.get(&(document, name.to_owned())));
        match near.or_else(|| self.anywhere.get(name))? {
            Slot::One(position) => Some(Target::Here(*position)),
            Slot::Many => Some(Target::Nothing(SEVERAL)),
        }
    }

    fn by_type(&self, from: Option<usize>, base: Option<&str>, kind: &'static str, id: &str) -> Target<'static> {
        let bare = format!("{kind}/{id}");
        // A relative reference is relative to the server of the entry it stands in.
        let base = base.or_else(|| from.and_then(|from| self.sources[from].base.as_deref()));
        let absolute = base.map(|base| format!("{base}/{bare}"));
        if let Some(found) = absolute.as_ref().and_then(|absolute| self.by_name(from, absolute)) {
            return found;
        }
        match self.by_name(from, &bare) {
            // Of another server: the same letters, another resource.
            Some(Target::Here(position))
                if base.is_some()
                    && self.sources[position].base.as_deref().is_some_and(|other| Some(other) != base) => {}
            // Named apart from another of that id who is known, and the reference does not say which server's it means.
            Some(Target::Here(position))
                if base.is_none()
                    && self.elsewhere(from, position)
                    && self.lookup.key(&bare).is_some_and(|key| key != self.sources[position].key) =>
            {
                return Target::Nothing(SEVERAL);
            }
            Some(found) => return found,
            None => {}
        }
        let known =
            absolute.and_then(|absolute| self.lookup.key(&absolute)).or_else(|| self.lookup.key_on(&bare, base));
        known.map_or(Target::Nothing(NOT_FOUND), Target::Known)
    }

    fn elsewhere(&self, from: Option<usize>, position: usize) -> bool {
        from.is_none_or(|from| self.sources[from].document != self.sources[position].document)
    }

    /// Sources that write `urn:uuid:` into fullUrl use the same UUID as id, so a later file may mean what came before by it.
    fn known_urn(&self, urn: &str, expected: &[&'static str]) -> Target<'static> {
        let as_id = |kind: &&'static str| self.lookup.key(&format!("{kind}/{}", urn.strip_prefix("urn:uuid:")?));
        let known = self.lookup.key(urn).or_else(|| expected.iter().find_map(as_id));
        known.map_or(Target::Nothing(NOT_FOUND), Target::Known)
    }

    fn by_identifier(&self, reference: &Value, identifier: &Value, expected: &[&'static str]) -> Target<'static> {
        let Some(value) = identifier.get("value").and_then(Value::as_str).filter(|value| !value.is_empty()) else {
            return Target::Nothing("an identifier without value");
        };
        let system = identifier.get("system").and_then(Value::as_str).unwrap_or_default();
        let named = reference.get("type").and_then(Value::as_str).and_then(kinds::kind).map(|(kind, _)| kind);
        let candidates = named.as_ref().map_or(expected, std::slice::from_ref);
        let mut found = Target::Nothing(NOT_FOUND);
        for kind in candidates {
            match (self.by_value(kind, Some(system.to_owned()), value), &found) {
                (Target::Nothing(SEVERAL), _) => return Target::Nothing(SEVERAL),
                (Target::Nothing(_), _) => {}
                (other, Target::Nothing(_)) => found = other,
                _ => return Target::Nothing(SEVERAL),
            }
        }
        found
    }

    fn by_value(&self, kind: &'static str, system: Option<String>, value: &str) -> Target<'static> {
        match self.identified.get(&(kind, system.clone(), value.to_owned())) {
            Some(Slot::One(position)) => Target::Here(*position),
            Some(Slot::Many) => Target::Nothing(SEVERAL),
            None => match self.lookup.identified(kind, system.as_deref(), value) {
                [] => Target::Nothing(NOT_FOUND),
                [key] => Target::Known(key.clone()),
                _ => Target::Nothing(SEVERAL),
            },
        }
    }
}

fn put<K: Ord>(slots: &mut BTreeMap<K, Slot>, name: K, position: usize) {
    slots
        .entry(name)
        .and_modify(|slot| {
            if !matches!(slot, Slot::One(first) if *first == position) {
                *slot = Slot::Many
            }
        })
        .or_insert(Slot::One(position));
}

/// The list member of that name, leniently.
pub(super) fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The (system, value) pairs of a resource, leniently; a missing system is empty.
pub(super) fn identifiers(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    list(value, "identifier").iter().filter_map(|identifier| {
        let system = identifier.get("system").and_then(Value::as_str).unwrap_or_default();
        identifier.get("value").and_then(Value::as_str).filter(|value| !value.is_empty()).map(|value| (system, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let typed = |base, kind, id| Locator::Typed { base, kind, id };
        assert_eq!(Locator::of("Goal/1"), typed(None, "Goal", "1"));
        assert_eq!(Locator::of("Goal/1/_history/3"), typed(None, "Goal", "1"));
        assert_eq!(
            Locator::of("https://a.example/fhir/Goal/1/_history/2"),
            typed(Some("https://a.example/fhir"), "Goal", "1")
        );
        assert_eq!(Locator::of("#g"), Locator::Contained("g"));
        assert_eq!(Locator::of("urn:UUID:ABCDEF"), Locator::Urn("urn:uuid:abcdef".into()));
        assert_eq!(Locator::of("urn:oid:1.2.A"), Locator::Urn("urn:oid:1.2.A".into()));
        let conditional = |system: Option<&str>, value: &str| Locator::Conditional {
            kind: "Patient",
            system: system.map(Into::into),
            value: value.into(),
        };
        assert_eq!(Locator::of("Patient?identifier=http://a.example|7"), conditional(Some("http://a.example"), "7"));
        assert_eq!(
            Locator::of("Patient?identifier=http%3A%2F%2Fa.example%7C7"),
            conditional(Some("http://a.example"), "7")
        );
        assert_eq!(Locator::of("Patient?identifier=7"), conditional(None, "7"));
        assert_eq!(Locator::of("Patient?identifier=|7"), conditional(Some(""), "7"));
        for opaque in [
            "",
            "Goal",
            "Goal/",
            "/1",
            "goal/1",
            "x/Goal/1",
            "Patient?name=x",
            "Patient?identifier=a|",
            "Patient?identifier=%zz",
            "Patient?identifier=a%7",
            "Patient?identifier=a|1&name=x",
            "Patient?identifier=%+1",
            "ürn:é",
        ] {
            assert_eq!(Locator::of(opaque), Locator::Opaque(opaque), "{opaque}");
        }
    }
}
