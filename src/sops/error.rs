//! What can be wrong with an encrypted file, told without a word of what it holds.

use std::fmt;

use super::metadata::MetadataError;
use super::store::{Format, yaml};

/// Why a file could not be parsed, decrypted or printed.
///
/// Texts name keys, fields, lines and columns; never values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not well-formed in its format.
    #[error("broken {format} at line {line}, column {column}: {fault}")]
    Syntax {
        /// The format it was read as.
        format: Format,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What is wrong there.
        fault: SyntaxFault,
    },
    /// The file is not YAML, or not of a shape that sops knows.
    #[error("broken YAML: {0}")]
    Yaml(yaml::Error),
    /// The file parses but has no `sops` metadata.
    #[error("no sops metadata: the file is not encrypted, or is not {0}")]
    MetadataMissing(Format),
    /// Encrypted values, but no metadata that says how.
    #[error("{path} looks encrypted by sops, but the file has no sops metadata")]
    Orphaned {
        /// Where the first such value stands.
        path: KeyPath,
    },
    /// There is metadata, but it cannot be used.
    #[error("the sops metadata cannot be used")]
    Metadata(#[from] MetadataError),
    /// The data key has a length that AES does not have.
    #[error("the data key has {length} bytes, not 16, 24 or 32")]
    DataKey {
        /// Its length in bytes.
        length: usize,
    },
    /// A value cannot be decrypted.
    #[error("{path}: {fault}")]
    Value {
        /// Where it stands.
        path: KeyPath,
        /// What is wrong with it.
        fault: ValueFault,
    },
    /// Every value decrypts, but the file as a whole is not what was encrypted.
    #[error("{0}")]
    Mac(MacFault),
    /// Decrypted, but the output format cannot hold it.
    #[error("cannot print as {format}: {fault}")]
    Emit {
        /// The output format.
        format: Format,
        /// What it cannot hold.
        fault: EmitFault,
    },
    /// Decrypted, but the YAML emitter refused.
    #[error("cannot print as YAML: {0}")]
    EmitYaml(yaml::EmitError),
    /// The path to extract leads nowhere.
    #[error("cannot extract: {0}")]
    Extract(ExtractFault),
}

impl Error {
    /// The kind of trouble; callers decide by this, not by the text.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Syntax { .. } | Self::Yaml(_) => ErrorKind::Syntax,
            Self::MetadataMissing(_) | Self::Orphaned { .. } => ErrorKind::MetadataMissing,
            Self::Metadata(_) => ErrorKind::MetadataInvalid,
            Self::Value { fault: ValueFault::Authentication, .. } | Self::DataKey { .. } => ErrorKind::ValueAuth,
            Self::Value { .. } => ErrorKind::ValueFormat,
            Self::Mac(_) => ErrorKind::Mac,
            Self::Emit { .. } | Self::EmitYaml(_) => ErrorKind::Emit,
            Self::Extract(_) => ErrorKind::Extract,
        }
    }

    /// What to do about it, in the imperative.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Syntax { .. } | Self::Yaml(_) => {
                "restore the file from its last good commit, or name its format with --input-type"
            }
            Self::MetadataMissing(_) => "encrypt it with `sops encrypt`, or refer to it as a plain file",
            Self::Orphaned { .. } => "restore the `sops` part of the file from its last good commit",
            Self::Metadata(_) => "restore the `sops` part of the file; only sops should write it",
            Self::DataKey { .. } => "restore the `sops` part of the file; the key in it was not made by sops",
            Self::Value { fault: ValueFault::NotEncrypted(_), .. } => {
                "edit encrypted files with `sops edit` or `sops set`, so that new values are encrypted"
            }
            Self::Value { .. } | Self::Mac(_) => {
                "the file was changed by hand or merged after it was encrypted: restore it, or redo the change with `sops edit`"
            }
            Self::Emit { .. } | Self::EmitYaml(_) => "choose another output format with --output-type",
            Self::Extract(_) => "write the path as sops does: '[\"key\"][\"list\"][0]'",
        }
    }
}

/// The kinds of [`Error`], as sops' exit codes tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not well-formed, or of an unsupported shape (sops exits 1).
    Syntax,
    /// Parses, but has no metadata (1).
    MetadataMissing,
    /// Unusable metadata (1).
    MetadataInvalid,
    /// A value fails authentication: data, tag, path or key is wrong (25).
    ValueAuth,
    /// A value is not in the encrypted form, or its plaintext is not of its type (25).
    ValueFormat,
    /// The MAC is missing or differs (51).
    Mac,
    /// The output format cannot hold the data (4).
    Emit,
    /// Nothing at the path to extract (91 or 1).
    Extract,
}

