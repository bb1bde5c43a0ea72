//! The spine, with a helm that counts its runs, and with the real one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::helm::tools::tool;
use crate::keyring::{Keys, Places};
use crate::repo::{Announced, Limits, Source, Tree, Trees};
use crate::values::Policy;

const KEY: &str = include_str!("../../tests/vectors/sops/keys/age-1.txt");
const ENCRYPTED: &str = include_str!("../../tests/vectors/sops/cases/yaml-str-basic.yaml");
const CHART: &str = "apiVersion: v2\nname: web\nversion: 1.0.0\n";
const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {user: {{ .Values.user }}}\n";

/// Reads its values to the end, does what files of the chart say, and prints an object with the number of its run.
const HELM: &str = r#"#!/bin/sh
echo run >> "{runs}"
for argument; do
    case "$argument" in --values=*) cat "${argument#--values=}" > "{values}" ;; esac
done
[ ! -e wait ] || read line < "$(cat wait)"
[ ! -e fail ] || { echo "Error: as asked" >&2; exit 1; }
[ ! -e die ] || { rm "$(cat die)" 2> /dev/null && kill -9 $$; }
printf 'apiVersion: v1\nkind: ConfigMap\ndata: {run: "%s"}\n' "$(wc -l < "{runs}")"
"#;

struct Kit {
    folder: tempfile::TempDir,
    trees: Trees,
    plugin: Arc<Plugin>,
}

type Files<'a> = &'a [(&'a str, &'a str)];

const APP: Files<'_> =
    &[("app/Chart.yaml", CHART), ("app/templates/a.yaml", TEMPLATE), ("app/values.yaml", "a: 1\n"), ("other/x", "1")];

impl Kit {
    fn new() -> Self {
        Self::with(1, Options::default())
    }

    fn with(slots: usize, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["trees", "scratch", "keys"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("keys/age.txt"), KEY).unwrap();
        let script = HELM.replace("{runs}", &path("runs").to_string_lossy());
        fs::write(path("helm"), script.replace("{values}", &path("values").to_string_lossy())).unwrap();
        fs::set_permissions(path("helm"), fs::Permissions::from_mode(0o755)).unwrap();
        let trees = Trees::open(&path("trees"), Limits::default()).unwrap();
        let plugin = Arc::new(plugin(folder.path(), &path("helm"), slots, options));
        Self { folder, trees, plugin }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.path("runs")).unwrap_or_default().lines().count()
    }

    async fn tree(&self, files: Files<'_>) -> Arc<Tree> {
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        let archive = archive.into_inner().unwrap().finish().unwrap();
        let checksum = Sha256::digest(&archive).into();
        let announced = Announced { checksum, size: archive.len() as u64, commit: None };
        let mut receiving = self.trees.receive(announced);
        receiving.push(Bytes::from(archive)).await;
        receiving.finish().await.unwrap()
    }

    async fn render(&self, request: Request) -> Result<String, Error> {
        let manifests = self.plugin.generate(request).await?;
        Ok(String::from_utf8(manifests.text().expose().to_vec()).unwrap())
    }

    async fn renders(&self, files: Files<'_>, parameters: &str) -> Result<String, Error> {
        let tree = self.tree(files).await;
        let outcome = self.render(request(&tree, parameters)).await;
        self.settled().await;
        outcome
    }

    /// Waits until what was rendered is kept, or not.
    async fn settled(&self) {
        while !self.plugin.renders.is_settled() {
            tokio::task::yield_now().await;
        }
    }
}

fn request(tree: &Arc<Tree>, parameters: &str) -> Request {
    Request {
        app: asking("default", parameters),
        sources: Sources { own: Source::of_tree(Arc::clone(tree), "app", "").unwrap(), refs: BTreeMap::new() },
        deadline: Deadline::within(Duration::from_secs(20)),
        phases: Phases::default(),
        ahead: None,
    }
}

