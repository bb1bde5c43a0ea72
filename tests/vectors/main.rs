//! Decrypts the golden vectors, which the real `sops` has written, with our own binary.
//!
//! Every test is a claim about a group of cases and lists the ids that break it. What the cases are about stands in
//! `sops/index.json`; how they were made, in `sops/README.md`.
#![expect(clippy::disallowed_methods, reason = "a test starts programs and gives each an environment of its own")]

#[path = "../peers/run.rs"]
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde::Deserialize;

use run::{Outcome, run};

/// Cases whose bytes may differ from those of sops, each with the reason. The aim: none.
const ALLOWED_DIFFERENCES: &[(&str, &str)] = &[];

/// Cases whose shape no format of ours can hold: refused as broken files while they are parsed, before any value is
/// looked at. sops notices them when it walks the values.
const REFUSED_WHILE_PARSING: [&str; 2] = ["err-non-string-key", "err-uint64"];

/// Groups whose cases must decrypt, by the beginning of their ids.
const GROUPS: [&str; 11] =
    ["yaml-", "sel-", "ok-", "json-", "dotenv-", "ini-", "binary-", "format-", "key-", "shamir-", "env-"];

/// Every case of the index, counted here so that a lost one is noticed.
const CASES: usize = 235;

static VECTORS: LazyLock<Vectors> = LazyLock::new(Vectors::load);

#[test]
fn yaml_files_print_the_bytes_of_sops() {
    VECTORS.succeed("yaml-");
}

#[test]
fn every_selector_and_both_mac_modes_choose_the_leaves_that_sops_chooses() {
    VECTORS.succeed("sel-");
}

#[test]
fn odd_files_that_sops_accepts_are_accepted() {
    VECTORS.succeed("ok-");
}

#[test]
fn json_files_print_the_bytes_of_sops() {
    VECTORS.succeed("json-");
}

#[test]
fn dotenv_files_print_the_bytes_of_sops() {
    VECTORS.succeed("dotenv-");
}

#[test]
fn ini_files_print_the_bytes_of_sops() {
    VECTORS.succeed("ini-");
}

#[test]
fn binary_files_give_their_bytes_back() {
    VECTORS.succeed("binary-");
}

#[test]
fn formats_follow_the_file_name_and_the_options() {
    VECTORS.succeed("format-");
}

#[test]
fn age_ssh_post_quantum_and_pgp_keys_open_files() {
    VECTORS.succeed("key-");
}

#[test]
fn key_groups_open_with_enough_parts() {
    VECTORS.succeed("shamir-");
}

#[test]
fn age_keys_are_found_in_the_places_where_sops_finds_them() {
    VECTORS.succeed("env-");
}

#[test]
fn a_file_without_sops_metadata_is_refused() {
    VECTORS.refuse("metadata_missing", 2);
}

#[test]
fn unusable_metadata_is_refused() {
    VECTORS.refuse("metadata_invalid", 2);
}

#[test]
fn a_file_that_is_not_well_formed_is_refused() {
    VECTORS.refuse("parse", 2);
}

#[test]
fn a_file_that_no_key_opens_is_refused() {
    VECTORS.refuse("no_data_key", 4);
}

#[test]
fn a_changed_or_moved_value_is_refused() {
    VECTORS.refuse("value_auth", 4);
}

#[test]
fn a_value_of_the_wrong_form_is_refused() {
    VECTORS.refuse("value_format", 4);
}

#[test]
fn a_file_whose_mac_does_not_agree_is_refused() {
    VECTORS.refuse("mac_mismatch", 4);
}

#[test]
fn a_tree_that_the_output_format_cannot_hold_is_refused() {
    VECTORS.refuse("emit", 2);
}

#[test]
fn every_case_belongs_to_a_test() {
    let kinds: BTreeSet<&str> =
        "metadata_missing metadata_invalid parse no_data_key value_auth value_format mac_mismatch emit"
            .split(' ')
            .collect();
    assert_eq!(VECTORS.index.cases.len(), CASES);
    for case in &VECTORS.index.cases {
        match &case.error {
            Some(error) => assert!(kinds.contains(error.kind.as_str()), "{}: {}", case.id, error.kind),
            None => assert!(GROUPS.iter().any(|group| case.id.starts_with(group)), "{}", case.id),
        }
    }
    for (id, reason) in ALLOWED_DIFFERENCES {
        assert!(VECTORS.index.cases.iter().any(|case| case.id == *id), "no case `{id}` ({reason})");
    }
}

