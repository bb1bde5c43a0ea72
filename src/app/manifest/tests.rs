//! Claims about Application manifests.

use super::*;
use crate::app::{Plan, plan};

fn surroundings() -> Surroundings {
    Surroundings {
        plugin_name: "sops".to_owned(),
        revision: Some("0123456789abcdef".to_owned()),
        kube_version: KubeVersion::parse("1.30").ok(),
        api_versions: ApiVersion::parse("apps/v1").into_iter().collect(),
    }
}

/// An Application with this `spec`, which is in flow style.
fn with_spec(spec: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: web, namespace: argocd}}\nspec: {spec}\n"
    )
}

fn parse(spec: &str) -> Application {
    Application::parse(&with_spec(spec)).expect("a good Application")
}

fn plans(spec: &str) -> Result<Vec<Plan>, ManifestError> {
    let application = Application::parse(&with_spec(spec))?;
    let requests: Result<Vec<_>, _> =
        application.sources.iter().map(|source| application.request(source, &surroundings())).collect();
    Ok(requests?.iter().map(|request| plan(request).expect("a good plan")).collect())
}

#[track_caller]
fn refuses(text: &str, expected: &str) -> ManifestError {
    let found = Application::parse(text).and_then(|application| {
        let requests = application.sources.iter().map(|source| application.request(source, &surroundings()));
        requests.collect::<Result<Vec<_>, _>>()
    });
    let error = found.expect_err("must be refused");
    assert_eq!(error.to_string(), expected, "for {text}");
    assert!(!error.hint().is_empty(), "no hint for {text}");
    error
}

#[test]
fn an_application_with_our_plugin_becomes_the_plan_that_argo_cd_would_cause() {
    let spec = "{project: team-a, destination: {namespace: shop}, source: {repoURL: 'https://git', path: charts/web, \
                targetRevision: main, plugin: {name: sops, env: [{name: A, value: b}], parameters: [\
                {name: valueFiles, array: [$ARGOCD_APP_SOURCE_PATH.yaml, 'secrets://s.yaml']},\
                {name: parameters, map: {rev: $ARGOCD_APP_REVISION_SHORT-$ARGOCD_APP_SOURCE_TARGET_REVISION}}]}}}";
    let found = plans(spec).expect("a good Application").remove(0);
    assert_eq!(found.application, "web");
    assert_eq!(found.project.as_deref(), Some("team-a"));
    assert_eq!(found.namespace.map(|namespace| namespace.to_string()).as_deref(), Some("shop"));
    assert_eq!(found.kube_version.map(|version| version.to_string()).as_deref(), Some("1.30"));
    assert_eq!(found.api_versions.len(), 1);
    assert_eq!(found.value_files[0].reference.to_string(), "charts/web.yaml");
    assert_eq!(found.value_files[1].reference.to_string(), "secrets://s.yaml");
    assert_eq!(found.set, [("rev".to_owned(), "0123456-main".to_owned())]);
    assert_eq!(parse(spec).sources[0].path, "charts/web");
}

#[test]
fn a_helm_section_and_a_plugin_section_make_the_same_plan() {
    let native = plans("{source: {path: web, helm: {valueFiles: [a.yaml], parameters: [{name: a, value: 'x,y'}]}}}");
    let plugin = plans(
        "{source: {path: web, plugin: {name: sops, parameters: [{name: valueFiles, array: [a.yaml]}, \
         {name: parameters, map: {a: 'x,y'}}]}}}",
    );
    assert_eq!(native, plugin);
    assert_eq!(native.expect("a good Application")[0].project.as_deref(), Some("default"));
}

#[test]
fn a_source_without_any_section_is_a_chart_without_options() {
    assert_eq!(plans("{source: {path: web}}"), plans("{source: {path: web, helm: {}}}"));
}

#[test]
fn every_source_but_mere_references_is_rendered_in_turn() {
    let spec = "{source: {path: ignored}, sources: [\
                {repoURL: 'https://values', ref: values},\
                {path: web, helm: {valueFiles: [$values/web.yaml]}},\
                {path: db, ref: db, plugin: {name: sops}}]}";
    let application = parse(spec);
    let places: Vec<_> =
        application.sources.iter().map(|source| (source.place.as_str(), source.path.as_str())).collect();
    assert_eq!(places, [("spec.sources[1]", "web"), ("spec.sources[2]", "db")]);
    let refs: Vec<_> = application.refs.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    assert_eq!(refs, [("db", ""), ("values", "https://values")]);
    let found = plans(spec).expect("a good Application");
    assert_eq!(found[0].value_files[0].reference.to_string(), "$values/web.yaml");
}

#[test]
fn a_variable_cannot_begin_an_entry_among_several_sources() {
    let application = parse("{sources: [{path: web, helm: {valueFiles: [$ARGOCD_APP_NAME.yaml]}}]}");
    let request = application.request(&application.sources[0], &surroundings()).expect("a good request");
    let error = plan(&request).expect_err("must be refused");
    assert_eq!(error.to_string(), "`$ARGOCD_APP_NAME.yaml` in `valueFiles` points at a source that is not there");
}

