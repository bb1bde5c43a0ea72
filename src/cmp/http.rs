//! The optional port for operators: `/metrics`, `/healthz`, `/readyz`. Nothing of a request can be had or changed here.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::telemetry::{Metrics, Sample};

/// How many callers are answered at once; the next one waits.
const CONNECTIONS: usize = 32;

/// How long one caller may take in all. Each call has a connection of its own.
const CONNECTION: Duration = Duration::from_secs(10);

/// How long it may take to say what it wants.
const HEADERS: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(5) };

/// An address to listen at, as Go writes it: `:8087` is that port on all addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    written: String,
    /// The first that this machine knows is taken.
    tried: Vec<SocketAddr>,
}

impl Address {
    /// Reads `:8087`, `127.0.0.1:8087` or `[::1]:8087`; `None` if it is nothing of the kind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let tried = match text.strip_prefix(':') {
            Some(port) => {
                let port = port.parse().ok()?;
                // Where there is IPv6, its socket takes calls over IPv4 as well.
                vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
            }
            None => vec![text.parse().ok()?],
        };
        Some(Self { written: text.to_owned(), tried })
    }

    /// Listens there.
    ///
    /// # Errors
    ///
    /// If the address is taken, or not one of this machine.
    pub async fn listen(&self) -> Result<TcpListener, Error> {
        let error = |cause| Error { address: self.clone(), cause };
        let mut last = io::ErrorKind::AddrNotAvailable.into();
        for address in &self.tried {
            match TcpListener::bind(address).await {
                Ok(listener) => return Ok(listener),
                Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => return Err(error(cause)),
                Err(cause) => last = cause,
            }
        }
        Err(error(last))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The port for operators cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at `{address}` for metrics and probes")]
pub struct Error {
    /// As configured.
    pub address: Address,
    /// Why not.
    #[source]
    pub cause: io::Error,
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.cause.kind() {
            io::ErrorKind::AddrInUse => {
                "the containers of a Pod share their ports (the repo-server has 8081 and 8084): choose a free one in `ARGOCD_SOPS_HTTP_ADDRESS`"
            }
            io::ErrorKind::PermissionDenied => "choose a port above 1023 in `ARGOCD_SOPS_HTTP_ADDRESS`",
            _ => "`ARGOCD_SOPS_HTTP_ADDRESS` must be an address of this Pod; `:8087` is the port on all of them",
        }
    }
}

/// What there is to see.
pub struct Pages {
    metrics: Arc<Metrics>,
    samples: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
    lost: Box<dyn Fn() -> Option<&'static str> + Send + Sync>,
    ready: AtomicBool,
}

impl Pages {
    /// Pages of a server that is not ready yet. `samples` reads the numbers of the rooms; it must not take long. `lost` says
    /// what a server cannot do without and does not have any more, so that only a restart helps.
    pub fn new(
        metrics: Arc<Metrics>,
        samples: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
        lost: impl Fn() -> Option<&'static str> + Send + Sync + 'static,
    ) -> Self {
        Self { metrics, samples: Box::new(samples), lost: Box::new(lost), ready: AtomicBool::new(false) }
    }

