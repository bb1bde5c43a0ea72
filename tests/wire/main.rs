//! The contract with the repo-server: what Go's HTTP/2 client sends, read by `h2` and tonic through the adapter of `cmp::authority`
//! (`README.md` says how the bytes were made), and the code that is generated of `cmp/plugin.proto`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "a variable asks for the code to be made anew")]

mod generated;

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use argocd_sops::cmp::authority::Connection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::UnixStream;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{ClientStreamingService, Grpc, NamedService};
use tonic::transport::Server;
use tonic::transport::server::{Connected, UdsConnectInfo};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

#[tokio::test]
async fn h2_reads_what_go_encoded_but_for_the_authority() {
    for connection in connections() {
        let (stream, _client) = connection.sent().await;
        let requests = read_requests(Connection::new(stream)).await;
        assert_eq!(requests.len(), connection.meant.len(), "{}", connection.name);
        for (request, meant) in requests.iter().zip(&connection.meant) {
            let authority = request.uri().authority().unwrap().as_str();
            let sent = meant.iter().find_map(|field| field.strip_prefix(":authority: ")).unwrap();
            assert!(authority.bytes().all(|byte| byte == b'X'), "{}: `{authority}`", connection.name);
            assert!((1..=sent.len()).contains(&authority.len()), "{}: `{sent}` became `{authority}`", connection.name);
            let others = meant.iter().filter(|field| !field.starts_with(":authority"));
            assert_eq!(fields(request), sorted(others.cloned()), "{}", connection.name);
        }
    }
}

#[tokio::test]
async fn without_the_adapter_h2_refuses_the_authorities_that_need_it() {
    for connection in connections() {
        let (stream, _client) = connection.sent().await;
        let requests = read_requests(stream).await;
        let fine = connection.meant.iter().filter(|meant| meant.iter().any(|field| field == ":authority: localhost"));
        assert!(requests.len() < connection.meant.len(), "{}: all were read", connection.name);
        assert!(requests.len() >= fine.count(), "{}: not even `localhost` was read", connection.name);
    }
}

#[tokio::test]
async fn a_recorded_repo_server_is_answered_through_the_adapter() {
    let (answers, messages) = replay(Connection::new).await;
    // Two questions of one message each; the metadata and eight chunks.
    assert_eq!(messages, 2 + 9);
    for stream in STREAMS {
        let kinds: Vec<u8> = answers.iter().filter(|frame| frame.stream == stream).map(|frame| frame.kind).collect();
        assert_eq!(kinds, [HEADERS, DATA, HEADERS], "stream {stream}: head, message, trailers");
    }
}

/// The day this test fails, the adapter may go.
#[tokio::test]
async fn a_recorded_repo_server_is_refused_without_the_adapter() {
    let (answers, messages) = replay(|stream| stream).await;
    assert_eq!(messages, 0);
    for stream in STREAMS {
        let resets: Vec<_> = answers.iter().filter(|frame| frame.stream == stream).collect();
        assert!(!resets.is_empty() && resets.iter().all(|frame| frame.kind == RST_STREAM), "stream {stream}");
        assert_eq!(resets[0].payload, PROTOCOL_ERROR);
    }
}

#[tokio::test]
async fn the_credentials_of_the_peer_are_those_of_its_socket() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let plain = ours.connect_info().peer_cred.unwrap();
    let UdsConnectInfo { peer_cred, .. } = Connection::new(ours).connect_info();
    assert_eq!(peer_cred.unwrap(), plain);
    assert_eq!(plain.pid().unwrap(), i32::try_from(std::process::id()).unwrap());
    drop(theirs);
}

/// A connection of `hpack`.
struct Sent {
    name: String,
    bytes: Vec<u8>,
    /// For each request its fields, as `name: value`.
    meant: Vec<Vec<String>>,
}

impl Sent {
    /// The connection as a server sees it: the client has sent everything, and a last request for `/` behind it.
    async fn sent(&self) -> (impl AsyncRead + AsyncWrite + Unpin + use<>, DuplexStream) {
        // Fields of the static table alone: POST, http, `/`. END_STREAM and END_HEADERS, on a stream that no recorded request has.
        const LAST: [u8; 12] = [0, 0, 3, HEADERS, 5, 0, 1, 0, 1, 0x83, 0x86, 0x84];
        // Room for all that either side says.
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(&self.bytes).await.unwrap();
        theirs.write_all(&LAST).await.unwrap();
        (ours, theirs)
    }
}

