//! Claims about plans.

use super::*;
use crate::repo::Base;

/// A plugin's plan: some usual variables, more of them, and parameters.
fn plugin(more: &[(&str, &str)], parameters: &str) -> Result<Plan, Error> {
    let usual = [
        ("ARGOCD_APP_PROJECT_NAME", "team-a"),
        ("ARGOCD_APP_REVISION", "0123456789abcdef"),
        ("KUBE_VERSION", "1.30.1"),
        ("KUBE_API_VERSIONS", "apps/v1,apps/v1/Deployment"),
        ("ARGOCD_APP_PARAMETERS", parameters),
    ];
    let name = more.iter().all(|(name, _)| *name != "ARGOCD_APP_NAME").then_some(("ARGOCD_APP_NAME", "web"));
    let namespace =
        more.iter().all(|(name, _)| *name != "ARGOCD_APP_NAMESPACE").then_some(("ARGOCD_APP_NAMESPACE", "shop"));
    plan(&Request::from_plugin(usual.into_iter().chain(name).chain(namespace).chain(more.iter().copied()))?)
}

fn good(parameters: &str) -> Plan {
    plugin(&[], parameters).expect("a good plan")
}

#[track_caller]
fn refuses(parameters: &str, expected: &str) -> Error {
    let error = plugin(&[], parameters).expect_err("must be refused");
    assert_eq!(error.to_string(), expected, "for {parameters}");
    assert!(!error.hint().is_empty(), "no hint for {parameters}");
    error
}

fn file(base: Base, path: &str) -> FilePath {
    let text = if base == Base::Root { format!("/{path}") } else { path.to_owned() };
    FilePath::parse(&text).expect("a path")
}

#[test]
fn without_parameters_the_plan_is_argo_cds_own() {
    let plan = good("null");
    assert_eq!(
        plan,
        Plan {
            application: "web".to_owned(),
            project: Some("team-a".to_owned()),
            release: ReleaseName::parse("web").expect("a name"),
            namespace: Some(Namespace::parse("shop").expect("a name")),
            kube_version: Some(KubeVersion::parse("1.30.1").expect("a version")),
            api_versions: ["apps/v1", "apps/v1/Deployment"].map(|v| ApiVersion::parse(v).expect("a version")).to_vec(),
            value_files: vec![],
            inline_values: None,
            set: vec![],
            set_string: vec![],
            set_file: vec![],
            ignore_missing_value_files: false,
            include_crds: true,
            skip_tests: false,
            skip_schema_validation: false,
            pass_credentials: false,
            allow_empty: false,
        }
    );
}

#[test]
fn the_release_is_the_application_without_its_namespace() {
    for (application, release) in
        [("web", "web"), ("team_web", "web"), ("team_a_b", "a_b"), ("team_", "team_"), ("_web", "web")]
    {
        let plan = plugin(&[("ARGOCD_APP_NAME", application)], "[]").expect("a good plan");
        assert_eq!((plan.application.as_str(), plan.release.as_str()), (application, release));
    }
}

#[test]
fn an_empty_destination_namespace_is_left_out() {
    assert_eq!(plugin(&[("ARGOCD_APP_NAMESPACE", "")], "[]").expect("a good plan").namespace, None);
}

#[test]
fn what_the_application_says_wins_over_what_the_cluster_says() {
    let plan = good(
        r#"[{"name":"releaseName","string":"r"},{"name":"namespace","string":"n"},
            {"name":"kubeVersion","string":"v1.28"},{"name":"apiVersions","array":["x/v1"]}]"#,
    );
    assert_eq!(plan.release.as_str(), "r");
    assert_eq!(plan.namespace.as_ref().map(Namespace::as_str), Some("n"));
    assert_eq!(plan.kube_version.as_ref().map(KubeVersion::as_str), Some("1.28"));
    assert_eq!(plan.api_versions, [ApiVersion::parse("x/v1").expect("a version")], "replaced, not extended");
}

