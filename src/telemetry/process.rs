//! What the process takes of its machine, under the names that Prometheus' own libraries use.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};

use super::Sample;

/// Clock ticks per second in `/proc`: Linux tells processes 100, whatever it counts with.
const TICKS: f64 = 100.0;

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// What can be read now; `start` is the time at which the process began.
pub(super) fn samples(start: f64) -> Vec<Sample> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let times = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The directory is open while it is read.
    let open = fs::read_dir("/proc/self/fd").map(|entries| entries.count().saturating_sub(1)).ok();
    let most = getrlimit(Resource::Nofile).current;
    [
        Some(Sample::gauge("process_start_time_seconds", "When the process began, since 1970.", start)),
        cpu_seconds(&times)
            .map(|seconds| Sample::counter("process_cpu_seconds_total", "CPU time, user and system.", seconds)),
        field(&status, "VmRSS:")
            .map(|kib| Sample::gauge("process_resident_memory_bytes", "Resident memory.", kib * 1024.0)),
        field(&status, "RssAnon:").map(|kib| {
            let help = "Resident memory that is not backed by files: what the program itself holds.";
            Sample::gauge("process_resident_memory_anonymous_bytes", help, kib * 1024.0)
        }),
        field(&status, "VmSize:")
            .map(|kib| Sample::gauge("process_virtual_memory_bytes", "Virtual memory.", kib * 1024.0)),
        field(&status, "Threads:").map(|count| Sample::gauge("process_threads", "Threads.", count)),
        open.map(|count| Sample::gauge("process_open_fds", "Open file descriptors.", number(count as u64))),
        most.map(|most| Sample::gauge("process_max_fds", "How many file descriptors may be open.", number(most))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The number behind a name in `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15 of `/proc/self/stat`; the second is a name that may hold blanks and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

/// A count as Prometheus has it.
#[expect(clippy::cast_precision_loss, reason = "exact up to 9 petabytes")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 9 1 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn a_running_process_has_memory_threads_and_descriptors() {
        let samples = samples(now());
        let value = |name| samples.iter().find(|sample| sample.name == name).map(|sample| sample.value);
        assert!(value("process_resident_memory_bytes") > Some(100_000.0));
        assert!(value("process_open_fds") >= Some(3.0));
        assert!(value("process_threads") >= Some(1.0));
        assert!(value("process_max_fds") > Some(3.0));
        assert!(value("process_cpu_seconds_total").is_some());
    }
}
