//! One render: helm is started, fed with values, and its output looked at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::ahead::Started;
use super::{Asked, Error, Plugin, Work, blocking};
use crate::deadline::Deadline;
use crate::helm::{self, Chart, Dependencies, Run, Slot};
use crate::manifests::{self, Manifests};
use crate::phases::{Phase, Phases};
use crate::values::{self, Values};

/// How long to wait before something is tried again that may have been bad luck.
const BACK_OFF: Duration = Duration::from_millis(250);

/// What is tried again only if so much time is left.
const SECOND_TRY: Duration = Duration::from_secs(2);

/// A render, and what it was made of.
pub(super) struct Rendered {
    pub(super) manifests: Arc<Manifests>,
    pub(super) values: Values,
    /// Whether the chart's dependencies had to be built.
    pub(super) built: bool,
}

impl Plugin {
    /// Renders. Starting takes helm longest: it is started first, and waits for its values.
    pub(super) async fn render(&self, work: Work) -> Result<Rendered, Error> {
        let Work { asked, values, files, deadline, phases, ahead } = work;
        let plan = &asked.plan;
        let begin = Instant::now();
        let inputs = values.len() + usize::from(plan.inline_values.is_some());
        let paths = values.iter().chain(&files).map(|found| found.file.path().to_string());
        debug!(application = plan.application, helm = asked.helm.program(), values = ?paths.collect::<Vec<_>>(), "rendering");
        let taken_over = self.taken_over(ahead, &asked, inputs).await;
        let (slot, run, folder, running) = if let Some(Started { slot, run, folder, .. }) = taken_over {
            (slot, run, Some(folder), phases.begin(Phase::Helm))
        } else {
            let slot = Arc::new(self.slot(deadline, &phases).await?);
            let running = phases.begin(Phase::Helm);
            let run = self.start(&asked, None, inputs, &slot, deadline).await?;
            (slot, run, None, running)
        };
        let decrypting = phases.begin(Phase::Decrypt);
        let powers = asked.powers.clone();
        let values = self.values.load(plan, values, files, powers, deadline).await?;
        drop(decrypting);
        let mut built = None;
        let rendered = match self.feed(run, &asked, None, &values, (inputs, &slot), deadline).await {
            Err(Error::Helm(helm::Error::MissingDependencies { .. })) => {
                let dependencies = Arc::new(self.build(&asked, deadline, &phases).await?);
                let run = self.start(&asked, Some(&dependencies), inputs, &slot, deadline).await?;
                let rendered = self.feed(run, &asked, Some(&dependencies), &values, (inputs, &slot), deadline).await?;
                built = Some(dependencies);
                rendered
            }
            rendered => rendered?,
        };
        drop((running, slot));
        let checking = phases.begin(Phase::Check);
        let (allow_empty, options) = (plan.allow_empty, self.manifests.clone());
        let was_built = built.is_some();
        let manifests = blocking(move || {
            // A copy of a chart may be large.
            drop((folder, built));
            manifests::check(rendered, allow_empty, &options)
        });
        let manifests = manifests.await?;
        drop(checking);
        debug!(
            application = plan.application,
            objects = manifests.count(),
            seconds = begin.elapsed().as_secs_f32(),
            "rendered"
        );
        Ok(Rendered { manifests: Arc::new(manifests), values, built: was_built })
    }

    /// The right to run helm; where all slots are taken, in the queue.
    async fn slot(&self, deadline: Deadline, phases: &Phases) -> Result<Slot, Error> {
        if let Some(slot) = self.slots.free() {
            return Ok(slot);
        }
        let _queued = phases.begin(Phase::Queue);
        Ok(self.slots.wait(deadline).await?)
    }

    /// Starts helm in the source's own chart, after a look at its links, or in a copy with its dependencies.
    async fn start(
        &self,
        asked: &Arc<Asked>,
        built: Option<&Arc<Dependencies>>,
        inputs: usize,
        slot: &Arc<Slot>,
        deadline: Deadline,
    ) -> Result<Run, Error> {
        let mut tried = 0;
        loop {
            let (asked, built, slot) = (Arc::clone(asked), built.cloned(), Arc::clone(slot));
            self.counters.run();
            let started = blocking(move || {
                // Held until there is a run, which ends where nobody waits for it any more.
                let _slot = slot;
                let own = &asked.sources.own;
                let folder = own.app_folder();
                let chart = if let Some(built) = &built {
                    Chart { folder: built.folder(), tree: built.tree(), name: own.app() }
                } else {
                    own.check_links().map_err(values::Error::from)?;
                    Chart { folder: &folder, tree: own.root_folder(), name: own.app() }
                };
                Ok(asked.helm.start(chart, &asked.plan, inputs, deadline)?)
            });
            match started.await {
                Err(Error::Helm(error)) if self.tries_again(&error, tried, deadline).await => tried += 1,
                started => return started,
            }
        }
    }

    /// Feeds a helm with values. One that the kernel has killed, for want of memory, is run once more.
    async fn feed(
        &self,
        run: Run,
        asked: &Arc<Asked>,
        built: Option<&Arc<Dependencies>>,
        values: &Values,
        (inputs, slot): (usize, &Arc<Slot>),
        deadline: Deadline,
    ) -> Result<helm::Rendered, Error> {
        let outcome = match run.feed(values).await {
            Err(error) if self.tries_again(&error, 0, deadline).await => {
                self.start(asked, built, inputs, slot, deadline).await?.feed(values).await
            }
            outcome => outcome,
        };
        if outcome.is_err() {
            self.counters.failure();
        }
        Ok(outcome?)
    }

    /// Builds the chart's dependencies; once more where the network has failed.
    async fn build(&self, asked: &Asked, deadline: Deadline, phases: &Phases) -> Result<Dependencies, Error> {
        let _building = phases.begin(Phase::Dependencies);
        let mut tried = 0;
        loop {
            match asked.helm.build_dependencies(&asked.sources, &asked.plan, deadline).await {
                Err(error) if self.tries_again(&error, tried, deadline).await => tried += 1,
                built => return Ok(built?),
            }
        }
    }

    /// Whether something is worth a second try, which is waited for here. There is no third one.
    async fn tries_again(&self, error: &helm::Error, tried: usize, deadline: Deadline) -> bool {
        if tried > 0 || !error.is_transient() || deadline.left() < SECOND_TRY {
            return false;
        }
        warn!(%error, "trying once more");
        self.counters.retry();
        tokio::time::sleep(BACK_OFF).await;
        true
    }
}
