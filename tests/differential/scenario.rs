//! How a document is to be encrypted: format, selector, MAC mode, keys.

use serde_json::{Value, json};

use crate::random::Random;

/// A format of sops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Yaml,
    Json,
    Dotenv,
    Ini,
    Binary,
}

impl Format {
    pub(crate) const ALL: [Self; 5] = [Self::Yaml, Self::Json, Self::Dotenv, Self::Ini, Self::Binary];

    /// The word of `--input-type` and `--output-type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }

    /// The end of a file name that chooses the format.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "env",
            Self::Ini => "ini",
            Self::Binary => "bin",
        }
    }
}

/// Which rule chooses the values to encrypt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Selector {
    /// None is stored: everything but keys that end in `_unencrypted`.
    Default,
    UnencryptedSuffix,
    EncryptedSuffix,
    UnencryptedRegex,
    EncryptedRegex,
    UnencryptedCommentRegex,
    EncryptedCommentRegex,
}

impl Selector {
    pub(crate) const ALL: [Self; 7] = [
        Self::Default,
        Self::UnencryptedSuffix,
        Self::EncryptedSuffix,
        Self::UnencryptedRegex,
        Self::EncryptedRegex,
        Self::UnencryptedCommentRegex,
        Self::EncryptedCommentRegex,
    ];

    /// The name in the metadata.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::UnencryptedSuffix => "unencrypted_suffix",
            Self::EncryptedSuffix => "encrypted_suffix",
            Self::UnencryptedRegex => "unencrypted_regex",
            Self::EncryptedRegex => "encrypted_regex",
            Self::UnencryptedCommentRegex => "unencrypted_comment_regex",
            Self::EncryptedCommentRegex => "encrypted_comment_regex",
        }
    }

    /// Whether it looks at comments instead of keys.
    pub(crate) fn reads_comments(self) -> bool {
        matches!(self, Self::UnencryptedCommentRegex | Self::EncryptedCommentRegex)
    }
}

/// Regular expressions with a beginning and an end for names that they match. The first few are well-behaved in every
/// format; the others use what Go and Rust read differently, or are wrong and match nothing.
const PATTERNS: &[(&str, &str, &str)] = &[
    ("^secret_", "secret_", ""),
    ("(?i)pass$", "", "_PASS"),
    ("(data|stringData)_", "stringData_", ""),
    (r"\d{2}$", "", "_42"),
    ("[[:upper:]]{2}", "", "_XY"),
    (r"\Qa.b\E", "a.b_", ""),
    (r"\bkey\b", "key-", ""),
    (r"\Bkey\b", "monkey-", ""),
    ("[[]", "[", ""),
    ("[a&&b]", "&", ""),
    ("[a--z]", "-", ""),
    ("z{,2}", "z{,2}", ""),
    ("q{2,}", "qq", ""),
    (r"\p{Greek}", "αβ_", ""),
    (r"\p{^Latin}\pN", "é", "_9"),
    (r"[^\x00-\x7F]", "é_", ""),
    (r"\x{1F680}", "🚀", ""),
    (r"[\d]", "٣", "_3"),
    (r"\W", "", "ß"),
    (r"^\w+$", "", ""),
    (r"\s", " ", ""),
    ("(?i)^s", "ſ", ""),
    ("(?U)k+?x", "kkx", ""),
    ("(?s)n.n", "n\u{a0}n", ""),
    (r"\<k", "<k", ""),
    (r"\101\x41", "AA", ""),
    ("(?P<n>w)w", "ww", ""),
    ("(?<n>w)w", "ww", ""),
    ("a|", "", ""),
    ("(", "(", ""),
    (r"\Z", "Z", ""),
    ("u**", "u", ""),
    ("v{1001}", "v", ""),
    (r"\u0041", "A", ""),
    ("(?x) b b", "bb", ""),
    ("[[:word:]-]{40}", "", ""),
    (r"[\w\-.]+\.enc", "", ".enc"),
    ("^$", "", ""),
];

/// How many of [`PATTERNS`] keep their hands off unmarked names in all formats.
const WELL_BEHAVED: usize = 3;

