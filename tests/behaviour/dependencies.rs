//! Dependencies of charts: built in a private copy, from the same source, over https and from a registry.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::world::{Outcome, World, tool};

const LIBRARY: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: of-the-library}\n";

/// A chart that depends on `lib` of a repository, and an encrypted values file.
fn dependent(repository: &str) -> World {
    let world = World::new();
    world.file(
        "repo/app/Chart.yaml",
        &format!(
            "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{{name: lib, version: ^1.0.0, repository: '{repository}'}}]\n"
        ),
    );
    world.encrypted("secrets.yaml", "password: hunter2\n");
    world
}

fn assert_built(world: &World, outcome: &Outcome) {
    assert!(outcome.stdout.contains("of-the-library") && outcome.stdout.contains("hunter2"), "{}", outcome.stderr);
    let app = world.path("repo/app");
    assert!(!app.join("Chart.lock").exists() && !app.join("charts").exists(), "nothing is written to the tree");
    assert_eq!(world.path("tmp").read_dir().unwrap().count(), 0, "nothing stays behind");
}

#[test]
fn a_chart_of_the_same_repository_is_built_and_the_tree_stays_as_it_was() {
    let world = dependent("file://../lib");
    world.file("repo/lib/Chart.yaml", "apiVersion: v2\nname: lib\nversion: 1.0.0\n");
    world.file("repo/lib/templates/c.yaml", LIBRARY);
    assert_built(&world, &world.generate_values("secrets.yaml"));
}

#[test]
fn a_chart_at_the_root_is_built() {
    let world = World::new();
    world.file(
        "repo/Chart.yaml",
        "apiVersion: v2\nname: web\nversion: 1.0.0\ndescription: kept\n\
         dependencies: [{name: lib, version: 1.0.0, repository: 'file://lib'}]\n",
    );
    world.file("repo/lib/Chart.yaml", "apiVersion: v2\nname: lib\nversion: 1.0.0\n");
    world.file(
        "repo/templates/c.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Chart.Description }}\"}\n",
    );
    world.file(
        "repo/app.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec: {source: {path: ., plugin: {name: sops}}}\n",
    );
    let outcome = world.run(&["generate", "repo/app.yaml"], ".");
    assert!(outcome.stdout.contains("name: \"kept\""), "{}", outcome.stderr);
}

/// Charts whose dependency lies outside, in words that helm understands: `{}` stands for its folder.
const OUTSIDE: [(&str, &str); 7] = [
    ("Chart.yaml", "dependencies: [{name: evil, version: 1.0.0, repository: 'file://{}'}]\n"),
    ("Chart.yaml", "dependencies: [{name: evil, version: 1.0.0, Repository: 'file://{}'}]\n"),
    ("Chart.yaml", "Dependencies: [{name: evil, version: 1.0.0, repository: 'file://{}'}]\n"),
    ("Chart.yaml", "dependencie\u{17f}: [{name: evil, version: 1.0.0, repository: 'file://{}'}]\n"),
    ("Chart.yaml", "annotations: &a {repository: 'file://{}'}\ndependencies: [{<<: *a, name: evil, version: 1.0.0}]\n"),
    ("requirements.yaml", "Dependencies: [{name: evil, version: 1.0.0, repository: 'file://{}'}]\n"),
    // helm would refuse the digest, but a right one is easily computed.
    (
        "Chart.lock",
        "dependencies: [{name: evil, version: 1.0.0, repository: 'file://{}'}]\ndigest: sha256:0\n\
         generated: '2024-01-01T00:00:00Z'\n",
    ),
];

