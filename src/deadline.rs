//! The instant at which a request must be answered, handed down to every step.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// An absolute instant, so that no step starts a clock of its own.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    allowed: Duration,
}

/// Seconds for people, to a hundredth.
#[must_use]
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}

/// The deadline passed before the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// The time that the request had in all.
    pub allowed: Duration,
}

impl Deadline {
    /// A deadline so far from now.
    #[must_use]
    pub fn within(allowed: Duration) -> Self {
        Self { at: Instant::now() + allowed, allowed }
    }

    /// The time that is left.
    #[must_use]
    pub fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// The time that the request had in all.
    #[must_use]
    pub fn allowed(self) -> Duration {
        self.allowed
    }

    /// Waits for `work`, but not longer than this.
    ///
    /// # Errors
    ///
    /// If the deadline passed first; the work is dropped.
    pub async fn limit<T>(self, work: impl Future<Output = T>) -> Result<T, Passed> {
        timeout_at(self.at, work).await.map_err(|_| Passed { allowed: self.allowed })
    }
}
