//! Argo CD's door: the config management plugin server, in the place of `argocd-cmp-server`.
//!
//! [`serve`] listens on a unix socket and answers the repo-server's four calls and the health check. A call is a stream:
//! metadata, then the archive of the repository. Whatever goes wrong, the stream is read to its end before the answer.

pub mod announcement;
pub mod authority;
mod call;
pub mod connections;
mod error;
pub mod hardening;
pub mod http;
pub mod init;
mod numbers;
mod reply;
mod service;
pub mod socket;
mod upload;
#[rustfmt::skip]
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    missing_docs,
    unreachable_pub,
    reason = "generated"
)]
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep, timeout};
use tokio_stream::{StreamExt as _, pending};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tracing::{info, warn};

use crate::plugin::Plugin;
use crate::repo::Trees;
use crate::telemetry::Metrics;
use service::Service;
use wire::config_management_plugin_service_server::ConfigManagementPluginServiceServer;

/// Calls at a time on one connection; the repo-server makes one after the other.
const MAX_STREAMS: u32 = 32;

/// Calls at a time in all; more than that wait.
const MAX_CALLS: u32 = 1024;

/// How long clients have to take their answers and to close, when all calls are answered.
const PARTING: Duration = Duration::from_secs(2);

/// How much of an archive may be on its way, in bytes. Over a unix socket more does not make it faster, and what has not been
/// looked at when the stream ends is what the client waits for.
const WINDOW: u32 = 64 * 1024;

/// The largest headers of a call, in bytes.
const MAX_HEADERS: u32 = 64 * 1024;

/// How the server works: settings of the operator.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the repo-server looks for plugins, and our name there.
    pub socket: socket::Options,
    /// Where metrics and probes are answered, if anywhere.
    pub http: Option<http::Address>,
    /// How long a call may take at most.
    pub timeout: Duration,
    /// How long clients may keep their connections when the server is asked to end.
    pub drain: Duration,
    /// The largest message, both ways, in bytes.
    pub max_message: usize,
}

/// The server could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket cannot be used.
    #[error(transparent)]
    Socket(#[from] socket::Error),
    /// The port for metrics cannot be used.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The transport failed.
    #[error("the server has ended")]
    Transport(#[source] tonic::transport::Error),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Socket(error) => error.hint(),
            Self::Http(error) => Some(error.hint().to_owned()),
            Self::Transport(_) => None,
        }
    }
}

/// Serves until `asked_to_end`; then the socket goes away, calls that are running are answered, and it returns.
///
/// # Errors
///
/// If it cannot begin.
pub async fn serve(
    options: Options,
    trees: Trees,
    plugin: Plugin,
    asked_to_end: impl Future<Output = ()>,
) -> Result<(), Error> {
    let (trees, plugin, metrics) = (Arc::new(trees), Arc::new(plugin), Arc::new(Metrics::default()));
    let port = match &options.http {
        Some(address) => Some(address.listen().await?),
        None => None,
    };
    let sweeping = tokio::spawn(sweep(Arc::clone(&plugin)));
    let (file, mut connections) = socket::bind(&options.socket)?;
    let pages = {
        let (place, folder) = (file.place(), trees.folder().to_owned());
        let lost = move || {
            (!place.is_ours()).then_some("the socket").or_else(|| (!folder.is_dir()).then_some("the work folder"))
        };
        let (plugin, trees) = (Arc::clone(&plugin), Arc::clone(&trees));
        let samples = move || numbers::samples(&plugin, &trees);
        Arc::new(http::Pages::new(Arc::clone(&metrics), samples, lost))
    };
    let calls = Arc::new(Semaphore::new(MAX_CALLS as usize));
    let service = Service {
        plugin,
        trees: Arc::clone(&trees),
        metrics,
        calls: Arc::clone(&calls),
        timeout: options.timeout,
        max_reply: options.max_message,
    };
    // The reply is measured before it is sent: tonic would say less about it.
    let service = ConfigManagementPluginServiceServer::new(service)
        .max_decoding_message_size(options.max_message)
        .max_encoding_message_size(usize::MAX);
    let (health, health_service) = tonic_health::server::health_reporter();
    let places = connections.places();
    // The end of this stream would close the connections that there are.
    let connections = connections.map(|accepted| accepted.map(authority::Connection::new)).chain(pending());
    let (ending, ended) = oneshot::channel::<()>();
    if let Some(port) = port {
        let gone = async { _ = ended.await };
        tokio::spawn(http::serve(port, Arc::clone(&pages), gone));
    }
    pages.set_ready(true);
    let end = async {
        asked_to_end.await;
        info!("asked to end: nobody new is answered, running calls are");
        pages.set_ready(false);
        health.set_service_status("", ServingStatus::NotServing).await;
        drop(file);
        // A client may have connected to ask a second question: closing its connection would fail it.
        if timeout(options.drain, places.are_free()).await.is_err() {
            warn!("clients are still connected; what they have not asked yet is not answered any more");
        }
    };
    let (closing, closed) = oneshot::channel::<()>();
    let served = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .http2_max_header_list_size(MAX_HEADERS)
        .add_service(health_service)
        .add_service(InterceptedService::new(service, connections::who_may))
        .serve_with_incoming_shutdown(connections, async {
            end.await;
            drop(closing);
        });
    // Connections are closed in a dialogue: a client that says nothing more would keep us for ever.
    let forsaken = async {
        let _ = closed.await;
        loop {
            let _ = calls.acquire_many(MAX_CALLS).await;
            sleep(PARTING).await;
            // One may have been asked before its client knew that we end.
            if calls.available_permits() == MAX_CALLS as usize {
                return;
            }
        }
    };
    let served = tokio::select! {
        served = served => served.map_err(Error::Transport),
        () = forsaken => Ok(()),
    };
    drop(ending);
    sweeping.abort();
    // Others hold them for a moment longer than this process may last.
    let _ = spawn_blocking(move || trees.close()).await;
    served
}

/// Forgets in time what nobody asks for any more.
async fn sweep(plugin: Arc<Plugin>) {
    let mut minutes = interval(Duration::from_mins(1));
    loop {
        minutes.tick().await;
        let plugin = Arc::clone(&plugin);
        // What goes is zeroed, and may be much.
        let _ = spawn_blocking(move || plugin.sweep()).await;
    }
}
