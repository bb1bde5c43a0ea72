//! What helm may read while it renders.

use super::world::{World, tool};

/// A schema outside the source that tells its content when values do not fit it.
const TALKATIVE: &str = r#"{"enum": ["of-the-machine"]}"#;

/// Whether this kernel has Landlock. Where it has not, helm is not confined, as the README says.
fn kernel_confines() -> bool {
    use landlock::{AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};
    let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let confines = ruleset.handle_access(AccessFs::ReadFile).and_then(Ruleset::create).is_ok();
    if !confines {
        #[expect(clippy::print_stderr, reason = "a reader must know what was not tested")]
        {
            eprintln!("this kernel has no Landlock: the confinement of helm was NOT tested");
        }
    }
    confines
}

fn with_schema_from_outside() -> (World, String) {
    let world = World::new();
    world.file("outside.json", TALKATIVE);
    let schema = format!(r#"{{"$ref": "file://{}"}}"#, world.path("outside.json").display());
    (world, schema)
}

#[test]
fn a_values_schema_reads_no_file_of_the_machine() {
    if !kernel_confines() {
        return;
    }
    let (world, schema) = with_schema_from_outside();
    world.file("repo/app/values.schema.json", &schema);
    for helm in ["helm-4.2.4/helm", "helm-3.22.0/helm"] {
        let mut command = world.command(&["generate", "repo/app.yaml"]);
        world.generate("plugin: {name: sops}");
        let output = command.env("ARGOCD_SOPS_HELM", tool(helm)).current_dir(world.path(".")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && !said.contains("of-the-machine"), "{helm}: {said}");
    }
}

#[test]
fn a_values_schema_in_a_packaged_sub_chart_reads_no_file_of_the_machine() {
    if !kernel_confines() {
        return;
    }
    let (world, schema) = with_schema_from_outside();
    world.file("sub/Chart.yaml", "apiVersion: v2\nname: sub\nversion: 1.0.0\n").file("sub/values.schema.json", &schema);
    let packaged = std::process::Command::new(tool("helm-4.2.4/helm"))
        .args(["package", "sub", "--destination", "repo/app/charts"])
        .current_dir(world.path("."))
        .output()
        .unwrap();
    assert!(packaged.status.success());
    let outcome = world.generate("plugin: {name: sops}");
    assert!(outcome.code == 1 && !outcome.stderr.contains("of-the-machine"), "{}", outcome.stderr);
}

#[test]
fn a_helm_that_is_a_script_still_runs() {
    let world = World::new();
    world.file("helm.sh", &format!("#!/bin/sh\nexec {} \"$@\"\n", tool("helm-4.2.4/helm")));
    let program = world.path("helm.sh");
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let world = world.set("ARGOCD_SOPS_HELM", &program.display().to_string());
    let outcome = world.generate("plugin: {name: sops}");
    assert!(outcome.stdout.contains("kind: Secret"), "{}", outcome.stderr);
}
