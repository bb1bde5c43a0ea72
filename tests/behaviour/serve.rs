//! The plugin server, seen from the repo-server's side.

use super::caller::{
    Answer, AppStreamRequest, Connection, ParametersAnnouncementResponse, RepositoryResponse, metadata, pack, stream,
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
    let answer =
        generate(&server, &messages(&world, COMMIT, r#"[{"name":"valueFiles","array":["secret.yaml"]}]"#)).await;
    assert_eq!(answer.code, 3, "{}", answer.message);
    let command = world.generate_values("secret.yaml").message();
    assert_eq!(format!("error: {}\n", answer.message), command);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_one_line_that_names_its_application() {
    let (world, server) = served();
    for parameters in [SECRETS, r#"[{"name":"valuesFile","array":["secrets.yaml"]}]"#, "not JSON"] {
        generate(&server, &messages(&world, COMMIT, parameters)).await;
    }
    let (_, log) = server.end();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("request ended")).collect();
    assert!(lines.len() == 3 && lines.iter().all(|line| line.contains("application=\"web\"")), "{log}");
    assert_eq!(log.matches(" render=").count(), 1, "of what was rendered: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_be_refused_is_said_at_start() {
    let (_, log) = served().1.end();
    assert!(log.contains("INFO `ARGOCD_SOPS_POLICY=open`: every project may use every key"), "{log}");
    let world = World::new().set("ARGOCD_SOPS_POLICY", "/etc/policy.yaml").set("ARGOCD_SOPS_HELM", "/no/helm");
    let (_, log) = world.serve().end();
    assert!(log.contains("WARN only `ARGOCD_SOPS_POLICY=open` is supported yet: nothing is decrypted"), "{log}");
    assert!(log.contains("WARN cannot find helm (`/no/helm`): nothing is rendered"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_application_of_a_commit_unpacks_nothing() {
    let (world, server) = served();
    let one = generate(&server, &messages(&world, COMMIT, SECRETS)).await;
    // As git does between two requests.
    world.file("repo/.git/index", "touched");
    let two = generate(&server, &messages(&world, COMMIT, SECRETS)).await;
    assert_eq!(one.manifests(), two.manifests());
    let (_, log) = server.end();
    assert_eq!(log.matches("tree=\"unpacked\"").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_commit_is_another_tree() {
    let (world, server) = served();
    assert!(generate(&server, &messages(&world, COMMIT, SECRETS)).await.manifests().contains("hunter2"));
    world.encrypted("secrets.yaml", "password: swordfish\n");
    let next = COMMIT.replace('0', "f");
    assert!(generate(&server, &messages(&world, &next, SECRETS)).await.manifests().contains("swordfish"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_somebody_uploads_is_known_by_its_content_only() {
    let (world, server) = served();
    assert!(generate(&server, &messages(&world, "streamed", SECRETS)).await.manifests().contains("hunter2"));
    world.encrypted("secrets.yaml", "password: swordfish\n");
    assert!(generate(&server, &messages(&world, "streamed", SECRETS)).await.manifests().contains("swordfish"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_not_what_was_announced_renders_nothing_whether_its_tree_is_known_or_not() {
    let (world, server) = served();
    let mut messages = messages(&world, COMMIT, SECRETS);
    let whole = messages.clone();
    messages.pop();
    let answer = generate(&server, &messages).await;
    assert_eq!((answer.code, answer.reply.len()), (3, 0), "{}", answer.message);
    generate(&server, &whole).await.manifests();
    let answer = generate(&server, &messages).await;
    assert_eq!((answer.code, answer.reply.len()), (3, 0), "{}", answer.message);
    assert!(answer.message.starts_with("the archive does not have the announced checksum"), "{}", answer.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_makes_no_sense_is_answered_and_the_server_goes_on() {
    let (world, server) = served();
    let good = messages(&world, COMMIT, SECRETS);
    let archive = pack(&world.path("repo"));
    let about = |app: &str, path: &'static str| {
        let mut variables = variables(COMMIT, SECRETS);
        variables.retain(|(name, _)| *name != "ARGOCD_APP_SOURCE_PATH");
        variables.push(("ARGOCD_APP_SOURCE_PATH", path));
        stream(metadata(&archive, app, &variables), &archive, 1024)
    };
    let mut unknown = metadata(&archive, "app", &variables(COMMIT, SECRETS));
    unknown.checksum = "no checksum".into();
    for (messages, expected) in [
        (Vec::new(), "the stream does not begin with metadata"),
        (good[1..].to_vec(), "the stream does not begin with metadata"),
        (vec![good[0].clone(), good[0].clone()], "the stream holds metadata twice"),
        (vec![AppStreamRequest::default()], "the stream holds a message without content"),
        (stream(unknown, &archive, 1024), "the metadata's `checksum` is not a SHA-256 in hex"),
        (about("../app", "../app"), "`../app` leads out of the source"),
        (about("nowhere", "nowhere"), "`nowhere` is not a folder"),
        (stream(metadata(b"", "app", &variables(COMMIT, SECRETS)), b"", 1024), "the archive is broken"),
    ] {
        let answer = generate(&server, &messages).await;
        assert!(answer.code == 3 && answer.message.starts_with(expected), "{expected}: {answer:?}");
    }
    generate(&server, &good).await.manifests();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_told_with_the_setting() {
    let world = World::new().set("ARGOCD_GRPC_MAX_SIZE_MB", "1");
    let server = world.serve();
    let archive = vec![7; 3 << 20];
    let messages = stream(metadata(&archive, "app", &variables(COMMIT, SECRETS)), &archive, 2 << 20);
    let answer = generate(&server, &messages).await;
    assert_eq!(answer.code, 8, "{}", answer.message);
    assert!(answer.message.contains("ARGOCD_CMP_CHUNK_SIZE"), "{}", answer.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_waits_until_a_big_archive_has_been_sent() {
    let world = World::new();
    // Random digits of a fixed seed: they stay large in gzip.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from_digit((state >> 60) as u32, 16).unwrap()
    };
    let noise: String = (0..4_000_000).map(|_| noise()).collect();
    world.file("repo/noise.txt", &noise);
    let server = world.serve();
    let archive = pack(&world.path("repo"));
    assert!(archive.len() > 1_000_000);
    let mut sending = Connection::open(&server.socket).await.begin("GenerateManifest", None).await;
    let messages =
        stream(metadata(&archive, "app", &variables(COMMIT, r#"[{"name":"valuesFiles","array":[]}]"#)), &archive, 1024);
    let (last, but_last) = messages.split_last().unwrap();
    for message in but_last {
        sending.send(message).await;
    }
    assert!(!sending.is_answered().await, "answered before the stream has ended");
    sending.send(last).await;
    let answer = sending.end().await;
    assert_eq!(answer.code, 3, "{}", answer.message);
    assert!(answer.message.contains("`valueFiles`"), "{}", answer.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_without_content_end_no_stream() {
    let (_world, server) = served();
    let mut sending = Connection::open(&server.socket).await.begin("GenerateManifest", None).await;
    for _ in 0..3 {
        sending.send(&AppStreamRequest::default()).await;
    }
    assert!(!sending.is_answered().await, "answered before the stream has ended");
    let answer = sending.end().await;
    assert_eq!(answer.message, "the stream holds a message without content");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_about_repositories() {
    let (world, server) = served();
    let connection = Connection::open(&server.socket).await;
    let answer = connection.call("MatchRepository", &messages(&world, COMMIT, SECRETS)).await;
    assert_eq!(answer.read::<RepositoryResponse>(), RepositoryResponse::default());
    let answer = connection.call("CheckPluginConfiguration", &[AppStreamRequest::default()]).await;
    assert_eq!((answer.code, answer.reply.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parameters_tab_lists_what_the_chart_has_and_never_fails() {
    let (world, server) = served();
    let connection = Connection::open(&server.socket).await;
    let list = connection.call("GetParametersAnnouncement", &messages(&world, COMMIT, "null")).await;
    let list = list.read::<ParametersAnnouncementResponse>().announcements;
    let files = list.iter().find(|announcement| announcement.name == "valueFiles").unwrap();
    assert_eq!(files.array, ["values.yaml", "secrets://secrets.yaml"]);
    assert_eq!(files.collection_type, "array");
    let broken = connection.call("GetParametersAnnouncement", &messages(&world, COMMIT, "null")[..1]).await;
    let broken = broken.read::<ParametersAnnouncementResponse>().announcements;
    assert_eq!(broken.len(), list.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_met_and_the_error_says_what_the_time_went_to() {
    let world = World::new();
    world.file("slow", "#!/bin/sh\nsleep 60\n");
    std::fs::set_permissions(world.path("slow"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let slow = world.path("slow").display().to_string();
    let world = world.set("ARGOCD_SOPS_HELM", &slow);
    let server = world.serve();
    let mut sending = Connection::open(&server.socket).await.begin("GenerateManifest", Some("5S")).await;
    for message in messages(&world, COMMIT, "null") {
        sending.send(&message).await;
    }
    // Later than that, and the transport would have answered in our place.
    let answer = sending.end().await;
    assert_eq!(answer.code, 4, "{}", answer.message);
    assert!(answer.message.contains("helm ") && answer.message.contains("ARGOCD_SOPS_TIMEOUT"), "{}", answer.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_takes_its_helm_along() {
    let world = World::new();
    let note = world.path("note");
    world.file("slow", &format!("#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}; sleep 60\n", note.display()));
    std::fs::set_permissions(world.path("slow"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let slow = world.path("slow").display().to_string();
    let world = world.set("ARGOCD_SOPS_HELM", &slow);
    let server = world.serve();
    let connection = Connection::open(&server.socket).await;
    let mut sending = connection.begin("GenerateManifest", None).await;
    for message in messages(&world, COMMIT, "null") {
        sending.send(&message).await;
    }
    let answer = tokio::spawn(sending.end());
    while !note.exists() {
        tokio::task::yield_now().await;
    }
    let helm = format!("/proc/{}", std::fs::read_to_string(note).unwrap().trim());
    answer.abort();
    drop(connection);
    while std::path::Path::new(&helm).exists() {
        tokio::task::yield_now().await;
    }
    let (_, log) = server.end();
    assert!(log.contains("code=\"Canceled\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_call_is_answered_after_sigterm() {
    let (world, server) = served();
    let messages = messages(&world, COMMIT, SECRETS);
    let connection = Connection::open(&server.socket).await;
    let mut sending = connection.begin("GenerateManifest", None).await;
    sending.send(&messages[0]).await;
    let ended = tokio::task::spawn_blocking(move || server.end());
    while world.path("sockets/sops.sock").exists() {
        tokio::task::yield_now().await;
    }
    for message in &messages[1..] {
        sending.send(message).await;
    }
    assert!(sending.end().await.manifests().contains("hunter2"));
    // A second question of one who was there before.
    assert_eq!(connection.call("CheckPluginConfiguration", &[AppStreamRequest::default()]).await.code, 0);
    drop(connection);
    assert_eq!(ended.await.unwrap().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_removes_the_socket_and_ends_with_zero() {
    let (world, server) = served();
    assert_eq!(generate(&server, &messages(&world, COMMIT, SECRETS)).await.code, 0);
    let socket = server.socket.clone();
    let (code, log) = server.end();
    assert_eq!(code, 0, "{log}");
    assert!(!socket.exists());
    let left = world.files().into_iter().map(|(path, _)| path).filter(|path| path.starts_with(world.path("work")));
    assert_eq!(left.count(), 0, "{log}");
}
