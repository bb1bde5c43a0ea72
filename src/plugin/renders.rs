//! What was rendered lately, so that a commit that does not touch an application costs no helm.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::key::{About, Key};
use crate::flight::{Flights, Joined};
use crate::manifests::Manifests;

/// How much of what was rendered is kept, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The most bytes of manifests; with 0 nothing is kept.
    pub max_bytes: usize,
    /// How old they may be: a hard refresh never reaches a plugin.
    pub max_age: Duration,
}

impl Options {
    /// Nothing is kept.
    pub const OFF: Self = Self { max_bytes: 0, max_age: Duration::ZERO };
}

impl Default for Options {
    fn default() -> Self {
        Self { max_bytes: 64 * 1024 * 1024, max_age: Duration::from_mins(15) }
    }
}

/// The renders that are kept, zeroed when they go.
pub(super) struct Renders {
    options: Options,
    kept: Mutex<Kept>,
    flights: Flights<Key, Landed>,
    hits: AtomicU64,
    shared: AtomicU64,
    misses: AtomicU64,
    not_kept: AtomicU64,
}

/// What is known of a render.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// Its objects.
    Objects(Arc<Manifests>),
    /// That it may be another one next time.
    Volatile,
}

/// What became of a render that others waited for.
#[derive(Debug, Clone)]
pub(super) enum Landed {
    /// It is the same for all.
    Known(Known),
    /// It failed; that is for whoever asked.
    Failed,
}

/// What is asked of the renders: `stats` of the plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RenderStats {
    /// Requests that were answered by what was kept.
    pub hits: u64,
    /// Requests that were answered by what another one rendered meanwhile.
    pub shared: u64,
    /// Requests that were rendered, and might have been kept.
    pub misses: u64,
    /// Requests that were rendered, and that nothing can be kept for: of a check-out, or known to be another render each time.
    pub not_kept: u64,
    /// Renders that are kept, volatile ones not counted.
    pub kept: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The age of the oldest one.
    pub oldest: Duration,
}

/// A few bytes for what is known beside the objects.
const OVERHEAD: usize = 512;

#[derive(Default)]
struct Kept {
    generation: u64,
    entries: HashMap<Key, Entry>,
    by_use: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

struct Entry {
    known: Known,
    about: About,
    since: Instant,
    used: u64,
    bytes: usize,
}

impl Renders {
    pub(super) fn new(options: Options) -> Self {
        let [hits, shared, misses, not_kept] = [const { AtomicU64::new(0) }; 4];
        Self { options, kept: Mutex::default(), flights: Flights::default(), hits, shared, misses, not_kept }
    }

    /// Whether anything is kept at all.
    pub(super) fn is_on(&self) -> bool {
        self.options.max_bytes > 0 && !self.options.max_age.is_zero()
    }