fn connections() -> Vec<Sent> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/hpack");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let sent: Vec<Sent> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "bin"))
        .map(|file| Sent {
            name: file.file_stem().unwrap().to_string_lossy().into_owned(),
            bytes: fs::read(&file).unwrap(),
            meant: fs::read_to_string(file.with_extension("txt"))
                .unwrap()
                .split_terminator("\n\n")
                .map(|request| request.lines().map(str::to_owned).collect())
                .collect(),
        })
        .collect();
    assert!(!sent.is_empty(), "no connections to read");
    sent
}

/// The requests that `h2` accepts before the last one.
async fn read_requests(stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<http::Request<h2::RecvStream>> {
    let mut requests = Vec::new();
    let mut connection = h2::server::handshake(stream).await.unwrap();
    loop {
        let (request, _) = connection.accept().await.unwrap().unwrap();
        if request.uri().path() == "/" {
            return requests;
        }
        requests.push(request);
    }
}

/// The fields of a request but its authority.
fn fields(request: &http::Request<h2::RecvStream>) -> Vec<String> {
    let uri = request.uri();
    let pseudo = [
        format!(":method: {}", request.method()),
        format!(":scheme: {}", uri.scheme_str().unwrap()),
        format!(":path: {}", uri.path()),
    ];
    let named = request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    sorted(pseudo.into_iter().chain(named))
}

fn sorted(fields: impl Iterator<Item = String>) -> Vec<String> {
    let mut fields: Vec<String> = fields.collect();
    fields.sort();
    fields
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];
/// Of the three calls that were recorded.
const STREAMS: [u32; 3] = [1, 3, 5];

/// A frame of the server that belongs to a stream and is not about flow control.
struct Frame {
    kind: u8,
    ends_stream: bool,
    stream: u32,
    payload: Vec<u8>,
}

/// Sends what the repo-server sent to a tonic server; its frames, and how many messages its handlers got.
async fn replay<S>(wrap: fn(UnixStream) -> S) -> (Vec<Frame>, usize)
where
    S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let plugin = Plugin::default();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let accepted = tokio_stream::once(Ok::<_, std::io::Error>(wrap(ours)));
    let server = tokio::spawn(Server::builder().add_service(plugin.clone()).serve_with_incoming(accepted));
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/repo-server.bin");
    theirs.write_all(&fs::read(recorded).unwrap()).await.unwrap();
    let mut frames: Vec<Frame> = Vec::new();
    // A client that is gone would get no answers.
    while frames.iter().filter(|frame| frame.ends_stream).count() < STREAMS.len() {
        let frame = next_frame(&mut theirs).await;
        if frame.stream != 0 && frame.kind != WINDOW_UPDATE {
            frames.push(frame);
        }
    }
    drop(theirs);
    server.await.unwrap().unwrap();
    (frames, plugin.messages.load(Ordering::SeqCst))
}

async fn next_frame(stream: &mut UnixStream) -> Frame {
    const END_STREAM: u8 = 1;
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let [high, middle, low, kind, flags, s1, s2, s3, s4] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
    stream.read_exact(&mut payload).await.unwrap();
    let ends_stream = kind == RST_STREAM || (kind == DATA || kind == HEADERS) && flags & END_STREAM != 0;
    Frame { kind, ends_stream, stream: u32::from_be_bytes([s1, s2, s3, s4]), payload }
}

/// A plugin that counts messages, and answers every call with an empty one.
#[derive(Clone, Default)]
struct Plugin {
    messages: Arc<AtomicUsize>,
}

impl NamedService for Plugin {
    const NAME: &'static str = "plugin.ConfigManagementPluginService";
}

impl Service<http::Request<Body>> for Plugin {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let plugin = self.clone();
        // `()` is a message of which every field is unknown.
        Box::pin(async move { Ok(Grpc::new(ProstCodec::<(), ()>::default()).client_streaming(plugin, request).await) })
    }
}

impl ClientStreamingService<()> for Plugin {
    type Response = ();
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<()>>) -> Self::Future {
        let messages = self.messages.clone();
        Box::pin(async move {
            let mut stream = request.into_inner();
            while stream.message().await?.is_some() {
                messages.fetch_add(1, Ordering::SeqCst);
            }
            Ok(Response::new(()))
        })
    }
}
