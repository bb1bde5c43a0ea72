//! The one test builder: a repository with a chart, an empty environment, a temporary home.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;

/// The private key of every world; it is public, see `tests/charts/README.md`.
const IDENTITY: &str = include_str!("../charts/keys/age.txt");

/// A value that must never be seen.
pub(crate) const CANARY: &str = "canary-7Kq/Zt+93 \"w<x>&y\" \\ done";

/// A repository below `repo`, a home, a folder for temporary files: all of it gone afterwards.
pub(crate) struct World {
    folder: TempDir,
    environment: Vec<(String, String)>,
    program: PathBuf,
}

/// A plugin server; dropped means killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) socket: PathBuf,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    fn start(mut command: Command, socket: PathBuf) -> Self {
        let mut child = command.spawn().expect("the program runs");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        for line in lines.by_ref() {
            let line = line.expect("a line");
            let is_ready = line.contains("Applications call this plugin by");
            writeln!(log.lock().expect("the log"), "{line}").expect("a line");
            if is_ready {
                break;
            }
        }
        let theirs = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                writeln!(theirs.lock().expect("the log"), "{line}").expect("a line");
            }
        });
        Self { child, socket, log, reader: Some(reader) }
    }

    /// Asks it to end as Kubernetes does; its exit code and all that it logged.
    pub(crate) fn end(mut self) -> (i32, String) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("a signal");
        let status = self.child.wait().expect("a status");
        self.reader.take().expect("once").join().expect("the reader");
        let log = self.log.lock().expect("the log").clone();
        (status.code().unwrap_or(-1), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a command ended.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    /// Without the places of this machine.
    pub(crate) stderr: String,
}

