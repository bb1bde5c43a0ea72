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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app;

    fn line(parameters: &str, values_files: usize) -> String {
        let variables = [
            ("ARGOCD_APP_NAME", "team_web"),
            ("ARGOCD_APP_NAMESPACE", "demo"),
            ("KUBE_VERSION", "1.34.1"),
            ("KUBE_API_VERSIONS", "v1,apps/v1,apps/v1/Deployment"),
            ("ARGOCD_APP_PARAMETERS", parameters),
        ];
        let request = app::Request::from_plugin(variables).expect("a sound request");
        let plan = app::plan(&request).expect("a plan");
        let words: Vec<_> =
            arguments(&plan, values_files).into_iter().map(|word| word.into_string().unwrap()).collect();
        words.join("\n")
    }

    #[test]
    fn a_plain_application_is_rendered_as_the_repo_server_does() {
        insta::assert_snapshot!(line("null", 0), @r"
        template
        .
        --name-template=web
        --namespace=demo
        --kube-version=1.34.1
        --api-versions=v1
        --api-versions=apps/v1
        --api-versions=apps/v1/Deployment
        --include-crds
        ");
    }

    #[test]
    fn every_parameter_has_its_flag_and_no_value_of_a_file_is_in_it() {
        let parameters = r#"[{"name":"valueFiles","array":["a.yaml","secrets://b.yaml"]},
            {"name":"parameters","map":{"image.tag":"v1,v2","list":"{a,b}"}},
            {"name":"forceStringParameters","map":{"build":"0123"}},
            {"name":"fileParameters","map":{"cert":"tls.crt","key":"tls.key"}},
            {"name":"releaseName","string":"web"},{"name":"namespace","string":"other"},
            {"name":"kubeVersion","string":"v1.30.2+k3s1"},{"name":"apiVersions","array":["x/v1"]},
            {"name":"skipCrds","string":"true"},{"name":"skipTests","string":"true"},
            {"name":"skipSchemaValidation","string":"true"}]"#;
        insta::assert_snapshot!(line(parameters, 2), @r"
        template
        .
        --name-template=web
        --namespace=other
        --kube-version=1.30.2
        --set=image.tag=v1\,v2
        --set=list={a,b}
        --set-string=build=0123
        --set-file=cert=/proc/self/fd/5
        --set-file=key=/proc/self/fd/6
        --values=/proc/self/fd/3
        --values=/proc/self/fd/4
        --api-versions=x/v1
        --skip-schema-validation
        --skip-tests
        ");
    }
}
