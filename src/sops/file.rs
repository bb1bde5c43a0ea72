//! An encrypted file taken apart, and what comes of it when the MAC has agreed.

use std::fmt;

use zeroize::Zeroizing;

use super::cipher;
use super::decrypt;
use super::error::{Error, KeyPath, Step};
use super::extract::ExtractPath;
use super::key::DataKey;
use super::metadata::{self, Metadata};
use super::store::{self, Format};
use super::tree::{Branch, Entry, Node, Text, Tree};
use crate::secret::Plaintext;

/// An encrypted file: its metadata, and its data still encrypted.
///
/// Text is borrowed from the input where it can be.
#[derive(Debug)]
pub struct File<'a> {
    tree: Tree<'a>,
    metadata: Metadata,
    /// Bytes of the input: more than the decrypted file will have.
    size: usize,
}

impl<'a> File<'a> {
    /// Parses a file in its format, and its metadata.
    ///
    /// # Errors
    /// The file is not well-formed, has no metadata, or has metadata that cannot be used.
    pub fn parse(format: Format, input: &'a [u8]) -> Result<Self, Error> {
        let mut tree = store::parse(format, input)?;
        let metadata = metadata::take(format, &mut tree)?.ok_or(Error::MetadataMissing(format))?;
        Ok(Self { tree, metadata, size: input.len() })
    }

    /// How the file was encrypted, and for whom.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Decrypts every value that is due, and returns only when the MAC of the file has agreed.
    ///
    /// # Errors
    /// The first value that cannot be decrypted, with the path of its keys; else what is wrong with the MAC.
    #[expect(clippy::needless_pass_by_value, reason = "the key ends with the file it belongs to")]
    pub fn decrypt(mut self, key: DataKey) -> Result<Decrypted<'a>, Error> {
        let texts = decrypt::decrypt(&mut self.tree, self.size, &self.metadata, &key)?;
        Ok(Decrypted { tree: self.tree, texts, size: self.size })
    }
}

/// A file whose every value was decrypted, and whose MAC agreed.
pub struct Decrypted<'a> {
    tree: Tree<'a>,
    texts: Vec<Plaintext>,
    size: usize,
}

impl fmt::Debug for Decrypted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Decrypted<'_> {
    /// The bytes that `sops decrypt` prints in a format. `indent` of `None` means sops' default: 4 columns in YAML, tabs in
    /// JSON.
    ///
    /// # Errors
    /// The format cannot hold the data.
    pub fn emit(&self, format: Format, indent: Option<usize>) -> Result<Plaintext, Error> {
        self.print(|out| store::emit(&self.tree, format, indent, out))
    }

    /// What `sops decrypt --extract` prints: a string as it is, a map as a file of its own, anything else as one value.
    ///
    /// As in sops, only the first document is searched.
    ///
    /// # Errors
    /// Nothing stands at the path, or the format cannot hold what does.
    pub fn extract(mut self, path: &ExtractPath, format: Format, indent: Option<usize>) -> Result<Plaintext, Error> {
        let first = self.tree.branches.first_mut().map(std::mem::take).unwrap_or_default();
        match path.find(Node::Map(first)).map_err(Error::Extract)? {
            Node::Map(map) => {
                // The other documents follow the part of the first one: sops does that, too.
                if let Some(first) = self.tree.branches.first_mut() {
                    *first = map;
                }
                self.emit(format, indent)
            }
            Node::Str(text) => self.print(|out| {
                out.extend_from_slice(text.bytes());
                Ok(())
            }),
            node => self.print(|out| store::emit_value(node, format, indent, out)),
        }
    }

    /// The first string that still looks like an encrypted value, if there is one. Legal where the file says that it is not
    /// encrypted; a values file should have none.
    #[must_use]
    pub fn still_encrypted(&self) -> Option<KeyPath> {
        first_ciphertext(&self.tree)
    }

    /// Everything that was decrypted, leaf by leaf, for masking it in messages: texts and comments are moved out; ints,
    /// floats, bools and timestamps come as their decrypted text.
    #[must_use]
    pub fn into_secrets(self) -> Vec<Plaintext> {
        let Self { mut tree, mut texts, .. } = self;
        for branch in &mut tree.branches {
            take_secrets_of_branch(branch, &mut texts);
        }
        texts
    }

    fn print(&self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Error>) -> Result<Plaintext, Error> {
        // Room for all of it at once: a Vec that grows leaves its old self behind in memory.
        let mut out = Zeroizing::new(Vec::with_capacity(self.size));
        write(&mut out)?;
        Ok(Plaintext::new(std::mem::take(&mut *out)))
    }
}

