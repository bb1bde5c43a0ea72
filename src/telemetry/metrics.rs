//! Numbers for Prometheus: what is counted while requests run, and what is read when somebody asks.
//!
//! Labels are words of ours, so that nobody outside can make new series; `applications` has the one exception and its limit.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use prometheus::core::Collector as _;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, TextEncoder};

use super::applications::Applications;
use super::process;
use super::request::{Method, Received};
use crate::phases::Phase;

/// Seconds, from a request that was known to one that took as long as it may.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 90.0];

/// Bytes, from a small chart to the largest repositories.
const BYTES: [f64; 9] = [
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
];

const VALID: &str = "names and labels are valid";

/// What the server counts; made once.
pub struct Metrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    phases: HistogramVec,
    in_flight: IntGauge,
    archives: Histogram,
    chunks: IntCounter,
    git: IntCounter,
    applications: Mutex<Applications>,
    start: f64,
}

impl Default for Metrics {
    /// Everything at zero; the process begins now.
    fn default() -> Self {
        let options = |name: &str, help: &str| Opts::new(format!("argocd_sops_{name}"), help);
        let times = |name: &str, help: &str, label: &str| {
            let options = HistogramOpts::from(options(name, help)).buckets(SECONDS.to_vec());
            HistogramVec::new(options, &[label]).expect(VALID)
        };
        let count = |name: &str, help: &str| IntCounter::with_opts(options(name, help)).expect(VALID);
        let requests = options("requests_total", "Requests that were answered.");
        let in_flight = options("requests_in_flight", "Requests that are being worked on.");
        let archives = HistogramOpts::from(options("archive_bytes", "Compressed size of the archives that arrived."));
        Self {
            requests: IntCounterVec::new(requests, &["method", "code"]).expect(VALID),
            seconds: times("request_duration_seconds", "How long requests took.", "method"),
            phases: times("phase_duration_seconds", "What requests spent their time on.", "phase"),
            in_flight: IntGauge::with_opts(in_flight).expect(VALID),
            archives: Histogram::with_opts(archives.buckets(BYTES.to_vec())).expect(VALID),
            chunks: count(
                "archive_chunks_total",
                "Messages that archives arrived in: `ARGOCD_CMP_CHUNK_SIZE` of the repo-server.",
            ),
            git: count(
                "archive_git_bytes_total",
                "Bytes of `.git`, unpacked, in all archives that arrived; the repo-server can leave it out.",
            ),
            applications: Mutex::default(),
            start: process::now(),
        }
    }
}

impl Metrics {
    pub(super) fn began(&self) {
        self.in_flight.inc();
    }

    pub(super) fn ended(
        &self,
        method: Method,
        code: &'static str,
        seconds: f64,
        phases: &[(Phase, std::time::Duration)],
    ) {
        self.in_flight.dec();
        self.requests.with_label_values(&[method.name(), code]).inc();
        self.seconds.with_label_values(&[method.name()]).observe(seconds);
        for (phase, time) in phases {
            self.phases.with_label_values(&[phase.name()]).observe(time.as_secs_f64());
        }
    }

    /// Counts an archive. Whether its application has only now become one of the largest.
    pub(super) fn received(&self, application: Option<&str>, received: Received) -> bool {
        self.archives.observe(process::number(received.bytes));
        self.chunks.inc_by(received.chunks);
        self.git.inc_by(received.git_bytes);
        application.is_some_and(|name| self.applications().note(name, received.bytes, Instant::now()))
    }

    /// All of it as Prometheus reads it, with numbers that others have read for this moment.
    ///
    /// # Errors
    ///
    /// If the numbers of others have names that Prometheus does not know how to read.
    pub fn text(&self, others: Vec<Sample>) -> Result<String, prometheus::Error> {
        let mut families = [
            self.requests.collect(),
            self.seconds.collect(),
            self.phases.collect(),
            self.in_flight.collect(),
            self.archives.collect(),
            self.chunks.collect(),
            self.git.collect(),
            vec![build_info(), self.largest()],
        ]
        .concat();
        let mut samples = process::samples(self.start);
        samples.extend(others);
        samples.sort_by_key(|sample| sample.name);
        families.extend(samples.chunk_by(|one, next| one.name == next.name).map(family));
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new().encode_to_string(&families)
    }

    fn largest(&self) -> MetricFamily {
        let sizes = self.applications().sizes(Instant::now());
        let metrics =
            sizes.into_iter().map(|(name, bytes)| metric(Kind::Gauge, [("application", name)], process::number(bytes)));
        head(
            "argocd_sops_application_archive_bytes",
            "Compressed size of the application's last archive; the hundred largest of the last day.",
            Kind::Gauge,
            metrics.collect(),
        )
    }

