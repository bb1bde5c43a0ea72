//! What operators may see: log lines on stderr, traces, metrics. stdout belongs to the manifests.
//!
//! Whatever is shown has a public type: names, codes, numbers, words of ours. No level of logging shows more of libraries
//! than their warnings, since the frames and headers that they would show carry values.

mod applications;
mod metrics;
mod one_line;
mod process;
mod request;
pub mod traces;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt};

pub use metrics::{Metrics, Sample};
use one_line::OneLine;
pub use request::{Method, Received, Request};
pub use traces::Traces;

/// How much is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The least important level that is shown.
    pub level: Level,
    /// One JSON object per line instead of text.
    pub json: bool,
    /// Whether lines of text begin with the time; those of JSON always hold it.
    pub time: bool,
}

/// Begins logging; a second call changes nothing.
pub fn begin(options: Options) {
    let _ = subscriber(options, &Traces::default(), std::io::stderr).try_init();
}

/// Begins logging and, where a collector is given, tracing; to be called on the runtime. What hinders tracing is logged:
/// no request fails, and no server stays away, because nobody can watch it.
#[must_use = "`end` sends what has not been sent yet"]
pub fn begin_serving(options: Options, collector: Option<&traces::Options>) -> Traces {
    let (traces, fault) = match collector.map(Traces::begin) {
        None => (Traces::default(), None),
        Some(Ok(traces)) => (traces, None),
        Some(Err(fault)) => (Traces::default(), Some(fault)),
    };
    let _ = subscriber(options, &traces, std::io::stderr).try_init();
    if let Some(error) = fault {
        tracing::warn!(%error, "there will be no traces: the collector of `ARGOCD_CMP_SERVER_OTLP_ADDRESS` cannot be used");
    }
    traces
}

fn subscriber<W>(options: Options, traces: &Traces, writer: W) -> impl tracing::Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    Registry::default().with(traces.layer()).with(lines(options, writer))
}

/// Lines of our own events, each with the fields of the request that it belongs to, and of warnings of libraries.
fn lines<S, W>(options: Options, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = LevelFilter::from_level(options.level);
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_target("h2", LevelFilter::OFF)
        .with_target("tonic", LevelFilter::OFF);
    let lines = fmt::layer().with_writer(OneLine(writer)).with_target(false);
    match options {
        Options { json: true, .. } => {
            lines.json().flatten_event(true).with_span_list(false).with_filter(targets).boxed()
        }
        Options { time: true, .. } => lines.with_filter(targets).boxed(),
        Options { .. } => lines.without_time().with_filter(targets).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are written while something is done.
    pub(super) fn written(options: Options, act: impl FnOnce()) -> Vec<String> {
        written_with(options, &Traces::default(), act)
    }

    /// The same while traces are made.
    pub(super) fn written_with(options: Options, traces: &Traces, act: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = subscriber(options, traces, move || writer.clone());
        tracing::subscriber::with_default(subscriber, act);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    pub(super) const TEXT: Options = Options { level: Level::WARN, json: false, time: false };

    fn request() -> Request {
        let mut request = Request::begin(
            &Arc::new(Metrics::default()),
            Method::GenerateManifest,
            &tonic::metadata::MetadataMap::new(),
        );
        request.is_for("web");
        request
    }

    #[test]
    fn every_line_of_a_request_names_its_application_also_where_only_warnings_are_shown() {
        let act = || request().span().in_scope(|| warn!(file = "a.yaml", "odd"));
        let text = written(TEXT, act);
        assert_eq!(text[0], " WARN request{operation=\"GenerateManifest\" application=\"web\"}: odd file=\"a.yaml\"");
        let json: serde_json::Value = serde_json::from_str(&written(Options { json: true, ..TEXT }, act)[0]).unwrap();
        assert_eq!(json["message"], "odd");
        assert_eq!(json["file"], "a.yaml");
        assert_eq!(json["level"], "WARN");
        assert_eq!(json["span"]["application"], "web");
        assert!(json["timestamp"].is_string());
    }

    #[test]
    fn no_level_shows_what_libraries_have_to_say_about_frames_and_headers() {
        let lines = written(Options { level: Level::TRACE, ..TEXT }, || {
            info!(target: "h2::codec::framed_read", "canary");
            warn!(target: "h2::proto", "canary");
            warn!(target: "tonic::status", "canary");
            debug!(target: "hyper::proto", "canary");
            info!(target: "rustls::client", "canary");
            warn!(target: "rustls::client", "shown");
            debug!(target: "argocd_sops::cmp", "shown");
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines.iter().all(|line| line.contains("shown")), "{lines:?}");
    }

    #[test]
    fn a_name_cannot_begin_a_line_of_its_own() {
        let hostile = "web\n INFO forged \u{1b}[31m\u{9b}";
        let lines = written(Options { level: Level::INFO, ..TEXT }, || {
            let mut request = request();
            request.is_for(hostile);
            request.span().in_scope(|| info!(file = %hostile, "{hostile}"));
            std::mem::forget(request);
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(!lines[0].contains(char::is_control), "{lines:?}");
        assert!(lines[0].ends_with(r"file=web\n INFO forged \u{1b}[31m\u{9b}"), "{lines:?}");
    }
}