/// The first string of a tree that begins like an encrypted value. What stands beside metadata of its own, deeper in the
/// tree, is passed over: an encrypted object that is meant to stay encrypted.
pub(super) fn first_ciphertext(tree: &Tree<'_>) -> Option<KeyPath> {
    tree.branches.iter().enumerate().find_map(|(document, branch)| {
        let mut steps = Vec::new();
        ciphertext_in_branch(branch, &mut steps).then_some(KeyPath { document, steps })
    })
}

fn ciphertext_in_branch(branch: &Branch<'_>, steps: &mut Vec<Step>) -> bool {
    branch.iter().any(|entry| {
        let Entry::Pair(key, node) = entry else { return false };
        steps.push(Step::Key(key.to_string()));
        let found = ciphertext_in_node(node, steps);
        if !found {
            steps.pop();
        }
        found
    })
}

fn ciphertext_in_node(node: &Node<'_>, steps: &mut Vec<Step>) -> bool {
    match node {
        Node::Str(text) => text.bytes().starts_with(cipher::PREFIX),
        Node::Map(branch) if holds_metadata(branch) => false,
        Node::Map(branch) => ciphertext_in_branch(branch, steps),
        Node::List(items) => items.iter().enumerate().any(|(index, item)| {
            steps.push(Step::Index(index));
            let found = ciphertext_in_node(item, steps);
            if !found {
                steps.pop();
            }
            found
        }),
        _ => false,
    }
}

/// Whether a map has an entry `sops` that sops wrote.
pub(super) fn holds_metadata(branch: &Branch<'_>) -> bool {
    branch.iter().any(|entry| {
        matches!(entry, Entry::Pair(key, Node::Map(map)) if key == metadata::ENTRY && metadata::looks_like_metadata(map))
    })
}

fn take_secrets_of_branch(branch: &mut Branch<'_>, secrets: &mut Vec<Plaintext>) {
    for entry in branch {
        match entry {
            Entry::Comment(text) | Entry::InlineComment(text) => take_secret(text, secrets),
            Entry::Pair(_, node) => take_secrets_of_node(node, secrets),
        }
    }
}

fn take_secrets_of_node(node: &mut Node<'_>, secrets: &mut Vec<Plaintext>) {
    match node {
        Node::Str(text) | Node::Comment(text) | Node::InlineComment(text) => take_secret(text, secrets),
        Node::Map(branch) => take_secrets_of_branch(branch, secrets),
        Node::List(items) => items.iter_mut().for_each(|item| take_secrets_of_node(item, secrets)),
        Node::Null | Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Time(_) => {}
    }
}

