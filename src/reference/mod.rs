//! The grammar of value references: what an entry of `valueFiles` or `fileParameters` points at.
//!
//! A [`Reference`] is data. It says where a file is meant to be, not that it exists, nor that it may be read: the source
//! tree decides the first, policy the second. Parsing and printing are the only two acts of this room.
//!
//! ```
//! use argocd_sops::reference::Reference;
//! use argocd_sops::repo::Base;
//!
//! let reference = Reference::parse("secrets://envs/prod/secrets.yaml")?;
//! let file = reference.file();
//! assert_eq!((file.base(), file.path()), (Base::Application, "envs/prod/secrets.yaml"));
//! assert_eq!(reference.to_string(), "secrets://envs/prod/secrets.yaml");
//! # Ok::<(), argocd_sops::reference::Error>(())
//! ```

use std::fmt;

use crate::repo::Base;

mod error;

pub use error::{Error, NotYet};

/// The scheme that decrypts a file of the source.
const SECRETS: &str = "secrets";

/// The longest reference that is read, in bytes: `PATH_MAX`, since in the end it names a file.
const MAX_BYTES: usize = 4096;

/// Where a value file is, as the Application says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// `path` or `/path`: a file of the source, decrypted if it is a SOPS file.
    Plain(FilePath),
    /// `secrets://path` or `secrets:///path`: a file of the source, said to be encrypted.
    Secrets(FilePath),
    /// `$name/path`: a file of another source of the same Application. Only native Helm sources have these, and
    /// [`Reference::parse`] never makes one, since `$name` means a variable to everyone else.
    Ref {
        /// The `ref` of the other source, without `$`.
        name: String,
        /// The file, from that source's root.
        file: FilePath,
    },
}

impl Reference {
    /// Reads one entry, after variables were expanded.
    ///
    /// The rules are those of Argo CD (what is a URL and what a path) and of helm-secrets (what stands behind
    /// `secrets://`). Nothing is percent-decoded and spaces are kept, as helm-secrets does.
    ///
    /// # Errors
    ///
    /// [`Error`] if the entry names no file, or uses a part of the grammar that is refused or not there yet.
    pub fn parse(entry: &str) -> Result<Self, Error> {
        if entry.is_empty() {
            return Err(Error::Empty);
        }
        if entry.len() > MAX_BYTES {
            return Err(Error::TooLong { bytes: entry.len(), limit: MAX_BYTES });
        }
        if entry.contains('\0') {
            return Err(Error::Nul);
        }
        match Scheme::split(entry) {
            None => FilePath::parse(entry).map(Self::Plain).ok_or(Error::NoFile),
            Some(Scheme { name, rest: None }) => Err(Error::unknown_scheme(name, false)),
            Some(Scheme { name: SECRETS, rest: Some(rest) }) => secret_file(rest).map(Self::Secrets),
            Some(Scheme { name, rest: Some(_) }) => {
                Err(NotYet::scheme(name).map_or_else(|| Error::unknown_scheme(name, true), Error::NotYet))
            }
        }
    }

    /// The file that is meant, from the application's directory or from a root.
    #[must_use]
    pub fn file(&self) -> &FilePath {
        match self {
            Self::Plain(file) | Self::Secrets(file) | Self::Ref { file, .. } => file,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(file) => write!(f, "{file}"),
            Self::Secrets(file) => write!(f, "{SECRETS}://{file}"),
            Self::Ref { name, file } => write!(f, "${name}/{}", file.path),
        }
    }
}

/// A path as written, and what it is relative to.
///
/// The path is not cleaned: `..` and doubled slashes stay for the source tree to judge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath {
    base: Base,
    path: String,
}

impl FilePath {
    /// Reads a path; `None` if it names nothing but a root.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let path = text.trim_start_matches('/');
        let base = if path.len() == text.len() { Base::Application } else { Base::Root };
        (!path.is_empty()).then(|| Self { base, path: path.to_owned() })
    }

    /// What [`path`](Self::path) is relative to.
    #[must_use]
    pub fn base(&self) -> Base {
        self.base
    }

    /// The path below its base: not empty, and without a leading `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the path is a pattern for several files. Argo CD takes every path with `*`, `?` or `[` for one
    /// (`reposerver/repository/repository.go`, 3.6).
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.path.contains(['*', '?', '['])
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.base {
            Base::Application => f.write_str(&self.path),
            Base::Root => write!(f, "/{}", self.path),
        }
    }
}

