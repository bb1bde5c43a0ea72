//! Why an Application manifest cannot be rendered.

use crate::app::{Error, YamlError};

/// Something in a manifest, or in an override file, that is wrong or not ours. It holds places and names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// No YAML.
    #[error("the manifest {cause}")]
    Yaml {
        /// What is wrong with it, and where.
        cause: YamlError,
    },
    /// No document, or several.
    #[error("the manifest holds {count} documents, not one")]
    Documents {
        /// How many; documents without content do not count.
        count: usize,
    },
    /// A list or a single value.
    #[error("the manifest is not an object")]
    NotAnObject,
    /// Some other object.
    #[error("the manifest is `{kind}` of `{api}`, not `Application` of `argoproj.io`")]
    Kind {
        /// `kind`, shortened.
        kind: String,
        /// `apiVersion`, shortened.
        api: String,
    },
    /// A field that must be there.
    #[error("`{place}` is missing")]
    Missing {
        /// Where.
        place: String,
    },
    /// A field of the wrong type.
    #[error("`{place}` must be {expected}")]
    Field {
        /// Where.
        place: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A field that nobody reads.
    #[error("`{place}` is not a field that Argo CD knows")]
    UnknownField {
        /// Where.
        place: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// Argo CD's own words for a source with two sections.
    #[error("multiple application sources defined: {} in `{place}`", .kinds.join(","))]
    SeveralKinds {
        /// Where.
        place: String,
        /// `Kustomize`, `Helm`, `Directory`, `Plugin`.
        kinds: Vec<&'static str>,
    },
    /// A source that is no chart.
    #[error("`{place}` is rendered by Argo CD's {kind} support, not by helm")]
    NotOurs {
        /// Where.
        place: String,
        /// `Kustomize` or `Directory`.
        kind: &'static str,
    },
    /// A chart from a chart repository.
    #[error("`{place}.chart` is not supported yet")]
    Chart {
        /// Where.
        place: String,
    },
    /// The source hydrator.
    #[error("`spec.sourceHydrator` is not supported yet")]
    Hydrator,
    /// No source has anything to render.
    #[error("`spec.sources` holds only references for other sources")]
    OnlyRefs,
    /// Another plugin, or none by name.
    #[error("`{place}` must be `{expected}`, not `{name}`")]
    PluginName {
        /// Where.
        place: String,
        /// The name there, shortened.
        name: String,
        /// Ours.
        expected: String,
    },
    /// Parameters that cannot be used.
    #[error("`{place}` cannot be used")]
    Parameters {
        /// Where.
        place: String,
        /// Why not.
        #[source]
        cause: Error,
    },
    /// An override file that is no patch.
    #[error("`{file}` {cause}")]
    Override {
        /// Its name.
        file: String,
        /// What is wrong with it, and where.
        cause: YamlError,
    },
}

impl ManifestError {
    /// How to go on, in the imperative.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Yaml { .. } | Self::NotAnObject | Self::Documents { count: 0 } => {
                "give the YAML of an Argo CD Application".to_owned()
            }
            Self::Documents { .. } => "give one Application at a time".to_owned(),
            Self::Kind { kind, .. } if kind == "ApplicationSet" => {
                "give one of the Applications it makes: `argocd appset generate` prints them".to_owned()
            }
            Self::Kind { kind, .. } if kind == "List" || kind == "ApplicationList" => {
                "give one item of the list at a time".to_owned()
            }
            Self::Kind { .. } => "give the YAML of an Argo CD Application".to_owned(),
            Self::Missing { place } if place == "kind" || place == "apiVersion" => {
                "give the YAML of an Argo CD Application".to_owned()
            }
            Self::Missing { place } => format!("add `{place}`"),
            Self::Field { expected: "a string", .. } => "put quotes around the value".to_owned(),
            Self::Field { place, .. } => format!("correct `{place}`"),
            Self::UnknownField { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::UnknownField { nearest: None, .. } => "remove it".to_owned(),
            Self::SeveralKinds { .. } => {
                "keep `plugin` and say everything there, or keep `helm` for a chart without encrypted values".to_owned()
            }
            Self::NotOurs { .. } => "give a source that is a Helm chart".to_owned(),
            Self::Chart { .. } => "add the chart as a dependency of a chart in the repository".to_owned(),
            Self::Hydrator => "give an Application with `spec.source`".to_owned(),
            Self::OnlyRefs => "add a source with a `path`".to_owned(),
            Self::PluginName { place, expected, .. } => format!("set `{place}` to `{expected}`"),
            Self::Parameters { cause, .. } => cause.hint(),
            Self::Override { file, .. } => {
                format!("write the fields of `spec.source` to change into `{file}`, or remove it")
            }
        }
    }
}
