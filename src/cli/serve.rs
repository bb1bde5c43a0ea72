//! `serve`: the plugin server.

use std::process::ExitCode;

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::ended;
use super::generate::{Keeps, plugin};
use super::report::Failure;
use crate::cmp::{self, hardening, init};
use crate::config::Variables;
use crate::helm::{self, Helm};
use crate::repo::Trees;
use crate::telemetry;
use crate::values::Policy;

/// Threads for what never waits: calls, pipes, timers. Work that blocks has threads of its own.
const THREADS: usize = 2;

/// The most threads for work that blocks, made as they are needed. Each call may hold one while its archive arrives
/// (`cmp::MAX_CALLS`), however slowly that is: there are some for the work of others.
const BLOCKING_THREADS: usize = 1024 + 512;

/// Serves until a signal asks for the end; a second one ends it at once.
pub(super) fn run(variables: &Variables) -> Result<ExitCode, Failure> {
    if let Some(done) = init::serve_as_init() {
        return Ok(done?);
    }
    let (logs, collector) = (variables.server_telemetry()?, variables.traces()?);
    let options = variables.server()?;
    let trees = Trees::open(&variables.trees(), variables.limits()?)?;
    // What an ended run has left there goes with its trees.
    let scratch = Some(trees.folder().to_owned());
    let keeps =
        Keeps { scratch, slots: variables.slots()?, data_keys: variables.data_keys()?, renders: variables.renders()? };
    let (policy, helm) = (variables.policy()?, Helm::find(variables.helm()?));
    let plugin = plugin(variables, policy.clone(), keeps)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let served = runtime.block_on(async {
        let traces = telemetry::begin_serving(logs, collector.as_ref());
        hardening::harden();
        say_what_is_wanting(&policy, helm.err().as_ref());
        let (ask, asked) = oneshot::channel();
        let impatience = async {
            ended().await;
            let _ = ask.send(());
            ended().await
        };
        let served = tokio::select! {
            // In this order: who sees the socket may already ask for the end.
            biased;
            signal = impatience => {
                warn!("asked to end a second time: calls that are running are not answered");
                Ok(ExitCode::from(128 + signal))
            }
            served = cmp::serve(options, trees, plugin, async { _ = asked.await }) => {
                served.map(|()| ExitCode::SUCCESS).map_err(Failure::Server)
            }
        };
        traces.end().await;
        served
    });
    runtime.shutdown_background();
    served
}

/// What requests will be refused for. It is no error: plain applications render, and the Pod must become ready.
fn say_what_is_wanting(policy: &Policy, helm: Option<&helm::Error>) {
    match policy {
        Policy::Open => info!("`ARGOCD_SOPS_POLICY=open`: every project may use every key of this process"),
        Policy::Missing => warn!("`ARGOCD_SOPS_POLICY` is not set: nothing is decrypted"),
        Policy::NotYet { value } => {
            warn!(value, "only `ARGOCD_SOPS_POLICY=open` is supported yet: nothing is decrypted");
        }
    }
    if let Some(error) = helm {
        warn!("{error}: nothing is rendered until `ARGOCD_SOPS_HELM` or PATH leads to one");
    }
}
