//! Whether a file was encrypted by sops, and in which format, told from its name and content.

use memchr::memmem;

use super::error::Error;
use super::file::{first_ciphertext, holds_metadata};
use super::metadata::{ENTRY, FLAT_PREFIX};
use super::store::{self, Format};
use super::tree::{Branch, Entry, Node, Tree};

/// The format of a SOPS file, or `None` for a file that sops did not write.
///
/// A known extension decides the format; else the content does: a JSON envelope that holds only `data` is
/// [`Format::Binary`], other JSON, YAML, dotenv and INI are told apart by where their metadata stands. A plain file costs a
/// search for two words.
///
/// A map under `sops` at the top counts as metadata when it has a `mac` or a list of keys with `enc` in them, so that somebody's own
/// values under `sops` stay plain.
///
/// # Errors
/// Encrypted values without metadata (unless they stand beside metadata of their own, deeper in the file), and a file that
/// holds such values, or the word `lastmodified`, but does not parse. Other broken files are nobody's ciphertext: they are
/// plain, and their reader will say what is wrong.
pub fn detect(file_name: &str, input: &[u8]) -> Result<Option<Format>, Error> {
    let has_ciphertext = contains(input, b"ENC[AES256_GCM,");
    if !has_ciphertext && !contains(input, b"sops") {
        return Ok(None);
    }
    let known = Format::of_known_extension(file_name);
    let format = known.unwrap_or_else(|| guess(input));
    if format == Format::Yaml && is_surely_yaml(input) {
        return Ok(Some(format));
    }
    let tree = match store::parse(format, input) {
        Ok(tree) => tree,
        Err(error) if has_ciphertext || contains(input, b"lastmodified") => return Err(error),
        Err(_) => return Ok(None),
    };
    if has_metadata(format, &tree) {
        let is_envelope = known.is_none() && format == Format::Json && is_envelope(&tree);
        return Ok(Some(if is_envelope { Format::Binary } else { format }));
    }
    match first_ciphertext(&tree) {
        Some(path) => Err(Error::Orphaned { path }),
        None => Ok(None),
    }
}

/// The format of a file whose name says nothing, by what its lines begin with.
fn guess(input: &[u8]) -> Format {
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    if input.trim_ascii_start().starts_with(b"{") {
        Format::Json
    } else if has_line(input, b"[sops]") {
        Format::Ini
    } else if [&b"sops_mac="[..], b"sops_lastmodified=", b"sops_version="].iter().any(|name| has_line(input, name)) {
        Format::Dotenv
    } else {
        Format::Yaml
    }
}

/// Metadata in the place and form that sops gives it; spares the files that matter most a parse.
fn is_surely_yaml(input: &[u8]) -> bool {
    let metadata = if input.starts_with(b"sops:") { Some(0) } else { memmem::find(input, b"\nsops:") };
    metadata.is_some_and(|at| contains(&input[at..], b" mac: ENC[AES256_GCM,"))
}

fn has_metadata(format: Format, tree: &Tree<'_>) -> bool {
    let Some(first) = tree.branches.first() else { return false };
    match format {
        Format::Dotenv => has_flat_metadata(first, FLAT_PREFIX),
        Format::Ini => first.iter().any(|entry| {
            matches!(entry, Entry::Pair(name, Node::Map(section)) if name == ENTRY && has_flat_metadata(section, ""))
        }),
        Format::Yaml | Format::Json | Format::Binary => holds_metadata(first),
    }
}

/// Whether there is one of the names that every file of sops has, or a wrapped key.
fn has_flat_metadata(branch: &Branch<'_>, prefix: &str) -> bool {
    branch.iter().any(|entry| {
        let Entry::Pair(name, _) = entry else { return false };
        name.strip_prefix(prefix).is_some_and(|name| {
            ["mac", "lastmodified"].iter().any(|known| name.eq_ignore_ascii_case(known)) || name.ends_with("__map_enc")
        })
    })
}

/// `{"data": "...", "sops": {...}}` and nothing else.
fn is_envelope(tree: &Tree<'_>) -> bool {
    tree.branches.first().is_some_and(|branch| {
        branch.len() == 2 && branch.iter().any(|entry| matches!(entry, Entry::Pair(key, Node::Str(_)) if key == "data"))
    })
}