    fn applications(&self) -> std::sync::MutexGuard<'_, Applications> {
        self.applications.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that is read when somebody asks. Its labels are words of the program, so no secret and no endless list can be one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// By Prometheus' conventions: `argocd_sops_trees_bytes`, `argocd_sops_helm_runs_total`.
    pub name: &'static str,
    /// What is counted.
    pub help: &'static str,
    /// The number.
    pub value: f64,
    kind: Kind,
    labels: Vec<(&'static str, &'static str)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

impl Sample {
    /// A number that only grows; its name ends with `_total`.
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, value, kind: Kind::Counter, labels: Vec::new() }
    }

    /// A number that goes up and down.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, value, kind: Kind::Gauge, labels: Vec::new() }
    }

    /// The same with a label.
    #[must_use]
    pub fn with(mut self, label: &'static str, value: &'static str) -> Self {
        self.labels.push((label, value));
        self
    }
}

/// Samples of one name.
fn family(samples: &[Sample]) -> MetricFamily {
    let first = &samples[0];
    let metrics = samples.iter().map(|sample| {
        metric(sample.kind, sample.labels.iter().map(|(label, value)| (*label, (*value).to_owned())), sample.value)
    });
    head(first.name, first.help, first.kind, metrics.collect())
}

fn build_info() -> MetricFamily {
    let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
    head("argocd_sops_build_info", "Which build this is.", Kind::Gauge, vec![metric(Kind::Gauge, version, 1.0)])
}

fn head(name: &str, help: &str, kind: Kind, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(match kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
    });
    family.set_metric(metrics);
    family
}

fn metric(kind: Kind, labels: impl IntoIterator<Item = (&'static str, String)>, value: f64) -> Metric {
    let pair = |(name, value): (&str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value);
        pair
    };
    let mut metric = Metric::from_label(labels.into_iter().map(pair).collect());
    match kind {
        Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        Kind::Gauge => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
    }
    metric
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_server_that_has_done_nothing_has_numbers() {
        let text = Metrics::default().text(Vec::new()).unwrap();
        for line in [
            concat!("argocd_sops_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "argocd_sops_requests_in_flight 0",
            "argocd_sops_archive_bytes_count 0",
            "# TYPE process_resident_memory_bytes gauge",
            "# TYPE process_cpu_seconds_total counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn requests_phases_and_archives_are_counted() {
        let metrics = Metrics::default();
        metrics.began();
        metrics.began();
        metrics.received(Some("web"), Received { bytes: 3_000_000, chunks: 2_930, git_bytes: 1_000 });
        metrics.ended(Method::GenerateManifest, "OK", 0.07, &[(Phase::Helm, Duration::from_millis(60))]);
        let text = metrics.text(Vec::new()).unwrap();
        for line in [
            "argocd_sops_requests_total{code=\"OK\",method=\"GenerateManifest\"} 1",
            "argocd_sops_requests_in_flight 1",
            "argocd_sops_request_duration_seconds_bucket{method=\"GenerateManifest\",le=\"0.05\"} 0",
            "argocd_sops_request_duration_seconds_bucket{method=\"GenerateManifest\",le=\"0.1\"} 1",
            "argocd_sops_phase_duration_seconds_sum{phase=\"helm\"} 0.06",
            "argocd_sops_archive_bytes_sum 3000000",
            "argocd_sops_archive_chunks_total 2930",
            "argocd_sops_archive_git_bytes_total 1000",
            "argocd_sops_application_archive_bytes{application=\"web\"} 3000000",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn numbers_of_others_stand_together_by_name() {
        let runs = |how| Sample::counter("argocd_sops_helm_runs_total", "Runs.", 2.0).with("outcome", how);
        let trees = Sample::gauge("argocd_sops_trees", "Trees.", 1.5);
        let text = Metrics::default().text(vec![runs("done"), trees, runs("failed")]).unwrap();
        let expected = "# HELP argocd_sops_helm_runs_total Runs.\n# TYPE argocd_sops_helm_runs_total counter\n\
            argocd_sops_helm_runs_total{outcome=\"done\"} 2\nargocd_sops_helm_runs_total{outcome=\"failed\"} 2\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("argocd_sops_trees 1.5\n"), "{text}");
    }

    #[test]
    fn a_hostile_name_stays_within_its_label() {
        let metrics = Metrics::default();
        metrics.received(Some("a\"} 1\nforged 1\\"), Received { bytes: 5, chunks: 1, git_bytes: 0 });
        let text = metrics.text(Vec::new()).unwrap();
        assert!(text.contains(r#"{application="a\"} 1\nforged 1\\"} 5"#), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("forged")), "{text}");
    }
}
