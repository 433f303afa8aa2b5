//! `serve`: everything in its order, until a signal; then the reverse.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::notify::Supervisor;
use super::status::Status;
use super::{Folder, Node, Opened, figures};
use crate::features::{channels, chart, files, identity, patients};
use crate::interfaces::certificate;
use crate::interfaces::cli::control::{self, Attendant};
use crate::interfaces::events;
use crate::interfaces::http::{Parts, Site, accept, routes, sealed_routes};
use crate::interfaces::mail;
use crate::interfaces::socket::{self, Sockets};
use crate::interfaces::tls::{self, Files, Identity};
use crate::kernel::base::World;
use crate::kernel::base::config::Config;
use crate::kernel::crypto::jwk;
use crate::kernel::engine::{alarm, attest, patrol};
use crate::kernel::live::{self, Hub};
use crate::kernel::policy::Subject;

/// Files beside the sockets: databases, key file, logs.
const FILES_BESIDE: u64 = 500;

/// What to serve.
#[derive(Clone, Debug)]
pub struct Start {
    /// The data folder.
    pub folder: Folder,
    /// `HOST:PORT`; port 0 picks a free one.
    pub listen: String,
    /// Settings.
    pub config: Config,
}

/// A server that is ready.
#[derive(Clone, Debug)]
pub struct Ready {
    /// `https://HOST:PORT`, HOST as it was given.
    pub url: String,
    /// Where it really listens.
    pub address: SocketAddr,
    /// Why it is sealed, if it is.
    pub sealed: Option<String>,
}

/// Serves until `stop` is cancelled or the process is told to end; `ready` is called once, when requests are answered.
///
/// # Errors
/// A sentence when folder, key, record, certificate or address cannot be used.
pub async fn serve(start: Start, stop: CancellationToken, ready: impl FnOnce(&Ready) + Send) -> anyhow::Result<()> {
    let Start { folder, listen, config } = start;
    folder.demand_initialised()?;
    let hold = folder.hold().await?;
    allow_files();
    let supervisor = Supervisor::of_environment();
    let metrics = figures::recorder();
    let (renew, tls) = watch::channel(offered(&identity(folder.path(), &config)?)?);
    let world = World::system();
    let hub = Hub::new(world.clone());
    let opened = Node::open(folder.clone(), hold, config.clone(), world, hub.clone()).await?;
    let (listener, address, printed) = bind(&listen).await?;
    let draining = stop.child_token();
    let mut sealed = None;
    let (node, app, _hold) = match opened {
        Opened::Open(node) => {
            node.check().await?;
            let app = app(&node, hub.clone(), metrics.clone(), &printed, address, draining.clone()).await?;
            (Some(node), app, None)
        }
        Opened::Sealed(reason, hold) => {
            error!(reason, "The server is sealed");
            let app = sealed_routes();
            sealed = Some(reason);
            (None, app, Some(hold))
        }
    };
    let signals = tokio::spawn(signals(folder.clone(), config, renew, stop.clone(), node.clone()));
    if let Some(metrics) = metrics {
        let db = node.as_ref().map(|node| node.engine.shared().db.clone());
        let watched = figures::Watched { folder: folder.clone(), db, draining: stop.clone() };
        tokio::spawn(figures::keep(metrics, watched, stop.clone()));
    }
    let jobs = match &node {
        Some(node) => jobs(node, hub).await?,
        None => JoinSet::new(),
    };
    let mails = mails(node.as_deref(), stop.clone()).await?;
    let orders = control::listen(&folder)?;
    let attendant = Attendant { node: node.as_deref().cloned(), status: Status::new(printed.clone(), address) };
    let serving = tokio::spawn(control::serve(orders, folder, attendant, stop.clone()));
    supervisor
        .ready(&sealed.as_ref().map_or_else(|| format!("Serving {printed}"), |reason| format!("Sealed: {reason}")));
    ready(&Ready { url: printed.clone(), address, sealed });
    info!(url = printed, "Listening");
    let left = accept::serve(listener, tls, app, accept::Limits::default(), stop.clone()).await;
    supervisor.stopping();
    if left > 0 {
        warn!(connections = left, "Connections were cut at the end of the drain");
    }
    signals.abort();
    let _ = serving.await;
    mails.join_all().await;
    drop(jobs);
    if let Some(node) = node {
        if let Ok(operator) = identity::operator(&node.engine, None).await {
            channels::settle(&node.engine, &operator).await;
        }
        attest::finish(&node.engine).await;
        node.close().await;
    }
    info!("Stopped");
    Ok(())
}

/// The routes of a server with keys.
async fn app(
    node: &Node,
    hub: Arc<Hub>,
    metrics: Option<PrometheusHandle>,
    printed: &str,
    address: SocketAddr,
    draining: CancellationToken,
) -> anyhow::Result<Router> {
    let site = Site::new(Parts {
        door: node.door.clone(),
        printed: printed.to_owned(),
        port: address.port(),
        metrics,
        jwks: jwks(node).await?,
        spool: chart::exports::Spool::open(node.engine.clone()).await?,
        draining: draining.clone(),
    });
    let sockets = Sockets::new(socket::Parts {
        door: node.door.clone(),
        hub,
        origins: site.origins().clone(),
        trusted_proxies: site.trusted_proxies().to_vec(),
        draining,
    });
    Ok(routes(site, socket::routes(sockets.clone()).merge(events::routes(sockets))))
}