fn take_secret(text: &mut Text<'_>, secrets: &mut Vec<Plaintext>) {
    if let Text::Secret(bytes) = text {
        secrets.push(Plaintext::new(std::mem::take(bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sops::error::{ErrorKind, MacFault};

    // Written by sops 3.13.3; the keys are what age unwrapped with the vectors' throwaway identity.
    const JSON: &[u8] = include_bytes!("../../tests/vectors/sops/cases/json-types.json");
    const JSON_OUT: &[u8] = include_bytes!("../../tests/vectors/sops/expected/json-types.json");
    const JSON_KEY: &str = "826712fec298e6f59f667c21a2f440274c558c15d496d09795122c058c73e7a4";
    const INI: &[u8] = include_bytes!("../../tests/vectors/sops/cases/ini-comments.ini");
    const INI_OUT: &[u8] = include_bytes!("../../tests/vectors/sops/expected/ini-comments.ini");
    const INI_KEY: &str = "559713b992a150ae157cc467e9479bf30b67d259cfb332ce6c78d9a4590e2bca";

    fn key(hex: &str) -> DataKey {
        let byte = |pair| u8::from_str_radix(pair, 16).unwrap();
        DataKey::new((0..hex.len()).step_by(2).map(|at| byte(&hex[at..at + 2])).collect())
    }

    fn decrypt(format: Format, input: &[u8], hex: &str) -> Result<Vec<u8>, Error> {
        let decrypted = File::parse(format, input)?.decrypt(key(hex))?;
        decrypted.emit(format, None).map(|plaintext| plaintext.expose().to_vec())
    }

    #[test]
    fn what_sops_encrypted_comes_out_as_sops_prints_it() {
        assert_eq!(decrypt(Format::Json, JSON, JSON_KEY).unwrap(), JSON_OUT);
        assert_eq!(decrypt(Format::Ini, INI, INI_KEY).unwrap(), INI_OUT);
    }

    #[test]
    fn another_key_opens_nothing_and_the_message_names_the_place_only() {
        let error = decrypt(Format::Ini, INI, JSON_KEY).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueAuth);
        assert!(error.to_string().starts_with("`a.k`: does not authenticate"), "{error}");
    }

    #[test]
    fn without_its_mac_a_file_stays_closed() {
        let text = String::from_utf8(JSON.to_vec()).unwrap().replace("\"mac\":", "\"mad\":");
        let error = decrypt(Format::Json, text.as_bytes(), JSON_KEY).unwrap_err();
        assert!(matches!(error, Error::Mac(MacFault::Missing)), "{error}");
        let text = String::from_utf8(JSON.to_vec()).unwrap().replacen('{', "{\"added_unencrypted\": 1,", 1);
        let error = decrypt(Format::Json, text.as_bytes(), JSON_KEY).unwrap_err();
        assert!(matches!(error, Error::Mac(MacFault::Mismatch)), "{error}");
        let text = String::from_utf8(JSON.to_vec()).unwrap().replacen('{', "{\"added_unencrypted\": null,", 1);
        assert!(decrypt(Format::Json, text.as_bytes(), JSON_KEY).is_ok(), "null is not in the MAC");
    }

    #[test]
    fn plain_data_at_an_encrypted_path_is_refused() {
        for (value, said) in [("1", "a number"), ("true", "a boolean"), ("\"x\"", "plain text")] {
            let text = String::from_utf8(JSON.to_vec()).unwrap().replacen('{', &format!("{{\"a b\": [{value}],"), 1);
            let error = decrypt(Format::Json, text.as_bytes(), JSON_KEY).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueFormat);
            assert_eq!(error.to_string(), format!("`\"a b\"[0]`: should be encrypted, but is {said}"));
        }
    }

    #[test]
    fn a_part_is_extracted_as_its_text_or_as_a_file() {
        let extract = |path: &str, format| {
            let decrypted = File::parse(Format::Ini, INI).unwrap().decrypt(key(INI_KEY)).unwrap();
            decrypted.extract(&path.parse().unwrap(), format, None).map(|plaintext| plaintext.expose().to_vec())
        };
        let k = extract("[\"a\"][\"k\"]", Format::Json).unwrap();
        assert!(!k.contains(&b'\n') && !k.contains(&b'"'), "a bare text");
        assert!(extract("[\"a\"]", Format::Json).unwrap().starts_with(b"{\n\t\"k\": \""));
        let error = extract("[\"a\"][\"missing\"]", Format::Json).unwrap_err();
        assert_eq!(error.to_string(), "cannot extract: no key `a.missing`");
        assert!(extract("[\"a\"][0]", Format::Json).is_err());
    }

    #[test]
    fn every_decrypted_leaf_is_a_secret_and_nothing_else_is() {
        let decrypted = File::parse(Format::Ini, INI).unwrap().decrypt(key(INI_KEY)).unwrap();
        let secrets = decrypted.into_secrets();
        let encrypted = INI.windows(5).filter(|window| window == b"ENC[A").count() - 1; // but the MAC
        assert_eq!(secrets.len(), encrypted);
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let decrypted = File::parse(Format::Ini, INI).unwrap().decrypt(key(INI_KEY)).unwrap();
        let printed = decrypted.emit(Format::Ini, None).unwrap();
        assert_eq!(format!("{decrypted:?} {printed:?}"), "[redacted] [redacted]");
    }
}
