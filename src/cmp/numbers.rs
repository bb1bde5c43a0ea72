//! The numbers of the rooms, as metrics.

use crate::plugin::{Plugin, Stats};
use crate::repo::Trees;
use crate::telemetry::Sample;

/// What the rooms count, now.
pub(super) fn samples(plugin: &Plugin, trees: &Trees) -> Vec<Sample> {
    const ARCHIVES: &str = "Archives, by how their tree was had.";
    const RENDERS: &str = "Requests for manifests, by where they came from.";
    const DATA_KEYS: &str = "Encrypted files that were opened, by whether their data key was known.";
    let (trees, Stats { renders, data_keys, helm, keys_generation }) = (trees.stats(), plugin.stats());
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let number = |value: u64| value as f64;
    let counter = |name, help, value| Sample::counter(name, help, number(value));
    let gauge = |name, help, value| Sample::gauge(name, help, number(value));
    vec![
        gauge("argocd_sops_trees", "Unpacked trees that are kept.", trees.trees),
        gauge("argocd_sops_trees_bytes", "Bytes of their files.", trees.bytes),
        Sample::gauge(
            "argocd_sops_trees_oldest_seconds",
            "How long ago the oldest of them was unpacked.",
            trees.oldest.unwrap_or_default().as_secs_f64(),
        ),
        counter("argocd_sops_archives_total", ARCHIVES, trees.unpacked).with("tree", "unpacked"),
        counter("argocd_sops_archives_total", ARCHIVES, trees.known_by_checksum).with("tree", "checksum"),
        counter("argocd_sops_archives_total", ARCHIVES, trees.known_by_commit).with("tree", "commit"),
        counter("argocd_sops_archives_total", ARCHIVES, trees.followed).with("tree", "followed"),
        counter("argocd_sops_archives_failed_total", "Archives that could not be taken in.", trees.failed),
        counter("argocd_sops_trees_evicted_total", "Trees that went early, for want of room.", trees.evicted),
        counter("argocd_sops_received_bytes_total", "Bytes of archives that arrived.", trees.received_bytes),
        counter(
            "argocd_sops_spooled_bytes_total",
            "Bytes put aside while another request unpacked the same.",
            trees.spooled_bytes,
        ),
        counter("argocd_sops_written_bytes_total", "Bytes of files that were written.", trees.written_bytes),
        counter("argocd_sops_linked_bytes_total", "Bytes of files that another tree had already.", trees.linked_bytes),
        counter(
            "argocd_sops_inflated_git_bytes_total",
            "Bytes below `.git` that were inflated for nothing.",
            trees.git_bytes,
        ),
        counter("argocd_sops_renders_total", RENDERS, renders.hits).with("from", "cache"),
        counter("argocd_sops_renders_total", RENDERS, renders.shared).with("from", "shared"),
        counter("argocd_sops_renders_total", RENDERS, renders.misses).with("from", "helm"),
        counter("argocd_sops_renders_total", RENDERS, renders.not_kept).with("from", "helm_not_kept"),
        gauge("argocd_sops_renders_kept", "Renders that are kept.", renders.kept as u64),
        gauge("argocd_sops_renders_kept_bytes", "Bytes of their manifests.", renders.bytes as u64),
        Sample::gauge(
            "argocd_sops_renders_oldest_seconds",
            "The age of the oldest of them.",
            renders.oldest.as_secs_f64(),
        ),
        counter("argocd_sops_data_keys_total", DATA_KEYS, data_keys.asked.saturating_sub(data_keys.unwrapped))
            .with("from", "cache"),
        counter("argocd_sops_data_keys_total", DATA_KEYS, data_keys.unwrapped).with("from", "master_key"),
        gauge("argocd_sops_data_keys_kept", "Data keys that are kept.", data_keys.kept as u64),
        counter(
            "argocd_sops_keys_loads_total",
            "How often the mounted keys were read, which is when they have changed.",
            keys_generation,
        ),
        counter("argocd_sops_helm_runs_total", "Runs of `helm template`.", helm.runs),
        counter("argocd_sops_helm_failures_total", "Those that gave no manifests.", helm.failures),
        counter("argocd_sops_helm_retries_total", "What was tried once more.", helm.retries),
        counter("argocd_sops_helm_ahead_total", "Runs that were started before their input was there.", helm.ahead),
        counter("argocd_sops_helm_ahead_used_total", "Those of them that were of use.", helm.ahead_used),
        gauge("argocd_sops_helm_slots", "How many helms may run at once.", helm.slots as u64),
        gauge("argocd_sops_helm_running", "How many run.", helm.running as u64),
        gauge("argocd_sops_helm_queued", "How many requests wait for one.", helm.queued as u64),
    ]
}