    /// Whether calls are taken: the socket is bound, and nobody has asked the server to end. Nothing else counts here: this
    /// probe gates the whole repo-server, also for applications that need no key.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        const TEXT: &str = "text/plain; charset=utf-8";
        let is_ready = self.ready.load(Ordering::Relaxed);
        let (status, kind, body) = match request.uri().path() {
            "/metrics" | "/healthz" | "/readyz" if ![Method::GET, Method::HEAD].contains(request.method()) => {
                (StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n".into())
            }
            "/metrics" => match self.metrics.text((self.samples)()) {
                Ok(text) => (StatusCode::OK, prometheus::TEXT_FORMAT, text.into()),
                Err(error) => {
                    warn!(%error, "metrics cannot be written");
                    (StatusCode::INTERNAL_SERVER_ERROR, TEXT, "metrics cannot be written; the log says why\n".into())
                }
            },
            "/healthz" | "/readyz" if is_ready && let Some(lost) = (self.lost)() => {
                (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{lost} is gone\n").into())
            }
            "/healthz" => (StatusCode::OK, TEXT, "ok\n".into()),
            "/readyz" if is_ready => (StatusCode::OK, TEXT, "ready\n".into()),
            "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting or ending\n".into()),
            _ => (StatusCode::NOT_FOUND, TEXT, "/metrics, /healthz or /readyz\n".into()),
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}

/// Answers until `shutdown`; callers that are being answered then are left alone.
pub async fn serve(listener: TcpListener, pages: Arc<Pages>, shutdown: impl Future<Output = ()>) {
    if let Ok(address) = listener.local_addr() {
        info!(%address, "metrics and probes");
    }
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let accept = async {
        loop {
            // Never closed, so there is always a place to come.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let pages = Arc::clone(&pages);
                    tokio::spawn(async move {
                        let _ = timeout(CONNECTION, connection(stream, pages)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: it passes, and asking again at once would not help.
                    debug!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = shutdown => {}
    }
}

async fn connection(stream: TcpStream, pages: Arc<Pages>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = pages.answer(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(8 * 1024)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "a caller of the metrics went away");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    struct Server {
        address: SocketAddr,
        pages: Arc<Pages>,
        is_lost: Arc<AtomicBool>,
        shutdown: oneshot::Sender<()>,
        task: tokio::task::JoinHandle<()>,
    }

    async fn server() -> Server {
        let listener = Address::parse("127.0.0.1:0").unwrap().listen().await.unwrap();
        let address = listener.local_addr().unwrap();
        let samples = || vec![Sample::gauge("argocd_sops_trees", "Trees.", 2.0)];
        let is_lost = Arc::new(AtomicBool::new(false));
        let lost = {
            let is_lost = Arc::clone(&is_lost);
            move || is_lost.load(Ordering::Relaxed).then_some("the socket")
        };
        let pages = Arc::new(Pages::new(Arc::new(Metrics::default()), samples, lost));
        let (shutdown, end) = oneshot::channel();
        let end = async {
            let _ = end.await;
        };
        let task = tokio::spawn(serve(listener, Arc::clone(&pages), end));
        Server { address, pages, is_lost, shutdown, task }
    }

    impl Server {
        async fn ask(&self, method: &str, path: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(format!("{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        }
    }

    fn status(answer: &str) -> u16 {
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn a_server_that_has_lost_what_it_needs_is_neither_healthy_nor_ready() {
        let server = server().await;
        server.is_lost.store(true, Ordering::Relaxed);
        assert_eq!(status(&server.ask("GET", "/healthz").await), 200, "at its end it takes the socket away itself");
        server.pages.set_ready(true);
        for path in ["/healthz", "/readyz"] {
            let answer = server.ask("GET", path).await;
            assert!(status(&answer) == 503 && answer.ends_with("the socket is gone\n"), "{answer}");
        }
    }

    #[tokio::test]
    async fn readiness_is_whether_calls_are_taken_and_health_that_somebody_answers() {
        let server = server().await;
        assert_eq!(status(&server.ask("GET", "/healthz").await), 200);
        assert_eq!(status(&server.ask("GET", "/readyz").await), 503, "not bound yet");
        server.pages.set_ready(true);
        assert_eq!(status(&server.ask("GET", "/readyz").await), 200);
        server.pages.set_ready(false);
        assert_eq!(status(&server.ask("GET", "/readyz").await), 503, "draining");
        assert_eq!(status(&server.ask("GET", "/healthz").await), 200);
    }

    #[tokio::test]
    async fn metrics_hold_the_numbers_of_the_moment() {
        let answer = server().await.ask("GET", "/metrics?x=y").await;
        assert_eq!(status(&answer), 200);
        assert!(answer.contains("content-type: text/plain; version=0.0.4\r\n"), "{answer}");
        assert!(answer.contains("argocd_sops_trees 2\n"), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "each call has its own: {answer}");
    }

    #[tokio::test]
    async fn nothing_else_is_answered() {
        let server = server().await;
        assert_eq!(status(&server.ask("GET", "/").await), 404);
        assert_eq!(status(&server.ask("GET", "/metrics/").await), 404);
        let refused = server.ask("POST", "/metrics").await;
        assert_eq!(status(&refused), 405);
        assert!(refused.contains("allow: GET, HEAD\r\n"));
        let (_, body) = server
            .ask("HEAD", "/healthz")
            .await
            .split_once("\r\n\r\n")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert_eq!(body, "");
        let long = "x".repeat(10_000);
        assert!(!server.ask("GET", &format!("/{long}")).await.contains("200 OK"));
    }

    #[tokio::test]
    async fn callers_that_say_nothing_do_not_keep_others_out() {
        let server = server().await;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS {
            silent.push(TcpStream::connect(server.address).await.unwrap());
        }
        assert_eq!(status(&server.ask("GET", "/healthz").await), 200);
    }

    #[tokio::test]
    async fn it_ends_when_asked() {
        let server = server().await;
        server.shutdown.send(()).unwrap();
        server.task.await.unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_explained() {
        let server = server().await;
        let address = Address::parse(&server.address.to_string()).unwrap();
        let error = address.listen().await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen at `{}` for metrics and probes", server.address));
        assert!(error.hint().contains("share their ports"));
    }

    #[tokio::test]
    async fn a_port_alone_is_that_port_on_all_addresses() {
        let listener = Address::parse(":0").unwrap().listen().await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_ok());
        for wrong in ["", ":", "8087", ":http", ":70000", "localhost", "1.2.3.4"] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
    }
}
