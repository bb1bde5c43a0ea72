//! One request as operators see it: a span, its numbers, and the one line when it ends.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Instant;

use opentelemetry::trace::Status;
use tonic::Code;
use tonic::metadata::MetadataMap;
use tracing::field::Empty;
use tracing::{Span, error, error_span, info, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::applications::shortened;
use super::metrics::Metrics;
use super::{process, traces};
use crate::phases::Phases;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Render an application.
    GenerateManifest,
    /// Whether there are rules for discovery.
    CheckPluginConfiguration,
    /// Whether an application is one of ours.
    MatchRepository,
    /// What the UI may show of an application.
    GetParametersAnnouncement,
}

impl Method {
    /// Its name in the gRPC service, and as the label `method`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GenerateManifest => "GenerateManifest",
            Self::CheckPluginConfiguration => "CheckPluginConfiguration",
            Self::MatchRepository => "MatchRepository",
            Self::GetParametersAnnouncement => "GetParametersAnnouncement",
        }
    }
}

/// What has arrived with a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the compressed archive.
    pub bytes: u64,
    /// Messages that they arrived in.
    pub chunks: u64,
    /// Bytes below `.git`, where the archive was unpacked.
    pub git_bytes: u64,
}

/// A request from its first message to its answer. Dropped without an end, it has been cancelled by its client.
#[must_use = "a request that is dropped counts as cancelled"]
pub struct Request {
    metrics: Arc<Metrics>,
    method: Method,
    span: Span,
    phases: Phases,
    begin: Instant,
    application: Option<String>,
    received: Option<Received>,
    tree: Option<&'static str>,
    render: Option<&'static str>,
    over: bool,
}

impl Request {
    /// Begins a request; `headers` may hold the caller's trace.
    pub fn begin(metrics: &Arc<Metrics>, method: Method, headers: &MetadataMap) -> Self {
        metrics.began();
        // As important as an error, so that the lines of every level have its fields.
        let span = error_span!(parent: None, "request", operation = method.name(), application = Empty);
        traces::adopt(&span, headers);
        Self {
            metrics: Arc::clone(metrics),
            method,
            span,
            phases: Phases::default(),
            begin: Instant::now(),
            application: None,
            received: None,
            tree: None,
            render: None,
            over: false,
        }
    }

    /// Its span: work that is instrumented with it logs lines that name the application.
    #[must_use]
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// What it spends its time on.
    #[must_use]
    pub fn phases(&self) -> &Phases {
        &self.phases
    }

    /// Notes the Application's name (`ARGOCD_APP_NAME`), once it is known.
    pub fn is_for(&mut self, application: &str) {
        let name = shortened(application);
        self.span.record("application", name);
        self.application = Some(name.to_owned());
    }

    /// Notes what has arrived, at the end of the stream.
    pub fn received(&mut self, received: Received) {
        self.received = Some(received);
    }

    /// Notes how the tree came to be known: `checksum`, `commit`, `unpacked`.
    pub fn tree(&mut self, how: &'static str) {
        self.tree = Some(how);
    }

    /// Notes where the manifests came from: `cached`, `shared`, `helm`.
    pub fn render(&mut self, how: &'static str) {
        self.render = Some(how);
    }

    /// Ends it: numbers, and its one line. An error is logged here and nowhere else.
    pub fn end(mut self, code: Code, error: Option<&dyn Display>) {
        self.conclude(code, error);
    }

    fn conclude(&mut self, code: Code, error: Option<&dyn Display>) {
        self.over = true;
        let seconds = self.begin.elapsed().as_secs_f64();
        let spent = self.phases.spent();
        let name = code_name(code);
        self.metrics.ended(self.method, name, seconds, &spent);
        let new = self.received.is_some_and(|received| self.metrics.received(self.application.as_deref(), received));
        if code != Code::Ok {
            self.span.set_status(Status::error(name));
        }
        self.span.set_attribute("rpc.system", "grpc");
        self.span.set_attribute("rpc.grpc.status_code", i64::from(i32::from(code)));
        let (bytes, chunks) = self.received.map(|received| (received.bytes, received.chunks)).unzip();
        if let Some(bytes) = bytes.and_then(|bytes| i64::try_from(bytes).ok()) {
            self.span.set_attribute("archive.bytes", bytes);
        }
        for (key, word) in [("tree", self.tree), ("render", self.render)] {
            if let Some(word) = word {
                self.span.set_attribute(key, word);
            }
        }
        let (tree, render) = (self.tree, self.render);
        let phases = (!spent.is_empty()).then(|| self.phases.to_string());
        let error = error.map(ToString::to_string);
        let seconds = (seconds * 1e6).round() / 1e6;
        macro_rules! line {
            ($level:ident) => {
                $level!(code = name, seconds, phases, bytes, chunks, tree, render, error, "request ended")
            };
        }
        self.span.in_scope(|| {
            match code {
                Code::Ok | Code::Cancelled => line!(info),
                Code::Internal | Code::Unknown | Code::DataLoss => line!(error),
                _ => line!(warn),
            }
            if let Some(advice) = self.received.filter(|_| new).and_then(Advice::of) {
                info!("{advice}");
            }
        });
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.over {
            let code = if std::thread::panicking() { Code::Internal } else { Code::Cancelled };
            self.conclude(code, None);
        }
    }
}

