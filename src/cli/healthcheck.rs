//! The probe of a Pod: asks the plugin server over its socket whether it serves.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use prost::Message as _;
use rustix::process::geteuid;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;

/// The server does not serve.
#[derive(Debug, thiserror::Error)]
#[error("not healthy: `{}`: {reason}", socket.display())]
pub(super) struct Unhealthy {
    socket: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("there is no such socket")]
    Missing,
    #[error("nobody listens there")]
    Refused,
    #[error("it belongs to user {owner}, and this is user {own}")]
    OtherUser { owner: u32, own: u32 },
    #[error("no answer within {}", humantime::format_duration(*.0))]
    TooLate(Duration),
    #[error("it is starting or ending")]
    NotServing,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Protocol(#[from] h2::Error),
    #[error("the answer is not that of a gRPC server{0}")]
    Answer(&'static str),
}

impl Unhealthy {
    /// What to do about it.
    pub(super) fn hint(&self) -> Option<&'static str> {
        match self.reason {
            Reason::Missing => Some(
                "give this command the `ARGOCD_PLUGINSOCKFILEPATH` and `ARGOCD_SOPS_PLUGIN_NAME` of `serve`, or look why it has not begun",
            ),
            Reason::OtherUser { .. } => Some("run this command as the user of `serve`; other users are not answered"),
            Reason::Refused => Some("the socket is what an earlier server left; look why `serve` has not begun"),
            _ => None,
        }
    }
}

/// Asks, and waits for the answer so long.
pub(super) async fn run(socket: PathBuf, patience: Duration) -> Result<(), Unhealthy> {
    let asked = timeout(patience, ask(&socket)).await;
    let reason = match asked {
        Ok(Ok(ServingStatus::Serving)) => return Ok(()),
        Ok(Ok(_)) => Reason::NotServing,
        Ok(Err(reason)) => other_user(&socket).unwrap_or(reason),
        Err(_) => Reason::TooLate(patience),
    };
    Err(Unhealthy { socket, reason })
}

/// A server hangs up on other users, and the system keeps them from its socket: that says more than how it failed.
fn other_user(socket: &Path) -> Option<Reason> {
    let (owner, own) = (socket.metadata().ok()?.uid(), geteuid().as_raw());
    (owner != own).then_some(Reason::OtherUser { owner, own })
}

async fn ask(socket: &Path) -> Result<ServingStatus, Reason> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Reason::Missing,
        io::ErrorKind::ConnectionRefused => Reason::Refused,
        _ => Reason::Io(error),
    })?;
    let (client, connection) = h2::client::handshake(stream).await?;
    tokio::select! {
        status = call(client) => status,
        ended = connection => Err(ended.err().map_or(Reason::Answer(": it hangs up"), Reason::Protocol)),
    }
}

/// `grpc.health.v1.Health/Check` for the whole server.
async fn call(client: h2::client::SendRequest<Bytes>) -> Result<ServingStatus, Reason> {
    /// A frame that holds an empty message.
    const EMPTY: Bytes = Bytes::from_static(&[0; 5]);
    /// A frame with the answer is 7 bytes long.
    const MOST: usize = 1024;

    let request = Request::post("http://localhost/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|_| Reason::Answer(""))?;
    let (response, mut body) = client.ready().await?.send_request(request, false)?;
    body.send_data(EMPTY, true)?;
    let response = response.await?;
    if response.headers().get("grpc-status").is_some_and(|status| status != "0") {
        return Err(Reason::Answer(": it has no health service"));
    }
    let mut body = response.into_body();
    let mut answer = Vec::new();
    while let Some(chunk) = body.data().await {
        answer.extend_from_slice(&chunk?);
        if answer.len() > MOST {
            break;
        }
    }
    let message = answer.get(5..).ok_or(Reason::Answer(": it ends too early"))?;
    let answer = HealthCheckResponse::decode(message).map_err(|_| Reason::Answer(""))?;
    Ok(answer.status())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixListener;
    use tokio_stream::wrappers::UnixListenerStream;
    use tonic_health::server::{HealthReporter, health_reporter};

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sops.sock");
        (folder, socket)
    }

    fn server(socket: &Path) -> HealthReporter {
        let (reporter, service) = health_reporter();
        let listener = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(listener));
        reporter
    }

    async fn reason(socket: &Path) -> String {
        let error = run(socket.to_owned(), PATIENCE).await.unwrap_err().to_string();
        error.replace(&format!("not healthy: `{}`: ", socket.display()), "")
    }

    #[tokio::test]
    async fn a_server_that_serves_is_healthy_and_one_that_drains_is_not() {
        let (_folder, socket) = place();
        let reporter = server(&socket);
        run(socket.clone(), PATIENCE).await.unwrap();
        reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        assert_eq!(reason(&socket).await, "it is starting or ending");
    }

    #[tokio::test]
    async fn a_socket_that_is_missing_or_stale_is_told_apart() {
        let (_folder, socket) = place();
        assert_eq!(reason(&socket).await, "there is no such socket");
        drop(UnixListener::bind(&socket).unwrap());
        assert_eq!(reason(&socket).await, "nobody listens there");
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_not_waited_for() {
        let (_folder, socket) = place();
        let _listener = UnixListener::bind(&socket).unwrap();
        let error = run(socket, Duration::from_millis(20)).await.unwrap_err().to_string();
        assert!(error.ends_with("no answer within 20ms"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_or_speaks_otherwise_is_not_healthy() {
        let (_folder, socket) = place();
        let listener = UnixListener::bind(&socket).unwrap();
        let task = tokio::spawn(async move {
            drop(listener.accept().await.unwrap());
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        });
        let hung_up = reason(&socket).await;
        assert!(
            hung_up.contains("hangs up") || hung_up.contains("broken pipe") || hung_up.contains("reset"),
            "{hung_up}"
        );
        let other = reason(&socket).await;
        assert!(!other.starts_with("no answer within"), "{other}");
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_without_health_service_says_so() {
        let (_folder, socket) = place();
        let (_, service) = health_reporter();
        let listener = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
        let other = tonic::service::interceptor::InterceptedService::new(service, |_| {
            Err(tonic::Status::unimplemented("no such service"))
        });
        tokio::spawn(tonic::transport::Server::builder().add_service(other).serve_with_incoming(listener));
        assert_eq!(reason(&socket).await, "the answer is not that of a gRPC server: it has no health service");
    }
}
