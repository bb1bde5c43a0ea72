//! Those who are connected: so many at a time, and the server knows when the last one has gone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::server::Connected;

use super::authority;
use super::socket::Connections;

/// Clients at a time; more of them wait in the kernel's queue. The repo-server has one connection for each request.
const MOST: u32 = 256;

/// The places for clients.
pub(super) struct Clients(Arc<Semaphore>);

/// One who is connected.
pub(super) struct Client {
    stream: authority::Connection<UnixStream>,
    _place: OwnedSemaphorePermit,
}

impl Clients {
    /// Accepts clients as long as there is a place. The stream never ends: the server would close the connections of those who
    /// are there already.
    pub(super) fn accept(mut connections: Connections) -> (Self, impl Stream<Item = io::Result<Client>>) {
        let places = Arc::new(Semaphore::new(MOST as usize));
        let (sender, accepted) = mpsc::channel(1);
        let free = Arc::clone(&places);
        tokio::spawn(async move {
            while let Ok(place) = Arc::clone(&free).acquire_owned().await {
                let Some(Ok(stream)) = connections.next().await else { break };
                let client = Client { stream: authority::Connection::new(stream), _place: place };
                if sender.send(Ok(client)).await.is_err() {
                    return;
                }
            }
            sender.closed().await;
        });
        (Self(places), ReceiverStream::new(accepted))
    }

    /// Waits until nobody is connected.
    pub(super) async fn gone(&self) {
        let _ = self.0.acquire_many(MOST).await;
    }
}

impl Connected for Client {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Client {
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
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