/// What stands behind `secrets://`: `[ "?" ] [ backend "!" ] file`.
fn secret_file(rest: &str) -> Result<FilePath, Error> {
    if rest.starts_with('?') {
        return Err(Error::NotYet(NotYet::Optional));
    }
    // helm-secrets ends a backend at the first `!`, wherever it stands.
    if let Some((backend, _)) = rest.split_once('!') {
        return Err(match backend {
            "" | "sops" => Error::NotYet(NotYet::Backend(backend.to_owned())),
            _ => Error::Backend { name: backend.to_owned() },
        });
    }
    if let Some(Scheme { name, rest: Some(_) }) = Scheme::split(rest) {
        return Err(match name {
            "http" | "https" => Error::NotYet(NotYet::NestedUrl(name.to_owned())),
            _ => Error::NestedScheme { scheme: name.to_owned() },
        });
    }
    FilePath::parse(rest).ok_or(Error::NoFile)
}

/// A URL scheme at the beginning of a text, found as Go's `net/url` finds it: a letter, then letters, digits, `+`, `-`
/// or `.`, then a colon.
struct Scheme<'a> {
    name: &'a str,
    /// What follows `://`; `None` if only a colon follows.
    rest: Option<&'a str>,
}

impl<'a> Scheme<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let (name, rest) = text.split_once(':')?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        (name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(fits))
            .then(|| Self { name, rest: rest.strip_prefix("//") })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(base: Base, path: &str) -> Reference {
        Reference::Plain(FilePath { base, path: path.to_owned() })
    }

    fn secrets(base: Base, path: &str) -> Reference {
        Reference::Secrets(FilePath { base, path: path.to_owned() })
    }

    #[track_caller]
    fn refuses(entry: &str, expected: &str) {
        let error = Reference::parse(entry).expect_err("must be refused");
        assert_eq!(error.to_string(), expected, "for {entry:?}");
        assert!(!error.hint().is_empty(), "no hint for {entry:?}");
    }

    #[test]
    fn a_plain_path_is_relative_to_the_application_and_a_slash_means_the_repository() {
        for (entry, expected) in [
            ("values.yaml", plain(Base::Application, "values.yaml")),
            ("../shared/values.yaml", plain(Base::Application, "../shared/values.yaml")),
            ("/envs/prod.yaml", plain(Base::Root, "envs/prod.yaml")),
            ("//envs/prod.yaml", plain(Base::Root, "envs/prod.yaml")),
            ("secrets://s.yaml", secrets(Base::Application, "s.yaml")),
            ("secrets:///envs/s.yaml", secrets(Base::Root, "envs/s.yaml")),
            ("secrets://../s.yaml", secrets(Base::Application, "../s.yaml")),
        ] {
            assert_eq!(Reference::parse(entry), Ok(expected), "for {entry:?}");
        }
    }

    #[test]
    fn odd_file_names_are_file_names_wherever_argo_cd_and_helm_secrets_say_so() {
        for (entry, expected) in [
            ("my file.yaml", plain(Base::Application, "my file.yaml")),
            ("a%20b.yaml", plain(Base::Application, "a%20b.yaml")),
            ("dir/a:b.yaml", plain(Base::Application, "dir/a:b.yaml")),
            ("1a:b.yaml", plain(Base::Application, "1a:b.yaml")),
            ("we!rd.yaml", plain(Base::Application, "we!rd.yaml")),
            ("secrets://my file.yaml", secrets(Base::Application, "my file.yaml")),
            ("secrets://a%2Fb.yaml", secrets(Base::Application, "a%2Fb.yaml")),
            ("secrets://a?b", secrets(Base::Application, "a?b")),
            ("secrets://a:b.yaml", secrets(Base::Application, "a:b.yaml")),
            ("secrets://a#b.yaml", secrets(Base::Application, "a#b.yaml")),
        ] {
            assert_eq!(Reference::parse(entry), Ok(expected), "for {entry:?}");
        }
    }

    #[test]
    fn a_path_with_a_glob_character_is_a_pattern() {
        for (entry, pattern) in [
            ("envs/*.yaml", true),
            ("secrets://envs/**/s.yaml", true),
            ("a?.yaml", true),
            ("a[12].yaml", true),
            ("a{1,2}.yaml", false),
            ("plain.yaml", false),
        ] {
            let reference = Reference::parse(entry).expect("is a reference");
            assert_eq!(reference.file().is_pattern(), pattern, "for {entry:?}");
        }
    }

    #[test]
    fn the_other_forms_of_helm_secrets_answer_not_yet_by_name() {
        for scheme in [
            "secrets+age-import",
            "secrets+gpg-import",
            "secrets+age-import-kubernetes",
            "secrets+gpg-import-kubernetes",
            "secrets+literal",
            "https",
            "http",
        ] {
            refuses(
                &format!("{scheme}:///dev-private-key/key.txt?secrets.yaml"),
                &format!("`{scheme}://` references are not supported yet"),
            );
        }
        refuses("secrets://?s.yaml", "optional references (`secrets://?file`) are not supported yet");
        refuses("secrets://sops!s.yaml", "the backend prefix `sops!` is not supported yet");
        refuses("secrets://!s.yaml", "the backend prefix `!` is not supported yet");
        refuses("secrets://https://example.com/s.yaml", "`https://` inside `secrets://` is not supported yet");
    }

    #[test]
    fn what_will_never_work_is_refused_by_name() {
        refuses("secrets://vals!ref+x", "the helm-secrets backend `vals` is refused");
        refuses("secrets://we!rd.yaml", "the helm-secrets backend `we` is refused");
        refuses("secrets://git+https://x/y", "`git+https://` inside `secrets://` is refused");
        refuses("git+https://example.com/x@y.yaml", "the scheme `git+https` is not known");
        refuses("SECRETS://s.yaml", "the scheme `SECRETS` is not known");
        refuses("secret://s.yaml", "the scheme `secret` is not known");
        refuses("secrets:s.yaml", "the scheme `secrets` is not known");
        refuses("", "the reference is empty");
        refuses("/", "the reference names no file");
        refuses("secrets://", "the reference names no file");
        refuses("secrets:///", "the reference names no file");
        refuses("a\0b", "the reference holds a NUL byte");
        refuses(&"x".repeat(5000), "the reference is 5000 bytes long, more than 4096");
    }

    #[test]
    fn an_error_never_repeats_more_than_a_scheme_or_a_backend() {
        for entry in ["https://user:hunter2@example.com/x", "secrets+literal://{hunter2}", "foo://hunter2"] {
            let error = Reference::parse(entry).expect_err("must be refused");
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("hunter2"), "for {entry:?}");
        }
    }

    #[test]
    fn a_misspelt_scheme_is_told_the_nearest_one() {
        for (entry, hint) in [
            ("secret://s.yaml", "write `secrets://` instead of `secret://`"),
            ("SECRETS://s.yaml", "write `secrets://` instead of `SECRETS://`"),
            ("secrets:s.yaml", "write `secrets://` with two slashes"),
            ("s3://bucket/s.yaml", "keep the file in the Application's repository and name its path"),
        ] {
            assert_eq!(Reference::parse(entry).expect_err("must be refused").hint(), hint, "for {entry:?}");
        }
    }

    proptest! {
        #[test]
        fn a_reference_prints_as_what_parses_to_itself(entry in "(secrets://)?/{0,2}[ -~äß]{0,40}") {
            if let Ok(reference) = Reference::parse(&entry) {
                prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic_or_a_path_that_begins_with_a_slash(entry in any::<String>()) {
            if let Ok(reference) = Reference::parse(&entry) {
                prop_assert!(!reference.file().path().starts_with('/'));
                prop_assert!(!reference.file().path().is_empty());
            }
        }
    }
}
