//! What the plugin has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use super::RenderStats;
use crate::helm::Slots;
use crate::values::DataKeyStats;

/// What a plugin has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Renders that are kept.
    pub renders: RenderStats,
    /// Data keys that are kept.
    pub data_keys: DataKeyStats,
    /// helm's processes.
    pub helm: HelmStats,
    /// The number of the keys that are held: it grows by one when they change, from 1.
    pub keys_generation: u64,
}

/// helm's processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HelmStats {
    /// Runs of `helm template` that were started.
    pub runs: u64,
    /// Those that did not give manifests.
    pub failures: u64,
    /// What was tried once more.
    pub retries: u64,
    /// Runs that were started before their input was there.
    pub ahead: u64,
    /// Those of them that were of use.
    pub ahead_used: u64,
    /// How many may run at once.
    pub slots: usize,
    /// How many run now.
    pub running: usize,
    /// How many wait for a slot.
    pub queued: usize,
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counters {
    runs: AtomicU64,
    failures: AtomicU64,
    retries: AtomicU64,
    ahead: AtomicU64,
    ahead_used: AtomicU64,
}

impl Counters {
    pub(super) fn run(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ahead(&self) {
        self.run();
        self.ahead.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ahead_used(&self) {
        self.ahead_used.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self, slots: &Slots) -> HelmStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HelmStats {
            runs: count(&self.runs),
            failures: count(&self.failures),
            retries: count(&self.retries),
            ahead: count(&self.ahead),
            ahead_used: count(&self.ahead_used),
            slots: slots.count(),
            running: slots.running(),
            queued: slots.queued(),
        }
    }
}
