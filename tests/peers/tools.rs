//! Finds the real programs that judge us, each of one pinned version.

use std::path::PathBuf;

/// The path of a pinned tool, e.g. `sops-3.13.3/sops`, below `ARGOCD_SOPS_TEST_TOOLS` (default
/// `~/.cache/argocd-sops`). Where it is missing, CI fails and everybody else reads what was not tested.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ARGOCD_SOPS_TEST_TOOLS").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(PathBuf::from(home).join(".cache/argocd-sops"))
    });
    let path = folder.map(|folder| folder.join(name)).filter(|path| path.is_file());
    if path.is_none() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "{name} is missing below ARGOCD_SOPS_TEST_TOOLS, and CI must not skip what needs it"
        );
    }
    path
}
