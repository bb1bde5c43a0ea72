//! helm's command line, as the repo-server would write it.

use std::ffi::OsString;

use crate::app::Plan;

/// The first descriptor that helm inherits beyond its standard streams.
pub(super) const FIRST_INPUT: i32 = 3;

/// The name by which helm opens its n-th input.
pub(super) fn input_path(index: usize) -> String {
    format!("/proc/self/fd/{}", FIRST_INPUT as usize + index)
}

/// The arguments of `helm template` for a plan: `values_files` values files come as the first inputs, the files of
/// `--set-file` after them. Follows argo-cd 3.6, `util/helm/cmd.go`; the order of equal flags is ours to fix, since
/// argo-cd takes it from a map.
#[must_use]
pub fn arguments(plan: &Plan, values_files: usize) -> Vec<OsString> {
    let mut line: Vec<String> = vec!["template".into(), ".".into()];
    let mut flag = |name: &str, value: String| line.push(format!("--{name}={value}"));
    flag("name-template", plan.release.to_string());
    if let Some(namespace) = &plan.namespace {
        flag("namespace", namespace.to_string());
    }
    if let Some(version) = &plan.kube_version {
        flag("kube-version", version.to_string());
    }
    for (name, value) in &plan.set {
        flag("set", format!("{name}={value}"));
    }
    for (name, value) in &plan.set_string {
        flag("set-string", format!("{name}={value}"));
    }
    for (index, (name, _)) in plan.set_file.iter().enumerate() {
        flag("set-file", format!("{name}={}", input_path(values_files + index)));
    }
    for index in 0..values_files {
        flag("values", input_path(index));
    }
    for version in &plan.api_versions {
        flag("api-versions", version.to_string());
    }
    for (name, wanted) in [
        ("include-crds", plan.include_crds),
        ("skip-schema-validation", plan.skip_schema_validation),
        ("skip-tests", plan.skip_tests),
    ] {
        if wanted {
            line.push(format!("--{name}"));
        }
    }
    line.into_iter().map(OsString::from).collect()
}
