//! Those who connect to the plugin's socket: who they are, never too many, and whatever the machine runs out of.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::process::geteuid;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;
use tonic::transport::server::Connected;
use tonic::{Request, Status};
use tracing::warn;

/// The most connections at once; who comes later waits in the kernel's queue. The repo-server holds one for each request.
const MAX_CONNECTIONS: u32 = 256;

/// How long nobody is accepted after the machine has run out of something.
const PAUSE: Duration = Duration::from_millis(100);

/// How long one may be connected without a word. A client of HTTP/2 speaks first, and does so at once; whoever does not takes
/// the place of others.
const SILENCE: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(10) };

/// How often the log says the same thing.
const SAY_AGAIN: Duration = Duration::from_mins(1);

/// Connections to be served: a stream that never yields an error. It survives a machine that has run out of descriptors
/// or memory, and ends when the socket's file is gone and nobody waits any more.
pub struct Connections {
    listener: UnixListener,
    allowed: BTreeSet<u32>,
    closed: oneshot::Receiver<()>,
    /// Dropped when nobody is let in any more.
    open: Option<oneshot::Sender<()>>,
    places: Arc<Semaphore>,
    /// The place of the next one, or the wait for it.
    place: Option<OwnedSemaphorePermit>,
    wait: Option<Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>>,
    pause: Option<Pin<Box<Sleep>>>,
    refused: Seldom,
    failed: Seldom,
}

impl Connections {
    /// Accepts users of these uids until `closed`.
    pub(super) fn new(listener: UnixListener, allowed: BTreeSet<u32>, closed: oneshot::Receiver<()>) -> Self {
        Self {
            listener,
            allowed,
            closed,
            open: None,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS as usize)),
            place: None,
            wait: None,
            pause: None,
            refused: Seldom::default(),
            failed: Seldom::default(),
        }
    }

    /// The places, by which one can wait until nobody is connected.
    pub(super) fn places(&mut self) -> Places {
        let (open, ended) = oneshot::channel();
        self.open = Some(open);
        Places { all: Arc::clone(&self.places), ended }
    }

    fn poll_place(&mut self, context: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        if let Some(place) = self.place.take() {
            return Poll::Ready(Some(place));
        }
        let places = &self.places;
        let wait = self.wait.get_or_insert_with(|| {
            let places = Arc::clone(places);
            Box::pin(async move { places.acquire_owned().await.ok() })
        });
        let place = ready!(wait.as_mut().poll(context));
        self.wait = None;
        Poll::Ready(place)
    }

    /// Who has connected. One who may not is let in all the same, to be told so: the repo-server waits for ever for a server
    /// that closes at once, and holds the repository meanwhile (argo-cd 3.6, `cmpserver/apiclient/clientset.go`).
    fn peer(&mut self, stream: &UnixStream) -> Peer {
        let uid = stream.peer_cred().ok().map(|peer| peer.uid());
        let may = uid.is_some_and(|uid| self.allowed.contains(&uid));
        if !may && self.refused.now() {
            warn!(
                uid,
                "another user is refused; if that is the repo-server, run this container as its user, or list its uid in \
                 `ARGOCD_SOPS_ALLOWED_UIDS`"
            );
        }
        Peer { uid, may }
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    uid: Option<u32>,
    may: bool,
}

/// Lets calls pass of users who may call.
///
/// # Errors
///
/// The refusal of all others.
pub(super) fn who_may(call: Request<()>) -> Result<Request<()>, Status> {
    match call.extensions().get::<Peer>() {
        Some(Peer { may: true, .. }) => Ok(call),
        peer => {
            let uid = peer.and_then(|peer| peer.uid).map_or("an unknown user".into(), |uid| format!("uid {uid}"));
            let own = geteuid().as_raw();
            Err(Status::permission_denied(format!(
                "{uid} may not use this plugin, which runs as uid {own}\n  hint: run its container as the repo-server's user, or \
                 list that user in `ARGOCD_SOPS_ALLOWED_UIDS`"
            )))
        }
    }
}

impl Stream for Connections {
    type Item = io::Result<Connection>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.closed.is_terminated() {
            return Poll::Ready(None);
        }
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(context));
                this.pause = None;
            }
            let Some(place) = ready!(this.poll_place(context)) else { return Poll::Ready(None) };
            match this.listener.poll_accept(context) {
                Poll::Ready(Ok((stream, _))) => {
                    let peer = this.peer(&stream);
                    return Poll::Ready(Some(Ok(Connection {
                        stream,
                        peer,
                        silence: Some(Box::pin(sleep(SILENCE))),
                        _place: place,
                    })));
                }
                // He who connected has gone again.
                Poll::Ready(Err(cause)) if cause.kind() == io::ErrorKind::ConnectionAborted => {}
                Poll::Ready(Err(cause)) => {
                    if this.failed.now() {
                        warn!(%cause, "cannot accept connections at the moment");
                    }
                    this.pause = Some(Box::pin(sleep(PAUSE)));
                }
                Poll::Pending => {
                    let end = Pin::new(&mut this.closed).poll(context).map(|_| None);
                    // Nobody waits for the place of a connection that never comes.
                    this.place = end.is_pending().then_some(place);
                    if end.is_ready() {
                        this.open = None;
                    }
                    return end;
                }
            }
        }
    }
}

