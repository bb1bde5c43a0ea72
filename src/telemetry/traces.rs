//! Traces as the stock server sends them: OTLP over gRPC, one span per request, below the caller's.
//!
//! Spans hold names and numbers; events, and with them the texts of errors, stay in the logs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{ExporterBuildError, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tracing::{Metadata, Span, Subscriber, info, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// How long the end of the process waits for what has not been sent yet.
const FLUSH: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 2 });

/// How often a collector that does not answer is worth a line.
const COMPLAINT: Duration = Duration::from_mins(10);

/// Where traces go, and which.
#[derive(Debug, Clone)]
pub struct Options {
    /// Host and port of the collector.
    pub address: String,
    /// Plain HTTP/2 instead of TLS with the system's roots.
    pub insecure: bool,
    /// Sent with every export; may hold a token, which its `Debug` does not show.
    pub headers: Headers,
    /// Attributes of the resource; `service.name` replaces ours.
    pub attributes: Vec<(String, String)>,
    /// Which part of the traces is sent that begin here; a caller's decision comes first.
    pub sample_ratio: f64,
}

/// Headers for the collector.
#[derive(Debug, Clone, Default)]
pub struct Headers(MetadataMap);

impl Headers {
    /// Reads `k=v,k=v`; `None` if that is not what it is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut headers = MetadataMap::new();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (name, value) = pair.split_once('=')?;
            let name = AsciiMetadataKey::from_bytes(name.trim().to_ascii_lowercase().as_bytes()).ok()?;
            let mut value = AsciiMetadataValue::try_from(value).ok()?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Some(Self(headers))
    }
}

/// The traces of this process; none where no collector was given.
#[derive(Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Begins to send traces; a thread of its own does so. Nothing connects before there is something to send.
    pub(super) fn begin(options: &Options) -> Result<Self, ExporterBuildError> {
        let attributes = options.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(options.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Watched { exporter: exporter(options)?, complaint: Mutex::default() })
            .with_sampler(sampler)
            .with_resource(
                Resource::builder_empty()
                    // Not the stock server's name: both may run beside one repo-server, and a trace should say who it was.
                    .with_service_name(env!("CARGO_PKG_NAME"))
                    .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                    .with_attributes(attributes)
                    .build(),
            );
        Ok(Self(Some(provider.build())))
    }

    /// What turns our spans into traces.
    pub(super) fn layer<S>(&self) -> Option<Box<dyn Layer<S> + Send + Sync>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let tracer = self.0.as_ref()?.tracer(env!("CARGO_PKG_NAME"));
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        let ours = |data: &Metadata<'_>| data.is_span() && data.target().starts_with(env!("CARGO_CRATE_NAME"));
        Some(layer.with_filter(FilterFn::new(ours)).boxed())
    }

    /// Sends what has not been sent yet, but does not wait long.
    pub async fn end(self) {
        if let Some(provider) = self.0 {
            // It blocks while the runtime sends.
            let _ = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        }
    }
}

fn exporter(options: &Options) -> Result<opentelemetry_otlp::SpanExporter, ExporterBuildError> {
    let scheme = if options.insecure { "http" } else { "https" };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(format!("{scheme}://{}", options.address))
        .with_metadata(options.headers.0.clone());
    if options.insecure {
        return exporter.build();
    }
    // tonic takes ring, the one provider that is linked.
    exporter.with_tls_config(ClientTlsConfig::new().with_native_roots()).build()
}

/// Makes a span a part of its caller's trace, if there is one. Baggage is not read: nobody here would use it.
pub(super) fn adopt(span: &Span, headers: &MetadataMap) {
    if headers.contains_key("traceparent") && !span.is_disabled() {
        let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &Caller(headers));
        if caller.span().span_context().is_valid() {
            // Refused only where nobody traces.
            let _ = span.set_parent(caller);
        }
    }
}

struct Caller<'a>(&'a MetadataMap);

impl Extractor for Caller<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// An exporter that says when the collector does not answer: once, then rarely.
#[derive(Debug)]
struct Watched {
    exporter: opentelemetry_otlp::SpanExporter,
    /// When it last said so; none while all is well.
    complaint: Mutex<Option<Instant>>,
}

