//! Rendering: both doors, every kind of file, the same objects as helm.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::world::{World, tool};

#[test]
fn both_doors_render_the_same() {
    let world = World::new();
    world.encrypted("secrets.yaml", "password: hunter2\n");
    let terminal = world.generate_values("secrets.yaml");
    let plugin = world.plugin(r#"[{"name":"valueFiles","array":["secrets.yaml"]}]"#, &[("ARGOCD_SOPS_POLICY", "open")]);
    let native = world.generate("helm: {valueFiles: ['secrets://secrets.yaml']}");
    assert_eq!(terminal.code, 0, "{}", terminal.stderr);
    assert_eq!(terminal.stdout, plugin.stdout, "{}", plugin.stderr);
    assert_eq!(terminal.stdout, native.stdout, "{}", native.stderr);
    assert!(terminal.stdout.contains("password: \"hunter2\""));
}

#[test]
fn helm_renders_the_same_from_the_plaintext() {
    let world = World::new();
    world.encrypted("secrets.yaml", "password: hunter2\n");
    world.file("plain.yaml", "password: hunter2\n");
    let ours = world.generate_values("secrets.yaml").stdout;
    let helms = Command::new(tool("helm-4.2.4/helm"))
        .args(["template", "web", ".", "--namespace", "demo", "--include-crds", "--values"])
        .arg(world.path("plain.yaml"))
        .current_dir(world.path("repo/app"))
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(ours.as_bytes(), helms.stdout);
}

#[test]
fn helm_3_renders_as_well() {
    let world = World::new().set("ARGOCD_SOPS_HELM", &tool("helm-3.22.0/helm"));
    world.encrypted("secrets.yaml", "password: hunter2\n");
    let outcome = world.generate_values("secrets.yaml");
    assert!(outcome.stdout.contains("password: \"hunter2\""), "{}", outcome.stderr);
}

#[test]
fn a_file_is_decrypted_however_it_is_named() {
    for name in ["secrets.yaml", "secrets.yml", "secrets.json"] {
        let world = World::new();
        let text = if name.ends_with("json") { "{\"password\": \"hunter2\"}" } else { "password: hunter2\n" };
        world.encrypted(name, text);
        for (reference, file) in [(name, name), ("prod.enc", "prod.enc"), ("secrets://prod", "prod")] {
            if file != name {
                fs::copy(world.path(&format!("repo/app/{name}")), world.path(&format!("repo/app/{file}"))).unwrap();
            }
            let outcome = world.generate_values(&format!("'{reference}'"));
            assert!(outcome.stdout.contains("password: \"hunter2\""), "{name} as {reference}: {}", outcome.stderr);
        }
    }
}

#[test]
fn a_binary_envelope_around_yaml_is_a_values_file() {
    let world = World::new();
    world.encrypted("values.yaml.enc", "password: hunter2\n");
    let outcome = world.generate_values("values.yaml.enc");
    assert!(outcome.stdout.contains("password: \"hunter2\""), "{}", outcome.stderr);
}

#[test]
fn later_values_files_win_and_inline_values_win_over_them() {
    let world = World::new();
    world.encrypted("one.yaml", "password: one\n").encrypted("two.yaml", "password: two\n");
    assert!(world.generate_values("one.yaml, two.yaml").stdout.contains("\"two\""));
    assert!(world.generate_values("two.yaml, one.yaml").stdout.contains("\"one\""));
    let outcome = world.generate(
        "plugin: {name: sops, parameters: [{name: valueFiles, array: [one.yaml]}, {name: values, string: 'password: three'}]}",
    );
    assert!(outcome.stdout.contains("\"three\""), "{}", outcome.stderr);
}

#[test]
fn file_parameters_carry_the_bytes_that_sops_prints() {
    let world = World::new();
    world.encrypted("app.env", "A=1\nB=two words\n");
    world.template(
        "file.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: f}\ndata: {f: {{ .Values.file | b64enc }}}\n",
    );
    let outcome = world.generate("plugin: {name: sops, parameters: [{name: fileParameters, map: {file: app.env}}]}");
    // "A=1\nB=two words\n"
    assert!(outcome.stdout.contains("QT0xCkI9dHdvIHdvcmRzCg=="), "{}{}", outcome.stdout, outcome.stderr);
}

#[test]
fn globs_paths_from_the_root_and_missing_files() {
    let world = World::new();
    world.encrypted("env/a.yaml", "password: a\n").encrypted("env/b.yaml", "password: b\n");
    world.file("repo/shared/values.yaml", "password: shared\n");
    assert!(world.generate_values("'env/*.yaml'").stdout.contains("\"b\""));
    assert!(
        world.generate_values("'env/*.yaml', env/a.yaml").stdout.contains("\"a\""),
        "a listed file keeps its place"
    );
    assert!(world.generate_values("/shared/values.yaml").stdout.contains("\"shared\""));
    let ignore = "plugin: {name: sops, parameters: [{name: valueFiles, array: [none.yaml, 'x/*.yaml']}, {name: ignoreMissingValueFiles, string: 'true'}]}";
    assert!(world.generate(ignore).stdout.contains("\"none\""));
}

#[test]
fn a_plain_file_under_secrets_passes_with_a_warning() {
    let world = World::new();
    let outcome = world.generate_values("'secrets://values.yaml'");
    assert_eq!(outcome.code, 0);
    assert!(outcome.stderr.contains("`secrets://` names a file that is not encrypted"), "{}", outcome.stderr);
}

#[test]
fn override_files_change_the_application_as_in_argo_cd() {
    let world = World::new();
    world.encrypted("secrets.yaml", "password: hunter2\n");
    world.file(
        "repo/app/.argocd-source-web.yaml",
        "plugin: {name: sops, parameters: [{name: valueFiles, array: [secrets.yaml]}]}\n",
    );
    assert!(world.generate("plugin: {name: sops}").stdout.contains("hunter2"));
}

#[test]
fn a_manifest_comes_from_stdin_too() {
    let world = World::new();
    let manifest = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec: {source: {path: app, plugin: {name: sops}}}\n";
    let mut child = world
        .command(&["generate", "-"])
        .current_dir(world.path("repo"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"---\n"));
}

#[test]
fn several_sources_are_rendered_in_turn_and_refs_resolve() {
    let world = World::new();
    world.file("repo/other/Chart.yaml", "apiVersion: v2\nname: other\nversion: 1.0.0\n");
    world
        .file("repo/other/templates/c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Values.name }}}\n");
    world.file("values/prod/values.yaml", "name: from-the-ref\n");
    world.file(
        "repo/app.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec:\n  sources:\n  - {path: app, plugin: {name: sops}}\n  - {path: other, helm: {valueFiles: [$v/prod/values.yaml]}}\n  - {repoURL: 'https://git.example.com/v.git', ref: v}\n",
    );
    let outcome = world.run(&["generate", "repo/app.yaml", "--ref", "v=values"], ".");
    assert!(outcome.stdout.contains("kind: Secret") && outcome.stdout.contains("from-the-ref"), "{}", outcome.stderr);
}

#[test]
fn a_signal_ends_helm_as_well() {
    let world = World::new();
    // A helm that never ends, and says who it is.
    let pid_file = world.path("tmp/pid");
    world.file("slow", &format!("#!/bin/sh\necho $$ > {}\nwhile :; do sleep 0.1; done\n", pid_file.display()));
    fs::set_permissions(world.path("slow"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = world.path("slow").display().to_string();
    let world = world.set("ARGOCD_SOPS_HELM", &program);
    world.generate("plugin: {name: sops, parameters: [{name: releaseName, string: '-'}]}");
    world.edit("repo/app.yaml", |text| text.replace("string: '-'", "string: web"));
    let mut child = world
        .command(&["generate", "repo/app.yaml"])
        .current_dir(world.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = std::time::Instant::now();
    let helm = loop {
        match fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse::<i32>().ok()) {
            Some(pid) => break pid,
            None => assert!(begin.elapsed().as_secs() < 60, "helm was not started"),
        }
    };
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let gone = || !fs::read_to_string(format!("/proc/{helm}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while !gone() {
        assert!(begin.elapsed().as_secs() < 60, "helm outlived us");
    }
}
