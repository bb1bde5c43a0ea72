//! `.argocd-source.yaml`: files in a repository that change the Application's source.
//!
//! In a cluster the repo-server has applied them before anybody is asked; only the local command has to.

use serde_json::{Map, Value};

use super::ManifestError;
use crate::app::yaml;

/// What an override file cannot change: it comes out of what these name.
const PROTECTED: [&str; 4] = ["chart", "path", "repoURL", "targetRevision"];

/// The names of the override files of an application, in the order in which they are applied.
#[must_use]
pub fn override_files(application: &str) -> [String; 2] {
    [".argocd-source.yaml".to_owned(), format!(".argocd-source-{application}.yaml")]
}

/// Applies one file to a source as a JSON merge patch (RFC 7396): `null` removes, lists are replaced as a whole. Like
/// Argo CD, it reads the first document only.
pub(super) fn apply(source: &mut Map<String, Value>, file: &str, text: &str) -> Result<(), ManifestError> {
    let wrong = |cause| ManifestError::Override { file: file.to_owned(), cause };
    let Value::Object(patch) = yaml::first_document(text).map_err(wrong)? else {
        return Err(wrong(yaml::YamlError::NotAMapping));
    };
    let kept = PROTECTED.map(|name| source.get(name).cloned());
    merge(source, patch);
    for (name, value) in PROTECTED.into_iter().zip(kept) {
        match value {
            Some(value) => source.insert(name.to_owned(), value),
            None => source.remove(name),
        };
    }
    Ok(())
}

/// RFC 7396, with one addition of the library that Argo CD uses (evanphx/json-patch 5.9): a list that does not replace a
/// mapping loses the nulls of the mappings in it. Recursion ends, since the YAML reader limits depth.
fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, change) in patch {
        match (change, target.get_mut(&key)) {
            (Value::Null, _) => {
                target.remove(&key);
            }
            (Value::Object(change), Some(Value::Object(inner))) => merge(inner, change),
            (change, Some(Value::Object(_))) => {
                target.insert(key, change);
            }
            (change, _) => {
                target.insert(key, without_nulls(change));
            }
        }
    }
}

/// A value whose mappings, at any depth, have no nulls. Nulls in a list stay.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let filled = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(filled.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(source: Value, text: &str) -> Result<Value, ManifestError> {
        let Value::Object(mut source) = source else { panic!("a source is an object") };
        apply(&mut source, ".argocd-source.yaml", text)?;
        Ok(Value::Object(source))
    }

    #[test]
    fn mappings_are_merged_and_lists_replaced() {
        let source = json!({"path": "web", "helm": {"valueFiles": ["a", "b"], "releaseName": "r"}});
        assert_eq!(
            patched(source, "helm:\n  valueFiles: [c]\n  namespace: shop\n"),
            Ok(json!({"path": "web", "helm": {"valueFiles": ["c"], "releaseName": "r", "namespace": "shop"}}))
        );
    }

    #[test]
    fn null_removes() {
        let source = json!({"helm": {"valueFiles": ["a"], "releaseName": "r"}});
        assert_eq!(patched(source, "helm: {releaseName: null}"), Ok(json!({"helm": {"valueFiles": ["a"]}})));
        assert_eq!(patched(json!({"helm": {}}), "helm: ~\nplugin: {a: {b: ~}}"), Ok(json!({"plugin": {"a": {}}})));
    }

    #[test]
    fn lists_lose_the_nulls_of_their_mappings_where_argo_cds_do() {
        // Answers of evanphx/json-patch 5.9.11.
        let text = "a: [~, {b: ~, c: 1}]";
        assert_eq!(patched(json!({"a": "s"}), text), Ok(json!({"a": [null, {"c": 1}]})));
        assert_eq!(patched(json!({}), text), Ok(json!({"a": [null, {"c": 1}]})));
        assert_eq!(patched(json!({"a": {}}), text), Ok(json!({"a": [null, {"b": null, "c": 1}]})));
    }

    #[test]
    fn only_the_first_document_counts() {
        assert_eq!(patched(json!({}), "a: 1\n---\nb: 1"), Ok(json!({"a": 1})));
    }

    #[test]
    fn where_the_source_comes_from_is_protected() {
        let source = json!({"path": "web", "repoURL": "https://git"});
        assert_eq!(
            patched(source.clone(), "path: other\nrepoURL: evil\nchart: c\ntargetRevision: v\nref: r"),
            Ok(json!({"path": "web", "repoURL": "https://git", "ref": "r"}))
        );
    }

    #[test]
    fn a_file_that_is_no_patch_is_refused() {
        for (text, expected) in [
            ("- a", "`.argocd-source.yaml` must be a YAML mapping, not a list or a single value"),
            ("", "`.argocd-source.yaml` must be a YAML mapping, not a list or a single value"),
            ("a: [", "`.argocd-source.yaml` is not valid YAML at line 2 column 1"),
            ("---\n---\na: 1", "`.argocd-source.yaml` must be a YAML mapping, not a list or a single value"),
        ] {
            let error = patched(json!({}), text).expect_err("must be refused");
            assert_eq!(error.to_string(), expected, "for {text:?}");
            assert!(!error.hint().is_empty(), "no hint for {text:?}");
        }
    }

    #[test]
    fn the_files_are_argo_cds_in_its_order() {
        assert_eq!(override_files("team_web"), [".argocd-source.yaml", ".argocd-source-team_web.yaml"]);
    }
}
