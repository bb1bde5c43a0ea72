//! Why an Application cannot be planned.

use super::{PARAMETERS, Shape, WordError, YamlError};
use crate::reference;

/// Something in what Argo CD sent, or in an Application, that is wrong. Errors hold names and places, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No name: neither a plugin nor an Application is at work.
    #[error("`ARGOCD_APP_NAME` is not set")]
    NoApplication,
    /// A variable of Argo CD that cannot be right.
    #[error("`{name}` {cause}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// The rule that it breaks.
        cause: WordError,
    },
    /// A variable that came twice.
    #[error("`{name}` is given twice with different values")]
    VariableTwice {
        /// Its name.
        name: &'static str,
    },
    /// A variable with a NUL byte.
    #[error("`{name}` holds a NUL byte")]
    VariableNul {
        /// Its name.
        name: &'static str,
    },
    /// A variable of absurd length.
    #[error("`{name}` is {bytes} bytes long, more than {limit}")]
    VariableTooLong {
        /// Its name.
        name: &'static str,
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// The parameters are no JSON.
    #[error("`ARGOCD_APP_PARAMETERS` is not valid JSON at line {line} column {column}")]
    ParametersJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// The parameters are JSON, but no list.
    #[error("`ARGOCD_APP_PARAMETERS` is not a list")]
    ParametersNotAList,
    /// An item without a name, or with something other than strings.
    #[error("item {} of `ARGOCD_APP_PARAMETERS` is not a parameter", .index + 1)]
    ParameterItem {
        /// From 0.
        index: usize,
    },
    /// A name that is not in the catalogue.
    #[error("there is no parameter `{name}`")]
    ParameterUnknown {
        /// As written, shortened.
        name: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// A parameter that comes later.
    #[error("the parameter `{name}` is not supported yet")]
    ParameterNotYet {
        /// Its name.
        name: &'static str,
    },
    /// A parameter given twice.
    #[error("the parameter `{name}` is given twice")]
    ParameterTwice {
        /// Its name.
        name: &'static str,
    },
    /// A string where a map is needed, or the like, or no value at all.
    #[error("the parameter `{name}` must be {} `{}`", if matches!(.expected, Shape::Array) { "an" } else { "a" }, .expected.as_str())]
    ParameterShape {
        /// Its name.
        name: &'static str,
        /// What is needed.
        expected: Shape,
    },
    /// A switch that is neither on nor off.
    #[error("the parameter `{name}` must be `true` or `false`")]
    ParameterSwitch {
        /// Its name.
        name: &'static str,
    },
    /// A word that helm must not get.
    #[error("the parameter `{name}` {cause}")]
    ParameterWord {
        /// Its name.
        name: &'static str,
        /// The rule that it breaks.
        cause: WordError,
    },
    /// YAML text that cannot be read.
    #[error("the parameter `{name}` {cause}")]
    ParameterYaml {
        /// Its name.
        name: &'static str,
        /// What is wrong with it, and where.
        cause: YamlError,
    },
    /// Text with a NUL byte.
    #[error("the parameter `{name}` holds a NUL byte")]
    ParameterNul {
        /// Its name.
        name: &'static str,
    },
    /// An entry of a map without a name.
    #[error("the parameter `{name}` has an entry without a name")]
    ParameterKey {
        /// Its name.
        name: &'static str,
    },
    /// A name of `fileParameters` in which helm would read a path of its own: `a=/etc/passwd,b`.
    #[error("`fileParameters` has the name {key:?}, which helm would not read as one name")]
    FileParameterKey {
        /// The name, or its beginning.
        key: String,
    },
    /// A version of helm that Argo CD does not accept either.
    #[error("the parameter `{name}` names no helm that is supported")]
    HelmVersion {
        /// Its name.
        name: &'static str,
    },
    /// An entry that points nowhere.
    #[error("cannot use entry {} of `{parameter}`", .index + 1)]
    Entry {
        /// The parameter.
        parameter: &'static str,
        /// From 0.
        index: usize,
        /// Why not.
        #[source]
        cause: reference::Error,
    },
    /// A file parameter that points nowhere.
    #[error("cannot use the file of `{key}` in `fileParameters`")]
    FileParameter {
        /// The path of the value in the chart.
        key: String,
        /// Why not.
        #[source]
        cause: reference::Error,
    },
    /// `$ref/path` where no other source can be seen.
    #[error("`${name}/...` in `{parameter}` points at another source, which a plugin never receives")]
    RefInPlugin {
        /// The parameter.
        parameter: &'static str,
        /// The source's `ref`, without `$`.
        name: String,
    },
    /// `secrets://$ref/path`, which Argo CD takes for a variable.
    #[error("`secrets://${name}/...` in `{parameter}` cannot point at another source")]
    RefBehindScheme {
        /// The parameter.
        parameter: &'static str,
        /// The source's `ref`, without `$`.
        name: String,
    },
    /// `$ref/path` in an Application of several sources, of which none has that `ref`.
    #[error("`${name}` in `{parameter}` points at a source that is not there")]
    RefUnknown {
        /// The parameter.
        parameter: &'static str,
        /// The source's `ref`, without `$`.
        name: String,
        /// The sources that are there, without `$`.
        known: Vec<String>,
    },
}

impl Error {
    /// How to go on, in the imperative.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoApplication => {
                "without arguments this is a plugin for Argo CD; in a terminal, name an Application: `generate APP.yaml`"
                    .to_owned()
            }
            Self::Variable { .. }
            | Self::VariableTwice { .. }
            | Self::VariableNul { .. }
            | Self::VariableTooLong { .. }
            | Self::ParametersJson { .. }
            | Self::ParametersNotAList
            | Self::ParameterItem { .. } => "leave this variable to Argo CD".to_owned(),
            Self::ParameterUnknown { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::ParameterUnknown { nearest: None, .. } => {
                let names: Vec<_> = PARAMETERS.iter().map(|known| format!("`{}`", known.name)).collect();
                format!("use one of {}", names.join(", "))
            }
            Self::ParameterNotYet { .. } => {
                "add the chart as a dependency of a chart in the Application's repository".to_owned()
            }
            Self::ParameterTwice { .. } => "keep one of them".to_owned(),
            Self::ParameterShape { name, expected } => format!("write {}", expected.example(name)),
            Self::ParameterSwitch { .. } => "write `string: \"true\"` or `string: \"false\"`".to_owned(),
            Self::ParameterWord { name, .. } => format!("correct `{name}`, or leave it out for Argo CD's default"),
            Self::ParameterYaml { name, .. } => format!("give `{name}` as the text of a values file"),
            Self::ParameterNul { .. } => "remove the NUL byte: no argument of a program can hold one".to_owned(),
            Self::FileParameterKey { .. } => "write `\\=` and `\\,` where a name holds `=` or `,`".to_owned(),
            Self::ParameterKey { .. } => "name the value by its path in the chart, like `image.tag`".to_owned(),
            Self::HelmVersion { .. } => "use `v3` or `v4`, or leave it out".to_owned(),
            Self::Entry { cause, .. } | Self::FileParameter { cause, .. } => cause.hint(),
            Self::RefInPlugin { .. } => {
                "keep the values in this repository, or make this source a chart there that depends on the other one; \
                 a literal `$` is written `$$`"
                    .to_owned()
            }
            Self::RefBehindScheme { name, .. } => {
                format!("write `${name}/...` without the scheme: an encrypted file is known by its content")
            }
            Self::RefUnknown { known, .. } if known.is_empty() => {
                "give one of the Application's sources a `ref` of this name".to_owned()
            }
            Self::RefUnknown { known, .. } => {
                let names: Vec<_> = known.iter().map(|name| format!("`${name}`")).collect();
                format!("use one of {}", names.join(", "))
            }
        }
    }
}

impl Shape {
    /// A parameter of this shape, as one would write it.
    fn example(self, name: &str) -> String {
        match self {
            Self::String | Self::Switch => format!("`{{name: {name}, string: \"...\"}}`"),
            Self::Array => format!("`{{name: {name}, array: [...]}}`"),
            Self::Map => format!("`{{name: {name}, map: {{...: ...}}}}`"),
        }
    }
}
