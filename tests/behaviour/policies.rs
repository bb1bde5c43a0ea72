//! Who may decrypt.

use super::world::World;

const SECRETS: &str = r#"[{"name":"valueFiles","array":["secrets.yaml"]}]"#;

#[test]
fn a_plugin_decrypts_nothing_without_a_policy() {
    let world = World::new();
    world.with_canary();
    for policy in ["", "OPEN", "yes", "/etc/argocd-sops/policy.yaml"] {
        let outcome = world.plugin(SECRETS, &[("ARGOCD_SOPS_POLICY", policy)]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (3, ""), "{policy}: {}", outcome.stderr);
    }
    assert_eq!(world.plugin(SECRETS, &[("ARGOCD_SOPS_POLICY", "open")]).code, 0);
}

#[test]
fn a_plain_application_needs_no_policy_and_no_key() {
    let world = World::new().set("SOPS_AGE_KEY_FILE", "");
    let outcome = world.plugin("null", &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains("password: \"none\""));
}

#[test]
fn a_terminal_needs_no_policy() {
    let world = World::new();
    world.with_canary();
    assert_eq!(world.generate_values("secrets.yaml").code, 0);
}

#[test]
fn a_key_command_runs_in_decrypt_only() {
    let world = World::new().set("SOPS_AGE_KEY_FILE", "");
    world.with_canary();
    let command = format!("cat {}", world.path("keys/age.txt").display());
    let world = world.set("SOPS_AGE_KEY_CMD", &command).set("PATH", "/usr/bin:/bin");
    assert_eq!(world.generate_values("secrets.yaml").code, 4);
    let outcome = world.run(&["decrypt", "secrets.yaml"], "repo/app");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}
