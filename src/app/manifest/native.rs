//! A native `helm` section, unmigrated, becomes the same parameters as a plugin's.

use serde_json::Value;

use super::{Fields, ManifestError};
use crate::app::{
    ApiVersion, Error, KubeVersion, Namespace, Parameters, ReleaseName,
    parameters::{bad_word, helm_version, text, word},
};

impl Parameters {
    /// Reads `spec.source.helm`: all fields of Argo CD 3.6. Of single values with the same name the last one counts,
    /// and `valuesObject` wins over `values`, as there.
    pub(super) fn from_helm(place: &str, section: Value) -> Result<Self, ManifestError> {
        let mut fields = Fields::new(place, section)?;
        let refused = |cause: Error| ManifestError::Parameters { place: place.to_owned(), cause };
        let mut parameters = Self {
            value_files: fields.strings("valueFiles")?,
            ignore_missing_value_files: fields.switch("ignoreMissingValueFiles")?,
            skip_crds: fields.switch("skipCrds")?,
            skip_tests: fields.switch("skipTests")?,
            skip_schema_validation: fields.switch("skipSchemaValidation")?,
            pass_credentials: fields.switch("passCredentials")?,
            ..Self::default()
        };
        let named =
            |name, fields: &mut Fields| Ok::<_, ManifestError>((name, fields.string(name)?.unwrap_or_default()));
        let (name, release) = named("releaseName", &mut fields)?;
        parameters.release_name = word(name, &release, ReleaseName::parse).map_err(refused)?;
        let (name, namespace) = named("namespace", &mut fields)?;
        parameters.namespace = word(name, &namespace, Namespace::parse).map_err(refused)?;
        let (name, version) = named("kubeVersion", &mut fields)?;
        parameters.kube_version = word(name, &version, KubeVersion::parse).map_err(refused)?;
        let (name, version) = named("version", &mut fields)?;
        helm_version(name, &version).map_err(refused)?;
        let (name, values) = named("values", &mut fields)?;
        parameters.values = match fields.take("valuesObject") {
            Some(object @ Value::Object(_)) => Some(as_values_text(&object)),
            Some(_) => {
                return Err(ManifestError::Field { place: fields.place("valuesObject"), expected: "a mapping" });
            }
            None => text(name, values).map_err(refused)?,
        };
        for version in fields.strings("apiVersions")? {
            parameters.api_versions.push(bad_word("apiVersions", ApiVersion::parse(&version)).map_err(refused)?);
        }
        for mut item in fields.objects("parameters")? {
            let (key, value) = (item.string("name")?.unwrap_or_default(), item.string("value")?.unwrap_or_default());
            let force = item.switch("forceString")?;
            item.finish()?;
            let key = named_key("parameters", key).map_err(refused)?;
            let values = if force { &mut parameters.set_string } else { &mut parameters.set };
            values.insert(key, value);
        }
        for mut item in fields.objects("fileParameters")? {
            let (key, path) = (item.string("name")?.unwrap_or_default(), item.string("path")?.unwrap_or_default());
            item.finish()?;
            parameters.set_file.insert(named_key("fileParameters", key).map_err(refused)?, path);
        }
        fields.finish()?;
        Ok(parameters)
    }
}

fn named_key(name: &'static str, key: String) -> Result<String, Error> {
    if key.is_empty() { Err(Error::ParameterKey { name }) } else { Ok(key) }
}