/// The places of all connections.
pub(super) struct Places {
    all: Arc<Semaphore>,
    /// Told that nobody is let in any more.
    ended: oneshot::Receiver<()>,
}

impl Places {
    /// Waits until the stream has ended and nobody is connected.
    pub(super) async fn are_free(self) {
        // Not before: who waits for all places keeps them from those who have found the socket and are still to be let in.
        let _ = self.ended.await;
        let _ = self.all.acquire_many(MAX_CONNECTIONS).await;
    }
}

/// A connection, and its place among the others.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    peer: Peer,
    /// Until something has arrived: how long it may take.
    silence: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if read.is_ready() {
            self.silence = None;
        } else if let Some(silence) = &mut self.silence {
            ready!(silence.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Something that is said once in a while.
#[derive(Debug, Default)]
struct Seldom(Option<Instant>);

impl Seldom {
    fn now(&mut self) -> bool {
        let now = self.0.is_none_or(|last| last.elapsed() >= SAY_AGAIN);
        if now {
            self.0 = Some(Instant::now());
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_stream::StreamExt as _;
    use tonic::Code;

    use super::*;

    struct Door {
        _folder: tempfile::TempDir,
        path: PathBuf,
        open: oneshot::Sender<()>,
        connections: Connections,
    }

    fn door() -> Door {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (open, closed) = oneshot::channel();
        let own = BTreeSet::from([geteuid().as_raw()]);
        let connections = Connections::new(UnixListener::bind(&path).unwrap(), own, closed);
        Door { _folder: folder, path, open, connections }
    }

    #[tokio::test]
    async fn another_user_is_refused_call_by_call() {
        let mut door = door();
        for (uid, may) in [(geteuid().as_raw() + 1, false), (geteuid().as_raw(), true)] {
            door.connections.allowed = BTreeSet::from([uid]);
            let _client = UnixStream::connect(&door.path).await.unwrap();
            let mut call = Request::new(());
            call.extensions_mut().insert(door.connections.next().await.unwrap().unwrap().connect_info());
            assert_eq!(who_may(call).err().map(|status| status.code()), (!may).then_some(Code::PermissionDenied));
        }
        assert!(who_may(Request::new(())).is_err(), "a connection of nobody");
    }

    #[tokio::test]
    async fn whoever_had_found_the_socket_is_still_let_in() {
        let mut door = door();
        let _clients = [UnixStream::connect(&door.path).await.unwrap(), UnixStream::connect(&door.path).await.unwrap()];
        drop(door.open);
        assert!(door.connections.next().await.unwrap().is_ok());
        assert!(door.connections.next().await.unwrap().is_ok());
        assert!(door.connections.next().await.is_none());
        assert!(door.connections.next().await.is_none(), "it stays ended");
    }

    #[tokio::test]
    async fn nobody_is_kept_out_by_who_waits_for_all_to_go() {
        let mut door = door();
        let clients = [UnixStream::connect(&door.path).await.unwrap(), UnixStream::connect(&door.path).await.unwrap()];
        let gone = tokio::spawn(door.connections.places().are_free());
        drop(door.open);
        tokio::task::yield_now().await;
        let first = door.connections.next().await.unwrap().unwrap();
        let second = door.connections.next().await.unwrap().unwrap();
        assert!(door.connections.next().await.is_none());
        tokio::task::yield_now().await;
        assert!(!gone.is_finished());
        drop((first, second, clients));
        gone.await.unwrap();
    }

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_waits_for_one() {
        let mut door = door();
        door.connections.places = Arc::new(Semaphore::new(2));
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(UnixStream::connect(&door.path).await.unwrap());
        }
        let first = door.connections.next().await.unwrap().unwrap();
        let _second = door.connections.next().await.unwrap().unwrap();
        let third = tokio::spawn(async move { door.connections.next().await.unwrap() });
        tokio::task::yield_now().await;
        assert!(!third.is_finished());
        drop(first);
        assert!(third.await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn who_says_nothing_loses_the_place() {
        let mut door = door();
        let mut talker = UnixStream::connect(&door.path).await.unwrap();
        let mut talks = door.connections.next().await.unwrap().unwrap();
        let _silent = UnixStream::connect(&door.path).await.unwrap();
        let mut says_nothing = door.connections.next().await.unwrap().unwrap();
        talker.write_all(b"a").await.unwrap();
        assert_eq!(talks.read_u8().await.unwrap(), b'a');
        assert_eq!(says_nothing.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let more = talks.read_u8();
        assert!(tokio::time::timeout(SILENCE * 2, more).await.is_err(), "who has spoken may think");
    }

    #[test]
    fn something_is_said_once_in_a_while() {
        let mut seldom = Seldom::default();
        assert!(seldom.now() && !seldom.now());
    }
}
