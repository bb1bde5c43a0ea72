//! `ARGOCD_APP_PARAMETERS` becomes typed parameters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{ApiVersion, Error, KubeVersion, Namespace, Parameter, ReleaseName, Shape, WordError, yaml};

/// What an Application asks of helm. The same for `plugin.parameters` and for a native `helm` section, so that both go
/// through one [`plan`](super::plan).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of Argo CD's own, by its own name")]
pub struct Parameters {
    /// `valueFiles`, as written.
    pub value_files: Vec<String>,
    /// `values`: YAML text of a mapping.
    pub values: Option<String>,
    /// `parameters`, for `--set`.
    pub set: BTreeMap<String, String>,
    /// `forceStringParameters`, for `--set-string`.
    pub set_string: BTreeMap<String, String>,
    /// `fileParameters`, for `--set-file`: paths, as written.
    pub set_file: BTreeMap<String, String>,
    /// `releaseName`
    pub release_name: Option<ReleaseName>,
    /// `namespace`
    pub namespace: Option<Namespace>,
    /// `kubeVersion`
    pub kube_version: Option<KubeVersion>,
    /// `apiVersions`; empty means the cluster's.
    pub api_versions: Vec<ApiVersion>,
    /// `ignoreMissingValueFiles`
    pub ignore_missing_value_files: bool,
    /// `skipCrds`
    pub skip_crds: bool,
    /// `skipTests`
    pub skip_tests: bool,
    /// `skipSchemaValidation`
    pub skip_schema_validation: bool,
    /// `passCredentials`
    pub pass_credentials: bool,
    /// `allowEmpty`: zero objects are no error.
    pub allow_empty: bool,
}

impl Parameters {
    /// Reads the JSON that Argo CD makes of `spec.source.plugin.parameters`: an array of items with `name` and one of
    /// `string`, `array` and `map`, or `null`.
    ///
    /// Each parameter has one [`Shape`]. A lone `string` is taken as an array of one, since nothing else can be meant;
    /// nothing is split at commas or spaces. An empty string, array or map is the same as leaving the parameter out.
    /// Switches take `true` and `false` and nothing else.
    ///
    /// # Errors
    ///
    /// [`Error`] names the parameter, and what is wrong with it. Values are never quoted.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let value = serde_json::from_str(text)
            .map_err(|error| Error::ParametersJson { line: error.line(), column: error.column() })?;
        let items = match value {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            _ => return Err(Error::ParametersNotAList),
        };
        Self::from_items(items)
    }

    /// The items of the list, as Argo CD's JSON or a manifest has them.
    pub(super) fn from_items(items: Vec<Value>) -> Result<Self, Error> {
        let mut parameters = Self::default();
        let mut seen = BTreeSet::new();
        for (index, item) in items.into_iter().enumerate() {
            let item = Item::read(item).ok_or(Error::ParameterItem { index })?;
            let known = Parameter::find(&item.name)?;
            if !seen.insert(known.name) {
                return Err(Error::ParameterTwice { name: known.name });
            }
            parameters.apply(known, item)?;
        }
        Ok(parameters)
    }

    fn apply(&mut self, known: &Parameter, item: Item) -> Result<(), Error> {
        let name = known.name;
        match name {
            "valueFiles" => self.value_files = item.array(known)?,
            "values" => self.values = text(name, item.string(known)?)?,
            "parameters" => self.set = item.map(known)?,
            "forceStringParameters" => self.set_string = item.map(known)?,
            "fileParameters" => self.set_file = item.map(known)?,
            "releaseName" => self.release_name = word(name, &item.string(known)?, ReleaseName::parse)?,
            "namespace" => self.namespace = word(name, &item.string(known)?, Namespace::parse)?,
            "kubeVersion" => self.kube_version = word(name, &item.string(known)?, KubeVersion::parse)?,
            "apiVersions" => {
                let versions = item.array(known)?;
                self.api_versions = versions
                    .iter()
                    .map(|version| bad_word(name, ApiVersion::parse(version)))
                    .collect::<Result<_, _>>()?;
            }
            "ignoreMissingValueFiles" => self.ignore_missing_value_files = switch(name, &item.string(known)?)?,
            "skipCrds" => self.skip_crds = switch(name, &item.string(known)?)?,
            "skipTests" => self.skip_tests = switch(name, &item.string(known)?)?,
            "skipSchemaValidation" => self.skip_schema_validation = switch(name, &item.string(known)?)?,
            "passCredentials" => self.pass_credentials = switch(name, &item.string(known)?)?,
            "allowEmpty" => self.allow_empty = switch(name, &item.string(known)?)?,
            "version" => helm_version(name, &item.string(known)?)?,
            _ => return Err(Error::ParameterNotYet { name }),
        }
        Ok(())
    }
}

