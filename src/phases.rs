//! What a request spends its time on: for its log line, its metrics, and the error of one that was too late.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Span, trace_span};

/// A part of a request's work. Phases may overlap: helm starts while files are decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The archive arrives.
    Receive,
    /// The tree is made of the archive, by this request or by another one.
    Unpack,
    /// Another request is rendering the same.
    Share,
    /// All helm processes that may run are running.
    Queue,
    /// Values files are read and decrypted.
    Decrypt,
    /// The chart's dependencies are built.
    Dependencies,
    /// helm runs.
    Helm,
    /// helm's output is looked at.
    Check,
}

impl Phase {
    /// All phases, in the order of a request.
    pub const ALL: [Self; 8] = [
        Self::Receive,
        Self::Unpack,
        Self::Share,
        Self::Queue,
        Self::Decrypt,
        Self::Dependencies,
        Self::Helm,
        Self::Check,
    ];

    /// Its name in logs, metrics and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Unpack => "unpack",
            Self::Share => "share",
            Self::Queue => "queue",
            Self::Decrypt => "decrypt",
            Self::Dependencies => "dependencies",
            Self::Helm => "helm",
            Self::Check => "check",
        }
    }
}

/// The phases of one request; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Phases(Arc<Mutex<Spent>>);

#[derive(Debug, Default)]
struct Spent {
    over: Vec<(Phase, Duration)>,
    running: Vec<(Phase, Instant)>,
}

/// A phase that runs until this is dropped.
#[derive(Debug)]
#[must_use = "the phase ends when this is dropped"]
pub struct Running {
    phases: Phases,
    phase: Phase,
    begin: Instant,
    /// Where requests are traced.
    _span: Span,
}

impl Phases {
    /// Begins a phase.
    pub fn begin(&self, phase: Phase) -> Running {
        let begin = Instant::now();
        self.lock().running.push((phase, begin));
        // Below the request's span; work that belongs to none would begin a trace of its own.
        let none = Span::current().is_none();
        let span = if none { Span::none() } else { trace_span!("phase", otel.name = phase.name()) };
        Running { phases: self.clone(), phase, begin, _span: span }
    }

    /// How long each phase took until now, in the order of a request; a phase that ran twice counts once, in sum.
    #[must_use]
    pub fn spent(&self) -> Vec<(Phase, Duration)> {
        let spent = self.lock();
        let running = spent.running.iter().map(|(phase, begin)| (*phase, begin.elapsed()));
        let all: Vec<_> = spent.over.iter().copied().chain(running).collect();
        let of = |wanted: Phase| all.iter().filter(move |(phase, _)| *phase == wanted).map(|(_, time)| *time);
        Phase::ALL
            .into_iter()
            .filter(|phase| of(*phase).next().is_some())
            .map(|phase| (phase, of(phase).sum()))
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut spent = self.phases.lock();
        let mine = (self.phase, self.begin);
        if let Some(place) = spent.running.iter().position(|running| *running == mine) {
            spent.running.swap_remove(place);
        }
        spent.over.push((self.phase, self.begin.elapsed()));
    }
}

/// `receive 0.812 s, helm 3.104 s`: for people.
impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (phase, time)) in self.spent().into_iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{} {:.3} s", phase.name(), time.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_summed_and_those_that_run_count() {
        let phases = Phases::default();
        drop(phases.begin(Phase::Helm));
        drop(phases.begin(Phase::Helm));
        let running = phases.begin(Phase::Receive);
        let names: Vec<_> = phases.spent().into_iter().map(|(phase, _)| phase.name()).collect();
        assert_eq!(names, ["receive", "helm"]);
        drop(running);
        assert_eq!(phases.spent().len(), 2);
        assert!(phases.to_string().starts_with("receive "), "{phases}");
    }
}
