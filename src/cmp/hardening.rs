//! Keeps others from looking into the process, and makes room for its descriptors.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tracing::{debug, warn};

/// The descriptors that a server may need: each connection, each file of an archive and each of helm's pipes is one. Not the
/// hard limit itself, which may be a thousand million.
const DESCRIPTORS: u64 = 65_536;

/// Turns core dumps off, and reading the memory of this process by others of its user (`ptrace`, `/proc/PID/mem`,
/// `/proc/PID/environ`): decrypted values live there. Raises the limit of open files where it is low.
///
/// Programs that this process starts may have no core dumps either; whether they can be read by others is their own affair,
/// for the kernel forgets that at every `exec`. What the machine does not permit is a warning in the log.
pub fn harden() {
    if let Err(cause) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warn!(%cause, "other processes of this user can read the memory of this one");
    }
    if let Err(cause) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        warn!(%cause, "core dumps cannot be turned off");
    }
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted) {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }) {
            Ok(()) => debug!(files = wanted, "the limit of open files was raised"),
            Err(cause) => warn!(%cause, "the limit of open files cannot be raised"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn a_hardened_process_leaves_no_core_and_opens_many_files() {
        harden();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        let files = getrlimit(Resource::Nofile);
        let most = files.maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
        assert!(files.current.is_none_or(|current| current >= most), "{files:?}");
        // What we and our libraries read about ourselves stays readable.
        assert!(std::fs::read_dir("/proc/self/fd").unwrap().count() > 0);
        assert!(std::fs::read_to_string("/proc/self/status").unwrap().contains("VmRSS"));
    }
}