const SUFFIXES: &[&str] = &["_enc", "-s", "_unencrypted", "é", " ", "_", "ENC", ".", "🔒"];

/// Everything about a document but its content.
pub(crate) struct Scenario {
    pub(crate) format: Format,
    pub(crate) selector: Selector,
    pub(crate) mac_only_encrypted: bool,
    /// The suffix or regular expression of the selector; empty for the default.
    pattern: String,
    /// What a name that the selector matches begins and ends with.
    mark: (&'static str, &'static str),
    keys: Keys,
    /// `--output-type`, when it is not the file's own.
    pub(crate) output: Option<Format>,
}

/// Who can open the file.
enum Keys {
    /// One recipient: the first identity.
    One,
    /// Three recipients; the identity with this number is held.
    Any(usize),
    /// Three groups of which two are needed; all identities but the one with this number are held.
    TwoOfThree(usize),
}

impl Scenario {
    /// The scenario of document number `index`: formats, selectors and MAC modes take turns.
    pub(crate) fn choose(random: &mut Random, index: usize, tame: bool) -> Self {
        let format = Format::ALL[index % Format::ALL.len()];
        let column = index / Format::ALL.len() % (2 * Selector::ALL.len());
        let (selector, mac_only_encrypted) = match format {
            Format::Binary => (Selector::Default, false), // it stores neither
            _ => (Selector::ALL[column / 2], column % 2 == 1),
        };
        let (pattern, mark) = match selector {
            Selector::Default => ("", ("", "_unencrypted")),
            Selector::UnencryptedSuffix | Selector::EncryptedSuffix => {
                let suffix = if tame { SUFFIXES[0] } else { random.pick(SUFFIXES) };
                (suffix, ("", suffix))
            }
            _ => {
                let choices = if tame { WELL_BEHAVED } else { PATTERNS.len() };
                let (pattern, begin, end) = PATTERNS[random.below(choices)];
                (pattern, (begin, end))
            }
        };
        let keys = match random.below(20) {
            0..=16 => Keys::One,
            17 | 18 => Keys::Any(random.below(3)),
            _ => Keys::TwoOfThree(random.below(3)),
        };
        let output = (!tame && random.chance(12)).then(|| Format::ALL[random.below(Format::ALL.len())]);
        Self { format, selector, mac_only_encrypted, pattern: pattern.to_owned(), mark, keys, output }
    }

    /// A name, or the text of a comment, that the selector matches.
    pub(crate) fn marked(&self, name: &str) -> String {
        format!("{}{name}{}", self.mark.0, self.mark.1)
    }

    /// The `.sops.yaml` that makes sops encrypt in this way; the recipients are those of three identities.
    pub(crate) fn config(&self, recipients: &[String]) -> String {
        let mut rule = json!({ "path_regex": "" });
        match self.keys {
            Keys::One => rule["age"] = json!(recipients[0]),
            Keys::Any(_) => rule["age"] = json!(recipients.join(",")),
            Keys::TwoOfThree(_) => {
                let groups: Vec<Value> = recipients.iter().map(|recipient| json!({ "age": [recipient] })).collect();
                rule["key_groups"] = json!(groups);
                rule["shamir_threshold"] = json!(2);
            }
        }
        if self.selector != Selector::Default {
            rule[self.selector.name()] = json!(self.pattern);
        }
        if self.mac_only_encrypted {
            rule["mac_only_encrypted"] = json!(true);
        }
        json!({ "creation_rules": [rule] }).to_string()
    }

    /// The numbers of the identities that are held.
    pub(crate) fn held(&self) -> Vec<usize> {
        match self.keys {
            Keys::One => vec![0],
            Keys::Any(held) => vec![held],
            Keys::TwoOfThree(missing) => (0..3).filter(|number| *number != missing).collect(),
        }
    }

    /// Options of `decrypt` for this document.
    pub(crate) fn options(&self) -> Vec<String> {
        self.output.map(|format| vec!["--output-type".to_owned(), format.name().to_owned()]).unwrap_or_default()
    }
}
