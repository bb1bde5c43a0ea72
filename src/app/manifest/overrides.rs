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

/// Applies one file to a source as a JSON merge patch (RFC 7396): `null` removes, lists are replaced as a whole.
pub(super) fn apply(source: &mut Map<String, Value>, file: &str, text: &str) -> Result<(), ManifestError> {
    let wrong = |cause| ManifestError::OverrideYaml { file: file.to_owned(), cause };
    // Argo CD reads one document; `---` and more would be passed over there.
    let mut documents = yaml::documents(text).map_err(wrong)?;
    let patch = match (documents.len(), documents.pop()) {
        (1, Some(Value::Object(patch))) => patch,
        (0 | 1, _) => return Err(wrong(yaml::YamlError::NotAMapping)),
        (count, _) => return Err(ManifestError::OverrideDocuments { file: file.to_owned(), count }),
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

/// RFC 7396. Recursion ends, since the YAML reader limits depth.
fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, change) in patch {
        match change {
            Value::Null => {
                target.remove(&key);
            }
            Value::Object(change) => {
                let inner = target.entry(key).or_insert(Value::Null);
                if !inner.is_object() {
                    *inner = Value::Object(Map::new());
                }
                if let Value::Object(inner) = inner {
                    merge(inner, change);
                }
            }
            other => {
                target.insert(key, other);
            }
        }
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
            ("a: 1\n---\nb: 1", "`.argocd-source.yaml` holds 2 documents"),
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