#[test]
fn override_files_change_the_source_before_its_kind_is_decided() {
    let mut application = parse("{source: {path: web, plugin: {name: sops}}}");
    let mut source = application.sources.remove(0);
    source
        .apply_override(".argocd-source.yaml", "path: other\nplugin: {parameters: [{name: releaseName, string: r}]}")
        .expect("a good patch");
    assert_eq!(source.path, "web");
    let request = application.request(&source, &surroundings()).expect("a good request");
    assert_eq!(plan(&request).expect("a good plan").release.as_str(), "r");
    source.apply_override(".argocd-source-web.yaml", "helm: {}").expect("a good patch");
    let error = application.request(&source, &surroundings()).expect_err("must be refused");
    assert_eq!(error.to_string(), "multiple application sources defined: Helm,Plugin in `spec.source`");
}

#[test]
fn what_is_not_one_application_is_refused() {
    refuses("", "the manifest holds 0 documents, not one");
    refuses(&format!("{0}---\n{0}", with_spec("{}")), "the manifest holds 2 documents, not one");
    refuses("a: [", "the manifest is not valid YAML at line 2 column 1");
    refuses("- a", "the manifest is not an object");
    refuses("a: b", "`kind` is missing");
    refuses("kind: Application", "`apiVersion` is missing");
    for (kind, hint) in [
        ("ApplicationSet", "give one of the Applications it makes: `argocd appset generate` prints them"),
        ("ApplicationList", "give one item of the list at a time"),
        ("AppProject", "give the YAML of an Argo CD Application"),
    ] {
        let error = refuses(
            &format!("apiVersion: argoproj.io/v1alpha1\nkind: {kind}"),
            &format!("the manifest is `{kind}` of `argoproj.io/v1alpha1`, not `Application` of `argoproj.io`"),
        );
        assert_eq!(error.hint(), hint);
    }
    refuses(
        "apiVersion: app.k8s.io/v1beta1\nkind: Application",
        "the manifest is `Application` of `app.k8s.io/v1beta1`, not `Application` of `argoproj.io`",
    );
}

#[test]
fn sources_that_are_not_for_us_are_refused_by_name() {
    for (spec, expected) in [
        ("{}", "`spec.source` is missing"),
        ("{sourceHydrator: {}}", "`spec.sourceHydrator` is not supported yet"),
        ("{sources: [{ref: a}]}", "`spec.sources` holds only references for other sources"),
        (
            "{sources: [{ref: a}, {ref: a}]}",
            "`spec.sources[1].ref` must be its own name of letters, digits, `_` and `-`",
        ),
        (
            "{source: {path: web, kustomize: {}}}",
            "`spec.source` is rendered by Argo CD's Kustomize support, not by helm",
        ),
        (
            "{source: {path: web, directory: {}}}",
            "`spec.source` is rendered by Argo CD's Directory support, not by helm",
        ),
        ("{source: {chart: web, helm: {}}}", "`spec.source.chart` is not supported yet"),
        (
            "{source: {path: web, helm: {}, plugin: {}}}",
            "multiple application sources defined: Helm,Plugin in `spec.source`",
        ),
        ("{source: {path: web, plugin: {name: other}}}", "`spec.source.plugin.name` must be `sops`, not `other`"),
        ("{source: {path: web, plugin: {}}}", "`spec.source.plugin.name` is missing"),
        (
            "{source: {path: web, plugin: {name: sops, parameter: []}}}",
            "`spec.source.plugin.parameter` is not a field that Argo CD knows",
        ),
        ("{source: {path: 1}}", "`spec.source.path` must be a string"),
        ("{source: {helm: {}}}", "`spec.source.path` is missing"),
        ("{source: web}", "`spec.source` must be a mapping"),
        (
            "{source: {path: web, plugin: {name: sops, parameters: [{name: skipCrds, string: true}]}}}",
            "`spec.source.plugin.parameters[0]` must be a `name` with a `string`, an `array` of strings or a `map` of strings",
        ),
        (
            "{source: {path: web, plugin: {name: sops, parameters: [{name: x, string: z}]}}}",
            "`spec.source.plugin.parameters` cannot be used",
        ),
    ] {
        refuses(&with_spec(spec), expected);
    }
}

#[test]
fn an_application_needs_a_name_that_is_one() {
    let text = with_spec("{source: {}}");
    refuses(&text.replace("name: web, ", ""), "`metadata.name` is missing");
    refuses(&text.replace("name: web", "name: ../web"), "`metadata.name` must be a Kubernetes name");
    refuses(&text.replace("metadata:", "meta:"), "`metadata` is missing");
    refuses(&text.replace("spec:", "specs:"), "`spec` is missing");
}

#[test]
fn errors_of_parameters_keep_their_reason_and_their_hint() {
    let error = refuses(
        &with_spec("{source: {path: web, plugin: {name: sops, parameters: [{name: valuesFiles, array: []}]}}}"),
        "`spec.source.plugin.parameters` cannot be used",
    );
    let cause = std::error::Error::source(&error).expect("a cause");
    assert_eq!(cause.to_string(), "there is no parameter `valuesFiles`");
    assert_eq!(error.hint(), "did you mean `valueFiles`?");
}
