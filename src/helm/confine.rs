//! What `helm template` may read: its chart's tree and itself. Landlock, where the kernel has it.
//!
//! helm follows what a chart says: a `$ref` of a values schema names any file, in a sub-chart's archive as well. A domain of
//! Landlock belongs to a thread and to what it starts: helm is started by a thread of its own that has given up all else.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::thread;

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError,
};
use tracing::debug;

/// The rights that are handled: those that all kernels since 6.2 know. A newer kernel is asked for no more, so that what
/// helm may do does not depend on it.
const RIGHTS: ABI = ABI::V3;

/// What a program needs beside its own file: libraries, where it is not static, and the zone in which dates are printed.
const SYSTEM: [&str; 8] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/null",
];

/// Calls `start` from a thread from which only `program`, `tree` and the system's libraries can be read, and nothing be
/// written. A program that is a script (as version managers install them) is started without: nobody knows what it reads.
///
/// # Errors
///
/// Those of `start`, or that there can be no thread.
pub(super) fn confined<T: Send>(
    program: &Path,
    tree: &Path,
    start: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    if is_script(program) {
        debug!("helm is a script; it is not confined");
        return start();
    }
    thread::scope(|scope| {
        let confined = || {
            if let Err(error) = restrict(program, tree) {
                debug!(%error, "helm is not confined");
            }
            start()
        };
        let thread = thread::Builder::new().spawn_scoped(scope, confined)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Gives up what is not needed, for this thread and all that it starts. Kernels without Landlock are let pass.
fn restrict(program: &Path, tree: &Path) -> Result<(), RulesetError> {
    let read = AccessFs::from_read(RIGHTS);
    let file = AccessFs::ReadFile | AccessFs::Execute;
    let rules = SYSTEM.iter().map(Path::new).chain([program, tree]).filter_map(|path| {
        let rights = if path.is_dir() { read } else { file };
        Some(PathBeneath::new(PathFd::new(path).ok()?, rights))
    });
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))?
        .create()?
        .add_rules(rules.map(Ok::<_, RulesetError>))?
        .restrict_self()?;
    Ok(())
}

fn is_script(program: &Path) -> bool {
    let mut begin = [0; 2];
    File::open(program).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == *b"#!"
}
