//! What a person in a terminal sees beside the manifests.

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
