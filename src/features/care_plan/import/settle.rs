//! One source a resource: repeats dropped, versions settled, keys of patients made certain before anything refers to them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::bundle::Source;
use super::element::Report;
use super::kinds::Belongs;
use super::known::Lookup;
use super::patient;
use super::reading::{Place, ResourceKey};
use crate::kernel::base::Micros;
use crate::kernel::base::world::parse_rfc3339;

const OTHER_VERSION: &str = "another version of a resource that was read";
const OTHER_PERSON: &str = "a different person than the Patient known under the same id";
const TWO_PERSONS: &str = "two different Patients under the same id";

/// What is left of the sources of a call.
#[derive(Default)]
pub(super) struct Settled<'a> {
    /// In their order, each resource once.
    pub sources: Vec<Source<'a>>,
    /// Where the repeats stood.
    pub repeats: Vec<Place>,
    /// Document and names of Patients who were refused: a reference to them must not lead to another of that name.
    pub doubtful: Vec<(usize, Vec<String>)>,
}

/// Drops repeats and older versions, and refuses Patients who are not certain.
pub(super) fn settle<'a>(sources: Vec<Source<'a>>, lookup: &Lookup<'_>, report: &mut Report) -> Settled<'a> {
    let mut settled = Settled::default();
    let mut fate: Vec<Fate> = vec![Fate::Stays; sources.len()];
    for group in groups(&sources) {
        let newest = newest(&group, &sources);
        let apart = group.iter().any(|other| !alike(&sources[*other], &sources[newest]));
        for position in group {
            fate[position] = match () {
                () if apart => Fate::Leaves(TWO_PERSONS),
                () if position == newest => Fate::Stays,
                () if sources[position].value == sources[newest].value => Fate::Repeats,
                () => Fate::Leaves(OTHER_VERSION),
            };
        }
    }
    for (source, fate) in sources.into_iter().zip(fate) {
        match fate {
            Fate::Stays => settled.sources.push(source),
            Fate::Repeats => settled.repeats.push(source.place()),
            Fate::Leaves(reason) => {
                if reason == TWO_PERSONS {
                    settled.doubtful.push((source.document, source.names()));
                }
                report.refuse(&source, source.path.clone(), reason);
            }
        }
    }
    name_apart(&mut settled.sources);
    certain_patients(&mut settled, lookup, report);
    settled
}

#[derive(Clone, Copy)]
enum Fate {
    Stays,
    Repeats,
    Leaves(&'static str),
}

/// Positions of what may be one resource: same type and key, and not of two servers.
fn groups(sources: &[Source<'_>]) -> Vec<Vec<usize>> {
    let mut by_key: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (position, source) in sources.iter().enumerate() {
        by_key.entry((source.kind, source.key.as_str())).or_default().push(position);
    }
    let mut groups = Vec::new();
    for positions in by_key.into_values() {
        let mut by_base: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        for position in &positions {
            by_base.entry(sources[*position].base.as_deref()).or_default().push(*position);
        }
        // One that does not say its server joins the others only where they all are of one.
        if by_base.keys().flatten().count() <= 1 {
            groups.push(positions);
        } else {
            groups.extend(by_base.into_values());
        }
    }
    groups
}

/// The position of the newest version: latest meta.lastUpdated, then highest meta.versionId, then first in order.
fn newest(group: &[usize], sources: &[Source<'_>]) -> usize {
    let age = |position: usize| {
        let meta = sources[position].value.get("meta");
        let text = |name: &str| meta.and_then(|meta| meta.get(name)).and_then(Value::as_str);
        let updated: Option<Micros> = text("lastUpdated").and_then(|at| parse_rfc3339(at).ok());
        let version: Option<u64> = text("versionId").and_then(|version| version.parse().ok());
        (updated, version)
    };
    group
        .iter()
        .copied()
        .reduce(|best, other| if age(other) > age(best) { other } else { best })
        .expect("a group holds at least one")
}

fn alike(a: &Source<'_>, b: &Source<'_>) -> bool {
    a.belongs != Belongs::Themself
        || a.value == b.value
        || (a.base.is_some() && a.base == b.base)
        || patient::same_person(&a.value, &b.value)
}

/// Where two servers use one `Type/id`, each key takes its server in.
fn name_apart(sources: &mut [Source<'_>]) {
    let mut uses: BTreeMap<ResourceKey, usize> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.belongs != Belongs::Themself) {
        *uses.entry(source.key.clone()).or_default() += 1;
    }
    for source in sources {
        if uses.get(&source.key).is_some_and(|uses| *uses > 1)
            && let Some(base) = &source.base
        {
            source.key = ResourceKey::new(format!("{base}/{}", source.key.as_str()));
        }
    }
}

/// Each Patient under a key that no other person has, here or known. A patient who was known by `Type/id` stays so; of two
/// people under one `Type/id` the later takes its server into the key, and without a server is refused.
fn certain_patients(settled: &mut Settled<'_>, lookup: &Lookup<'_>, report: &mut Report) {
    let mut taken: BTreeSet<ResourceKey> = BTreeSet::new();
    // Two rounds: who is known keeps the key, whatever the order.
    let (mut later, mut refused) = (Vec::new(), BTreeSet::new());
    for (position, source) in
        settled.sources.iter().enumerate().filter(|(_, source)| source.belongs == Belongs::Themself)
    {
        match fits_known(source, lookup) {
            Some(true) if taken.insert(source.key.clone()) => {}
            Some(_) => later.push((position, false)),
            None => later.push((position, true)),
        }
    }
    for (position, free) in later {
        let source = &mut settled.sources[position];
        let absolute = source.base.as_ref().map(|base| ResourceKey::new(format!("{base}/{}", source.key.as_str())));
        let known_so = absolute.as_ref().is_some_and(|absolute| lookup.resource(absolute).is_some());
        if known_so || !free || taken.contains(&source.key) {
            match absolute {
                Some(absolute) => source.key = absolute,
                None => {
                    refused.insert(position);
                    continue;
                }
            }
        }
        taken.insert(source.key.clone());
    }
    let mut position = 0;
    settled.sources.retain(|source| {
        let stays = !refused.contains(&position);
        if !stays {
            settled.doubtful.push((source.document, source.names()));
            report.refuse(source, source.path.clone(), OTHER_PERSON);
        }
        position += 1;
        stays
    });
}

/// Whether the Patient is the one known under its key; none where that key is free.
fn fits_known(source: &Source<'_>, lookup: &Lookup<'_>) -> Option<bool> {
    let (known, value) = lookup.resource(&source.key)?;
    let servers = (known.server.as_deref(), source.base.as_deref());
    Some(match servers {
        (Some(then), Some(now)) => then == now,
        _ => value.is_none_or(|value| patient::same_person(value, &source.value)),
    })
}