impl World {
    /// A chart in `repo/app` that prints one `ConfigMap` and, from `password`, one Secret.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("behaviour-").tempdir().expect("a temporary folder");
        for name in ["repo/.git", "home", "tmp", "keys"] {
            fs::create_dir_all(folder.path().join(name)).expect("a folder");
        }
        let program = env!("CARGO_BIN_EXE_argocd-sops").into();
        let world = Self { folder, environment: Vec::new(), program };
        world.file("keys/age.txt", IDENTITY);
        world.file("repo/app/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n");
        world.file("repo/app/values.yaml", "greeting: hello\n");
        world.template(
            "secret.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Release.Name }}}\nstringData:\n  \
             password: {{ .Values.password | default \"none\" | quote }}\n",
        );
        let key = world.path("keys/age.txt").display().to_string();
        world.set("SOPS_AGE_KEY_FILE", &key).set("ARGOCD_SOPS_HELM", &tool("helm-4.2.4/helm"))
    }

    /// Sets a variable of the process; an empty value takes it away.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.environment.push((name.into(), value.into()));
        }
        self
    }

    /// Runs a copy of the program that other users can reach as well.
    pub(crate) fn with_a_program_for_all(mut self) -> Self {
        let copy = self.path("argocd-sops");
        fs::copy(&self.program, &copy).expect("a copy");
        fs::set_permissions(self.path(""), PermissionsExt::from_mode(0o755)).expect("a mode");
        self.program = copy;
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, folders included.
    pub(crate) fn file(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    pub(crate) fn template(&self, name: &str, text: &str) -> &Self {
        self.file(&format!("repo/app/templates/{name}"), text)
    }

    /// A file of the application, encrypted by the real sops.
    pub(crate) fn encrypted(&self, name: &str, text: &str) -> &Self {
        let path = format!("repo/app/{name}");
        self.file(&path, text);
        let recipient = IDENTITY.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("a public key");
        let output = Command::new(tool("sops-3.13.3/sops"))
            .args(["encrypt", "--age", recipient, "--in-place"])
            .arg(self.path(&path))
            .env_clear()
            .env("HOME", self.path("home"))
            .stdin(Stdio::null())
            .output()
            .expect("sops runs");
        assert!(output.status.success(), "sops: {}", String::from_utf8_lossy(&output.stderr));
        self
    }

    /// `secrets.yaml` with the canary as `password`.
    pub(crate) fn with_canary(&self) -> &Self {
        self.encrypted("secrets.yaml", &format!("password: {CANARY:?}\nopen: 1\n"))
    }

    /// Changes a file as someone with an editor would.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(String) -> String) -> &Self {
        let text = fs::read_to_string(self.path(name)).expect("a file");
        self.file(name, &change(text))
    }

    /// Renders an Application in a terminal; `source` is what stands below `spec.source`, beside the path.
    pub(crate) fn generate(&self, source: &str) -> Outcome {
        let source = source.replace('\n', "\n    ");
        let manifest = format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: web}}\nspec:\n  project: default\n  \
             destination: {{namespace: demo}}\n  source:\n    repoURL: https://git.example.com/web.git\n    path: app\n    {source}\n"
        );
        self.file("repo/app.yaml", &manifest);
        self.run(&["generate", "repo/app.yaml"], ".")
    }

    /// As [`World::generate`], with `valueFiles` of the plugin.
    pub(crate) fn generate_values(&self, files: &str) -> Outcome {
        self.generate(&format!("plugin: {{name: sops, parameters: [{{name: valueFiles, array: [{files}]}}]}}"))
    }

    /// Renders as the stock plugin server would have it done: variables, and the application's folder to work in.
    pub(crate) fn plugin(&self, parameters: &str, more: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(&["generate"]);
        command
            .current_dir(self.path("repo/app"))
            .env("ARGOCD_APP_NAME", "web")
            .env("ARGOCD_APP_NAMESPACE", "demo")
            .env("ARGOCD_APP_PROJECT_NAME", "default")
            .env("ARGOCD_APP_SOURCE_PATH", "app")
            .env("ARGOCD_APP_PARAMETERS", parameters)
            .envs(more.iter().copied());
        self.outcome(&mut command)
    }

    /// Starts the plugin server, and waits until it listens.
    pub(crate) fn serve(&self) -> Server {
        let (sockets, work) = (self.path("sockets"), self.path("work"));
        for folder in [&sockets, &work] {
            fs::create_dir_all(folder).expect("a folder");
        }
        let mut command = self.command(&["serve"]);
        command
            .env("ARGOCD_PLUGINSOCKFILEPATH", &sockets)
            .env("ARGOCD_CMP_WORKDIR", work)
            .env("ARGOCD_SOPS_LOG_FORMAT", "text")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !self.environment.iter().any(|(name, _)| name == "ARGOCD_SOPS_POLICY") {
            command.env("ARGOCD_SOPS_POLICY", "open");
        }
        Server::start(command, sockets.join("sops.sock"))
    }

    /// Runs the program in a folder of the world.
    pub(crate) fn run(&self, arguments: &[&str], folder: &str) -> Outcome {
        self.outcome(self.command(arguments).current_dir(self.path(folder)))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("RUST_BACKTRACE", "1")
            .env("ARGOCD_SOPS_LOG_LEVEL", "trace")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    fn outcome(&self, command: &mut Command) -> Outcome {
        let Output { status, stdout, stderr } = command.output().expect("the program runs");
        let here = self.folder.path().display().to_string();
        let stderr = String::from_utf8_lossy(&stderr).replace(&here, "{world}").replace(&tools(), "{tools}");
        Outcome {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).expect("manifests are UTF-8"),
            // Log lines below the level of warnings are there to be searched for the canary, not to be compared.
            stderr,
        }
    }

    /// Every file of the world but the ones named, with its content.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let entry = entry.expect("an entry");
                let kind = entry.file_type().expect("a kind");
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    found.push((entry.path(), fs::read(entry.path()).expect("a file")));
                }
            }
        }
        found
    }
}

impl Outcome {
    /// The error as people see it: without log lines.
    pub(crate) fn message(&self) -> String {
        let lines: Vec<_> = self.stderr.lines().filter(|line| !is_log_line(line)).collect();
        lines.join("\n") + "\n"
    }
}

fn is_log_line(line: &str) -> bool {
    ["TRACE ", "DEBUG ", " INFO "].iter().any(|level| line.starts_with(level))
}

/// A pinned tool of the cache folder that `make test` fills.
pub(crate) fn tool(name: &str) -> String {
    let path = format!("{}/{name}", tools());
    assert!(Path::new(&path).exists(), "no {path}: run `make test`, or name the folder by ARGOCD_SOPS_TEST_TOOLS");
    path
}

fn tools() -> String {
    let variable = |name| std::env::var(name).ok();
    variable("ARGOCD_SOPS_TEST_TOOLS")
        .or_else(|| Some(format!("{}/.cache/argocd-sops", variable("HOME")?)))
        .expect("ARGOCD_SOPS_TEST_TOOLS")
}