/// The helm version that an Application may name: since Argo CD has one helm only, any of its words means that one.
pub(super) fn helm_version(name: &'static str, text: &str) -> Result<(), Error> {
    if matches!(text, "" | "v3" | "v4") { Ok(()) } else { Err(Error::HelmVersion { name }) }
}

/// A word for helm's command line; an empty text is none.
pub(super) fn word<T>(
    name: &'static str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, WordError>,
) -> Result<Option<T>, Error> {
    if text.is_empty() { Ok(None) } else { bad_word(name, parse(text)).map(Some) }
}

pub(super) fn bad_word<T>(name: &'static str, found: Result<T, WordError>) -> Result<T, Error> {
    found.map_err(|cause| Error::ParameterWord { name, cause })
}

/// `values`: YAML of a mapping, passed on as written.
pub(super) fn text(name: &'static str, text: String) -> Result<Option<String>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    yaml::check_values(&text).map_err(|cause| Error::ParameterYaml { name, cause })?;
    Ok(Some(text))
}

fn switch(name: &'static str, text: &str) -> Result<bool, Error> {
    match text {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(Error::ParameterSwitch { name }),
    }
}

/// One item as Argo CD writes it.
struct Item {
    name: String,
    string: Option<String>,
    array: Option<Vec<String>>,
    map: Option<BTreeMap<String, String>>,
}

impl Item {
    fn read(value: Value) -> Option<Self> {
        let Value::Object(mut fields) = value else { return None };
        let Some(Value::String(name)) = fields.remove("name") else { return None };
        let mut item = Self { name, string: None, array: None, map: None };
        for (key, value) in fields {
            match (key.as_str(), value) {
                (_, Value::Null) => {}
                ("string", Value::String(text)) => item.string = Some(text),
                ("array", Value::Array(items)) => {
                    item.array = Some(items.into_iter().map(string).collect::<Option<_>>()?);
                }
                ("map", Value::Object(entries)) => {
                    item.map = Some(
                        entries.into_iter().map(|(key, value)| Some((key, string(value)?))).collect::<Option<_>>()?,
                    );
                }
                _ => return None,
            }
        }
        Some(item)
    }

    fn string(self, known: &Parameter) -> Result<String, Error> {
        self.check(known)?;
        self.string.ok_or(Error::ParameterShape { name: known.name, expected: known.shape })
    }

    fn array(self, known: &Parameter) -> Result<Vec<String>, Error> {
        self.check(known)?;
        match (self.array, self.string) {
            (Some(items), _) if !items.is_empty() => Ok(items),
            (_, Some(text)) if !text.is_empty() => Ok(vec![text]),
            (None, None) => Err(Error::ParameterShape { name: known.name, expected: known.shape }),
            _ => Ok(Vec::new()),
        }
    }

    fn map(self, known: &Parameter) -> Result<BTreeMap<String, String>, Error> {
        self.check(known)?;
        self.map.ok_or(Error::ParameterShape { name: known.name, expected: known.shape })
    }

    /// Whether only shapes that fit are filled, and no text has a NUL byte, which no argument can hold.
    fn check(&self, known: &Parameter) -> Result<(), Error> {
        let string = self.string.as_ref().is_some_and(|text| !text.is_empty());
        let array = self.array.as_ref().is_some_and(|items| !items.is_empty());
        let map = self.map.as_ref().is_some_and(|entries| !entries.is_empty());
        let fits = match known.shape {
            Shape::String | Shape::Switch => !array && !map,
            Shape::Array => !(map || array && string),
            Shape::Map => !string && !array,
        };
        if !fits {
            return Err(Error::ParameterShape { name: known.name, expected: known.shape });
        }
        let texts = self.string.iter().chain(self.array.iter().flatten());
        let mut texts = texts.chain(self.map.iter().flatten().flat_map(|(key, value)| [key, value]));
        if texts.any(|text| text.contains('\0')) {
            return Err(Error::ParameterNul { name: known.name });
        }
        if self.map.iter().flatten().any(|(key, _)| key.is_empty()) {
            return Err(Error::ParameterKey { name: known.name });
        }
        Ok(())
    }
}

