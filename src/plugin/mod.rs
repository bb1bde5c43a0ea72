//! The spine: one [`Request`] in, one [`Manifests`] out.

mod error;

use std::sync::Arc;
use std::time::Instant;

use tracing::debug;

pub use error::{Error, Fault};

use crate::app;
use crate::deadline::Deadline;
use crate::helm::{self, Chart, Helm};
use crate::manifests::{self, Manifests};
use crate::phases::{Phase, Phases};
use crate::values::{self, Loader, Sources};

/// Renders Applications; made once, shared by all requests.
pub struct Plugin {
    helm: helm::Options,
    values: Arc<Loader>,
    manifests: manifests::Options,
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
}

impl Plugin {
    /// A plugin that has done nothing yet: helm is looked up and keys are read when a request needs them.
    #[must_use]
    pub fn new(helm: helm::Options, values: Loader, manifests: manifests::Options) -> Self {
        Self { helm, values: Arc::new(values), manifests }
    }

    /// Renders one Application. Both doors end here.
    ///
    /// # Errors
    ///
    /// [`Error`] says which station failed, and for whom.
    pub async fn generate(&self, request: Request) -> Result<Arc<Manifests>, Error> {
        let Request { app, sources, deadline, phases } = request;
        let begin = Instant::now();
        let plan = app::plan(&app)?;
        let helm = Helm::find(self.helm.clone())?;
        let (values, files) = values::find(&plan, &sources)?;
        sources.own.check_links().map_err(values::Error::from)?;
        let values_files = values.len() + usize::from(plan.inline_values.is_some());
        let paths = values.iter().chain(&files).map(|found| found.file.path().to_string());
        debug!(application = plan.application, helm = helm.program(), values = ?paths.collect::<Vec<_>>(), "rendering");
        // Starting takes helm longest: it waits for its values.
        let running = phases.begin(Phase::Helm);
        let (folder, name) = (sources.own.app_folder(), sources.own.app());
        let run = helm.start(
            Chart { folder: &folder, tree: sources.own.root_folder(), name },
            &plan,
            values_files,
            deadline,
        )?;
        let decrypting = phases.begin(Phase::Decrypt);
        let values = self.values.load(&plan, values, files, self.values.powers(&plan), deadline).await?;
        drop(decrypting);
        let rendered = match run.feed(&values).await {
            Err(helm::Error::MissingDependencies { .. }) => {
                let building = phases.begin(Phase::Dependencies);
                let built = helm.build_dependencies(&sources.own, &plan, deadline).await?;
                drop(building);
                let chart = Chart { folder: built.folder(), tree: built.tree(), name };
                helm.start(chart, &plan, values_files, deadline)?.feed(&values).await?
            }
            rendered => rendered?,
        };
        drop(running);
        let _checking = phases.begin(Phase::Check);
        let manifests = manifests::check(rendered, plan.allow_empty, &self.manifests)?;
        debug!(
            application = plan.application,
            objects = manifests.count(),
            seconds = begin.elapsed().as_secs_f32(),
            "rendered"
        );
        Ok(Arc::new(manifests))
    }
}
