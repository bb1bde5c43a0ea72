//! Every message in one place: read the difference before you accept it.

use std::fmt::Write as _;

use super::scenarios::SCENARIOS;

#[test]
fn every_message_reads_as_it_should() {
    let mut all = String::new();
    for scenario in SCENARIOS {
        let (_world, outcome) = (scenario.play)();
        let message = volatile(&outcome.message());
        writeln!(all, "## {} (exit {})\n\n{message}", scenario.title, outcome.code).unwrap();
        assert_ne!(outcome.code, 0, "{}", scenario.title);
        assert_ne!(outcome.code, 70, "{}: a bug", scenario.title);
        assert!(message.contains("error: "), "{}: {message}", scenario.title);
    }
    insta::assert_snapshot!(all);
}

/// Replaces what differs from run to run: names of temporary folders, and how long each phase took.
fn volatile(message: &str) -> String {
    let times = regex::Regex::new(r"\d+\.\d{3} s").unwrap();
    let message = times.replace_all(message, "{time} s");
    let mut text = String::new();
    let mut rest = &*message;
    while let Some(at) = rest.find("argocd-sops-") {
        let (before, after) = rest.split_at(at + "argocd-sops-".len());
        let name = after.find(|char: char| !char.is_ascii_alphanumeric()).unwrap_or(after.len());
        text.push_str(before);
        text.push_str(if name == 6 { "{random}" } else { &after[..name] });
        rest = &after[name..];
    }
    text + rest
}
