//! The four calls of a config management plugin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;

use super::announcement::{Announcement, announce};
use super::call::Call;
use super::error::Error;
use super::reply::Reply;
use super::upload::{Metadata, Upload};
use super::wire::config_management_plugin_service_server::ConfigManagementPluginService;
use super::wire::{
    AppStreamRequest, CheckPluginConfigurationResponse, Nothing, ParameterAnnouncement, ParametersAnnouncementResponse,
    RepositoryResponse,
};
use crate::app::{self, Environment};
use crate::phases::{Phase, Running};
use crate::plugin::{self, Plugin};
use crate::repo::{Receiving, Source, Tree, Trees};
use crate::telemetry::{Method, Metrics};
use crate::values::Sources;

/// What all calls share.
pub(super) struct Service {
    pub(super) plugin: Arc<Plugin>,
    pub(super) trees: Arc<Trees>,
    pub(super) metrics: Arc<Metrics>,
    /// The places for calls.
    pub(super) calls: Arc<Semaphore>,
    /// How long a call may take at most.
    pub(super) timeout: Duration,
    /// The largest reply in bytes.
    pub(super) max_reply: usize,
}

#[tonic::async_trait]
impl ConfigManagementPluginService for Service {
    async fn generate_manifest(
        &self,
        request: Request<Streaming<AppStreamRequest>>,
    ) -> Result<Response<Reply>, Status> {
        let mut call = self.begin(Method::GenerateManifest, request).await;
        let outcome = call.bounds().hold(self.generate(&mut call)).await;
        call.answer(outcome).await
    }

    /// No discovery: the plugin is used where an Application names it. Argo CD then sends each archive once less.
    async fn check_plugin_configuration(
        &self,
        _request: Request<Nothing>,
    ) -> Result<Response<CheckPluginConfigurationResponse>, Status> {
        Ok(Response::new(CheckPluginConfigurationResponse::default()))
    }

    async fn match_repository(
        &self,
        request: Request<Streaming<AppStreamRequest>>,
    ) -> Result<Response<RepositoryResponse>, Status> {
        let mut call = self.begin(Method::MatchRepository, request).await;
        let outcome = call.bounds().hold(not_asked(&mut call.upload)).await;
        call.answer(outcome).await
    }

    async fn get_parameters_announcement(
        &self,
        request: Request<Streaming<AppStreamRequest>>,
    ) -> Result<Response<ParametersAnnouncementResponse>, Status> {
        let mut call = self.begin(Method::GetParametersAnnouncement, request).await;
        let outcome = call.bounds().hold(self.announce(&mut call)).await;
        // The tab must show what can be set, whatever is wrong with the files.
        let outcome = outcome.or_else(|error| {
            warn!(parent: call.request.span(), %error, "the chart's values files cannot be announced");
            Ok(announcements(announce(None, &Environment::default())))
        });
        call.answer(outcome).await
    }
}

impl Service {
    async fn begin(&self, method: Method, request: Request<Streaming<AppStreamRequest>>) -> Call {
        // Nobody closes it.
        let place = Arc::clone(&self.calls).acquire_owned().await.ok();
        Call::begin(method, &self.metrics, self.timeout, place, request)
    }

    /// Renders the application of an archive. Where its tree is known already, that happens while the archive arrives.
    async fn generate(&self, call: &mut Call) -> Result<Reply, Error> {
        let receiving = call.request.phases().begin(Phase::Receive);
        let metadata = Metadata::read(call.upload.metadata().await?)?;
        // Before anything can be wrong with its parameters: the line of an error names it, too.
        call.is_for(&metadata.environment);
        let app = app::Request::from_plugin(metadata.variables).map_err(plugin::Error::App)?;
        let archive = self.trees.receive(metadata.announced);
        let request = |app, tree, call: &Call, ahead| {
            let own = Source::of_tree(tree, &metadata.app, &metadata.above)?;
            let sources = Sources { own, refs: BTreeMap::new() };
            let phases = call.request.phases().clone();
            Ok::<_, Error>(plugin::Request { app, sources, deadline: call.deadline, phases, ahead })
        };
        let rendered = if let Some(tree) = archive.known() {
            let request = request(app, tree, call, None)?;
            let (rendered, received) = tokio::join!(self.plugin.generate(request), receive(archive, call, receiving));
            received?;
            rendered
        } else {
            let ahead = self.plugin.ahead(&app, call.deadline);
            let (ahead, received) = tokio::join!(ahead, receive(archive, call, receiving));
            self.plugin.generate(request(app, received?, call, ahead)?).await
        };
        let reply = Reply::from(rendered?);
        call.rendered();
        let bytes = prost::Message::encoded_len(&reply);
        if bytes > self.max_reply {
            return Err(Error::ReplyTooLarge { bytes, limit: self.max_reply });
        }
        Ok(reply)
    }

    /// Lists the parameters, with what the chart has as values. Nothing is decrypted.
    async fn announce(&self, call: &mut Call) -> Result<ParametersAnnouncementResponse, Error> {
        let receiving = call.request.phases().begin(Phase::Receive);
        let metadata = Metadata::read(call.upload.metadata().await?)?;
        call.is_for(&metadata.environment);
        let tree = receive(self.trees.receive(metadata.announced), call, receiving).await?;
        let source = Source::of_tree(tree, &metadata.app, &metadata.above)?;
        let announced = spawn_blocking(move || announce(Some(&source), &metadata.environment)).await;
        Ok(announcements(announced.map_err(|_| Error::Bug)?))
    }
}

/// Takes the archive in, to its end.
async fn receive(mut archive: Receiving, call: &mut Call, receiving: Running) -> Result<Arc<Tree>, Error> {
    let had = archive.had();
    while let Some(chunk) = call.upload.chunk().await? {
        archive.push(chunk).await;
    }
    drop(receiving);
    let unpacking = call.request.phases().begin(Phase::Unpack);
    let tree = archive.finish().await?;
    drop(unpacking);
    call.received(had, tree.git_bytes());
    Ok(tree)
}

/// Nobody is asked about repositories; the archive is read and forgotten.
async fn not_asked(upload: &mut Upload) -> Result<RepositoryResponse, Error> {
    upload.metadata().await?;
    Ok(RepositoryResponse::default())
}

fn announcements(announced: Vec<Announcement>) -> ParametersAnnouncementResponse {
    ParametersAnnouncementResponse { parameter_announcements: announced.into_iter().map(Into::into).collect() }
}

impl From<Announcement> for ParameterAnnouncement {
    fn from(announcement: Announcement) -> Self {
        let Announcement { name, title, tooltip, item_type, collection_type, string, array } = announcement;
        Self {
            name: name.to_owned(),
            title,
            tooltip: tooltip.to_owned(),
            item_type: item_type.to_owned(),
            collection_type: collection_type.to_owned(),
            string,
            array,
            ..Self::default()
        }
    }
}
