//! A client of the plugin server, as low as HTTP/2: it can do what a well-behaved client never would.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use h2::client::SendRequest;
use prost::Message;
use sha2::{Digest as _, Sha256};
use tokio::net::UnixStream;

/// One message of a stream: `AppStreamRequest` of `cmp/plugin.proto`, as `protoc` would make it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AppStreamRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) metadata: Option<Metadata>,
    #[prost(message, optional, tag = "2")]
    pub(crate) file: Option<File>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metadata {
    #[prost(string, tag = "1")]
    pub(crate) app_name: String,
    #[prost(string, tag = "2")]
    pub(crate) app_rel_path: String,
    #[prost(string, tag = "3")]
    pub(crate) checksum: String,
    #[prost(int64, tag = "4")]
    pub(crate) size: i64,
    #[prost(message, repeated, tag = "5")]
    pub(crate) env: Vec<EnvEntry>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct EnvEntry {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct File {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) chunk: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ManifestResponse {
    #[prost(string, repeated, tag = "1")]
    pub(crate) manifests: Vec<String>,
    #[prost(string, tag = "2")]
    pub(crate) source_type: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RepositoryResponse {
    #[prost(bool, tag = "1")]
    pub(crate) is_supported: bool,
    #[prost(bool, tag = "2")]
    pub(crate) is_discovery_enabled: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ParametersAnnouncementResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) announcements: Vec<Announcement>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Announcement {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) title: String,
    #[prost(string, tag = "6")]
    pub(crate) collection_type: String,
    #[prost(string, repeated, tag = "8")]
    pub(crate) array: Vec<String>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// `grpc-status`
    pub(crate) code: u32,
    /// `grpc-message`, decoded.
    pub(crate) message: String,
    /// The message of the reply, if there is one.
    pub(crate) reply: Vec<u8>,
}

impl Answer {
    pub(crate) fn read<M: Message + Default>(&self) -> M {
        assert_eq!(self.code, 0, "{}", self.message);
        M::decode(&self.reply[..]).unwrap()
    }

    /// All manifests in one text.
    pub(crate) fn manifests(&self) -> String {
        self.read::<ManifestResponse>().manifests.join("---\n")
    }
}

/// Packs a folder as the repo-server does: a tar of relative names in gzip.
pub(crate) fn pack(folder: &Path) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    archive.follow_symlinks(false);
    archive.append_dir_all("", folder).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

/// The metadata of an archive.
pub(crate) fn metadata(archive: &[u8], app: &str, variables: &[(&str, &str)]) -> Metadata {
    let checksum = format!("{:x}", Sha256::digest(archive));
    let entry = |(name, value): &(&str, &str)| EnvEntry { name: (*name).into(), value: (*value).into() };
    Metadata {
        app_name: app.rsplit('/').next().unwrap_or_default().into(),
        app_rel_path: app.into(),
        checksum,
        size: i64::try_from(archive.len()).unwrap(),
        env: variables.iter().map(entry).collect(),
    }
}

/// The messages of a whole stream.
pub(crate) fn stream(metadata: Metadata, archive: &[u8], chunk: usize) -> Vec<AppStreamRequest> {
    let first = AppStreamRequest { metadata: Some(metadata), file: None };
    let file = |chunk: &[u8]| AppStreamRequest { metadata: None, file: Some(File { chunk: chunk.to_vec() }) };
    std::iter::once(first).chain(archive.chunks(chunk).map(file)).collect()
}

/// A connection to the server.
pub(crate) struct Connection {
    send: SendRequest<Bytes>,
}

/// A call that is being sent.
pub(crate) struct Sending {
    body: h2::SendStream<Bytes>,
    response: h2::client::ResponseFuture,
}

impl Connection {
    pub(crate) async fn open(socket: &Path) -> Self {
        let (send, connection) = h2::client::handshake(UnixStream::connect(socket).await.unwrap()).await.unwrap();
        tokio::spawn(connection);
        Self { send }
    }

    /// One whole call of a method of the plugin service.
    pub(crate) async fn call(&self, method: &str, messages: &[AppStreamRequest]) -> Answer {
        let mut sending = self.begin(method, None).await;
        for message in messages {
            sending.send(message).await;
        }
        sending.end().await
    }

    pub(crate) async fn begin(&self, method: &str, timeout: Option<&str>) -> Sending {
        let mut request =
            http::Request::post(format!("http://localhost/plugin.ConfigManagementPluginService/{method}"))
                .header("content-type", "application/grpc")
                .header("te", "trailers");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let mut send = self.send.clone().ready().await.unwrap();
        let (response, body) = send.send_request(request.body(()).unwrap(), false).unwrap();
        Sending { body, response }
    }
}

impl Sending {
    /// Sends a message, as fast as the server takes it. A stream that the server has ended takes no more.
    pub(crate) async fn send(&mut self, message: &impl Message) {
        let mut bytes = BytesMut::new();
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
        message.encode(&mut bytes).unwrap();
        let mut bytes = bytes.freeze();
        while !bytes.is_empty() {
            self.body.reserve_capacity(bytes.len());
            let Some(Ok(room)) = std::future::poll_fn(|context| self.body.poll_capacity(context)).await else { return };
            if self.body.send_data(bytes.split_to(room.min(bytes.len())), false).is_err() {
                return;
            }
        }
    }

    /// Ends the stream and waits for the answer.
    pub(crate) async fn end(mut self) -> Answer {
        let _ = self.body.send_data(Bytes::new(), true);
        self.answer().await
    }

    /// Whether the server has answered already.
    pub(crate) async fn is_answered(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(200), &mut self.response).await.is_ok()
    }

    async fn answer(self) -> Answer {
        let response = tokio::time::timeout(Duration::from_mins(1), self.response).await.unwrap().unwrap();
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            bytes.write_all(&data).unwrap();
        }
        let trailers = body.trailers().await.unwrap().unwrap_or(head.headers);
        let text = |name: &str| trailers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        Answer {
            code: text("grpc-status").parse().unwrap(),
            message: unescaped(&text("grpc-message")),
            reply: bytes.get(5..).unwrap_or_default().to_vec(),
        }
    }
}

/// Takes the percent signs out.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        rest = more;
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}