fn string(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::app::PARAMETERS;

    fn read(text: &str) -> Parameters {
        Parameters::from_json(text).expect("good parameters")
    }

    #[track_caller]
    fn refuses(text: &str, expected: &str) {
        let error = Parameters::from_json(text).expect_err("must be refused");
        assert_eq!(error.to_string(), expected, "for {text}");
        assert!(!error.hint().is_empty(), "no hint for {text}");
    }

    #[test]
    fn all_parameters_are_read() {
        let parameters = read(
            r#"[
              {"array":["values.yaml","secrets://s.yaml"],"name":"valueFiles"},
              {"name":"values","string":"a: 1\n"},
              {"map":{"image.tag":"v1"},"name":"parameters"},
              {"map":{"port":"80"},"name":"forceStringParameters"},
              {"map":{"tls":"secrets://tls.pem"},"name":"fileParameters"},
              {"name":"releaseName","string":"web"},
              {"name":"namespace","string":"shop"},
              {"name":"kubeVersion","string":"v1.30.1+k3s1"},
              {"array":["apps/v1"],"name":"apiVersions"},
              {"name":"ignoreMissingValueFiles","string":"true"},
              {"name":"skipCrds","string":"true"},
              {"name":"skipTests","string":"true"},
              {"name":"skipSchemaValidation","string":"true"},
              {"name":"passCredentials","string":"true"},
              {"name":"version","string":"v3"},
              {"name":"allowEmpty","string":"true"}
            ]"#,
        );
        let one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(
            parameters,
            Parameters {
                value_files: vec!["values.yaml".to_owned(), "secrets://s.yaml".to_owned()],
                values: Some("a: 1\n".to_owned()),
                set: one("image.tag", "v1"),
                set_string: one("port", "80"),
                set_file: one("tls", "secrets://tls.pem"),
                release_name: Some(ReleaseName::parse("web").expect("a name")),
                namespace: Some(Namespace::parse("shop").expect("a name")),
                kube_version: Some(KubeVersion::parse("1.30.1").expect("a version")),
                api_versions: vec![ApiVersion::parse("apps/v1").expect("a version")],
                ignore_missing_value_files: true,
                skip_crds: true,
                skip_tests: true,
                skip_schema_validation: true,
                pass_credentials: true,
                allow_empty: true,
            }
        );
    }

    #[test]
    fn no_parameters_are_fine_in_all_their_spellings() {
        for text in ["null", "[]", " null "] {
            assert_eq!(read(text), Parameters::default());
        }
    }

    #[test]
    fn an_empty_value_is_as_good_as_none() {
        let text = r#"[{"name":"releaseName","string":""},{"name":"valueFiles","array":[]},{"name":"parameters","map":{}},
            {"name":"skipCrds","string":""},{"name":"values","string":""},{"name":"apiVersions","string":""}]"#;
        assert_eq!(read(text), Parameters::default());
    }

    #[test]
    fn a_lone_string_is_an_array_of_one() {
        assert_eq!(read(r#"[{"name":"valueFiles","string":"a, b.yaml"}]"#).value_files, ["a, b.yaml"]);
        assert_eq!(read(r#"[{"name":"valueFiles","string":"a.yaml","array":[]}]"#).value_files, ["a.yaml"]);
    }

    #[test]
    fn an_unknown_parameter_is_told_the_nearest_one() {
        let refuses = |name: &str, nearest: Option<&str>| {
            let error = Parameters::from_json(&format!(r#"[{{"name":"{name}","string":"x"}}]"#)).expect_err("unknown");
            assert_eq!(error.to_string(), format!("there is no parameter `{name}`"));
            match nearest {
                Some(nearest) => assert_eq!(error.hint(), format!("did you mean `{nearest}`?")),
                None => assert!(error.hint().starts_with("use one of `valueFiles`, "), "{}", error.hint()),
            }
        };
        refuses("valuesFiles", Some("valueFiles"));
        refuses("valuefiles", Some("valueFiles"));
        refuses("value-files", Some("valueFiles"));
        refuses("skipCRDs", Some("skipCrds"));
        refuses("release_name", Some("releaseName"));
        refuses("set", None);
        refuses("frobnicate", None);
    }

    #[test]
    fn parameters_that_come_later_say_so() {
        for name in ["chart", "repoURL", "chartVersion"] {
            refuses(
                &format!(r#"[{{"name":"{name}","string":"x"}}]"#),
                &format!("the parameter `{name}` is not supported yet"),
            );
        }
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        refuses(
            r#"[{"name":"skipCrds","string":"true"},{"name":"skipCrds","string":"true"}]"#,
            "the parameter `skipCrds` is given twice",
        );
    }

    #[test]
    fn a_parameter_of_the_wrong_shape_is_refused() {
        refuses(r#"[{"name":"skipCrds","array":["true"]}]"#, "the parameter `skipCrds` must be a `string`");
        refuses(r#"[{"name":"parameters","string":"a=b"}]"#, "the parameter `parameters` must be a `map`");
        refuses(r#"[{"name":"parameters","array":["a=b"]}]"#, "the parameter `parameters` must be a `map`");
        refuses(r#"[{"name":"valueFiles","map":{"a":"b"}}]"#, "the parameter `valueFiles` must be an `array`");
        refuses(
            r#"[{"name":"valueFiles","array":["a"],"string":"b"}]"#,
            "the parameter `valueFiles` must be an `array`",
        );
        refuses(r#"[{"name":"skipCrds"}]"#, "the parameter `skipCrds` must be a `string`");
        refuses(r#"[{"name":"values","string":"a: 1","map":{"a":"b"}}]"#, "the parameter `values` must be a `string`");
    }

    #[test]
    fn a_switch_takes_true_and_false_only() {
        for text in ["yes", "True", "1", "on"] {
            refuses(
                &format!(r#"[{{"name":"skipCrds","string":"{text}"}}]"#),
                "the parameter `skipCrds` must be `true` or `false`",
            );
        }
    }

    #[test]
    fn a_parameter_never_becomes_a_flag() {
        for name in ["releaseName", "namespace", "kubeVersion", "apiVersions"] {
            refuses(
                &format!(r#"[{{"name":"{name}","string":"--post-renderer=x"}}]"#),
                &format!("the parameter `{name}` must not begin with `-`"),
            );
        }
    }

    #[test]
    fn values_that_are_no_yaml_mapping_are_refused_without_their_text() {
        refuses(
            r#"[{"name":"values","string":"a: hunter2\nb: [hunter2"}]"#,
            "the parameter `values` is not valid YAML at line 3 column 1",
        );
        refuses(
            r#"[{"name":"values","string":"- hunter2"}]"#,
            "the parameter `values` must be a YAML mapping, not a list or a single value",
        );
    }

    #[test]
    fn odd_json_is_refused_without_its_text() {
        refuses("[{hunter2", "`ARGOCD_APP_PARAMETERS` is not valid JSON at line 1 column 3");
        refuses("{}", "`ARGOCD_APP_PARAMETERS` is not a list");
        refuses(r#"["hunter2"]"#, "item 1 of `ARGOCD_APP_PARAMETERS` is not a parameter");
        refuses(r#"[{"name":"skipCrds","string":1}]"#, "item 1 of `ARGOCD_APP_PARAMETERS` is not a parameter");
        refuses(r#"[{"name":"valueFiles","array":[["a"]]}]"#, "item 1 of `ARGOCD_APP_PARAMETERS` is not a parameter");
        refuses(&"[".repeat(100_000), "`ARGOCD_APP_PARAMETERS` is not valid JSON at line 1 column 128");
    }

    #[test]
    fn a_helm_version_that_argo_cd_refuses_is_refused() {
        refuses(r#"[{"name":"version","string":"v2"}]"#, "the parameter `version` names no helm that is supported");
    }

    proptest! {
        #[test]
        fn no_json_makes_the_reader_panic_or_lets_a_flag_through(
            name in prop::sample::select(PARAMETERS.map(|parameter| parameter.name).to_vec()),
            shape in prop::sample::select(vec!["string", "array", "map"]),
            value in prop::sample::select(vec![r#""-x""#, r#"["-x"]"#, r#"{"-x":"-x"}"#, "null", "1", "[]", "{}"]),
        ) {
            let text = format!(r#"[{{"name":"{name}","{shape}":{value}}}]"#);
            if let Ok(parameters) = Parameters::from_json(&text) {
                let release = parameters.release_name.iter().map(ReleaseName::as_str);
                let namespace = parameters.namespace.iter().map(Namespace::as_str);
                let versions = parameters.api_versions.iter().map(ApiVersion::as_str);
                let kube = parameters.kube_version.iter().map(KubeVersion::as_str);
                prop_assert!(release.chain(namespace).chain(versions).chain(kube).all(|word| !word.starts_with('-')));
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in r#"[\[\]{}",:a-c\\0-9]{0,40}"#) {
            let _ = Parameters::from_json(&text);
        }
    }

    #[test]
    fn texts_that_no_argument_can_hold_are_refused() {
        refuses(r#"[{"name":"parameters","map":{"a":"\u0000"}}]"#, "the parameter `parameters` holds a NUL byte");
        refuses(r#"[{"name":"parameters","map":{"":"x"}}]"#, "the parameter `parameters` has an entry without a name");
    }
}
