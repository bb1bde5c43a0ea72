//! Repairs the `:authority` that Argo CD's repo-server sends and `h2` refuses.
//!
//! The repo-server dials `passthrough:/home/argocd/.../sops.sock`, so grpc-go sends `:authority: home%2Fargocd%2F...%2Fsops.sock`. The `http` crate
//! allows no `%` in a host and `h2` answers each call with `PROTOCOL_ERROR`. [`Connection`] overwrites the value in the bytes that were read, length
//! for length, before `h2` sees them:
//!
//! ```text
//! UnixStream ── read ──► Repair: `:authority` = XXXXXXXX ──► Joiner: few DATA frames ──► h2
//! ```
//!
//! No length changes in [`Repair`]: frames, padding and CONTINUATION stay as they are, and DATA is stepped over. Nothing is decoded either. A literal
//! field says how long its name and value are; that its name is `:authority` shows in its index in the static table or in the spelled-out name.
//!
//! **The dynamic tables stay in step** (RFC 7541, 4). The client keeps the value that it sent, `h2` the one that we wrote, which is as long, or shorter
//! where the client used Huffman's code (encoders use it where that shortens). So `h2` evicts later than the client, never earlier: every entry that the
//! client can refer to is still there under the same index. A value of no use to anyone may remain behind them.
//!
//! What is left alone reaches `h2` as it came, which judges it: a name given as an index in the *dynamic* table (encoders take the static one, where
//! `:authority` is the first), and whatever is malformed.
//!
//! The bytes are at hand anyway, so [`Joiner`] also makes few frames of the many that an archive comes in (its page says why).

mod data;
mod frames;
mod header_block;

use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

pub use data::Joiner;
pub use frames::Repair;

/// What is read at once. More saves little; `h2` itself asks for 8 KiB.
const BUFFER: usize = 32 * 1024;

/// An accepted connection whose requests carry an `:authority` that `h2` takes.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    repair: Repair,
    joiner: Joiner,
    buffer: Box<[u8]>,
    /// What of the buffer has been read and not yet handed out.
    ready: Range<usize>,
}

impl<S> Connection<S> {
    /// Wraps a connection of which nothing has been read yet.
    pub fn new(stream: S) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { stream, repair: Repair::default(), joiner: Joiner::default(), buffer, ready: 0..0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ready.is_empty() {
            let mut buffer = ReadBuf::new(&mut this.buffer);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer))?;
            let read = buffer.filled_mut();
            this.repair.apply(read);
            this.ready = 0..this.joiner.join(read);
        }
        let taken = into.remaining().min(this.ready.len());
        into.put_slice(&this.buffer[this.ready.start..this.ready.start + taken]);
        this.ready.start += taken;
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