/// The built-in user, with the authority of the host.
async fn host(node: &Node) -> anyhow::Result<Subject> {
    let missing =
        |_| anyhow!("The built-in user is missing: `carethread init` was cut short. Remove the folder and repeat it");
    identity::operator(&node.engine, None).await.map_err(missing)
}

/// Mail that is handed over, where the configuration says so; ends with `stop`.
async fn mails(node: Option<&Node>, stop: CancellationToken) -> anyhow::Result<JoinSet<()>> {
    let mut mails = JoinSet::new();
    if let Some(node) = node
        && let Some(listener) = mail::Listener::open(&node.engine.shared().config.mail).await?
    {
        mails.spawn(mail::serve(listener, node.engine.clone(), host(node).await?, stop));
    }
    Ok(mails)
}

/// What goes on beside the commands; ends when it is dropped.
async fn jobs(node: &Node, hub: Arc<Hub>) -> anyhow::Result<JoinSet<()>> {
    let operator = host(node).await?;
    channels::recall(&node.engine).await?;
    let mut jobs = JoinSet::new();
    jobs.spawn(identity::keep(node.engine.clone()));
    jobs.spawn(channels::keep(node.engine.clone(), operator.clone()));
    jobs.spawn(live::announce(node.engine.clone(), hub));
    jobs.spawn(alarm::keep(node.engine.clone(), operator.clone()));
    jobs.spawn(files::keep(node.engine.clone(), operator.clone()));
    jobs.spawn(chart::exports::Filings::new(node.engine.clone(), operator.clone()).keep());
    jobs.spawn(patients::keep(node.engine.clone(), operator));
    jobs.spawn(attest::keep(node.engine.clone()));
    jobs.spawn(patrol::keep(node.engine.clone()));
    Ok(jobs)
}

/// The public keys of a deployment: documents, heads, and those it says by who it is to FHIR servers.
///
/// # Errors
/// Sealed, or the database's.
pub async fn jwks(node: &Node) -> anyhow::Result<Value> {
    let signer = node.engine.shared().vault.keyring().signer()?;
    let mut keys = vec![node.document_key().await?.jwk(), jwk::head_key(signer.verifier())];
    keys.extend(chart::targets::public_keys(&node.engine.shared().config.targets).await);
    Ok(jwk::set(&keys))
}

/// The configured certificate, or the one of the folder.
fn identity(folder: &Path, config: &Config) -> anyhow::Result<Identity> {
    Ok(match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => Files { certificate: certificate.clone(), key: key.clone() }.load()?,
        _ => tls::load_or_make(folder, &World::system())?.0,
    })
}

/// The terms a certificate is offered under. Until when it is valid is told to whoever watches.
fn offered(identity: &Identity) -> anyhow::Result<Arc<ServerConfig>> {
    if let Some(said) = certificate::read(identity.certificate()) {
        metrics::gauge!("carethread_certificate_expires_seconds").set((said.until / 1_000_000) as f64);
    }
    Ok(identity.config()?)
}

/// Listens on the first address that `HOST:PORT` names.
async fn bind(listen: &str) -> anyhow::Result<(TcpListener, SocketAddr, String)> {
    let (host, _) = listen.rsplit_once(':').with_context(|| format!("{listen}: give HOST:PORT"))?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("Cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address, format!("https://{host}:{}", address.port())))
}

/// Raises how many files and sockets may be open to what all connections need, as far as the system lets us.
fn allow_files() {
    let found = getrlimit(Resource::Nofile);
    let needed = accept::Limits::default().connections as u64 + FILES_BESIDE;
    let (Some(current), wanted) = (found.current, found.maximum.map_or(needed, |maximum| maximum.min(needed))) else {
        return;
    };
    if current < wanted {
        // Refused, it stays as it was: connections beyond it wait.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..found });
    }
}

/// TERM and INT end, HUP reads the certificate again, USR2 forgets all keys.
async fn signals(
    folder: Folder,
    config: Config,
    renew: watch::Sender<Arc<ServerConfig>>,
    stop: CancellationToken,
    node: Option<Box<Node>>,
) -> anyhow::Result<()> {
    let on = |kind: SignalKind| signal(kind).map_err(|error| anyhow!("signals cannot be waited for: {error}"));
    let (mut end, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let (mut reload, mut seal) = (on(SignalKind::hangup())?, on(SignalKind::user_defined2())?);
    loop {
        tokio::select! {
            _ = end.recv() => break,
            _ = interrupt.recv() => break,
            _ = reload.recv() => match identity(folder.path(), &config).and_then(|found| offered(&found)) {
                Ok(config) => {
                    renew.send_replace(config);
                    info!("The certificate was read again");
                }
                Err(error) => error!(%error, "The certificate was not read; the former one stays"),
            },
            _ = seal.recv() => if let Some(node) = &node {
                node.engine.shared().vault.keyring().seal();
                warn!("Sealed: all keys are forgotten. Only a new start unseals");
            },
        }
    }
    info!("Going down");
    stop.cancel();
    Ok(())
}
