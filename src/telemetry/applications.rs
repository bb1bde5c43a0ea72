//! How much the repo-server sends for each Application: the largest ones, by name.
//!
//! Names come from whoever may call us. So that they cannot fill the memory, nor Prometheus, a hundred are kept, cut to the
//! length of the longest lawful one; a larger application takes the place of the smallest, and one that nobody has asked
//! for in a day leaves.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How many applications are kept.
const MOST: usize = 100;

/// How long an application is kept that nobody asks for.
const KEPT: Duration = Duration::from_hours(24);

/// Bytes of the longest name: `NAMESPACE_NAME` of an Application outside Argo CD's own namespace.
pub(super) const LONGEST_NAME: usize = 63 + 1 + 253;

/// The sizes of the largest archives, by application.
#[derive(Debug, Default)]
pub(super) struct Applications(HashMap<String, Seen>);

#[derive(Debug)]
struct Seen {
    bytes: u64,
    at: Instant,
}

impl Applications {
    /// Notes an archive. Whether the application has only now become one of those that are kept.
    pub(super) fn note(&mut self, name: &str, bytes: u64, now: Instant) -> bool {
        let name = shortened(name);
        if let Some(seen) = self.0.get_mut(name) {
            *seen = Seen { bytes, at: now };
            return false;
        }
        self.forget(now);
        if self.0.len() >= MOST {
            let smallest = self.0.iter().min_by_key(|(_, seen)| seen.bytes);
            let Some((smallest, _)) = smallest.filter(|(_, seen)| seen.bytes < bytes) else { return false };
            let smallest = smallest.clone();
            self.0.remove(&smallest);
        }
        self.0.insert(name.to_owned(), Seen { bytes, at: now });
        true
    }

    /// The applications and the sizes of their last archives.
    pub(super) fn sizes(&mut self, now: Instant) -> Vec<(String, u64)> {
        self.forget(now);
        let mut sizes: Vec<_> = self.0.iter().map(|(name, seen)| (name.clone(), seen.bytes)).collect();
        sizes.sort_unstable();
        sizes
    }

    fn forget(&mut self, now: Instant) {
        self.0.retain(|_, seen| now.saturating_duration_since(seen.at) < KEPT);
    }
}

/// A name cut to the length that a lawful one can have.
pub(super) fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_NAME)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_cannot_fill_the_memory() {
        let mut applications = Applications::default();
        let now = Instant::now();
        for number in 0..10_000_u64 {
            applications.note(&format!("{number}{}", "é".repeat(4096)), number, now);
        }
        let sizes = applications.sizes(now);
        assert_eq!(sizes.len(), MOST);
        assert!(sizes.iter().all(|(name, bytes)| name.len() <= LONGEST_NAME && *bytes >= 9_900), "the largest stay");
    }

    #[test]
    fn a_small_application_does_not_displace_a_large_one() {
        let mut applications = Applications::default();
        let now = Instant::now();
        for number in 0..100_u64 {
            assert!(applications.note(&format!("app-{number}"), 1_000, now));
        }
        assert!(!applications.note("small", 1_000, now));
        assert!(applications.note("large", 1_001, now));
        assert!(!applications.note("large", 1, now), "known, and shrunk");
        assert_eq!(applications.sizes(now).len(), MOST);
    }

    #[test]
    fn an_application_that_is_gone_leaves() {
        let mut applications = Applications::default();
        let now = Instant::now();
        applications.note("old", 1, now);
        applications.note("new", 1, now + KEPT / 2);
        assert_eq!(applications.sizes(now + KEPT), [("new".to_owned(), 1)]);
    }
}