/// The name of a gRPC code as grpc-go, and so every dashboard for Argo CD, writes it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// What settings of the repo-server would save, for an application that sends much.
struct Advice {
    received: Received,
    exclude: bool,
    larger_chunks: bool,
}

/// Archives below this cost nothing worth a word.
const MUCH: u64 = 1024 * 1024;

/// Chunks below this cost more than what they carry.
const SMALL_CHUNK: u64 = 64 * 1024;

/// What the advice proposes.
const GOOD_CHUNK: u64 = 1024 * 1024;

impl Advice {
    fn of(received: Received) -> Option<Self> {
        let Received { bytes, chunks, git_bytes } = received;
        let exclude = git_bytes > bytes / 10;
        let larger_chunks = bytes / chunks.max(1) < SMALL_CHUNK;
        (bytes >= MUCH && (exclude || larger_chunks)).then_some(Self { received, exclude, larger_chunks })
    }
}

impl Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Received { bytes, chunks, git_bytes } = self.received;
        let megabytes = |bytes: u64| process::number(bytes) / 1e6;
        write!(
            f,
            "the repo-server sends {:.1} MB in {chunks} messages for each request of this application",
            megabytes(bytes)
        )?;
        if self.exclude {
            let saved = megabytes(git_bytes.min(bytes));
            write!(f, "; `reposerver.plugin.tar.exclusions: .git` would save about {saved:.1} MB")?;
        }
        if self.larger_chunks {
            let left = bytes.div_ceil(GOOD_CHUNK);
            write!(f, "; `ARGOCD_CMP_CHUNK_SIZE={GOOD_CHUNK}` on the repo-server would make {left} messages of them")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::super::Options;
    use super::super::tests::written;
    use super::*;
    use crate::phases::Phase;

    const TEXT: Options = Options { level: Level::INFO, json: false, time: false };

    fn begin(metrics: &Arc<Metrics>) -> Request {
        let mut request = Request::begin(metrics, Method::GenerateManifest, &MetadataMap::new());
        request.is_for("web");
        request
    }

    #[test]
    fn a_request_is_one_line_with_its_outcome_and_what_it_took() {
        let metrics = Arc::new(Metrics::default());
        let lines = written(Options { json: true, ..TEXT }, || {
            let mut request = begin(&metrics);
            drop(request.phases().begin(Phase::Helm));
            request.received(Received { bytes: 2_000, chunks: 2, git_bytes: 0 });
            request.tree("commit");
            request.render("cached");
            request.end(Code::Ok, None);
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!((&line["code"], &line["bytes"], &line["chunks"]), (&"OK".into(), &2_000.into(), &2.into()));
        assert_eq!((&line["tree"], &line["render"]), (&"commit".into(), &"cached".into()));
        assert!(line["phases"].as_str().unwrap().starts_with("helm "), "{line}");
        assert_eq!(
            (&line["span"]["application"], &line["span"]["operation"]),
            (&"web".into(), &"GenerateManifest".into())
        );
        assert!(line["seconds"].is_f64(), "{line}");
        assert!(line.get("error").is_none());
    }

    #[test]
    fn an_error_is_in_the_line_of_its_request_and_a_bug_is_louder_than_a_wrong_application() {
        let metrics = Arc::new(Metrics::default());
        let lines = written(TEXT, || {
            begin(&metrics).end(Code::InvalidArgument, Some(&"no file `a.yaml`\n  hint: write it"));
            begin(&metrics).end(Code::Internal, Some(&"a bug"));
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with(" WARN ") && lines[0].contains(r#"error="no file `a.yaml`\n  hint: write it""#));
        assert!(lines[1].starts_with("ERROR ") && lines[1].contains("code=\"Internal\""), "{lines:?}");
    }

    #[test]
    fn a_client_that_goes_away_is_counted_and_nothing_stays_in_flight() {
        let metrics = Arc::new(Metrics::default());
        let lines = written(TEXT, || drop(begin(&metrics)));
        assert!(lines[0].contains("code=\"Canceled\""), "{lines:?}");
        let text = metrics.text(Vec::new()).unwrap();
        assert!(text.contains("argocd_sops_requests_total{code=\"Canceled\",method=\"GenerateManifest\"} 1"), "{text}");
        assert!(text.contains("argocd_sops_requests_in_flight 0"), "{text}");
    }

    #[test]
    fn an_application_that_sends_much_is_told_once_what_would_save() {
        let metrics = Arc::new(Metrics::default());
        let received = Received { bytes: 54_000_000, chunks: 52_735, git_bytes: 20_000_000 };
        let lines = written(TEXT, || {
            for _ in 0..2 {
                let mut request = begin(&metrics);
                request.received(received);
                request.end(Code::Ok, None);
            }
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        let advice = "the repo-server sends 54.0 MB in 52735 messages for each request of this application; \
            `reposerver.plugin.tar.exclusions: .git` would save about 20.0 MB; \
            `ARGOCD_CMP_CHUNK_SIZE=1048576` on the repo-server would make 52 messages of them";
        assert!(lines[1].ends_with(advice), "{lines:?}");
    }

    #[test]
    fn nobody_is_advised_who_sends_little_or_well() {
        assert!(Advice::of(Received { bytes: 100_000, chunks: 100, git_bytes: 90_000 }).is_none());
        assert!(Advice::of(Received { bytes: 50_000_000, chunks: 48, git_bytes: 0 }).is_none());
    }
}
