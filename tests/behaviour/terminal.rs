//! What a person in a terminal sees beside the manifests.

use std::fs;
use std::process::{Command, Stdio};

use super::world::World;

/// Runs the program on a terminal of its own, and gives back all that it shows.
fn on_a_terminal(world: &World, arguments: &str, variables: &[(&str, &str)]) -> String {
    let command = world.command(&[]);
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_argocd-sops"));
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("ARGOCD_SOPS_LOG_LEVEL", "")
        .env("PATH", "/usr/bin:/bin")
        .envs(variables.iter().copied())
        .current_dir(world.path("repo"))
        .stdin(Stdio::null())
        .output()
        .expect("script runs");
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}

#[test]
fn a_terminal_shows_the_error_in_colour_and_nothing_else() {
    let world = World::new();
    let shown = on_a_terminal(&world, "generate app.yml", &[]);
    assert!(shown.starts_with("\u{1b}[1;31merror:\u{1b}[0m cannot read `app.yml`\n"), "{shown:?}");
    let shown = on_a_terminal(&world, "generate app.yml", &[("NO_COLOR", "1")]);
    assert!(shown.starts_with("error: cannot read `app.yml`\n"), "{shown:?}");
}

#[test]
fn bash_completes_the_options_of_a_command() {
    let world = World::new();
    let script = world.run(&["completions", "bash"], ".").stdout;
    fs::write(world.path("completions"), script).unwrap();
    let complete = |words: &[&str]| {
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let asks = format!(
            "source completions; COMP_WORDS=({}); COMP_CWORD={}; _argocd__sops argocd-sops '{last}' '{before}'; \
             echo ${{COMPREPLY[*]}}",
            words.join(" "),
            words.len() - 1,
        );
        let output = Command::new("bash").args(["-c", &asks]).current_dir(world.path(".")).output().expect("bash runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(complete(&["argocd-sops", "gen"]), "generate");
    assert_eq!(complete(&["argocd-sops", "generate", "--kube"]), "--kube-version");
    assert_eq!(complete(&["argocd-sops", "decrypt", "--out"]), "--output-type");
    assert_eq!(complete(&["argocd-sops", "completions", "z"]), "zsh");
}