/// What is wrong at one place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxFault {
    /// The text ends too early.
    #[error("the file ends here")]
    End,
    /// A character that cannot stand here.
    #[error("unexpected character")]
    Unexpected,
    /// An object is the only thing that may stand at the top.
    #[error("the top level is not a map")]
    NotAMap,
    /// Lists and maps within each other, without end.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// The most that is read.
        limit: usize,
    },
    /// A number beyond the range of a 64-bit float.
    #[error("number out of range")]
    NumberRange,
    /// A name that is not text.
    #[error("a name is not UTF-8")]
    NameNotUtf8,
    /// A line that is neither comment nor assignment.
    #[error("neither a comment nor NAME=VALUE")]
    NotAnAssignment,
    /// A section or a key without a name.
    #[error("empty name")]
    EmptyName,
    /// A section header without its end.
    #[error("`]` is missing")]
    UnclosedSection,
    /// A quote that never ends.
    #[error("the closing quote is missing")]
    UnclosedQuote,
}

/// What is wrong with one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueFault {
    /// Plain data where ciphertext is due.
    #[error("should be encrypted, but is {0}")]
    NotEncrypted(&'static str),
    /// A part of the value is not base64.
    #[error("the {0} of the encrypted value is not base64")]
    Base64(&'static str),
    /// No reader is built for initialisation vectors of this length.
    #[error("initialisation vector of {0} bytes: 12, 16 and 32 are supported")]
    IvLength(usize),
    /// AES-GCM says no.
    #[error("does not authenticate: value, key path or data key is not the one it was encrypted with")]
    Authentication,
    /// A type word that sops does not have.
    #[error("unknown type of encrypted value")]
    UnknownType,
    /// `bytes` was never written by a release of sops; sops 3.13 crashes on it.
    #[error("encrypted value of type `bytes`, which no release of sops writes")]
    Bytes,
    /// The plaintext is not of the type that the value claims.
    #[error("the decrypted text is not of type {0}")]
    Plaintext(&'static str),
    /// A comment where a value is due, or the other way round.
    #[error("the decrypted type {0} cannot stand here")]
    Misplaced(&'static str),
    /// A timestamp that RFC 3339 cannot write.
    #[error("timestamp with an offset of a day or more")]
    TimeOffset,
}

/// What is wrong with the MAC. No MAC is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacFault {
    /// Absent or empty.
    #[error("the file has no MAC")]
    Missing,
    /// Not an encrypted value, or encrypted with another key or at another time.
    #[error("the MAC of the file cannot be decrypted: {0}")]
    Unreadable(ValueFault),
    /// It belongs to other content.
    #[error("MAC mismatch: values were added, removed, reordered or changed after encryption")]
    Mismatch,
}

/// What an output format cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitFault {
    /// dotenv has no lists and maps.
    #[error("{0} is a list or a map")]
    Complex(KeyPath),
    /// INI has sections only.
    #[error("{0} is not a section")]
    NotASection(KeyPath),
    /// INI has no empty names.
    #[error("a section or key of {0} has no name")]
    EmptyName(KeyPath),
    /// INI cannot tell such a comment or key from the rest.
    #[error("{0} has a comment with an empty line")]
    EmptyCommentLine(KeyPath),
    /// JSON has no infinities.
    #[error("{0} is not a finite number")]
    NotFinite(KeyPath),
    /// Binary is one string under `data`.
    #[error("there is no string `data` at the top: this is not an encrypted binary file")]
    NoData,
    /// Binary is one document.
    #[error("the file has several documents")]
    Documents,
    /// Only strings and maps can be taken out in this format.
    #[error("a single value other than a string cannot be printed")]
    Scalar,
}

/// Why a path of `--extract` leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractFault {
    /// Not of the form `["key"][0]`.
    #[error("the path is not of the form '[\"key\"][0]'")]
    Path,
    /// No such key.
    #[error("no key {0}")]
    NoKey(KeyPath),
    /// No such item.
    #[error("no item {0}")]
    NoItem(KeyPath),
}

/// The way from the root of a file to a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPath {
    /// Document, from 0; shown from the second on.
    pub document: usize,
    /// Keys and list indexes, outermost first.
    pub steps: Vec<Step>,
}

/// One step of a [`KeyPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list.
    Index(usize),
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        for (position, step) in self.steps.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    if !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "-_/".contains(c)) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "\"{}\"", key.escape_debug())?;
                    }
                }
            }
        }
        f.write_str("`")?;
        if self.document > 0 {
            write!(f, " of document {}", self.document + 1)?;
        }
        Ok(())
    }
}