/// `index.json`, as far as a decryption needs it.
#[derive(Deserialize)]
struct Index {
    keys: BTreeMap<String, Key>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Key {
    kind: String,
    file: String,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    file: String,
    args: Vec<String>,
    keys: Vec<String>,
    env: BTreeMap<String, String>,
    home_files: BTreeMap<String, String>,
    expected: Option<String>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    kind: String,
}

struct Vectors {
    folder: PathBuf,
    index: Index,
    /// Every value that any expected output holds: none may be seen in an error.
    secrets: BTreeSet<String>,
}

impl Vectors {
    fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sops");
        let text = fs::read(folder.join("index.json")).expect("index.json stands beside the cases");
        let index: Index = serde_json::from_slice(&text).expect("index.json is what `regenerate` writes");
        let expected = index.cases.iter().filter_map(|case| case.expected.as_ref());
        let secrets = expected.flat_map(|file| values(&read(&folder.join(file)))).collect();
        Self { folder, index, secrets }
    }

    /// The cases whose ids begin with `group` decrypt to the bytes that sops printed.
    fn succeed(&self, group: &str) {
        self.judge(
            |case| case.error.is_none() && case.id.starts_with(group),
            |case, outcome| {
                if !outcome.done() {
                    return Err(format!("exit {:?}: {}", outcome.code, first_line(&outcome.stderr)));
                }
                let expected = case.expected.as_ref().expect("a case without an error has an expected output");
                let differs = outcome.stdout != read(&self.folder.join(expected));
                let allowed = ALLOWED_DIFFERENCES.iter().any(|(id, _)| *id == case.id);
                match (differs, allowed) {
                    (true, false) => Err("the bytes differ".to_owned()),
                    (false, true) => Err("is an allowed difference, but does not differ any more".to_owned()),
                    _ => Ok(()),
                }
            },
        );
    }

    /// The cases that sops refuses for a reason of this kind are refused with this exit code, and nothing is printed.
    fn refuse(&self, kind: &str, code: i32) {
        self.judge(
            |case| case.error.as_ref().is_some_and(|error| error.kind == kind),
            |case, outcome| {
                let code = if REFUSED_WHILE_PARSING.contains(&case.id.as_str()) { 2 } else { code };
                if !outcome.stdout.is_empty() {
                    return Err(format!("prints {} bytes", outcome.stdout.len()));
                }
                if outcome.stderr.is_empty() {
                    return Err("does not say why".to_owned());
                }
                match outcome.code {
                    Some(found) if found == code => Ok(()),
                    other => Err(format!("exit {other:?}, not {code}: {}", first_line(&outcome.stderr))),
                }
            },
        );
    }

