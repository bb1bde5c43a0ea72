//! Words that reach helm's command line, each proven not to be a flag.
//!
//! A parameter is written by whoever may write to a repository. `releaseName: --post-renderer=sh` must never arrive as
//! a flag, so these types refuse a leading `-`, and control characters with it. Whether helm likes the word is helm's
//! to say: its own message names the rule, and the rules differ between its versions.

use std::{fmt, str::FromStr};

/// Why a word is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Nothing is written.
    #[error("must not be empty")]
    Empty,
    /// It would be read as a flag.
    #[error("must not begin with `-`")]
    Flag,
    /// A control character, NUL among them.
    #[error("must not hold control characters")]
    Control,
    /// A character that helm would split the word at.
    #[error("must not hold spaces, commas or quotes")]
    Separator,
    /// Longer than any such name.
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Not a version of Kubernetes.
    #[error("must be a Kubernetes version like `1.30` or `v1.30.1`")]
    NotAVersion,
}

/// The longest word, in bytes: the longest name that Kubernetes knows.
const MAX_BYTES: usize = 253;

fn word(text: &str) -> Result<String, WordError> {
    if text.is_empty() {
        return Err(WordError::Empty);
    }
    if text.starts_with('-') {
        return Err(WordError::Flag);
    }
    if text.len() > MAX_BYTES {
        return Err(WordError::TooLong);
    }
    if text.contains(char::is_control) {
        return Err(WordError::Control);
    }
    Ok(text.to_owned())
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Reads the word.
            ///
            /// # Errors
            ///
            /// [`WordError`] names the rule that the text breaks.
            pub fn parse(text: &str) -> Result<Self, WordError> {
                let parse: fn(&str) -> Result<String, WordError> = $parse;
                parse(text).map(Self)
            }

            /// The word, as helm gets it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, WordError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word! {
    /// helm's release name (`--name-template`).
    ReleaseName, word
}

word! {
    /// A namespace (`--namespace`).
    Namespace, word
}

word! {
    /// An API version of the cluster (`--api-versions`): `group/version` or `group/version/Kind`.
    ///
    /// helm splits what it gets at commas and reads quotes, so neither may be in it.
    ApiVersion, |text| {
        if text.contains([',', '"', '\'', ' ']) { Err(WordError::Separator) } else { word(text) }
    }
}

word! {
    /// A Kubernetes version (`--kube-version`), as Argo CD hands it to helm: numbers and dots only.
    ///
    /// Two or more numbers, an optional `v` before them, and anything behind them, which is dropped:
    /// `v1.30.1+k3s1` is `1.30.1`, and `1.30` stays `1.30`. Follows `parseKubeVersion` of Argo CD 3.6.
    KubeVersion, kube_version
}

fn kube_version(text: &str) -> Result<String, WordError> {
    let text = word(text.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']))?;
    let text = text.strip_prefix('v').unwrap_or(&text);
    // The longest run of numbers with single dots between them; a dot at its end belongs to what is dropped.
    let mut numbers = Vec::new();
    let mut rest = text;
    loop {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        if digits.is_empty() {
            break;
        }
        numbers.push(digits);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let zero_led = numbers.first().is_some_and(|first| first.len() > 1 && first.starts_with('0'));
    if numbers.len() < 2 || zero_led {
        return Err(WordError::NotAVersion);
    }
    let numbers: Result<Vec<u64>, _> = numbers.into_iter().map(str::parse).collect();
    let words: Vec<String> = numbers.map_err(|_| WordError::NotAVersion)?.iter().map(u64::to_string).collect();
    Ok(words.join("."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_word_can_be_a_flag() {
        for text in ["-x", "--post-renderer=sh", "-"] {
            assert_eq!(ReleaseName::parse(text), Err(WordError::Flag));
            assert_eq!(Namespace::parse(text), Err(WordError::Flag));
            assert_eq!(ApiVersion::parse(text), Err(WordError::Flag));
            assert_eq!(KubeVersion::parse(text), Err(WordError::Flag));
        }
        assert_eq!(KubeVersion::parse(" --x"), Err(WordError::Flag), "spaces before it are no way round");
    }

    #[test]
    fn words_are_kept_as_written() {
        assert_eq!(ReleaseName::parse("web").map(|name| name.to_string()), Ok("web".to_owned()));
        assert_eq!(ApiVersion::parse("a.b/v1/Kind").map(|name| name.to_string()), Ok("a.b/v1/Kind".to_owned()));
    }

    #[test]
    fn every_broken_rule_has_its_words() {
        for (error, text) in [
            (ReleaseName::parse("").expect_err("empty"), "must not be empty"),
            (ReleaseName::parse("-").expect_err("flag"), "must not begin with `-`"),
            (ReleaseName::parse("a\0").expect_err("control"), "must not hold control characters"),
            (ReleaseName::parse(&"a".repeat(254)).expect_err("long"), "is longer than 253 bytes"),
            (ApiVersion::parse("a,b").expect_err("comma"), "must not hold spaces, commas or quotes"),
            (KubeVersion::parse("x").expect_err("word"), "must be a Kubernetes version like `1.30` or `v1.30.1`"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn kubernetes_versions_are_normalised_as_argo_cd_does() {
        // Answers of Argo CD 3.6.1 (k8s.io/apimachinery `version.ParseGeneric`).
        for (text, expected) in [
            ("1.30", Some("1.30")),
            ("1.30.1", Some("1.30.1")),
            ("v1.30.1+k3s1", Some("1.30.1")),
            ("v1.29.4-eks-036c24b", Some("1.29.4")),
            ("1.30.1.2", Some("1.30.1.2")),
            ("1.030.01", Some("1.30.1")),
            ("1.30.", Some("1.30")),
            ("1.30..1", Some("1.30")),
            ("1.30+", Some("1.30")),
            (" v1.30 ", Some("1.30")),
            ("0.1", Some("0.1")),
            ("1", None),
            ("v1", None),
            ("01.30", None),
            ("vv1.30", None),
            ("1.x", None),
            ("1.99999999999999999999", None),
            ("v 1.30", None),
        ] {
            let found = KubeVersion::parse(text).ok();
            assert_eq!(found.as_ref().map(KubeVersion::as_str), expected, "for {text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_normalised_version_stays_itself(text in "[ v]{0,2}[0-9.]{0,9}[-+a-z0-9.]{0,6}") {
            if let Ok(version) = KubeVersion::parse(&text) {
                prop_assert!(version.as_str().chars().all(|c| c.is_ascii_digit() || c == '.'));
                prop_assert_eq!(KubeVersion::parse(version.as_str()), Ok(version));
            }
        }
    }
}