#[test]
fn value_files_keep_their_order_and_their_patterns() {
    let plan = good(r#"[{"name":"valueFiles","array":["b.yaml","secrets:///envs/*.yaml","a.yaml"]}]"#);
    let found: Vec<_> = plan.value_files.into_iter().map(|file| (file.reference, file.glob)).collect();
    assert_eq!(
        found,
        [
            (Reference::Plain(file(Base::Application, "b.yaml")), false),
            (Reference::Secrets(file(Base::Root, "envs/*.yaml")), true),
            (Reference::Plain(file(Base::Application, "a.yaml")), false),
        ]
    );
}

#[test]
fn variables_expand_in_paths_and_values_and_nowhere_else() {
    let plan = good(
        r#"[{"name":"valueFiles","array":["$ARGOCD_APP_NAME.yaml"]},
            {"name":"values","string":"a: $ARGOCD_APP_NAME"},
            {"name":"parameters","map":{"$ARGOCD_APP_NAME":"$ARGOCD_APP_NAME$$","k":"$KUBE_VERSION."}},
            {"name":"forceStringParameters","map":{"s":"${ARGOCD_APP_NAME}"}},
            {"name":"fileParameters","map":{"$ARGOCD_APP_NAME":"/$ARGOCD_APP_NAME.pem"}},
            {"name":"releaseName","string":"$ARGOCD_APP_NAME"}]"#,
    );
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(plan.value_files[0].as_written, "$ARGOCD_APP_NAME.yaml");
    assert_eq!(plan.value_files[0].reference.to_string(), "web.yaml");
    assert_eq!(plan.inline_values.as_deref(), Some("a: $ARGOCD_APP_NAME"));
    assert_eq!(plan.set, [pair("$ARGOCD_APP_NAME", "web$"), pair("k", ".")]);
    assert_eq!(plan.set_string, [pair("s", "web")]);
    assert_eq!(plan.set_file[0].0, "$ARGOCD_APP_NAME");
    assert_eq!(plan.set_file[0].1.to_string(), "/web.pem");
    assert_eq!(plan.release.as_str(), "$ARGOCD_APP_NAME");
}

#[test]
fn values_with_commas_stay_one_value_and_single_values_are_sorted() {
    let plan = good(r#"[{"name":"parameters","map":{"z":"a,b","a":"{a,b}","m":"a\\,b"}}]"#);
    let found: Vec<_> = plan.set.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(found, [("a", "{a,b}"), ("m", "a\\,b"), ("z", "a\\,b")]);
}

#[test]
fn a_comma_that_a_variable_brings_is_escaped_too() {
    let plan = plugin(
        &[("ARGOCD_APP_SOURCE_PATH", "a,b")],
        r#"[{"name":"parameters","map":{"p":"$ARGOCD_APP_SOURCE_PATH"}}]"#,
    );
    assert_eq!(plan.expect("a good plan").set[0].1, "a\\,b");
}

#[test]
fn the_switches_reach_the_plan() {
    let plan = good(
        r#"[{"name":"skipCrds","string":"true"},{"name":"skipTests","string":"true"},
            {"name":"skipSchemaValidation","string":"true"},{"name":"passCredentials","string":"true"},
            {"name":"ignoreMissingValueFiles","string":"true"},{"name":"allowEmpty","string":"true"}]"#,
    );
    assert!(!plan.include_crds && plan.skip_tests && plan.skip_schema_validation);
    assert!(plan.pass_credentials && plan.ignore_missing_value_files && plan.allow_empty);
}

