//! The numbers of the rooms, as metrics.

use crate::plugin::Plugin;
use crate::repo::Trees;
use crate::telemetry::Sample;

/// What the rooms count, now.
pub(super) fn samples(_plugin: &Plugin, trees: &Trees) -> Vec<Sample> {
    let trees = trees.stats();
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
        counter("argocd_sops_archives_total", "Archives, by how their tree was had.", trees.unpacked).with("tree", "unpacked"),
        counter("argocd_sops_archives_total", "Archives, by how their tree was had.", trees.known_by_checksum)
            .with("tree", "checksum"),
        counter("argocd_sops_archives_total", "Archives, by how their tree was had.", trees.known_by_commit).with("tree", "commit"),
        counter("argocd_sops_archives_total", "Archives, by how their tree was had.", trees.followed).with("tree", "followed"),
        counter("argocd_sops_archives_failed_total", "Archives that could not be taken in.", trees.failed),
        counter("argocd_sops_trees_evicted_total", "Trees that went early, for want of room.", trees.evicted),
        counter("argocd_sops_received_bytes_total", "Bytes of archives that arrived.", trees.received_bytes),
        counter("argocd_sops_spooled_bytes_total", "Bytes put aside while another request unpacked the same.", trees.spooled_bytes),
        counter("argocd_sops_written_bytes_total", "Bytes of files that were written.", trees.written_bytes),
        counter("argocd_sops_linked_bytes_total", "Bytes of files that another tree had already.", trees.linked_bytes),
        counter("argocd_sops_git_bytes_total", "Bytes below `.git` that were inflated for nothing.", trees.git_bytes),
    ]
}