fn plugin(folder: &Path, helm: &Path, slots: usize, options: Options) -> Plugin {
    let places = Places { mounts: Some(vec![folder.join("keys")]), ..Places::default() };
    let loader = Loader::new(Policy::Open, Keys::looked_at(places, Duration::ZERO), Duration::from_mins(5));
    let helm = helm::Options {
        program: helm.into(),
        search_path: None,
        scratch: folder.join("scratch"),
        max_output: 1024 * 1024,
        max_memory: 1 << 30,
        environment: helm::Environment::default(),
    };
    Plugin::new(helm, Slots::new(slots), loader, manifests::Options::default(), options)
}

fn asking(project: &str, parameters: &str) -> app::Request {
    let variables = [
        ("ARGOCD_APP_NAME", "web"),
        ("ARGOCD_APP_PROJECT_NAME", project),
        ("ARGOCD_APP_PARAMETERS", if parameters.is_empty() { "null" } else { parameters }),
    ];
    app::Request::from_plugin(variables).unwrap()
}

fn changed<'a>(name: &'a str, content: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut files = APP.to_vec();
    files.retain(|(known, _)| *known != name);
    files.push((name, content));
    files
}

const VALUES: &str = r#"[{"name":"valueFiles","array":["values.yaml"]}]"#;
const SECRETS: &str = r#"[{"name":"valueFiles","array":["secrets.yaml"]}]"#;

#[tokio::test]
async fn the_same_is_rendered_once() {
    let kit = Kit::new();
    let first = kit.renders(APP, VALUES).await.unwrap();
    let second = kit.renders(&changed("other/x", "2"), VALUES).await.unwrap();
    assert_eq!(first, second, "a commit that does not touch the application");
    assert_eq!(kit.runs(), 1);
    let stats = kit.plugin.stats().renders;
    assert_eq!((stats.hits, stats.misses, stats.kept, stats.not_kept), (1, 1, 1, 0));
}

