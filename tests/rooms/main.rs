//! Keeps the borders between the rooms of the house: who may use whom, and what no file may hold.
//!
//! A finding names file and line. Where a border has to move, move it here and in `ARCHITECTURE.md` in one commit.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the floor up. A room uses those before it, never those behind it; [`may_use`] has the exceptions.
const ROOMS: &[&str] = &[
    // The floor.
    "secret",
    "repo",
    "reference",
    "deadline",
    "phases",
    "message",
    "flight",
    "telemetry",
    // The craft.
    "sops",
    "keyring",
    // The path of a request.
    "app",
    "values",
    "helm",
    "manifests",
    // The spine.
    "plugin",
    // The doors.
    "cmp",
    "config",
    "cli",
];

/// Whether a room may know another one.
fn may_use(room: &str, used: &str) -> bool {
    let place = |name| ROOMS.iter().position(|room| *room == name);
    match (room, used) {
        // A crate in waiting.
        ("sops", used) => used == "secret",
        // Config knows everybody's option types; nobody but the command line knows config.
        (room, "config") => room == "cli",
        _ => place(used).is_some() && place(used) < place(room),
    }
}

/// Names that say nothing.
const FORBIDDEN_NAMES: [&str; 6] = ["utils", "common", "helpers", "misc", "core", "types"];

#[test]
fn a_room_uses_only_the_rooms_that_it_may_know() {
    let mut findings = Vec::new();
    for file in sources() {
        let Some(room) = file.room() else { continue };
        if !ROOMS.contains(&room.as_str()) {
            findings.push(format!("{}: `{room}` is not a room of the house", file.path.display()));
        }
        for (line, used) in file.used_rooms() {
            if used != room && !may_use(&room, &used) {
                findings.push(format!("{}:{line}: `{room}` may not use `{used}`", file.path.display()));
            }
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_is_about() {
    let silent = sources().into_iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path);
    let silent: Vec<PathBuf> = silent.collect();
    assert!(silent.is_empty(), "no `//!` in the first line: {silent:?}");
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let says_nothing = |file: &Source| {
        let names = file.path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        names.into_iter().any(|name| FORBIDDEN_NAMES.contains(&name.trim_end_matches(".rs")))
    };
    let findings: Vec<PathBuf> = sources().into_iter().filter(says_nothing).map(|file| file.path).collect();
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn the_environment_is_read_in_config_alone() {
    let findings = places(&["env::var(", "env::var_os(", "env::vars(", "env::vars_os("], &["config"]);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn processes_are_started_by_helm_by_the_key_commands_and_by_the_first_process_alone() {
    let findings = places(&["Command::new("], &["helm", "keyring", "cmp/init.rs"]);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn the_borders_stand_where_the_house_style_draws_them() {
    assert!(
        may_use("values", "app") && may_use("helm", "values") && may_use("keyring", "sops") && may_use("cli", "config")
    );
    assert!(!may_use("app", "values") && !may_use("values", "helm") && !may_use("sops", "keyring"));
    assert!(
        !may_use("sops", "repo") && !may_use("cmp", "config") && !may_use("plugin", "config") && !may_use("cmp", "cli")
    );
    assert!(!may_use("repo", "reference") && may_use("reference", "repo") && !may_use("secret", "telemetry"));
}

#[test]
fn the_rules_find_what_they_look_for() {
    let used = |text: &str| Source { path: "sops/x.rs".into(), text: text.to_owned() }.used_rooms();
    assert_eq!(used("use crate::app::Plan;"), [(1, "app".to_owned())]);
    assert_eq!(used("//! x\nfn f() -> crate::helm::Run {}"), [(2, "helm".to_owned())]);
    assert_eq!(used("use crate::{app::{Plan, plan}, helm};"), [(1, "app".to_owned()), (1, "helm".to_owned())]);
    assert_eq!(used("use crate::{\n    secret::{self, Plaintext},\n    repo::Source,\n};").len(), 2);
    assert_eq!(used("pub(crate) mod x; // crate::app\n/// See [`crate::plugin`].").len(), 0);
}

/// A source file of ours.
struct Source {
    /// Below `src`.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The room it stands in; `None` for `main.rs` and `lib.rs`, which are not in one.
    fn room(&self) -> Option<String> {
        let first =
            self.path.components().next().expect("a file has a name").as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs");
        (room != "main" && room != "lib").then(|| room.to_owned())
    }

    /// The rooms that follow a `crate::`, with the number of the line where it stands. Comments may name any room.
    fn used_rooms(&self) -> Vec<(usize, String)> {
        let code = without_comments(&self.text);
        let mut used = Vec::new();
        for (place, path) in code.match_indices("crate::") {
            let line = code[..place].matches('\n').count() + 1;
            let rest = &code[place + path.len()..];
            let firsts = match rest.strip_prefix('{') {
                Some(group) => first_names(group),
                None => vec![name_at(rest)],
            };
            used.extend(firsts.into_iter().map(|room| (line, room)));
        }
        used
    }
}

/// The names at the outer level of `a::{b, c}, d}`: `a` and `d`.
fn first_names(group: &str) -> Vec<String> {
    let mut names = vec![name_at(group.trim_start())];
    let mut depth = 0;
    for (place, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name_at(group[place + 1..].trim_start())),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The text with its line comments blanked, so that line numbers stay.
fn without_comments(text: &str) -> String {
    let code = text.lines().map(|line| line.find("//").map_or(line, |place| &line[..place]));
    code.collect::<Vec<_>>().join("\n")
}

/// Where one of these stands outside the rooms and files that may hold it.
fn places(words: &[&str], lawful: &[&str]) -> Vec<String> {
    let mut findings = Vec::new();
    for file in sources() {
        let is_lawful = |place: &&str| Path::new(place) == file.path || file.room().as_deref() == Some(place);
        if lawful.iter().any(is_lawful) {
            continue;
        }
        for (number, line) in without_comments(&file.text).lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                findings.push(format!("{}:{}: {}", file.path.display(), number + 1, line.trim()));
            }
        }
    }
    findings
}

/// Every Rust file below `src`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of ours").map(|entry| entry.expect("an entry of ours")) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file is text");
                let path = path.strip_prefix(&root).expect("it lies below the root").to_owned();
                files.push(Source { path, text });
            }
        }
    }
    assert!(!files.is_empty(), "no source file below {}", root.display());
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}