#[test]
fn no_dependency_is_built_from_outside_the_repository() {
    for (number, (file, text)) in OUTSIDE.into_iter().enumerate() {
        let world = World::new();
        let outside = world.path("outside/evil").display().to_string();
        // A decoy in the repository, where the absolute path would be if it were a relative one.
        for folder in ["outside/evil", &format!("repo/app{outside}"), "repo/evil"] {
            world.file(&format!("{folder}/Chart.yaml"), "apiVersion: v2\nname: evil\nversion: 1.0.0\n");
        }
        let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-outside}\n";
        world.file("outside/evil/templates/c.yaml", template);
        let chart = "apiVersion: v2\nname: web\nversion: 1.0.0\n".to_owned();
        world.file(
            "repo/app/Chart.yaml",
            &match file {
                "requirements.yaml" => chart.replace("v2", "v1"),
                "Chart.lock" => chart + "dependencies: [{name: evil, version: 1.0.0, repository: 'file://../evil'}]\n",
                _ => chart,
            },
        );
        let text = text.replace("{}", &outside);
        world.file(
            &format!("repo/app/{file}"),
            &match file {
                "Chart.yaml" => format!("apiVersion: v2\nname: web\nversion: 1.0.0\n{text}"),
                _ => text,
            },
        );
        let outcome = world.generate("plugin: {name: sops}");
        assert!(outcome.code != 0 && !outcome.stdout.contains("from-outside"), "{number}: {}", outcome.stdout);
    }
}

#[test]
fn a_chart_of_a_public_https_repository_is_built() {
    let port = free_port();
    let url = format!("https://localhost:{port}");
    let world = dependent(&url);
    let server = Server::repository(&world, port, &url);
    let certificate = world.path("certificate.pem").display().to_string();
    let world = world.set("SSL_CERT_FILE", &certificate);
    assert_built(&world, &world.generate_values("secrets.yaml"));

    drop(server);
    let outcome = world.generate_values("secrets.yaml");
    assert_eq!(outcome.code, 5, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("cannot build the chart's dependencies"), "{}", outcome.stderr);
}

#[test]
fn a_chart_of_a_public_registry_is_built() {
    let port = free_port();
    let world = dependent(&format!("oci://localhost:{port}/charts"));
    let _server = Server::registry(&world, port);
    let certificate = world.path("certificate.pem").display().to_string();
    let world = world.set("SSL_CERT_FILE", &certificate);
    assert_built(&world, &world.generate_values("secrets.yaml"));
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server on loopback with a certificate of its own; ended when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    /// A chart repository that holds `lib`.
    fn repository(world: &World, port: u16, url: &str) -> Self {
        package(world);
        run(world, &tool("helm-4.2.4/helm"), &["repo", "index", "served", "--url", url]);
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-WWW", "-quiet", "-key", "../key.pem", "-cert", "../certificate.pem"])
            .args(["-accept", &format!("127.0.0.1:{port}")])
            .current_dir(world.path("served"))
            // It ends at the end of its input.
            .stdin(Stdio::piped());
        Self::start(command, port)
    }

    /// A registry to which `lib` was pushed.
    fn registry(world: &World, port: u16) -> Self {
        package(world);
        let folder = world.path(".").display().to_string();
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\nhttp:\n  addr: 127.0.0.1:{port}\n  \
             tls: {{certificate: {folder}/certificate.pem, key: {folder}/key.pem}}\n"
        );
        world.file("registry.yml", &config);
        let mut command = Command::new(tool("registry-3.0.0/registry"));
        command.args(["serve", "registry.yml"]).current_dir(world.path(".")).stdin(Stdio::null());
        let server = Self::start(command, port);
        let target = format!("oci://localhost:{port}/charts");
        run(
            world,
            &tool("helm-4.2.4/helm"),
            &["push", "served/lib-1.2.3.tgz", &target, "--ca-file", "certificate.pem"],
        );
        server
    }

    fn start(mut command: Command, port: u16) -> Self {
        let server = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed().as_secs() < 60, "the server does not answer");
        }
        server
    }
}

/// Packs the chart `lib` into `served`, and makes a certificate.
fn package(world: &World) {
    world.file("lib/Chart.yaml", "apiVersion: v2\nname: lib\nversion: 1.2.3\n").file("lib/templates/c.yaml", LIBRARY);
    run(world, &tool("helm-4.2.4/helm"), &["package", "lib", "--destination", "served"]);
    let files = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "certificate.pem"];
    let subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"];
    run(world, "openssl", &[&files[..], &subject].concat());
}

fn run(world: &World, program: &str, arguments: &[&str]) {
    let home = world.path("home");
    let output = Command::new(program).args(arguments).env("HOME", home).current_dir(world.path(".")).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}