#[tokio::test]
async fn whatever_a_render_reads_makes_it_another() {
    let kit = Kit::new();
    kit.renders(APP, VALUES).await.unwrap();
    let mut runs = 1;
    for (files, parameters) in [
        (changed("app/templates/a.yaml", "{{ .Values.b }}"), VALUES),
        (changed("app/values.yaml", "a: 2\n"), VALUES),
        (changed("app/new.txt", ""), VALUES),
        (APP.to_vec(), ""),
        (APP.to_vec(), r#"[{"name":"valueFiles","array":["values.yaml"]},{"name":"parameters","map":{"a":"b"}}]"#),
        (APP.to_vec(), r#"[{"name":"valueFiles","array":["values.yaml"]},{"name":"values","string":"a: 3"}]"#),
        (APP.to_vec(), r#"[{"name":"valueFiles","array":["secrets://values.yaml"]}]"#),
        (APP.to_vec(), r#"[{"name":"valueFiles","array":["../other/x"]}]"#),
        (changed("other/x", "2"), r#"[{"name":"valueFiles","array":["../other/x"]}]"#),
    ] {
        kit.renders(&files, parameters).await.unwrap();
        runs += 1;
        assert_eq!(kit.runs(), runs, "{parameters}");
    }
    let program = kit.path("helm");
    fs::write(&program, fs::read_to_string(&program).unwrap() + "# another version\n").unwrap();
    kit.renders(APP, VALUES).await.unwrap();
    assert_eq!(kit.runs(), runs + 1);
}

#[tokio::test]
async fn projects_do_not_share() {
    let kit = Kit::new();
    let tree = kit.tree(APP).await;
    for project in ["a", "b", "a"] {
        kit.render(Request { app: asking(project, VALUES), ..request(&tree, "") }).await.unwrap();
        kit.settled().await;
    }
    assert_eq!(kit.runs(), 2);
}

#[tokio::test]
async fn a_key_that_was_taken_away_ends_what_it_has_opened() {
    let kit = Kit::new();
    let files = changed("app/secrets.yaml", ENCRYPTED);
    kit.renders(&files, SECRETS).await.unwrap();
    assert_eq!(fs::read_to_string(kit.path("values")).unwrap(), "user: admin\npassword: hunter2\n");
    kit.renders(&files, SECRETS).await.unwrap();
    assert_eq!(kit.runs(), 1);
    fs::remove_file(kit.path("keys/age.txt")).unwrap();
    let error = kit.renders(&files, SECRETS).await.unwrap_err();
    assert!(matches!(error, Error::Values(values::Error::Unlock { .. })), "{error}");
    kit.plugin.sweep();
    assert_eq!(kit.plugin.stats().renders.bytes, 0);
    fs::write(kit.path("keys/age.txt"), KEY).unwrap();
    kit.renders(&files, SECRETS).await.unwrap();
}

#[tokio::test]
async fn files_of_one_data_key_are_unwrapped_once() {
    let kit = Kit::new();
    kit.renders(&changed("app/secrets.yaml", ENCRYPTED), SECRETS).await.unwrap();
    let mut files = changed("app/secrets.yaml", ENCRYPTED);
    files.push(("app/new.txt", ""));
    kit.renders(&files, SECRETS).await.unwrap();
    let stats = kit.plugin.stats();
    assert_eq!((stats.data_keys.asked, stats.data_keys.unwrapped, stats.helm.runs), (2, 1, 2));
}

#[tokio::test]
async fn what_changes_by_itself_is_never_kept() {
    let with_tpl = "{{ tpl .Values.user . }}";
    for (files, parameters) in [
        (changed("app/templates/a.yaml", "{{ now }}"), VALUES),
        (changed("app/values.yaml", "user: '{{ randAlpha 5 }}'"), VALUES),
        (changed("app/templates/a.yaml", with_tpl), r#"[{"name":"values","string":"user: '{{ uuidv4 }}'"}]"#),
    ] {
        let kit = Kit::new();
        for runs in 1..4 {
            kit.renders(&files, parameters).await.unwrap();
            assert_eq!(kit.runs(), runs);
        }
        let stats = kit.plugin.stats().renders;
        assert_eq!((stats.kept, stats.hits, stats.misses, stats.not_kept), (0, 0, 1, 2), "each request counts once");
    }
}

#[tokio::test]
async fn a_check_out_is_rendered_each_time() {
    let kit = Kit::new();
    let tree = kit.tree(APP).await;
    for _ in 0..2 {
        let sources = Sources { own: Source::open(tree.folder(), "app").unwrap(), refs: BTreeMap::new() };
        kit.render(Request { sources, ..request(&tree, VALUES) }).await.unwrap();
    }
    assert_eq!(kit.runs(), 2);
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let kit = Kit::with(1, Options::OFF);
    kit.renders(APP, VALUES).await.unwrap();
    kit.renders(APP, VALUES).await.unwrap();
    assert_eq!(kit.runs(), 2);
}

/// A pipe that a helm waits on until it is told to go on.
struct Gate(fs::File);

impl Gate {
    fn new(path: &Path) -> Self {
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        // Open for both, so that neither side waits for the other, and what is written stays.
        Self(fs::OpenOptions::new().read(true).write(true).open(path).unwrap())
    }

    fn open(&self) {
        std::io::Write::write_all(&mut &self.0, b"go on\ngo on\n").unwrap();
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_asks_for_the_same_meanwhile_shares_the_answer() {
    let kit = Kit::with(4, Options::default());
    let pipe = kit.path("pipe");
    let gate = Gate::new(&pipe);
    let wait = pipe.to_string_lossy().into_owned();
    let tree = kit.tree(&changed("app/wait", &wait)).await;
    let (one, other) = (request(&tree, VALUES), request(&tree, VALUES));
    let phases = other.phases.clone();
    let one = Request { phases: phases.clone(), ..one };
    let (one, other, ()) = tokio::join!(kit.render(one), kit.render(other), async {
        until(|| kit.runs() == 1 && phases.to_string().contains("share")).await;
        gate.open();
    });
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!((kit.runs(), kit.plugin.stats().renders.shared), (1, 1));
}

#[tokio::test]
async fn who_waits_for_a_client_that_goes_away_renders_itself() {
    let kit = Kit::with(4, Options::default());
    let pipe = kit.path("pipe");
    let gate = Gate::new(&pipe);
    let wait = pipe.to_string_lossy().into_owned();
    let tree = kit.tree(&changed("app/wait", &wait)).await;
    let plugin = Arc::clone(&kit.plugin);
    let first = request(&tree, VALUES);
    let client = tokio::spawn(async move { plugin.generate(first).await.map(drop) });
    until(|| kit.runs() == 1).await;
    let follower = request(&tree, VALUES);
    let phases = follower.phases.clone();
    let (answer, ()) = tokio::join!(kit.render(follower), async {
        until(|| phases.to_string().contains("share")).await;
        client.abort();
        until(|| kit.runs() == 2).await;
        gate.open();
    });
    answer.unwrap();
    until(|| kit.plugin.stats().helm.running == 0).await;
}

#[tokio::test]
async fn who_waits_for_a_render_that_fails_renders_itself() {
    let kit = Kit::with(4, Options::default());
    let pipe = kit.path("pipe");
    let gate = Gate::new(&pipe);
    let mut files = changed("app/fail", "");
    let wait = pipe.to_string_lossy().into_owned();
    files.push(("app/wait", &wait));
    let tree = kit.tree(&files).await;
    let (one, other) = (request(&tree, VALUES), request(&tree, VALUES));
    let phases = other.phases.clone();
    let one = Request { phases: phases.clone(), ..one };
    let (one, other, ()) = tokio::join!(kit.render(one), kit.render(other), async {
        until(|| kit.runs() == 1 && phases.to_string().contains("share")).await;
        gate.open();
    });
    assert!(one.unwrap_err().to_string().ends_with("as asked"));
    assert!(other.unwrap_err().to_string().ends_with("as asked"));
    assert_eq!(kit.runs(), 2);
    assert_eq!(kit.plugin.stats().renders.kept, 0);
}

#[tokio::test]
async fn who_waits_too_long_for_a_slot_is_told_what_the_time_went_to() {
    let kit = Kit::new();
    let pipe = kit.path("pipe");
    let gate = Gate::new(&pipe);
    let wait = pipe.to_string_lossy().into_owned();
    let busy = kit.tree(&changed("app/wait", &wait)).await;
    let tree = kit.tree(APP).await;
    let first = request(&busy, VALUES);
    let late = Request { deadline: Deadline::within(Duration::from_millis(50)), ..request(&tree, VALUES) };
    let (first, late) = tokio::join!(kit.render(first), async {
        until(|| kit.runs() == 1).await;
        let late = kit.render(late).await;
        gate.open();
        late
    });
    first.unwrap();
    let error = late.unwrap_err().to_string();
    assert!(error.starts_with("none of the helm processes that may run was free within 0.05 s (queue "), "{error}");
    assert_eq!((kit.runs(), kit.plugin.stats().helm.queued), (1, 0));
}

#[tokio::test]
async fn a_helm_that_the_kernel_has_killed_is_run_once_more() {
    let kit = Kit::new();
    let mark = kit.path("mark");
    fs::write(&mark, "").unwrap();
    kit.renders(&changed("app/die", &mark.to_string_lossy()), VALUES).await.unwrap();
    assert_eq!((kit.runs(), kit.plugin.stats().helm.retries), (2, 1));
    kit.renders(&changed("app/fail", ""), VALUES).await.unwrap_err();
    assert_eq!((kit.runs(), kit.plugin.stats().helm.retries), (3, 1), "what a chart is wrong about is not tried again");
}

#[tokio::test]
async fn a_helm_that_was_started_ahead_is_fed() {
    let kit = Kit::with(2, Options::default());
    let ahead = kit.plugin.ahead(&asking("default", VALUES), Deadline::within(Duration::from_secs(20))).await;
    assert!(ahead.is_some() && kit.plugin.stats().helm.running == 1);
    let tree = kit.tree(APP).await;
    kit.render(Request { ahead, ..request(&tree, VALUES) }).await.unwrap();
    let stats = kit.plugin.stats().helm;
    assert_eq!((kit.runs(), stats.ahead, stats.ahead_used, stats.running), (1, 1, 1, 0));
    assert_eq!(fs::read_dir(kit.path("scratch")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_helm_that_was_started_for_something_else_is_not_fed() {
    let kit = Kit::with(2, Options::default());
    let deadline = Deadline::within(Duration::from_secs(20));
    let ahead = kit.plugin.ahead(&asking("other", VALUES), deadline).await;
    let tree = kit.tree(APP).await;
    kit.render(Request { ahead, ..request(&tree, VALUES) }).await.unwrap();
    let stats = kit.plugin.stats().helm;
    assert_eq!((stats.ahead, stats.ahead_used, stats.running), (1, 0, 0));
}

#[tokio::test]
async fn helm_is_not_started_ahead_where_that_may_be_of_no_use() {
    let kit = Kit::with(2, Options::default());
    let deadline = Deadline::within(Duration::from_secs(20));
    for parameters in [
        "",
        r#"[{"name":"valueFiles","array":["*.yaml"]}]"#,
        r#"[{"name":"valueFiles","array":["values.yaml"]},{"name":"ignoreMissingValueFiles","string":"true"}]"#,
    ] {
        assert!(kit.plugin.ahead(&asking("default", parameters), deadline).await.is_none(), "{parameters}");
    }
    let held = kit.plugin.ahead(&asking("default", VALUES), deadline).await;
    assert!(kit.plugin.ahead(&asking("default", VALUES), deadline).await.is_none(), "half of the slots are left");
    drop(held);
    kit.renders(APP, VALUES).await.unwrap();
    assert!(kit.plugin.ahead(&asking("default", VALUES), deadline).await.is_none(), "the answer is probably known");
}

#[tokio::test]
async fn the_real_helms_render_alike_whether_started_ahead_or_not() {
    for version in ["helm-4.2.4/helm", "helm-3.22.0/helm"] {
        let Some(program) = tool(version) else { continue };
        let kit = Kit::new();
        let plugin = Arc::new(plugin(kit.folder.path(), &program, 2, Options::default()));
        let kit = Kit { plugin, ..kit };
        let files = changed("app/secrets.yaml", ENCRYPTED);
        let ahead = kit.plugin.ahead(&asking("default", SECRETS), Deadline::within(Duration::from_secs(20))).await;
        assert!(ahead.is_some());
        let tree = kit.tree(&files).await;
        let first = kit.render(Request { ahead, ..request(&tree, SECRETS) }).await.unwrap();
        assert_eq!(first, TEMPLATE_RENDERED);
        kit.settled().await;
        assert_eq!(kit.renders(&files, SECRETS).await.unwrap(), first);
        let stats = kit.plugin.stats();
        assert_eq!((stats.helm.runs, stats.helm.ahead_used, stats.renders.hits), (1, 1, 1));
        let mut files = files.clone();
        files.push(("app/new.txt", ""));
        assert_eq!(kit.renders(&files, SECRETS).await.unwrap(), first);
        assert_eq!(kit.plugin.stats().helm.runs, 2);
    }
}

const TEMPLATE_RENDERED: &str = "---\n# Source: web/templates/a.yaml\n\
     apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {user: admin}\n";
