//! Why an entry is no reference that can be followed.

/// An entry that cannot be read as a reference.
///
/// It carries names of schemes and backends, and nothing of what stands behind them: that may hold credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing is written, or nothing was left after variables were expanded.
    #[error("the reference is empty")]
    Empty,
    /// Only a scheme or a slash.
    #[error("the reference names no file")]
    NoFile,
    /// A NUL byte, which no file name can hold.
    #[error("the reference holds a NUL byte")]
    Nul,
    /// Longer than a path can be.
    #[error("the reference is {bytes} bytes long, more than {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// A part of helm-secrets' grammar, or of Helm's, that comes later.
    #[error("{0} not supported yet")]
    NotYet(NotYet),
    /// A scheme that nobody here knows.
    #[error("the scheme `{scheme}` is not known")]
    UnknownScheme {
        /// As written, without `:`.
        scheme: String,
        /// The fix.
        hint: String,
    },
    /// A backend of helm-secrets other than sops: `vals`, `noop`, or the path of a script to run.
    #[error("the helm-secrets backend `{name}` is refused")]
    Backend {
        /// As written, without `!`.
        name: String,
    },
    /// A scheme inside `secrets://` that helm-secrets hands to other Helm plugins.
    #[error("`{scheme}://` inside `secrets://` is refused")]
    NestedScheme {
        /// As written, without `://`.
        scheme: String,
    },
}

/// What comes later, by the name its users know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotYet {
    /// One of the known schemes.
    Scheme(&'static str),
    /// `secrets://?file`
    Optional,
    /// `secrets://sops!file` or `secrets://!file`: the backend's name.
    Backend(String),
    /// `secrets://https://...`: the inner scheme.
    NestedUrl(String),
}

impl NotYet {
    /// Known schemes that are not followed yet.
    const SCHEMES: [&str; 7] = [
        "secrets+age-import",
        "secrets+gpg-import",
        "secrets+age-import-kubernetes",
        "secrets+gpg-import-kubernetes",
        "secrets+literal",
        "https",
        "http",
    ];

    /// The known scheme of this name.
    pub(super) fn scheme(name: &str) -> Option<Self> {
        Self::SCHEMES.iter().find(|known| **known == name).copied().map(Self::Scheme)
    }
}

impl std::fmt::Display for NotYet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scheme(scheme) => write!(f, "`{scheme}://` references are"),
            Self::Optional => f.write_str("optional references (`secrets://?file`) are"),
            Self::Backend(name) => write!(f, "the backend prefix `{name}!` is"),
            Self::NestedUrl(scheme) => write!(f, "`{scheme}://` inside `secrets://` is"),
        }
    }
}

impl Error {
    /// How to go on, in the imperative.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Empty => {
                "remove the entry, or check the variables in it: an unknown `$NAME` becomes empty".to_owned()
            }
            Self::NoFile | Self::Nul | Self::TooLong { .. } => {
                "name a file by its path in the repository, like `secrets://secrets.yaml`".to_owned()
            }
            Self::NotYet(what) => what.hint().to_owned(),
            Self::UnknownScheme { hint, .. } => hint.clone(),
            Self::Backend { .. } => {
                "refer to a SOPS file as `secrets://file`; a file whose name holds `!` can be given as a plain path"
                    .to_owned()
            }
            Self::NestedScheme { .. } => KEEP_IN_REPOSITORY.to_owned(),
        }
    }

    /// A scheme that is not ours; `slashes` tells whether `//` followed.
    pub(super) fn unknown_scheme(scheme: &str, slashes: bool) -> Self {
        let known = NotYet::SCHEMES.iter().chain([&super::SECRETS]);
        let lower = scheme.to_ascii_lowercase();
        let nearest = known
            .map(|known| (strsim::damerau_levenshtein(&lower, known), known))
            .filter(|(distance, known)| *distance <= 2 && *distance * 3 < known.len())
            .min_by_key(|(distance, _)| *distance);
        let hint = match nearest {
            Some((0, known)) if !slashes && *known == scheme => format!("write `{known}://` with two slashes"),
            Some((_, known)) => format!("write `{known}://` instead of `{scheme}:{}`", if slashes { "//" } else { "" }),
            None if slashes => KEEP_IN_REPOSITORY.to_owned(),
            None => format!("write `./{scheme}:...` if a file's name holds the colon"),
        };
        Self::UnknownScheme { scheme: scheme.to_owned(), hint }
    }
}

/// The fix for every place that is not read.
const KEEP_IN_REPOSITORY: &str = "keep the file in the Application's repository and name its path";

impl NotYet {
    fn hint(&self) -> &'static str {
        match self {
            Self::Scheme("https" | "http") | Self::NestedUrl(_) => KEEP_IN_REPOSITORY,
            Self::Scheme("secrets+literal") => "put the value into an encrypted file and name it as `secrets://file`",
            Self::Scheme(_) => "mount the key for the plugin and name only the file, as `secrets://file`",
            Self::Optional => "write `secrets://file` and set `ignoreMissingValueFiles` to `true`",
            Self::Backend(_) => "leave the prefix out: `secrets://file` is always SOPS",
        }
    }
}