impl SpanExporter for Watched {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        for span in batch.iter_mut().filter(|span| span.name == "request") {
            as_served(span);
        }
        let sent = self.exporter.export(batch).await;
        let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        match &sent {
            Ok(()) if complaint.take().is_some() => info!("traces reach the collector again"),
            Ok(()) => {}
            Err(_) if complaint.is_some_and(|at| at.elapsed() < COMPLAINT) => {}
            Err(error) => {
                *complaint = Some(Instant::now());
                warn!(%error, spans, "traces do not reach the collector and are lost");
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Names the span of a request as gRPC's own instrumentation does, which the stock server uses.
fn as_served(span: &mut SpanData) {
    span.span_kind = SpanKind::Server;
    if let Some(operation) = span.attributes.iter().find(|attribute| attribute.key.as_str() == "operation") {
        span.name = format!("plugin.ConfigManagementPluginService/{}", operation.value).into();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::trace::v1::Span as Sent;
    use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
    use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Code, Response, Status};

    use super::super::tests::{TEXT, written_with};
    use super::super::{Method, Metrics, Received, Request};
    use super::*;
    use crate::phases::Phase;

    /// What a collector was sent, with the header `token`.
    type Exports = Arc<Mutex<Vec<(String, ExportTraceServiceRequest)>>>;

    struct Collector(Exports);

    #[tonic::async_trait]
    impl TraceService for Collector {
        async fn export(
            &self,
            request: tonic::Request<ExportTraceServiceRequest>,
        ) -> Result<Response<ExportTraceServiceResponse>, Status> {
            let token = request.metadata().get("token").and_then(|token| token.to_str().ok()).unwrap_or_default();
            self.0.lock().unwrap().push((token.to_owned(), request.into_inner()));
            Ok(Response::new(ExportTraceServiceResponse::default()))
        }
    }

    async fn collector() -> (String, Exports) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let exports = Exports::default();
        let service = TraceServiceServer::new(Collector(Arc::clone(&exports)));
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        (address, exports)
    }

    fn options(address: &str) -> Options {
        Options {
            address: address.to_owned(),
            insecure: true,
            headers: Headers::parse("token=canary").unwrap(),
            attributes: vec![("cluster".to_owned(), "prod".to_owned())],
            sample_ratio: 1.0,
        }
    }

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    /// Renders nothing for a caller whose trace is sampled or not; the lines that are logged meanwhile.
    fn request(traces: &Traces, traceparent: Option<&str>, code: Code) -> Vec<String> {
        let mut headers = MetadataMap::new();
        if let Some(parent) = traceparent {
            headers.insert("traceparent", parent.parse().unwrap());
            headers.insert("baggage", "user=canary".parse().unwrap());
        }
        written_with(TEXT, traces, || {
            let mut request = Request::begin(&Arc::new(Metrics::default()), Method::GenerateManifest, &headers);
            request.is_for("web");
            request.received(Received { bytes: 2_000, chunks: 2, git_bytes: 0 });
            request.span().clone().in_scope(|| {
                drop(request.phases().begin(Phase::Helm));
                warn!(detail = "event", "an event is for the log");
            });
            request.end(code, Some(&"text of an error"));
        })
    }

    fn spans(exports: &Exports) -> Vec<Sent> {
        let exports = exports.lock().unwrap();
        let resources = exports.iter().flat_map(|(_, export)| export.resource_spans.clone());
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
        match attributes.iter().find(|pair| pair.key == key)?.value.clone()? {
            AnyValue { value: Some(Value::StringValue(text)) } => Some(text),
            other => Some(format!("{other:?}")),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }

    #[tokio::test]
    async fn a_request_is_a_span_of_its_callers_trace_and_its_phases_are_spans_below_it() {
        let (address, exports) = collector().await;
        let traces = Traces::begin(&options(&address)).unwrap();
        let lines = request(&traces, Some(&format!("00-{TRACE}-00f067aa0ba902b7-01")), Code::InvalidArgument);
        assert!(lines[0].contains("application=\"web\"}: an event is for the log"), "{lines:?}");
        traces.end().await;

        let spans = spans(&exports);
        let [helm, served] = spans.as_slice() else { panic!("two spans: {spans:?}") };
        assert_eq!(
            (served.name.as_str(), helm.name.as_str()),
            ("plugin.ConfigManagementPluginService/GenerateManifest", "helm")
        );
        assert_eq!((hex(&served.trace_id), hex(&served.parent_span_id)), (TRACE.into(), "00f067aa0ba902b7".into()));
        assert_eq!((hex(&helm.trace_id), &helm.parent_span_id), (TRACE.into(), &served.span_id));
        assert_eq!(served.kind(), SpanKind::Server);
        assert_eq!(served.status.as_ref().unwrap().code(), StatusCode::Error);
        assert_eq!(text(&served.attributes, "application").unwrap(), "web");
        assert!(text(&served.attributes, "rpc.grpc.status_code").unwrap().contains("IntValue(3)"));

        let exports = exports.lock().unwrap();
        let (token, export) = &exports[0];
        assert_eq!(token, "canary", "the collector gets its headers");
        let resource = &export.resource_spans[0].resource.as_ref().unwrap().attributes;
        assert_eq!(text(resource, "service.name").unwrap(), "argocd-sops");
        assert_eq!(text(resource, "cluster").unwrap(), "prod");
        let all = format!("{export:?}");
        assert!(!all.contains("canary") && !all.contains("event is for the log") && !all.contains("text of an error"));
    }

    #[tokio::test]
    async fn a_caller_that_does_not_trace_is_not_traced() {
        let (address, exports) = collector().await;
        let traces = Traces::begin(&options(&address)).unwrap();
        request(&traces, Some(&format!("00-{TRACE}-00f067aa0ba902b7-00")), Code::Ok);
        request(&traces, Some("00-hostile"), Code::Ok);
        request(&traces, None, Code::Ok);
        traces.end().await;
        let served: Vec<_> = spans(&exports).into_iter().filter(|span| span.kind() == SpanKind::Server).collect();
        assert_eq!(served.len(), 2, "two without a lawful caller");
        assert!(served.iter().all(|span| hex(&span.trace_id) != TRACE && span.parent_span_id.is_empty()));
    }

    #[tokio::test]
    async fn a_collector_that_is_down_holds_nobody_up_and_costs_one_line() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let exporter = exporter(&options(&closed)).unwrap();
        let begin = Instant::now();
        let lines = {
            let watched = Watched { exporter, complaint: Mutex::default() };
            let (done, lines) = std::sync::mpsc::channel();
            let runtime = tokio::runtime::Handle::current();
            // Exports happen on a thread of their own, as they do in service.
            std::thread::spawn(move || {
                let lines = written_with(TEXT, &Traces::default(), || {
                    for _ in 0..3 {
                        assert!(runtime.block_on(watched.export(Vec::new())).is_err());
                    }
                });
                done.send(lines)
            });
            tokio::task::spawn_blocking(move || lines.recv().unwrap()).await.unwrap()
        };
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("traces do not reach the collector") && lines[0].contains("refused"), "{lines:?}");
        assert!(!lines[0].contains("canary"));
        assert!(begin.elapsed() < Duration::from_secs(30));

        let traces = Traces::begin(&options(&closed)).unwrap();
        let begin = Instant::now();
        for _ in 0..5_000 {
            request(&traces, None, Code::Ok);
        }
        assert!(begin.elapsed() < Duration::from_mins(1), "requests do not wait: {:?}", begin.elapsed());
        traces.end().await;
    }

    #[tokio::test]
    async fn with_tls_the_collector_must_prove_itself() {
        let (address, exports) = collector().await;
        let traces = Traces::begin(&Options { insecure: false, ..options(&address) });
        // Where a machine has no certificates at all, that is said at the start.
        if let Ok(traces) = traces {
            request(&traces, None, Code::Ok);
            traces.end().await;
        }
        assert!(spans(&exports).is_empty(), "nothing is sent to a server without TLS");
    }
}
