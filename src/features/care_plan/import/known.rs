//! What earlier imports brought, as the caller remembers it, and a list of what was asked of it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::reading::ResourceKey;
use super::references::identifiers;
use crate::kernel::base::Phi;

/// One resource of an earlier import.
#[derive(Clone, Debug)]
pub struct KnownResource {
    /// Its FHIR type.
    pub kind: String,
    /// The key of its patient (its own, for a Patient); none for what belongs to nobody.
    pub patient: Option<ResourceKey>,
    /// For a Patient, [`super::PatientSource::server`] as it was answered then.
    pub server: Option<String>,
    /// It already is a plan item.
    pub item: bool,
    /// Its JSON as it was answered then. Without it a kept resource cannot become an item later, and a Patient counts as the
    /// same person by key alone.
    pub json: Option<Phi<String>>,
}

/// Everything known from before that a reading may need; incomplete knowledge only means less is resolved.
#[derive(Clone, Debug, Default)]
pub struct Known {
    resources: BTreeMap<ResourceKey, (KnownResource, Option<Value>)>,
    identifiers: BTreeMap<(String, Option<String>, String), Vec<ResourceKey>>,
}

impl Known {
    /// Nothing was imported before.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Adds a resource under its key, with the identifiers its JSON holds.
    pub fn add(&mut self, key: ResourceKey, resource: KnownResource) {
        let value: Option<Value> = resource.json.as_ref().and_then(|json| serde_json::from_str(json.reveal()).ok());
        let pairs: Vec<(String, String)> =
            value.iter().flat_map(identifiers).map(|(system, value)| (system.to_owned(), value.to_owned())).collect();
        for (system, value) in pairs {
            self.add_identifier(&resource.kind, &system, &value, &key);
        }
        self.resources.insert(key, (resource, value));
    }

    /// Adds an identifier by which a resource can be found: those of patients registered by hand, for one.
    pub fn add_identifier(&mut self, kind: &str, system: &str, value: &str, key: &ResourceKey) {
        for system in [None, Some(system.to_owned())] {
            let keys = self.identifiers.entry((kind.to_owned(), system, value.to_owned())).or_default();
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
}

/// Something that was looked up in [`Known`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sought {
    /// A resource by its key.
    Key(ResourceKey),
    /// A resource by an identifier; `system` none means any.
    Identifier {
        /// The FHIR type.
        kind: &'static str,
        /// The identifier's system.
        system: Option<String>,
        /// The identifier's value.
        value: String,
    },
}

impl std::fmt::Debug for Sought {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Identifier { kind, .. } => write!(f, "Identifier({kind})"),
        }
    }
}

/// [`Known`], writing down what is asked.
pub(super) struct Lookup<'a> {
    known: &'a Known,
    sought: RefCell<BTreeSet<Sought>>,
}

impl<'a> Lookup<'a> {
    pub fn new(known: &'a Known) -> Self {
        Self { known, sought: RefCell::default() }
    }

    /// What is known under that key.
    pub fn resource(&self, key: &ResourceKey) -> Option<(&'a KnownResource, Option<&'a Value>)> {
        self.sought.borrow_mut().insert(Sought::Key(key.clone()));
        self.known.resources.get(key).map(|(resource, value)| (resource, value.as_ref()))
    }

    /// That text as a key, if something is known under it.
    pub fn key(&self, text: &str) -> Option<ResourceKey> {
        let key = ResourceKey::new(text);
        self.resource(&key).map(|_| key)
    }

    /// That text as a key, if something is known under it that may be of the server `base`. `Type/id` alone is only unique on
    /// one server, and a reference that names another server would lead to another person.
    pub fn key_on(&self, text: &str, base: Option<&str>) -> Option<ResourceKey> {
        let key = self.key(text)?;
        let (resource, _) = self.resource(&key)?;
        let patient =
            resource.patient.as_ref().filter(|patient| **patient != key).and_then(|patient| self.resource(patient));
        let server = patient.map_or(resource, |(patient, _)| patient).server.as_deref();
        (base.is_none() || server.is_none() || base == server).then_some(key)
    }

    /// The keys known under that identifier.
    pub fn identified(&self, kind: &'static str, system: Option<&str>, value: &str) -> &'a [ResourceKey] {
        let system = system.map(str::to_owned);
        self.sought.borrow_mut().insert(Sought::Identifier { kind, system: system.clone(), value: value.to_owned() });
        self.known.identifiers.get(&(kind.to_owned(), system, value.to_owned())).map_or(&[], Vec::as_slice)
    }

    pub fn into_sought(self) -> BTreeSet<Sought> {
        self.sought.into_inner()
    }
}
