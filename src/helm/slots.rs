//! The number of helm processes that may run at once, and the queue for them.

use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::deadline::Deadline;

/// What one helm may need: the heap that it is allowed, and as much again as a render has been seen to take beside it.
const MEMORY_OF_ONE: u64 = (256 + 64) * 1024 * 1024;

/// What this process keeps for itself.
const MEMORY_OF_OURS: u64 = 256 * 1024 * 1024;

/// Where the kernel says how much memory there may be: cgroup v2, then v1.
const MEMORY_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Who has waited in the queue and has less left than this is not served: helm takes half of it to start.
const USEFUL: Duration = Duration::from_millis(100);

/// The helm processes that may run at once. Who comes first is served first.
pub struct Slots {
    count: usize,
    free: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
    queued: AtomicUsize,
}

/// The right to run one helm at a time, until dropped.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
    _ahead: Option<OwnedSemaphorePermit>,
}

impl Slots {
    /// So many; at least one.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let count = count.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            count,
            free: Arc::new(Semaphore::new(count)),
            ahead: Arc::new(Semaphore::new(count / 2)),
            queued: AtomicUsize::default(),
        }
    }

    /// As many as cores and memory allow.
    #[must_use]
    pub fn fitting() -> Self {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        let limit = MEMORY_LIMITS.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
        Self::new(fit(cores, limit))
    }

    /// A slot, if nobody has to wait for one.
    #[must_use]
    pub fn free(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Slot { _permit: permit, _ahead: None })
    }

    /// A slot for a helm whose input is not there yet: at most half of all, if nobody has to wait for one.
    #[must_use]
    pub fn ahead(&self) -> Option<Slot> {
        let ahead = Arc::clone(&self.ahead).try_acquire_owned().ok()?;
        Some(Slot { _ahead: Some(ahead), ..self.free()? })
    }

    /// Waits in the queue for a slot.
    ///
    /// # Errors
    ///
    /// [`Error::Queue`] if the deadline passes first, or leaves too little time to be of use.
    pub async fn wait(&self, deadline: Deadline) -> Result<Slot, Error> {
        let _queued = Queued::new(&self.queued);
        match deadline.limit(Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) if deadline.left() >= USEFUL => Ok(Slot { _permit: permit, _ahead: None }),
            // Nobody closes it, so the time is up in any case.
            Ok(_) | Err(_) => Err(Error::Queue { allowed: deadline.allowed() }),
        }
    }

    /// How many are in use.
    #[must_use]
    pub fn running(&self) -> usize {
        self.count - self.free.available_permits()
    }

    /// How many wait for one.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

/// helm computes for most of its time, but on a dependency build it waits for the network.
fn fit(cores: usize, memory: Option<u64>) -> usize {
    let by_memory = memory.map(|limit| limit.saturating_sub(MEMORY_OF_OURS) / MEMORY_OF_ONE);
    let by_memory = by_memory.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    (2 * cores).min(by_memory).max(1)
}

/// Counts one that waits, also where it stops waiting because nobody wants the answer any more.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn cores_and_memory_bound_the_number_of_helms() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(fit(4, None), 8);
        assert_eq!(fit(4, Some(1024 * MIB)), 2);
        assert_eq!(fit(4, Some(64 * MIB)), 1);
        assert_eq!(fit(1, Some(u64::MAX)), 2);
    }

    #[tokio::test]
    async fn who_comes_first_is_served_first() {
        let slots = Slots::new(1);
        let held = slots.free().unwrap();
        let deadline = Deadline::within(Duration::from_mins(1));
        let (mut first, mut second) = (pin!(slots.wait(deadline)), pin!(slots.wait(deadline)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending() && second.as_mut().poll(&mut context).is_pending());
        assert_eq!((slots.running(), slots.queued()), (1, 2));
        drop(held);
        assert!(slots.free().is_none(), "nobody overtakes those who wait");
        assert!(second.as_mut().poll(&mut context).is_pending());
        let Poll::Ready(Ok(_served)) = first.as_mut().poll(&mut context) else { panic!("it was first") };
        assert_eq!((slots.running(), slots.queued()), (1, 1));
    }

    #[tokio::test]
    async fn who_waits_too_long_is_told_so() {
        let slots = Slots::new(1);
        let held = slots.free().unwrap();
        let error = slots.wait(Deadline::within(Duration::from_millis(1))).await.unwrap_err();
        assert!(matches!(error, Error::Queue { .. }), "{error}");
        drop(held);
        let error = slots.wait(Deadline::within(USEFUL / 2)).await.unwrap_err();
        assert!(matches!(error, Error::Queue { .. }), "too little time is left: {error}");
        assert_eq!((slots.running(), slots.queued()), (0, 0));
    }

    #[tokio::test]
    async fn helms_ahead_of_their_input_leave_half_of_the_slots() {
        let slots = Slots::new(3);
        let ahead = slots.ahead().unwrap();
        assert!(slots.ahead().is_none());
        drop(ahead);
        let _held = [slots.free(), slots.free(), slots.free()];
        assert!(slots.ahead().is_none(), "they never take the last one from those who wait");
        assert!(Slots::new(1).ahead().is_none());
    }
}
