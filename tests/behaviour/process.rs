//! The server as a process: its socket, its signals, what it reaps, who may look into it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::world::World;

/// The user of Argo CD's containers.
const ARGOCD: u32 = 999;

/// A server in a world of its own, killed when dropped.
struct Server {
    world: World,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// Starts it, by another program where `under` names one, and waits until it answers.
    fn start(world: World, under: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        fs::create_dir_all(world.path("plugins")).unwrap();
        let mut command = world.command(&["serve"]);
        if let [program, arguments @ ..] = under {
            let mut outer = Command::new(program);
            outer.args(arguments).arg(command.get_program()).arg("serve").env_clear();
            outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            command = outer;
        }
        command.env("PATH", "/usr/bin:/bin").env("ARGOCD_PLUGINSOCKFILEPATH", world.path("plugins"));
        command.env("ARGOCD_CMP_WORKDIR", world.path("tmp"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(world.path("log")).unwrap());
        change(&mut command);
        let mut server = Self { process: command.spawn().unwrap(), world };
        let socket = server.socket();
        server.wait("answers", |server| server.has_ended() || UnixStream::connect(&socket).is_ok());
        assert!(!server.has_ended(), "{}", server.log());
        server
    }

    fn socket(&self) -> PathBuf {
        self.world.path("plugins/sops.sock")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.world.path("log")).unwrap()
    }

    fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    fn wait(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < Duration::from_mins(1), "it never {what}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal to a process, and waits for the exit code of the one that was started.
    fn end(&mut self, target: u32, signal: &str) -> Option<i32> {
        run(Command::new("kill").args([&format!("-{signal}"), &target.to_string()]));
        self.wait("ended", Self::has_ended);
        self.process.wait().unwrap().code()
    }
}

fn run(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn children(of: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    listed.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// Whether tests may do what only root can; if not, says what is missing.
fn may(what: &str, command: &mut Command) -> bool {
    let may = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let may = may.is_ok_and(|status| status.success());
    if !may {
        #[expect(clippy::print_stderr, reason = "a reader must know what was not tested")]
        {
            eprintln!("this machine permits no {what}: that part was NOT tested");
        }
    }
    may
}

/// Gives a world to the user of Argo CD's containers.
fn given_away(world: World) -> World {
    fs::create_dir_all(world.path("plugins")).unwrap();
    run(Command::new("chown").args(["-R", &ARGOCD.to_string()]).arg(world.path("")));
    world
}

#[test]
fn a_server_that_is_told_to_end_takes_its_socket_along() {
    let mut server = Server::start(World::new(), &[], |_| {});
    assert_eq!(fs::metadata(server.socket()).unwrap().mode() & 0o777, 0o600);
    server.wait("said its name", |server| server.log().contains("plugin.name: sops"));
    let target = server.process.id();
    assert_eq!(server.end(target, "TERM"), Some(0), "{}", server.log());
    assert!(!server.socket().exists());
}

#[test]
fn a_killed_servers_socket_is_in_nobodys_way() {
    let world = World::new();
    fs::create_dir_all(world.path("plugins")).unwrap();
    drop(UnixListener::bind(world.path("plugins/sops.sock")).unwrap());
    let server = Server::start(world, &[], |_| {});
    let names: Vec<_> =
        fs::read_dir(server.world.path("plugins")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["sops.sock"]);
}

#[test]
fn a_second_server_of_the_same_name_explains_why_it_does_not_start() {
    let server = Server::start(World::new(), &[], |_| {});
    let mut second = server.world.command(&["serve"]);
    second.env("ARGOCD_PLUGINSOCKFILEPATH", server.world.path("plugins"));
    let (started, said) = run(&mut second);
    assert!(!started && said.contains("another plugin server answers"), "{said}");
    assert!(said.contains("ARGOCD_SOPS_PLUGIN_NAME"), "{said}");
    assert!(UnixStream::connect(server.socket()).is_ok(), "the first one goes on");
}

#[test]
fn a_folder_that_the_user_may_not_write_to_is_explained() {
    let world = World::new().with_a_program_for_all();
    fs::create_dir_all(world.path("plugins")).unwrap();
    fs::set_permissions(world.path("tmp"), PermissionsExt::from_mode(0o777)).unwrap();
    let mut command = world.command(&["serve"]);
    command.env("ARGOCD_PLUGINSOCKFILEPATH", world.path("plugins")).uid(ARGOCD);
    if !may("other users", Command::new("true").uid(ARGOCD)) {
        return;
    }
    let (started, said) = run(&mut command);
    assert!(!started && said.contains("uid 999 may not make a socket"), "{said}");
    assert!(said.contains("runAsUser: 999"), "{said}");
}

#[test]
fn the_first_process_reaps_orphans_and_hands_on_signals() {
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !may("process namespaces", Command::new(unshare[0]).args(&unshare[1..]).arg("true")) {
        return;
    }
    let mut server = Server::start(World::new(), &unshare, |_| {});
    let first = children(server.process.id())[0];
    let program = children(first);
    assert_eq!(program.len(), 1, "the first process runs the program once");
    assert_eq!(fs::read_dir(format!("/proc/{first}/task")).unwrap().count(), 1, "it has no threads");
    let enter = ["--target", &first.to_string(), "--pid", "--mount"];
    let orphans = "exec >/dev/null 2>&1; for each in 1 2 3 4 5 6 7 8; do (sleep 0.1 &); done; (sleep 1000 &)";
    assert_eq!(run(Command::new("nsenter").args(enter).args(["sh", "-c", orphans])), (true, String::new()));
    server.wait("reaped them", |_| children(first).len() == 2);
    assert_eq!(server.end(first, "TERM"), Some(0), "{}", server.log());
    assert!(!server.socket().exists());
}

#[test]
fn the_first_process_ends_as_the_program_ended() {
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !may("process namespaces", Command::new(unshare[0]).args(&unshare[1..]).arg("true")) {
        return;
    }
    let mut server = Server::start(World::new(), &unshare, |_| {});
    let program = children(children(server.process.id())[0])[0];
    assert_eq!(server.end(program, "KILL"), Some(137));
    let world = World::new();
    let mut command = Command::new(unshare[0]);
    command.args(&unshare[1..]).arg(env!("CARGO_BIN_EXE_argocd-sops")).arg("serve").env_clear();
    command.env("PATH", "/usr/bin:/bin").env("ARGOCD_PLUGINSOCKFILEPATH", world.path("nowhere"));
    let (started, said) = run(&mut command);
    assert!(!started && said.contains("mount the volume `plugins`"), "{said}");
}

#[test]
fn nobody_of_the_same_user_looks_into_a_server() {
    if !may("other users", Command::new("true").uid(ARGOCD)) {
        return;
    }
    let server = Server::start(given_away(World::new().with_a_program_for_all()), &[], |command| {
        command.uid(ARGOCD);
    });
    let id = server.process.id();
    for secret in ["environ", "mem", "maps"] {
        let (could, said) = run(Command::new("head").args(["-c", "1", &format!("/proc/{id}/{secret}")]).uid(ARGOCD));
        assert!(!could && said.contains("Permission denied"), "{secret}: {said}");
    }
    let limits = fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let core: Vec<_> = limits.lines().find(|line| line.starts_with("Max core")).unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{limits}");
    assert!(UnixStream::connect(server.socket()).is_ok());
}

#[test]
fn a_server_without_descriptors_waits_for_better_times() {
    let mut server = Server::start(World::new(), &[], |_| {});
    let (id, socket) = (server.process.id().to_string(), server.socket());
    let set = |limit: &str| run(Command::new("prlimit").args(["--pid", &id, &format!("--nofile={limit}:65536")])).0;
    if !may("change of limits", Command::new("prlimit").args(["--pid", &id, "--nofile=16:65536"])) {
        return;
    }
    let connections: Vec<_> = (0..40).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    server.wait("said so", |server| server.log().contains("cannot accept connections at the moment"));
    let before = cpu_ticks(&id);
    std::thread::sleep(Duration::from_millis(500));
    assert!(cpu_ticks(&id) - before < 10, "it spins");
    assert_eq!(server.log().matches("cannot accept").count(), 1, "{}", server.log());
    drop(connections);
    assert!(set("65536"));
    let _one_more = UnixStream::connect(&socket).unwrap();
    let target = server.process.id();
    assert_eq!(server.end(target, "TERM"), Some(0), "{}", server.log());
}

/// What a process has spent, in hundredths of a second.
fn cpu_ticks(id: &str) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
