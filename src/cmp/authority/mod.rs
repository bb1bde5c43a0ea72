//! Repairs the `:authority` that Argo CD's repo-server sends and `h2` refuses.
//!
//! The repo-server dials `passthrough:/home/argocd/.../sops.sock`, so grpc-go sends `:authority: home%2Fargocd%2F...%2Fsops.sock`. The `http` crate
//! allows no `%` in a host and `h2` answers each call with `PROTOCOL_ERROR`. [`Connection`] overwrites the value in the bytes that were read, length
//! for length, before `h2` sees them:
//!
//! ```text
//! UnixStream ── read ──► frames ──► header blocks ──► :authority = XXXXXXXX ──► h2
//! ```
//!
//! No length changes: frames, padding and CONTINUATION stay as they are, nothing is buffered, and DATA is stepped over. Nothing is decoded either. A
//! literal field says how long its name and value are; that its name is `:authority` shows in its index in the static table or in the spelled-out
//! name.
//!
//! **The dynamic tables stay in step** (RFC 7541, 4). The client keeps the value that it sent, `h2` the one that we wrote, which is as long, or shorter
//! where the client used Huffman's code (encoders use it where that shortens). So `h2` evicts later than the client, never earlier: every entry that the
//! client can refer to is still there under the same index. A value of no use to anyone may remain behind them.
//!
//! What is left alone reaches `h2` as it came, which judges it: a name given as an index in the *dynamic* table (encoders take the static one, where
//! `:authority` is the first), and whatever is malformed.

mod frames;
mod header_block;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

pub use frames::Repair;

/// An accepted connection whose requests carry an `:authority` that `h2` takes.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    repair: Repair,
}

impl<S> Connection<S> {
    /// Wraps a connection of which nothing has been read yet.
    pub fn new(stream: S) -> Self {
        Self { stream, repair: Repair::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.repair.apply(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What the stream says of its peer: for a unix socket its credentials.
impl<S: Connected> Connected for Connection<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}