    /// Runs the chosen cases and lists those that fail.
    fn judge(&self, chosen: impl Fn(&Case) -> bool, verdict: impl Fn(&Case, &Outcome) -> Result<(), String>) {
        let cases: Vec<&Case> = self.index.cases.iter().filter(|case| chosen(case)).collect();
        assert!(!cases.is_empty(), "a test without a case claims nothing");
        let mut failed = Vec::new();
        for case in &cases {
            let outcome = self.decrypt(case);
            if let Err(why) = verdict(case, &outcome).and_then(|()| self.keeps_quiet(case, &outcome)) {
                failed.push(format!("  {}: {why}", case.id));
            }
        }
        assert!(failed.is_empty(), "{} of {} cases fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
    }

    /// No value of any expected output stands in what is said to people, unless the encrypted file shows it openly.
    fn keeps_quiet(&self, case: &Case, outcome: &Outcome) -> Result<(), String> {
        let said = String::from_utf8_lossy(&outcome.stderr);
        let open = String::from_utf8_lossy(&read(&self.folder.join(&case.file))).into_owned();
        match self.secrets.iter().find(|secret| said.contains(*secret) && !open.contains(*secret)) {
            Some(secret) => Err(format!("says the secret `{secret}` on stderr")),
            None => Ok(()),
        }
    }

    /// Decrypts one case with the keys that it names, and with no others.
    fn decrypt(&self, case: &Case) -> Outcome {
        let home = tempfile::tempdir().expect("a temporary folder");
        for (target, source) in &case.home_files {
            let target = home.path().join(target);
            fs::create_dir_all(target.parent().expect("a file below the home")).expect("a folder below the home");
            fs::copy(self.folder.join(source), target).expect("a key in the home");
        }
        let env = self.environment(case, home.path());
        let mut arguments = vec!["decrypt".to_owned()];
        arguments.extend(case.args.iter().cloned());
        arguments.push(self.path(&case.file));
        run(Path::new(env!("CARGO_BIN_EXE_argocd-sops")), &arguments, home.path(), &env)
    }

    /// The variables that carry the keys of a case: those it writes itself, else the usual ones for its keys.
    fn environment(&self, case: &Case, home: &Path) -> Vec<(String, String)> {
        let mut env = Vec::new();
        let of_kind = |kind: &str| -> Vec<String> {
            let keys = case.keys.iter().map(|name| &self.index.keys[name]);
            keys.filter(|key| key.kind.starts_with(kind)).map(|key| self.path(&key.file)).collect()
        };
        let pgp = of_kind("pgp-");
        if !pgp.is_empty() {
            env.push(("ARGOCD_SOPS_KEYS".to_owned(), pgp.join(":")));
        }
        if !case.env.is_empty() || !case.home_files.is_empty() {
            let own = case.env.iter().map(|(name, value)| (name.clone(), self.fill_in(value, home)));
            env.extend(own);
            return env;
        }
        let age = of_kind("age");
        if !age.is_empty() {
            let identities: Vec<u8> = age.iter().flat_map(|file| read(Path::new(file))).collect();
            let file = home.join("age-identities.txt");
            fs::write(&file, identities).expect("an identity file in the home");
            env.push(("SOPS_AGE_KEY_FILE".to_owned(), file.display().to_string()));
        }
        let ssh = of_kind("ssh-").into_iter();
        env.extend(ssh.map(|file| ("SOPS_AGE_SSH_PRIVATE_KEY_FILE".to_owned(), file)));
        env
    }

    /// Replaces what `env` of a case may hold: `{keys}`, `{home}`, `{keytext:NAME}`, and `@FILE` for a file's lines.
    fn fill_in(&self, value: &str, home: &Path) -> String {
        let mut value = value.replace("{keys}", &self.path("keys")).replace("{home}", &home.display().to_string());
        for (name, key) in &self.index.keys {
            let marker = format!("{{keytext:{name}}}");
            if value.contains(&marker) {
                value = value.replace(&marker, key_lines(&self.folder.join(&key.file)).first().expect("a key line"));
            }
        }
        match value.strip_prefix('@') {
            Some(file) => key_lines(Path::new(file)).join("\n"),
            None => value,
        }
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }
}

/// The lines of an identity file that are neither empty nor comments.
fn key_lines(file: &Path) -> Vec<String> {
    let text = String::from_utf8(read(file)).expect("an identity file is text");
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// The values of a printed file, each without its key and its quotes. Short ones and plain words anybody may say.
fn values(printed: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(printed).into_owned();
    let value = |line: &str| {
        let rest = line.split_once(": ").or_else(|| line.split_once('=')).map_or(line, |(_, value)| value);
        rest.trim_matches([' ', '\t', '\r', '"', '\'', '-', ',', '#', ';', '`']).to_owned()
    };
    let key_alone = |line: &&str| line.trim_end().ends_with(':') || line.starts_with('[');
    let lines = text.lines().filter(|line| !key_alone(line));
    let telling = |value: &String| value.chars().count() >= 6 && !value.chars().all(|c| c.is_ascii_lowercase());
    lines.map(value).filter(telling).collect()
}

fn first_line(said: &[u8]) -> String {
    String::from_utf8_lossy(said).lines().next().unwrap_or_default().to_owned()
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|fault| panic!("{}: {fault}", file.display()))
}
