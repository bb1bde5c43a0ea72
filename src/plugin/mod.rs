//! The spine: one [`Request`] in, one [`Manifests`] out.

mod ahead;
mod error;
mod key;
mod render;
mod renders;
mod stats;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use tokio::task::spawn_blocking;
use tracing::{Span, debug};

pub use ahead::Ahead;
pub use error::{Error, Fault};
pub use renders::{Options, RenderStats};
pub use stats::{HelmStats, Stats};

use crate::app::{self, Plan};
use crate::deadline::Deadline;
use crate::flight::Joined;
use crate::helm::{self, Helm, Slots};
use crate::manifests::{self, Manifests};
use crate::phases::{Phase, Phases};
use crate::values::{self, Found, Loader, Powers, Sources};
use key::{About, Key};
use render::Rendered;
use renders::{Known, Landed, Renders};
use stats::Counters;

/// Renders Applications; made once, shared by all requests.
pub struct Plugin {
    helm: helm::Options,
    slots: Slots,
    values: Arc<Loader>,
    manifests: manifests::Options,
    renders: Arc<Renders>,
    counters: Counters,
}

/// One source of an Application, to be rendered.
pub struct Request {
    /// What was asked for.
    pub app: app::Request,
    /// The files.
    pub sources: Sources,
    /// When the answer must be there.
    pub deadline: Deadline,
    /// What the time goes to.
    pub phases: Phases,
    /// A helm that was started before the files were there.
    pub ahead: Option<Ahead>,
}

/// A request that is understood, and whose files are found.
struct Work {
    asked: Arc<Asked>,
    values: Vec<Found>,
    files: Vec<Found>,
    deadline: Deadline,
    phases: Phases,
    ahead: Option<Ahead>,
}

/// What does not change while a request is worked on.
struct Asked {
    plan: Plan,
    sources: Arc<Sources>,
    helm: Helm,
    powers: Powers,
}

impl Plugin {
    /// A plugin that has done nothing yet: helm is looked up and keys are read when a request needs them.
    #[must_use]
    pub fn new(
        helm: helm::Options,
        slots: Slots,
        values: Loader,
        manifests: manifests::Options,
        renders: Options,
    ) -> Self {
        let (values, renders) = (Arc::new(values), Arc::new(Renders::new(renders)));
        Self { helm, slots, values, manifests, renders, counters: Counters::default() }
    }

    /// Renders one Application. Both doors end here.
    ///
    /// # Errors
    ///
    /// [`Error`] says which station failed, and for whom.
    pub async fn generate(&self, request: Request) -> Result<Arc<Manifests>, Error> {
        let (phases, deadline) = (request.phases.clone(), request.deadline);
        self.answer(request).await.map_err(|error| error.with_phases(deadline, &phases))
    }

    /// Forgets what is too old. What is forgotten by a request is zeroed then; this is for the time without requests.
    pub fn sweep(&self) {
        self.renders.sweep(self.values.keys_generation(), Instant::now());
        self.values.sweep();
    }

    /// What it has done so far, in numbers.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            renders: self.renders.stats(),
            data_keys: self.values.stats(),
            helm: self.counters.stats(&self.slots),
            keys_generation: self.values.keys_generation(),
        }
    }

    /// By what is known, by what somebody else is rendering, or by a render.
    async fn answer(&self, request: Request) -> Result<Arc<Manifests>, Error> {
        let (work, key) = self.find(request).await?;
        let plan = &work.asked.plan;
        let about = About::new(plan);
        let Some(key) = key else {
            self.renders.count_not_kept();
            return Ok(self.render(work).await?.manifests);
        };
        loop {
            match self.renders.find(&key) {
                Some(Known::Objects(manifests)) => {
                    debug!(application = plan.application, objects = manifests.count(), "known from an earlier render");
                    return Ok(manifests);
                }
                Some(Known::Volatile) => {
                    self.renders.count_not_kept();
                    return Ok(self.render(work).await?.manifests);
                }
                None => {}
            }
            let flight = match self.renders.join(&key) {
                Joined::Mine(flight) => flight,
                Joined::Others(waiting) => {
                    let sharing = work.phases.begin(Phase::Share);
                    let landed = work.deadline.limit(waiting.landed()).await;
                    drop(sharing);
                    match landed.map_err(|_| Error::too_late("another request for the same did not finish"))? {
                        Some(Landed::Known(Known::Objects(manifests))) => {
                            self.renders.count_shared();
                            debug!(application = plan.application, objects = manifests.count(), "shared");
                            return Ok(manifests);
                        }
                        Some(Landed::Known(Known::Volatile) | Landed::Failed) => {
                            self.renders.count_not_kept();
                            return Ok(self.render(work).await?.manifests);
                        }
                        // Whoever was at it has gone: someone else's turn.
                        None => continue,
                    }
                }
            };
            // It may have landed between the two questions.
            if self.renders.peek(&key) {
                continue;
            }
            self.renders.count_miss();
            let asked = Arc::clone(&work.asked);
            return match self.render(work).await {
                Ok(rendered) => {
                    let manifests = Arc::clone(&rendered.manifests);
                    let renders = Arc::clone(&self.renders);
                    // Nobody waits for this but those who asked for the same.
                    drop(spawn_blocking(move || {
                        let known = judge(&asked, rendered);
                        renders.keep(key, about, asked.powers.keys.number, known.clone());
                        flight.land(Landed::Known(known));
                    }));
                    Ok(manifests)
                }
                Err(error) => {
                    flight.land(Landed::Failed);
                    Err(error)
                }
            };
        }
    }

    /// Understands a request and finds its files; the key of its render, if that may be kept.
    async fn find(&self, request: Request) -> Result<(Work, Option<Key>), Error> {
        let Request { app, sources, deadline, phases, ahead } = request;
        let plan = app::plan(&app)?;
        let (options, loader, is_on) = (self.helm.clone(), Arc::clone(&self.values), self.renders.is_on());
        let manifests = self.manifests.clone();
        blocking(move || {
            let helm = Helm::find(options)?;
            let (values, files) = values::find(&plan, &sources)?;
            let powers = loader.powers(&plan);
            let fingerprint = || {
                let paths: Vec<_> = values.iter().chain(&files).map(|found| found.file.path()).collect();
                // Of other sources nothing is known but their files.
                let is_alone = is_on && sources.refs.is_empty();
                is_alone.then(|| sources.own.fingerprint(&paths)).flatten().zip(helm.identity())
            };
            let key = fingerprint().map(|(fingerprint, helm)| {
                Key::new((&plan, sources.own.app()), (&values, &files), fingerprint, helm, &manifests, &powers)
            });
            let asked = Arc::new(Asked { plan, sources: Arc::new(sources), helm, powers });
            Ok((Work { asked, values, files, deadline, phases, ahead }, key))
        })
        .await
    }
}

/// Whether what was rendered will be the same next time.
fn judge(asked: &Asked, rendered: Rendered) -> Known {
    let Rendered { manifests, values, built } = rendered;
    // What a dependency build fetches may be another thing next time.
    let volatile = built || helm::is_volatile(&asked.sources.own.app_folder(), &values, &asked.plan);
    if volatile { Known::Volatile } else { Known::Objects(manifests) }
}

/// Work that waits for files or computes for long, on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let span = Span::current();
    let work = spawn_blocking(move || span.in_scope(work));
    // Nobody aborts such a thread, so a failed one has panicked.
    work.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
}
