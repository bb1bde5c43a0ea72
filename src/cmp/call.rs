//! One call from its begin to its end: its deadline, its panics, its answer.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tonic::metadata::MetadataMap;
use tonic::{Code, Response, Status, Streaming};
use tracing::{Instrument as _, Span};

use super::error::Error;
use super::upload::Upload;
use super::wire::AppStreamRequest;
use crate::app::Environment;
use crate::deadline::Deadline;
use crate::phases::{Phase, Phases};
use crate::repo::Had;
use crate::telemetry::{self, Method, Metrics, Received};

/// How long before the caller's deadline we answer, so that the answer still arrives. The stock server takes 100 ms.
const MARGIN: Duration = Duration::from_millis(200);

/// One call on its way.
pub(super) struct Call {
    pub(super) upload: Upload,
    pub(super) deadline: Deadline,
    /// What operators see of it; dropped before its end, the client went away.
    pub(super) request: telemetry::Request,
    received: bool,
    /// Held until it is answered: the server does not end before.
    _place: Option<OwnedSemaphorePermit>,
}

impl Call {
    /// Begins a call, which may take `allowed` or what the client grants.
    pub(super) fn begin(
        method: Method,
        metrics: &Arc<Metrics>,
        allowed: Duration,
        place: Option<OwnedSemaphorePermit>,
        call: tonic::Request<Streaming<AppStreamRequest>>,
    ) -> Self {
        let request = telemetry::Request::begin(metrics, method, call.metadata());
        let allowed = granted(call.metadata()).map_or(allowed, |granted| allowed.min(granted));
        Self {
            upload: Upload::new(call.into_inner()),
            deadline: Deadline::within(allowed),
            request,
            received: false,
            _place: place,
        }
    }

    /// What its work is held to.
    pub(super) fn bounds(&self) -> Bounds {
        let Self { deadline, request, .. } = self;
        Bounds { deadline: *deadline, phases: request.phases().clone(), span: request.span().clone() }
    }

    /// Notes which application it is about.
    pub(super) fn is_for(&mut self, environment: &Environment) {
        if let Some(application) = environment.application() {
            self.request.is_for(application);
        }
    }

    /// Notes what has arrived.
    pub(super) fn received(&mut self, had: Had, git_bytes: u64) {
        let Upload { bytes, chunks, .. } = self.upload;
        self.request.received(Received { bytes, chunks, git_bytes });
        self.received = true;
        self.request.tree(had.name());
    }

    /// Notes where the manifests came from.
    pub(super) fn rendered(&mut self) {
        let spent = self.request.phases().spent();
        let took = |wanted| spent.iter().any(|(phase, _)| *phase == wanted);
        self.request.render(match () {
            () if took(Phase::Helm) => "helm",
            () if took(Phase::Share) => "shared",
            () => "cached",
        });
    }

    /// Answers, when the stream has been read to its end or the deadline has passed.
    pub(super) async fn answer<T>(mut self, outcome: Result<T, Error>) -> Result<Response<T>, Status> {
        let _ = self.deadline.limit(self.upload.drain()).await;
        if !self.received {
            let Upload { bytes, chunks, .. } = self.upload;
            self.request.received(Received { bytes, chunks, git_bytes: 0 });
        }
        match outcome {
            Ok(reply) => {
                self.request.end(Code::Ok, None);
                Ok(Response::new(reply))
            }
            Err(error) => {
                let status = Status::from(error);
                self.request.end(status.code(), Some(&status.message()));
                Err(status)
            }
        }
    }
}

/// The deadline of a call's work, and what is told about it.
pub(super) struct Bounds {
    deadline: Deadline,
    phases: Phases,
    span: Span,
}

impl Bounds {
    /// Does the work until the deadline. A panic is a bug of ours, and harms this call alone.
    pub(super) async fn hold<T>(self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        // On the heap: it is large, and waits most of the time.
        let mut work = Box::pin(work);
        let work = async {
            poll_fn(|context| {
                let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
                polled.unwrap_or(Poll::Ready(Err(Error::Bug)))
            })
            .await
        };
        match self.deadline.limit(work.instrument(self.span)).await {
            Ok(outcome) => outcome,
            Err(passed) => Err(Error::TooLate { allowed: passed.allowed, phases: self.phases.to_string() }),
        }
    }
}

/// How long the client waits, less what the answer needs to arrive. tonic would end the call at that time without a word of
/// ours (`Timeout expired`).
fn granted(headers: &MetadataMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok().filter(|_| number.len() <= 8)?;
    let granted = match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Some(granted.saturating_sub(MARGIN.min(granted / 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_deadline_is_ours_less_what_the_answer_needs() {
        for (text, milliseconds) in [
            ("60S", Some(59_800)),
            ("400m", Some(300)),
            ("1M", Some(59_800)),
            ("1H", Some(3_599_800)),
            ("4000000u", Some(3_800)),
        ] {
            let mut headers = MetadataMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(granted(&headers), milliseconds.map(Duration::from_millis), "{text}");
        }
        for text in ["", "S", "1", "1X", "-1S", "123456789S", "1.5S"] {
            let mut headers = MetadataMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            assert_eq!(granted(&headers), None, "{text}");
        }
    }
}