#[test]
fn a_file_of_another_source_gets_one_clear_answer_in_a_plugin() {
    for entry in ["$values/x.yaml", "secrets://$values/x.yaml", "$values//x.yaml"] {
        let error = refuses(
            &format!(r#"[{{"name":"valueFiles","array":["{entry}"]}}]"#),
            "`$values/...` in `valueFiles` points at another source, which a plugin never receives",
        );
        assert!(error.hint().starts_with("keep the values in this repository"), "{}", error.hint());
    }
    refuses(
        r#"[{"name":"fileParameters","map":{"a":"$values/x.yaml"}}]"#,
        "`$values/...` in `fileParameters` points at another source, which a plugin never receives",
    );
    let plan =
        good(r#"[{"name":"valueFiles","array":["$ARGOCD_APP_NAME/x.yaml","$$values/x.yaml","${values}/x.yaml"]}]"#);
    let found: Vec<_> = plan.value_files.iter().map(|file| file.reference.to_string()).collect();
    assert_eq!(found, ["web/x.yaml", "$values/x.yaml", "/x.yaml"]);
}

#[test]
fn an_entry_that_points_nowhere_is_named_by_its_place() {
    let error =
        refuses(r#"[{"name":"valueFiles","array":["a.yaml","$UNKNOWN"]}]"#, "cannot use entry 2 of `valueFiles`");
    let cause = std::error::Error::source(&error).expect("a cause");
    assert_eq!(cause.to_string(), "the reference is empty");
    let error = refuses(
        r#"[{"name":"fileParameters","map":{"tls.key":"https://example.com/x"}}]"#,
        "cannot use the file of `tls.key` in `fileParameters`",
    );
    let cause = std::error::Error::source(&error).expect("a cause");
    assert_eq!(cause.to_string(), "`https://` references are not supported yet");
}

#[test]
fn a_native_source_reads_a_leading_name_as_variable_or_as_source() {
    let plan_with = |refs: Refs, entry: &str| {
        let environment = Environment::from_pairs([("ARGOCD_APP_NAME", "web")]).expect("a good environment");
        let parameters = Parameters { value_files: vec![entry.to_owned()], ..Parameters::default() };
        plan(&Request { environment, parameters, refs }).map(|plan| plan.value_files[0].reference.clone())
    };
    assert_eq!(
        plan_with(Refs::Variables, "$values/x.yaml"),
        Ok(Reference::Plain(file(Base::Root, "x.yaml"))),
        "an unknown variable is empty, as in Argo CD"
    );
    let sources = Refs::Sources(BTreeSet::from(["values".to_owned()]));
    assert_eq!(
        plan_with(sources.clone(), "$values/$ARGOCD_APP_NAME/*.yaml"),
        Ok(Reference::Ref { name: "values".to_owned(), file: file(Base::Root, "web/*.yaml") })
    );
    let error = plan_with(sources.clone(), "secrets://$values/x.yaml").expect_err("must be refused");
    assert_eq!(error.to_string(), "`secrets://$values/...` in `valueFiles` cannot point at another source");
    assert_eq!(error.hint(), "write `$values/...` without the scheme: an encrypted file is known by its content");
    let error = plan_with(sources, "$other/x.yaml").expect_err("must be refused");
    assert_eq!(error.to_string(), "`$other` in `valueFiles` points at a source that is not there");
    assert_eq!(error.hint(), "use one of `$values`");
    let error = plan_with(Refs::Sources(BTreeSet::new()), "$other/x.yaml").expect_err("must be refused");
    assert_eq!(error.hint(), "give one of the Application's sources a `ref` of this name");
}

#[test]
fn without_an_application_nobody_is_planned_for() {
    let error = plan(&Request::default()).expect_err("must be refused");
    assert_eq!(error.to_string(), "`ARGOCD_APP_NAME` is not set");
    assert!(error.hint().contains("generate APP.yaml"));
}

#[test]
fn names_that_argo_cd_sent_cannot_be_flags_either() {
    let error = plugin(&[("ARGOCD_APP_NAME", "team_--x")], "[]").expect_err("must be refused");
    assert_eq!(error.to_string(), "`ARGOCD_APP_NAME` must not begin with `-`");
    let error = plugin(&[("ARGOCD_APP_NAMESPACE", "-x")], "[]").expect_err("must be refused");
    assert_eq!(error.to_string(), "`ARGOCD_APP_NAMESPACE` must not begin with `-`");
}

#[test]
fn no_name_of_a_file_parameter_brings_a_path_along() {
    for name in ["a=/etc/passwd,b", "a=b", "a,b", "a\\", "a\\\\=/etc/passwd,b", "a[0]=x,b"] {
        assert!(!is_one_name(name), "{name}");
    }
    for name in ["a.b", "a[0].b", "a\\.b", "a\\=b", "a\\,b", "$x"] {
        assert!(is_one_name(name), "{name}");
    }
}