    /// What is known of a render now.
    pub(super) fn find(&self, key: &Key) -> Option<Known> {
        let found = self.find_at(key, Instant::now());
        if let Some(Known::Objects(_)) = found {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// Whether something is known, not counted as a question.
    pub(super) fn peek(&self, key: &Key) -> bool {
        self.find_at(key, Instant::now()).is_some()
    }

    fn find_at(&self, key: &Key, now: Instant) -> Option<Known> {
        let kept = &mut *self.lock();
        let entry = kept.entries.get_mut(key)?;
        if now.saturating_duration_since(entry.since) >= self.options.max_age {
            return None;
        }
        kept.by_use.remove(&entry.used);
        kept.uses += 1;
        entry.used = kept.uses;
        kept.by_use.insert(entry.used, *key);
        Some(entry.known.clone())
    }

    /// Begins a render, or waits for another one of the same.
    pub(super) fn join(&self, key: &Key) -> Joined<Key, Landed> {
        self.flights.join(key)
    }

    /// Whether nobody is at work.
    #[cfg(test)]
    pub(super) fn is_settled(&self) -> bool {
        self.flights.is_empty()
    }

    /// Keeps what is known of a render, which was made with the keys of a `generation`.
    pub(super) fn keep(&self, key: Key, about: About, generation: u64, known: Known) {
        self.keep_at(key, about, generation, known, Instant::now());
    }

    fn keep_at(&self, key: Key, about: About, generation: u64, known: Known, now: Instant) {
        let bytes = OVERHEAD
            + match &known {
                Known::Objects(manifests) => manifests.text().capacity(),
                Known::Volatile => 0,
            };
        let kept = &mut *self.lock();
        kept.forget_older(now, self.options.max_age);
        // What earlier keys have opened can no longer be asked for.
        if generation > kept.generation {
            *kept = Kept { generation, ..Kept::default() };
        }
        if generation < kept.generation || bytes > self.options.max_bytes {
            return;
        }
        kept.remove(&key);
        while kept.bytes + bytes > self.options.max_bytes {
            let Some((_, oldest)) = kept.by_use.first_key_value() else { break };
            let oldest = *oldest;
            kept.remove(&oldest);
        }
        kept.uses += 1;
        kept.bytes += bytes;
        kept.by_use.insert(kept.uses, key);
        kept.entries.insert(key, Entry { known, about, since: now, used: kept.uses, bytes });
    }

    /// Whether a request of this kind has been answered with objects that are still kept: if its files have not changed,
    /// it will be again.
    pub(super) fn expects(&self, about: &About) -> bool {
        let is_expected = |entry: &Entry| entry.about == *about && matches!(entry.known, Known::Objects(_));
        self.lock().entries.values().any(is_expected)
    }

    /// Forgets what is too old, and what earlier keys have opened.
    pub(super) fn sweep(&self, generation: u64, now: Instant) {
        let kept = &mut *self.lock();
        if generation > kept.generation {
            *kept = Kept { generation, ..Kept::default() };
        }
        kept.forget_older(now, self.options.max_age);
    }

    pub(super) fn count_shared(&self) {
        self.shared.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_not_kept(&self) {
        self.not_kept.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> RenderStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let kept = self.lock();
        let objects = || kept.entries.values().filter(|entry| matches!(entry.known, Known::Objects(_)));
        RenderStats {
            hits: count(&self.hits),
            shared: count(&self.shared),
            misses: count(&self.misses),
            not_kept: count(&self.not_kept),
            kept: objects().count(),
            bytes: kept.bytes,
            oldest: objects().map(|entry| entry.since.elapsed()).max().unwrap_or_default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }

    fn forget_older(&mut self, now: Instant, max_age: Duration) {
        let is_old = |entry: &Entry| now.saturating_duration_since(entry.since) >= max_age;
        let old: Vec<Key> = self.entries.iter().filter(|(_, entry)| is_old(entry)).map(|(key, _)| *key).collect();
        for key in old {
            self.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::helm::Rendered;
    use crate::manifests;
    use crate::secret::Plaintext;

    fn objects(bytes: usize) -> Known {
        let mut text = format!("apiVersion: v1\nkind: ConfigMap\n# {}\n", "x".repeat(bytes));
        text.shrink_to_fit();
        let rendered = Rendered::new(Plaintext::from(text));
        Known::Objects(Arc::new(manifests::check(rendered, false, &manifests::Options::default()).unwrap()))
    }

    fn renders(max_bytes: usize) -> Renders {
        Renders::new(Options { max_bytes, ..Options::default() })
    }

    fn holds(renders: &Renders, number: u8) -> bool {
        matches!(renders.find(&Key::of(number)), Some(Known::Objects(_)))
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let renders = renders(4 * (1100 + OVERHEAD));
        for number in 0..3 {
            renders.keep(Key::of(number), About::of(number), 1, objects(1024));
        }
        assert!(holds(&renders, 0));
        renders.keep(Key::of(3), About::of(3), 1, objects(1024));
        renders.keep(Key::of(4), About::of(4), 1, objects(1024));
        assert_eq!([0, 1, 2, 3, 4].map(|number| holds(&renders, number)), [true, false, true, true, true]);
        assert!(renders.stats().bytes <= 4 * (1100 + OVERHEAD));
    }

    #[test]
    fn more_than_there_is_room_for_is_not_kept() {
        let renders = renders(1024);
        renders.keep(Key::of(1), About::of(1), 1, objects(2048));
        assert!(!holds(&renders, 1));
        assert_eq!(renders.stats().bytes, 0);
    }

    #[test]
    fn a_render_is_kept_for_its_time_from_when_it_was_made() {
        let renders = renders(1024 * 1024);
        let begin = Instant::now();
        renders.keep_at(Key::of(1), About::of(1), 1, objects(10), begin);
        let minutes = |count| begin + Duration::from_mins(count);
        assert!(renders.find_at(&Key::of(1), minutes(14)).is_some());
        assert!(renders.find_at(&Key::of(1), minutes(15)).is_none(), "being asked for does not make it younger");
        renders.sweep(1, minutes(15));
        assert_eq!((renders.stats().kept, renders.stats().bytes), (0, 0));
    }

    #[test]
    fn other_keys_end_what_earlier_ones_have_opened() {
        let renders = renders(1024 * 1024);
        renders.keep(Key::of(1), About::of(1), 1, objects(10));
        renders.sweep(2, Instant::now());
        assert!(!holds(&renders, 1));
        renders.keep(Key::of(1), About::of(1), 1, objects(10));
        assert!(!holds(&renders, 1), "late ones are not kept");
        renders.keep(Key::of(2), About::of(2), 2, objects(10));
        assert!(holds(&renders, 2));
    }

    #[test]
    fn a_volatile_render_is_remembered_as_such() {
        let renders = renders(1024 * 1024);
        renders.keep(Key::of(1), About::of(1), 1, Known::Volatile);
        assert!(matches!(renders.find(&Key::of(1)), Some(Known::Volatile)));
        assert!(!renders.expects(&About::of(1)));
        assert_eq!((renders.stats().kept, renders.stats().hits), (0, 0));
    }
}
