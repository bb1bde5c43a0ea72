//! The plugin server, seen from the repo-server's side.

use std::collections::BTreeSet;

use super::caller::{
    self, Answer, AppStreamRequest, Connection, ParametersAnnouncementResponse, RepositoryResponse, metadata, pack,
    stream,
};
use super::world::{Server, World};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A world with an encrypted values file, and its server.
fn served() -> (World, Server) {
    let world = World::new();
    world.encrypted("secrets.yaml", "password: hunter2\n");
    let server = world.serve();
    (world, server)
}

/// The messages by which the repo-server asks for the application in `repo/app`.
fn messages(world: &World, revision: &str, parameters: &str) -> Vec<AppStreamRequest> {
    let archive = pack(&world.path("repo"));
    stream(metadata(&archive, "app", &variables(revision, parameters)), &archive, 1024)
}

fn variables<'a>(revision: &'a str, parameters: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![
        ("ARGOCD_APP_NAME", "web"),
        ("ARGOCD_APP_NAMESPACE", "demo"),
        ("ARGOCD_APP_PROJECT_NAME", "default"),
        ("ARGOCD_APP_REVISION", revision),
        ("ARGOCD_APP_SOURCE_REPO_URL", "https://git.example.com/web.git"),
        ("ARGOCD_APP_SOURCE_PATH", "app"),
        ("KUBE_VERSION", "1.34.0"),
        ("ARGOCD_APP_PARAMETERS", parameters),
    ]
}

const SECRETS: &str = r#"[{"name":"valueFiles","array":["secrets.yaml"]}]"#;

async fn generate(server: &Server, messages: &[AppStreamRequest]) -> Answer {
    Connection::open(&server.socket).await.call("GenerateManifest", messages).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_renders_as_in_a_terminal() {
    let (world, server) = served();
    let answer = generate(&server, &messages(&world, COMMIT, SECRETS)).await;
    let terminal = world.generate_values("secrets.yaml").stdout;
    assert!(answer.manifests().contains("password: \"hunter2\""));
    assert_eq!(format!("---\n{}", answer.manifests()), terminal);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messages_of_errors_are_those_of_the_command() {
    let (world, server) = served();
    let answer = generate(&server, &messages(&world, COMMIT, r#"[{"name":"valueFiles","array":["secret.yaml"]}]"#)).await;
    assert_eq!(answer.code, 3, "{}", answer.message);
    let command = world.generate_values("secret.yaml").message();
    assert_eq!(format!("error: {}\n", answer.message), command);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_removes_the_socket_and_ends_with_zero() {
    let (world, server) = served();
    assert_eq!(generate(&server, &messages(&world, COMMIT, SECRETS)).await.code, 0);
    let socket = server.socket.clone();
    let (code, log) = server.end();
    assert_eq!(code, 0, "{log}");
    assert!(!socket.exists());
    let left: Vec<_> = std::fs::read_dir(world.path("work")).unwrap().collect();
    assert!(left.len() <= 1, "{left:?}");
}
