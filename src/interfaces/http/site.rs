//! What the routes share.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::origin::Origins;
use super::rate::Rates;
use crate::features::chart::exports::Spool;
use crate::features::identity::Door;
use crate::interfaces::documents::Documents;
use crate::kernel::engine::Engine;

/// Imports at once: a body of 64 MiB takes some hundred MiB to read.
const IMPORTS_MAX: usize = 2;
/// Files on their way in at once: each keeps the disk busy and holds some hundred KiB.
const UPLOADS_MAX: usize = 32;

/// Exports being made at once: each reads a whole record.
const EXPORTS_MAX: usize = 2;

/// Shared by cloning.
#[derive(Clone)]
pub struct Site {
    inner: Arc<Inner>,
}

struct Inner {
    door: Door,
    origins: Origins,
    trusted_proxies: Vec<IpAddr>,
    rates: Rates,
    imports: Semaphore,
    uploads: Semaphore,
    exports: Arc<Semaphore>,
    spool: Spool,
    metrics: Option<PrometheusHandle>,
    jwks: Value,
    documents: OnceLock<Documents>,
    draining: CancellationToken,
}

/// What a site is made of.
pub struct Parts {
    /// Turns credentials into people, and runs their ops.
    pub door: Door,
    /// `https://HOST:PORT` as printed.
    pub printed: String,
    /// The port that is listened on.
    pub port: u16,
    /// Renders `/metrics`.
    pub metrics: Option<PrometheusHandle>,
    /// The public keys of the deployment.
    pub jwks: Value,
    /// Exports that wait to be fetched.
    pub spool: Spool,
    /// Cancelled when the server goes down.
    pub draining: CancellationToken,
}

impl Site {
    /// Puts the parts together with what the configuration says.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { door, printed, port, metrics, jwks, spool, draining } = parts;
        let config = &door.engine().shared().config;
        let origins = Origins::new(&printed, port, &config.http.origins);
        let trusted_proxies = config.http.trusted_proxies.clone();
        let rates = Rates::new(&config.limits);
        Self {
            inner: Arc::new(Inner {
                door,
                origins,
                trusted_proxies,
                rates,
                imports: Semaphore::new(IMPORTS_MAX),
                uploads: Semaphore::new(UPLOADS_MAX),
                exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
                spool,
                metrics,
                jwks,
                documents: OnceLock::new(),
                draining,
            }),
        }
    }

    /// Turns credentials into people, and runs their ops.
    #[must_use]
    pub fn door(&self) -> &Door {
        &self.inner.door
    }

    /// What it all stands on.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.inner.door.engine()
    }

    /// The web sites that are ours.
    #[must_use]
    pub fn origins(&self) -> &Origins {
        &self.inner.origins
    }

    /// Whose `X-Forwarded-For` counts.
    #[must_use]
    pub fn trusted_proxies(&self) -> &[IpAddr] {
        &self.inner.trusted_proxies
    }

    /// How fast each credential goes.
    #[must_use]
    pub fn rates(&self) -> &Rates {
        &self.inner.rates
    }

    /// Places for imports: each holds its body and what is read from it.
    #[must_use]
    pub fn imports(&self) -> &Semaphore {
        &self.inner.imports
    }

    /// Places for files on their way in.
    #[must_use]
    pub fn uploads(&self) -> &Semaphore {
        &self.inner.uploads
    }

    /// Places for exports being made.
    #[must_use]
    pub fn exports(&self) -> &Arc<Semaphore> {
        &self.inner.exports
    }

    /// Exports that wait to be fetched.
    #[must_use]
    pub fn spool(&self) -> &Spool {
        &self.inner.spool
    }

    /// The text of `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.inner.metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default()
    }

    /// The public keys of the deployment, a JWK set.
    #[must_use]
    pub fn jwks(&self) -> &Value {
        &self.inner.jwks
    }

    /// What is published about the protocol; made when it is first asked for.
    #[must_use]
    pub fn documents(&self) -> &Documents {
        let shared = self.engine().shared();
        self.inner.documents.get_or_init(|| Documents::of(&shared.registry, &shared.config.limits))
    }

    /// Whether no key is loaded.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.engine().shared().vault.keyring().is_sealed()
    }

    /// Whether the server goes down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.is_cancelled()
    }
}