/// JSON that is also YAML for helm: what YAML would fold at or refuse is escaped.
fn as_values_text(object: &Value) -> String {
    let mut out = String::new();
    for c in object.to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.extend(["\\u", &format!("{:04x}", u32::from(c))]);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(section: Value) -> Parameters {
        Parameters::from_helm("spec.source.helm", section).expect("a good section")
    }

    #[track_caller]
    fn refuses(section: Value, expected: &str) -> ManifestError {
        let error = Parameters::from_helm("spec.source.helm", section).expect_err("must be refused");
        assert_eq!(error.to_string(), expected);
        assert!(!error.hint().is_empty(), "no hint for {expected}");
        error
    }

    #[test]
    fn all_fields_of_a_helm_section_are_read() {
        let native = read(json!({
            "releaseName": "r", "namespace": "n", "kubeVersion": "v1.30.1+k3s1", "apiVersions": ["x/v1"], "version": "v3",
            "valueFiles": ["a.yaml", "$values/b.yaml"], "values": "a: 1\n", "valuesObject": null,
            "parameters": [
                {"name": "p", "value": "1"}, {"name": "p", "value": "2"}, {"name": "q"},
                {"name": "p", "value": "3", "forceString": true},
            ],
            "fileParameters": [{"name": "f", "path": "secrets://f.bin"}],
            "ignoreMissingValueFiles": true, "skipCrds": true, "skipTests": true, "skipSchemaValidation": true,
            "passCredentials": true,
        }));
        let plugin = Parameters::from_json(
            r#"[{"name":"releaseName","string":"r"},{"name":"namespace","string":"n"},
                {"name":"kubeVersion","string":"1.30.1"},{"name":"apiVersions","array":["x/v1"]},
                {"name":"valueFiles","array":["a.yaml","$values/b.yaml"]},{"name":"values","string":"a: 1\n"},
                {"name":"parameters","map":{"p":"2","q":""}},{"name":"forceStringParameters","map":{"p":"3"}},
                {"name":"fileParameters","map":{"f":"secrets://f.bin"}},
                {"name":"ignoreMissingValueFiles","string":"true"},{"name":"skipCrds","string":"true"},
                {"name":"skipTests","string":"true"},{"name":"skipSchemaValidation","string":"true"},
                {"name":"passCredentials","string":"true"}]"#,
        );
        assert_eq!(Ok(native), plugin, "and mean the same as a plugin's parameters");
    }

    #[test]
    fn a_values_object_wins_over_values_even_if_those_are_broken() {
        let parameters = read(json!({"values": "[", "valuesObject": {"a": {"b": [1, "x"]}}}));
        assert_eq!(parameters.values.as_deref(), Some(r#"{"a":{"b":[1,"x"]}}"#));
        assert_eq!(read(json!({"valuesObject": {}})).values.as_deref(), Some("{}"));
    }

    #[test]
    fn a_values_object_survives_as_yaml_whatever_its_text_holds() {
        let object = json!({"k\u{2028}": "a\u{85}b\u{7f}\u{feff}c\u{2029}\u{ffff}\t\n\"\\😀/ä: - #"});
        let text = as_values_text(&object);
        assert_eq!(crate::app::yaml::documents(&text), Ok(vec![object]));
    }

    #[test]
    fn fields_of_the_wrong_type_are_named_by_their_place() {
        refuses(json!([]), "`spec.source.helm` must be a mapping");
        refuses(json!({"valueFiles": "a"}), "`spec.source.helm.valueFiles` must be a list");
        refuses(json!({"valueFiles": [1]}), "`spec.source.helm.valueFiles` must be a list of strings");
        refuses(json!({"skipCrds": "true"}), "`spec.source.helm.skipCrds` must be `true` or `false`");
        refuses(json!({"releaseName": 1}), "`spec.source.helm.releaseName` must be a string");
        refuses(json!({"releaseName": "\0"}), "`spec.source.helm.releaseName` must be text without a NUL byte");
        refuses(json!({"valuesObject": []}), "`spec.source.helm.valuesObject` must be a mapping");
        refuses(
            json!({"parameters": [{"name": "a", "value": 1}]}),
            "`spec.source.helm.parameters[0].value` must be a string",
        );
    }

    #[test]
    fn a_misspelt_field_is_not_passed_over() {
        let error =
            refuses(json!({"valuefiles": []}), "`spec.source.helm.valuefiles` is not a field that Argo CD knows");
        assert_eq!(error.hint(), "did you mean `valueFiles`?");
        let error = refuses(json!({"frob": 1}), "`spec.source.helm.frob` is not a field that Argo CD knows");
        assert_eq!(error.hint(), "remove it");
    }

    #[test]
    fn words_are_proven_here_too() {
        for (section, cause) in [
            (json!({"releaseName": "-x"}), "the parameter `releaseName` must not begin with `-`"),
            (
                json!({"kubeVersion": "x"}),
                "the parameter `kubeVersion` must be a Kubernetes version like `1.30` or `v1.30.1`",
            ),
            (json!({"version": "v2"}), "the parameter `version` names no helm that is supported"),
            (json!({"values": "- a"}), "the parameter `values` must be a YAML mapping, not a list or a single value"),
            (json!({"parameters": [{"value": "x"}]}), "the parameter `parameters` has an entry without a name"),
        ] {
            let error = refuses(section, "`spec.source.helm` cannot be used");
            assert_eq!(std::error::Error::source(&error).expect("a cause").to_string(), cause);
        }
    }
}
