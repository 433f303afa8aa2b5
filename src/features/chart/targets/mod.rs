//! The receivers of a site: FHIR servers, HL7 v2 interfaces, folders. One attempt of one parcel, and what came of it.
//! Does not know: what a parcel says, when it is tried again, the record. It moves bytes that were rendered once.
//! Invariants: what a receiver sends is bounded in size and time; nothing of it, of a URL asked for or of a token is logged; beyond this
//! machine everything goes over verified TLS, and a token goes to the configured host only.

mod fhir;
mod folder;
mod http;
mod mllp;
mod outcome;
pub mod parcel;
mod patient;
mod pull;
mod remote;
mod search;
mod smart;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::BTreeMap;

pub use fhir::Capabilities;
pub use parcel::{Outcome, Parcel, ParcelKind, Remote};
pub use patient::Resolved;
pub use pull::{PullReport, pull};
use serde_json::Value;
pub use smart::public_keys;

use crate::kernel::base::World;
use crate::kernel::base::config::targets::{Target, Targets};

/// A parcel of another kind than its receiver: the job's mistake, never retried.
const MISPLACED: &str = "This receiver does not take parcels of that kind.";

/// Every receiver of the site, with what is kept between two parcels: connections, tokens.
pub struct Receivers {
    by_name: BTreeMap<String, Receiver>,
}

/// One of them.
pub struct Receiver {
    settings: Target,
    way: Way,
}

enum Way {
    Fhir(Box<fhir::Server>),
    Mllp(Box<mllp::Peer>),
    Folder(folder::Folder),
}

impl Receivers {
    /// As configured. Nothing is opened before the first parcel.
    #[must_use]
    pub fn of(targets: &Targets, world: &World) -> Self {
        let receiver = |settings: &Target| Receiver {
            settings: settings.clone(),
            way: match settings {
                Target::Fhir(fhir) => Way::Fhir(Box::new(fhir::Server::new(fhir.clone(), world.clone()))),
                Target::Mllp(mllp) => Way::Mllp(Box::new(mllp::Peer::new(mllp.clone()))),
                Target::Folder(folder) => Way::Folder(folder::Folder::new(folder.path.clone())),
            },
        };
        Self { by_name: targets.iter().map(|(name, settings)| (name.clone(), receiver(settings))).collect() }
    }

    /// One by the name it has in the configuration.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Receiver> {
        self.by_name.get(name)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

impl Receiver {
    /// As configured.
    #[must_use]
    pub const fn settings(&self) -> &Target {
        &self.settings
    }

    /// What a FHIR server says it can; for others, and for one that does not say, nothing.
    ///
    /// # Errors
    /// An outcome that is not [`Outcome::Done`]: it could not be asked.
    pub async fn capabilities(&self) -> Result<Capabilities, Outcome> {
        match &self.way {
            Way::Fhir(server) => server.capabilities().await,
            Way::Mllp(_) | Way::Folder(_) => Ok(Capabilities::default()),
        }
    }

    /// Who a FHIR server knows by one of these identifiers (system, value). Nobody is made here.
    ///
    /// # Errors
    /// An outcome that is not [`Outcome::Done`].
    pub async fn resolve(&self, identifiers: &[(String, String)]) -> Result<Resolved, Outcome> {
        match &self.way {
            Way::Fhir(server) => patient::resolve(server, identifiers).await,
            Way::Mllp(_) | Way::Folder(_) => Err(Outcome::stopped("unsupported", MISPLACED)),
        }
    }

    /// Where a FHIR server holds the resource of that type and identifier: what is asked after an answer was lost.
    ///
    /// # Errors
    /// An outcome that is not [`Outcome::Done`].
    pub async fn read_back(&self, kind: &str, system: &str, value: &str) -> Result<Option<Remote>, Outcome> {
        match &self.way {
            Way::Fhir(server) => server.read_back(kind, &search::identified(system, value), value).await,
            Way::Mllp(_) | Way::Folder(_) => Ok(None),
        }
    }

    /// What a FHIR server holds at `Type/id` there, and its version; none where nothing is.
    ///
    /// # Errors
    /// An outcome that is not [`Outcome::Done`].
    pub async fn read(&self, location: &str) -> Result<Option<(Value, Option<String>)>, Outcome> {
        match &self.way {
            Way::Fhir(server) => server.read(location).await,
            Way::Mllp(_) | Way::Folder(_) => Ok(None),
        }
    }

    /// Asks again for what a receiver held for review; `poll` is as [`Outcome::Held`] gave it.
    pub async fn poll(&self, parcel: &Parcel, poll: &str) -> Outcome {
        match &self.way {
            Way::Fhir(server) => server.poll(parcel, poll).await,
            Way::Mllp(_) | Way::Folder(_) => Outcome::stopped("unsupported", MISPLACED),
        }
    }
}

/// One attempt of one parcel. Whoever repeats it repeats the same bytes.
pub async fn send(receiver: &Receiver, parcel: &Parcel) -> Outcome {
    match (&receiver.way, &parcel.kind) {
        (Way::Fhir(server), ParcelKind::Fhir { .. }) => server.send(parcel).await,
        (Way::Mllp(peer), ParcelKind::Hl7v2) => peer.send(&parcel.bytes).await,
        (Way::Folder(folder), ParcelKind::File { name }) => folder.put(name.clone(), parcel.bytes.clone()).await,
        _ => Outcome::stopped("unsupported", MISPLACED),
    }
}
