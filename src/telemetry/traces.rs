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
const FLUSH: Duration = Duration::from_secs(2);

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
        let scheme = if options.insecure { "http" } else { "https" };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(format!("{scheme}://{}", options.address))
            .with_metadata(options.headers.0.clone());
        // tonic takes ring, the one provider that is linked.
        let exporter = if options.insecure {
            exporter
        } else {
            exporter.with_tls_config(ClientTlsConfig::new().with_native_roots())
        };
        let attributes = options.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(options.sample_ratio)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Watched { exporter: exporter.build()?, complaint: Mutex::default() })
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
