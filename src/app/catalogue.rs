//! The one table of parameters: what is announced to Argo CD, documented, and read.

use super::Error;

/// How a parameter is given: Argo CD's `collectionType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `string`
    String,
    /// `string`, that is `true` or `false`
    Switch,
    /// `array`
    Array,
    /// `map`
    Map,
}

impl Shape {
    /// Argo CD's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String | Self::Switch => "string",
            Self::Array => "array",
            Self::Map => "map",
        }
    }
}

/// One parameter of `spec.source.plugin.parameters`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; where `spec.source.helm` has the same thing, its name there.
    pub name: &'static str,
    /// How it is given.
    pub shape: Shape,
    /// A label.
    pub title: &'static str,
    /// What it does, in a sentence.
    pub tooltip: &'static str,
}

impl Parameter {
    /// The parameter of this name.
    pub(super) fn find(name: &str) -> Result<&'static Self, Error> {
        PARAMETERS.iter().find(|known| known.name == name).ok_or_else(|| Error::ParameterUnknown {
            name: name.chars().filter(|c| !c.is_control()).take(100).collect(),
            nearest: nearest(name, PARAMETERS.iter().map(|known| known.name)),
        })
    }
}

/// The known word that somebody most likely meant.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    // Cut short, since the distance costs the product of both lengths.
    let plain = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric).take(64);
        letters.collect::<String>().to_ascii_lowercase()
    };
    let wanted = plain(name);
    known
        .map(|known| (strsim::damerau_levenshtein(&wanted, &plain(known)), known))
        .filter(|(distance, known)| *distance <= 2 && *distance * 3 <= known.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

const fn known(name: &'static str, shape: Shape, title: &'static str, tooltip: &'static str) -> Parameter {
    Parameter { name, shape, title, tooltip }
}

/// All parameters, in the order in which people should read them.
pub const PARAMETERS: [Parameter; 19] = [
    known(
        "valueFiles",
        Shape::Array,
        "Values files",
        "Paths of values files, later ones win. Relative to the application, or to the repository with a leading `/`. \
         Encrypted files are decrypted; `secrets://` may stand before the path",
    ),
    known("values", Shape::String, "Values", "Values as YAML text, stronger than all values files"),
    known("parameters", Shape::Map, "Parameters", "Single values by path, like helm's `--set`"),
    known(
        "forceStringParameters",
        Shape::Map,
        "Parameters, as strings",
        "Single values by path that stay strings, like helm's `--set-string`",
    ),
    known(
        "fileParameters",
        Shape::Map,
        "Parameters from files",
        "Paths of files whose content becomes a value, like helm's `--set-file`. Encrypted files are decrypted",
    ),
    known("releaseName", Shape::String, "Release name", "The helm release. The Application's name if empty"),
    known("namespace", Shape::String, "Namespace", "The namespace for helm. The destination's namespace if empty"),
    known("kubeVersion", Shape::String, "Kubernetes version", "What helm takes for the cluster's version"),
    known(
        "apiVersions",
        Shape::Array,
        "API versions",
        "What helm takes for the cluster's API versions, as `group/version/Kind`, in place of the real ones",
    ),
    known(
        "ignoreMissingValueFiles",
        Shape::Switch,
        "Ignore missing values files",
        "`true`: a values file that does not exist is left out",
    ),
    known("skipCrds", Shape::Switch, "Skip CRDs", "`true`: leave out the custom resource definitions of the chart"),
    known("skipTests", Shape::Switch, "Skip tests", "`true`: leave out the chart's tests"),
    known(
        "skipSchemaValidation",
        Shape::Switch,
        "Skip schema validation",
        "`true`: do not check values against the chart's schema",
    ),
    known(
        "passCredentials",
        Shape::Switch,
        "Pass credentials",
        "`true`: send a chart repository's credentials to other hosts too, if it refers to them",
    ),
    known("version", Shape::String, "Helm version", "`v3` or `v4`; either means the helm that is installed"),
    known("allowEmpty", Shape::Switch, "Allow empty", "`true`: a chart that renders no object is no error"),
    known("chart", Shape::String, "Chart", "The name of a chart that lives elsewhere (not supported yet)"),
    known("repoURL", Shape::String, "Chart repository", "Where that chart lives (not supported yet)"),
    known("chartVersion", Shape::String, "Chart version", "The version of that chart (not supported yet)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_has_its_own_name_and_words_for_people() {
        for (index, parameter) in PARAMETERS.iter().enumerate() {
            assert!(PARAMETERS[..index].iter().all(|other| other.name != parameter.name), "{} twice", parameter.name);
            assert!(!parameter.title.is_empty() && !parameter.tooltip.is_empty(), "{}", parameter.name);
            assert!(!parameter.tooltip.ends_with('.'), "{}", parameter.name);
        }
    }

    #[test]
    fn the_nearest_name_does_not_panic_on_long_or_foreign_names() {
        assert_eq!(nearest(&"ä".repeat(100_000), PARAMETERS.iter().map(|known| known.name)), None);
        assert_eq!(nearest("", PARAMETERS.iter().map(|known| known.name)), None);
    }
}