fn has_line(input: &[u8], beginning: &[u8]) -> bool {
    memmem::find_iter(input, beginning).any(|at| at == 0 || input[at - 1] == b'\n')
}

fn contains(input: &[u8], word: &[u8]) -> bool {
    memmem::find(input, word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:str]";

    fn found(name: &str, text: &str) -> Option<Format> {
        detect(name, text.replace("VALUE", VALUE).as_bytes()).unwrap()
    }

    #[test]
    fn json_is_told_from_an_envelope_where_the_name_says_nothing() {
        let envelope = r#"{"data": "VALUE", "sops": {"mac": "VALUE"}}"#;
        assert_eq!(found("values.yaml.enc", envelope), Some(Format::Binary));
        assert_eq!(found("values.json", envelope), Some(Format::Json));
        let json = r#" {"data": {"a": "VALUE"}, "sops": {"mac": "VALUE"}}"#;
        assert_eq!(found("secrets.enc", json), Some(Format::Json));
    }

    #[test]
    fn yaml_is_found_under_any_name() {
        let yaml = "a: VALUE\nsops:\n    lastmodified: \"x\"\n    mac: VALUE\n";
        for name in ["values.yaml", "values.yaml.enc", "secrets"] {
            assert_eq!(found(name, yaml), Some(Format::Yaml), "{name}");
        }
        assert_eq!(found("a.yaml", "{a: \"VALUE\", sops: {age: {enc: x}}}\n"), Some(Format::Yaml));
        assert_eq!(found("a.yaml", "sops:\n  enabled: true\n  mac:\n    x: 1\n"), None);
        assert_eq!(found("a.yaml", "a: [sops\n"), None, "broken, but nobody's ciphertext");
        assert!(detect("a.yaml", b"a: [ENC[AES256_GCM,\n").is_err(), "broken, and perhaps ciphertext");
        let second = format!("a: {VALUE}\n---\nsops: {{mac: {VALUE:?}}}\n");
        assert!(detect("a.yaml", second.as_bytes()).is_err(), "metadata in the second document is none");
    }

    #[test]
    fn dotenv_and_ini_are_found_under_any_name() {
        let dotenv = "A=VALUE\nsops_mac=VALUE\nsops_version=3.13.3\n";
        assert_eq!(found("secrets", dotenv), Some(Format::Dotenv));
        assert_eq!(found("secrets.env", dotenv), Some(Format::Dotenv));
        let ini = "[a]\nb = VALUE\n\n[sops]\nmac = VALUE\n";
        assert_eq!(found("secrets", ini), Some(Format::Ini));
        assert_eq!(found("secrets.ini", ini), Some(Format::Ini));
    }

    #[test]
    fn somebodys_own_sops_entry_is_plain() {
        assert_eq!(found("a.json", r#"{"sops": {"enabled": true, "age": "x", "pgp": [1]}}"#), None);
        assert_eq!(found("a.json", r#"{"sops": "on"}"#), None);
        assert_eq!(found("a.json", r#"{"a": {"sops": {"mac": "x"}}}"#), None);
        assert_eq!(found("a.env", "sops_enabled=1\n"), None);
        assert_eq!(found("a.txt", "we use sops here"), None);
    }

    #[test]
    fn broken_metadata_is_still_metadata() {
        assert_eq!(found("a.json", r#"{"sops": {"mac": "x"}}"#), Some(Format::Json));
        assert_eq!(found("a.json", r#"{"sops": {"age": {"enc": "x"}}}"#), Some(Format::Json));
        assert_eq!(found("a.json", r#"{"sops": {"key_groups": [{"pgp": [{"enc": 1}]}]}}"#), Some(Format::Json));
    }

    #[test]
    fn ciphertext_without_metadata_is_an_error_that_names_its_place() {
        let text = r#"{"a": [{"b": "VALUE"}]}"#.replace("VALUE", VALUE);
        let error = detect("a.json", text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "`a[0].b` looks encrypted by sops, but the file has no sops metadata");
        assert!(detect("a.json", &text.as_bytes()[..text.len() - 1]).is_err(), "truncated");
    }

    #[test]
    fn an_encrypted_object_within_plain_values_is_left_alone() {
        assert_eq!(found("a.json", r#"{"manifest": {"spec": "VALUE", "sops": {"mac": "VALUE"}}}"#), None);
        assert_eq!(found("a.json", r#"{"note": "never write VALUE here"}"#), None);
    }
}
