//! One upload: chunks in, a tree out.

use std::io::{self, BufRead, Read, Seek as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::archive::{ArchiveError, Excess, Known, unpack_beside};
use super::store::{Flight, Lead, Role, Store};
use super::tree::Tree;
use super::trees::{Announced, Had};

/// Chunks are gathered into buffers of this size before they are handed to another thread.
const GATHERED: usize = 32 * 1024;

/// How many full buffers may wait for that thread.
const WAITING: usize = 2;

/// An archive that arrives. Dropped before its end, it leaves nothing behind.
#[derive(Debug)]
pub struct Receiving {
    store: Arc<Store>,
    announced: Arc<Announced>,
    received: u64,
    had: Had,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// The tree is there: the archive need only be what was announced.
    Known(Arc<Tree>, Sha256),
    /// Another thread takes the archive in.
    Work(Work),
    /// What arrives is thrown away.
    Failed(ArchiveError),
}

/// The way to the thread that takes the archive in.
#[derive(Debug)]
struct Work {
    gathered: BytesMut,
    pieces: mpsc::Sender<Piece>,
    shared: Arc<Shared>,
    outcome: oneshot::Receiver<Result<Arc<Tree>, ArchiveError>>,
}

/// What both ends know.
#[derive(Debug, Default)]
struct Shared {
    spooled: AtomicU64,
    /// Buffers to be used again.
    spare: Mutex<Vec<BytesMut>>,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

impl Receiving {
    pub(super) fn begin(store: &Arc<Store>, announced: Announced) -> Self {
        let announced = Arc::new(announced);
        let (had, way) = match store.join(&announced, None) {
            Err(error) => (Had::Unpacked, Way::Failed(error)),
            Ok(role) => {
                let had = store.begun(&announced, &role);
                let way = match role {
                    Role::Known(tree) => Way::Known(tree, Sha256::new()),
                    role => Way::Work(Work::begin(store, &announced, role)),
                };
                (had, way)
            }
        };
        Self { store: store.clone(), announced, received: 0, had, way }
    }

    /// The tree, if it was known at the beginning, by checksum or by commit. Work with it may begin; the answer waits for
    /// [`Receiving::finish`].
    #[must_use]
    pub fn known(&self) -> Option<Arc<Tree>> {
        match &self.way {
            Way::Known(tree, _) => Some(tree.clone()),
            Way::Work(_) | Way::Failed(_) => None,
        }
    }

    /// How the tree is had, as it looked at the beginning.
    #[must_use]
    pub fn had(&self) -> Had {
        self.had
    }

    /// Takes the next chunk. After a fault, chunks are thrown away, and [`Receiving::finish`] tells.
    pub async fn push(&mut self, chunk: Bytes) {
        self.received += chunk.len() as u64;
        if self.received > self.store.limits.archive_bytes && !matches!(self.way, Way::Failed(_)) {
            let limit = Excess::ArchiveBytes(self.store.limits.archive_bytes);
            self.way = Way::Failed(ArchiveError::TooMuch(limit));
        }
        match &mut self.way {
            Way::Known(_, hash) => hash.update(&chunk),
            Way::Work(work) => work.push(chunk).await,
            Way::Failed(_) => {}
        }
    }

    /// The end of the archive: the tree, once it is whole and the checksum agrees.
    ///
    /// # Errors
    ///
    /// If the checksum differs, the archive is broken or beyond a limit, or there is no room for it.
    pub async fn finish(mut self) -> Result<Arc<Tree>, ArchiveError> {
        let way = std::mem::replace(&mut self.way, Way::Failed(ArchiveError::Aborted));
        let mut spooled = 0;
        let outcome = match way {
            Way::Known(tree, hash) => verify(hash, &self.announced).map(|()| {
                self.store.confirm(&tree, &self.announced);
                tree
            }),
            Way::Work(work) => {
                let shared = work.shared.clone();
                let outcome = work.finish().await;
                spooled = shared.spooled.load(Ordering::Relaxed);
                outcome
            }
            Way::Failed(error) => Err(error),
        };
        self.store.ended(spooled, outcome.is_err());
        outcome
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.store.received(self.received);
    }
}

impl Work {
    fn begin(store: &Arc<Store>, announced: &Arc<Announced>, role: Role) -> Self {
        let (pieces, theirs) = mpsc::channel(WAITING);
        let (sender, outcome) = oneshot::channel();
        let shared = Arc::<Shared>::default();
        let input = Input {
            pieces: theirs,
            shared: shared.clone(),
            hash: Sha256::new(),
            state: Arrival::Goes,
            spool: Ok(None),
        };
        let (store, announced) = (store.clone(), announced.clone());
        let expected = usize::try_from(announced.size).unwrap_or(GATHERED).min(GATHERED);
        tokio::task::spawn_blocking(move || {
            // Nobody may be there any more to hear it.
            let _ = sender.send(take_in(&store, &announced, role, input));
        });
        Self { gathered: BytesMut::with_capacity(expected), pieces, shared, outcome }
    }

    async fn push(&mut self, chunk: Bytes) {
        if self.gathered.is_empty() && chunk.len() >= GATHERED / 4 {
            return self.send(chunk).await;
        }
        self.gathered.extend_from_slice(&chunk);
        if self.gathered.len() >= GATHERED {
            let spare = self.shared.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let full = std::mem::replace(&mut self.gathered, spare.unwrap_or_default());
            self.send(full.freeze()).await;
        }
    }

    async fn send(&self, bytes: Bytes) {
        // Fails only if that thread has panicked: then the outcome says so.
        let _ = self.pieces.send(Piece::Bytes(bytes)).await;
    }

    async fn finish(mut self) -> Result<Arc<Tree>, ArchiveError> {
        let last = std::mem::take(&mut self.gathered);
        if !last.is_empty() {
            self.send(last.freeze()).await;
        }
        let _ = self.pieces.send(Piece::End).await;
        self.outcome.await.unwrap_or(Err(ArchiveError::Aborted))
    }
}

/// What arrives, as seen by the thread that takes it in.
struct Input {
    pieces: mpsc::Receiver<Piece>,
    shared: Arc<Shared>,
    hash: Sha256,
    state: Arrival,
    /// All that has arrived, if somebody else was unpacking it. The file has no name.
    spool: Result<Option<std::fs::File>, ArchiveError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Goes,
    Complete,
    Aborted,
}

/// Takes an archive in, in whatever role it comes to.
fn take_in(
    store: &Arc<Store>,
    announced: &Announced,
    mut role: Role,
    mut input: Input,
) -> Result<Arc<Tree>, ArchiveError> {
    loop {
        role = match role {
            Role::Known(tree) => {
                input.spool = Ok(None);
                input.drain()?;
                verify(input.hash, announced)?;
                store.confirm(&tree, announced);
                return Ok(tree);
            }
            Role::Follow(flight) => {
                input.follow(store, &flight)?;
                store.join(announced, Some(&flight))?
            }
            Role::Lead(lead) => return lead_on(store, announced, lead, input),
        };
    }
}

fn lead_on(store: &Arc<Store>, announced: &Announced, lead: Lead, mut input: Input) -> Result<Arc<Tree>, ArchiveError> {
    let unpacked = input.archive(lead.flight()).and_then(|archive| {
        let known = lead.known.as_ref().map(|tree| Known { folder: tree.folder(), index: tree.index() });
        unpack_beside(archive, lead.flight().folder(), &store.limits, known, &|| store.make_room())
    });
    match unpacked {
        Ok(unpacked) => {
            input.drain()?;
            verify(input.hash, announced)?;
            Ok(lead.publish(unpacked))
        }
        Err(error) => {
            // Others may try while the rest arrives.
            drop(lead);
            input.drain()?;
            verify(input.hash, announced)?;
            Err(error)
        }
    }
}

impl Input {
    /// The next piece, hashed; `None` at the end.
    fn next(&mut self) -> Option<Bytes> {
        if self.state != Arrival::Goes {
            return None;
        }
        match self.pieces.blocking_recv() {
            Some(Piece::Bytes(bytes)) => {
                self.hash.update(&bytes);
                Some(bytes)
            }
            Some(Piece::End) => {
                self.state = Arrival::Complete;
                None
            }
            None => {
                self.state = Arrival::Aborted;
                None
            }
        }
    }

    /// Lets the rest arrive.
    fn drain(&mut self) -> Result<(), ArchiveError> {
        while let Some(bytes) = self.next() {
            self.shared.give_back(bytes);
        }
        if self.state == Arrival::Aborted { Err(ArchiveError::Aborted) } else { Ok(()) }
    }

    /// Puts aside what arrives until a flight is over. At the end of the archive it waits for that.
    fn follow(&mut self, store: &Store, flight: &Arc<Flight>) -> Result<(), ArchiveError> {
        while store.flies(flight) {
            let Some(bytes) = self.next() else {
                self.drain()?;
                store.wait(flight);
                break;
            };
            self.put_aside(store, &bytes);
            self.shared.give_back(bytes);
        }
        Ok(())
    }

    /// If that fails, it matters only should the other request fail as well.
    fn put_aside(&mut self, store: &Store, bytes: &[u8]) {
        self.shared.spooled.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let written = match &mut self.spool {
            Err(_) => return,
            Ok(Some(spool)) => spool.write_all(bytes).map_err(|cause| ArchiveError::io("put it aside", cause)),
            Ok(none) => store.spool().and_then(|mut spool| {
                spool.write_all(bytes).map_err(|cause| ArchiveError::io("put it aside", cause))?;
                *none = Some(spool);
                Ok(())
            }),
        };
        if let Err(error) = written {
            self.spool = Err(error);
        }
    }

    /// The whole archive: what was put aside, then what arrives.
    fn archive<'a>(&'a mut self, flight: &'a Flight) -> Result<Arriving<'a>, ArchiveError> {
        let mut spool = std::mem::replace(&mut self.spool, Ok(None))?;
        if let Some(spool) = &mut spool {
            spool.rewind().map_err(|cause| ArchiveError::io("read it", cause))?;
        }
        Ok(Arriving { spool, input: self, flight, present: Bytes::new() })
    }
}

impl Shared {
    /// Keeps a buffer that nobody else holds.
    fn give_back(&self, bytes: Bytes) {
        if let Ok(mut buffer) = bytes.try_into_mut() {
            buffer.clear();
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < WAITING {
                spare.push(buffer);
            }
        }
    }
}

/// What arrives, to be read.
struct Arriving<'a> {
    spool: Option<std::fs::File>,
    input: &'a mut Input,
    flight: &'a Flight,
    present: Bytes,
}

impl Arriving<'_> {
    /// The next piece; empty at the end.
    fn next(&mut self) -> io::Result<Bytes> {
        if let Some(spool) = &mut self.spool {
            let mut buffer = BytesMut::zeroed(GATHERED);
            let length = spool.read(&mut buffer)?;
            if length > 0 {
                buffer.truncate(length);
                return Ok(buffer.freeze());
            }
            self.spool = None;
        }
        match self.input.next() {
            None if self.input.state == Arrival::Aborted => Err(io::ErrorKind::ConnectionAborted.into()),
            piece => Ok(piece.unwrap_or_default()),
        }
    }
}

impl BufRead for Arriving<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.present.is_empty() {
            self.input.shared.give_back(std::mem::take(&mut self.present));
            self.flight.progress.fetch_add(1, Ordering::Relaxed);
            self.present = self.next()?;
        }
        Ok(&self.present)
    }

    fn consume(&mut self, bytes: usize) {
        self.present.advance(bytes);
    }
}

impl Read for Arriving<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}

fn verify(hash: Sha256, announced: &Announced) -> Result<(), ArchiveError> {
    if hash.finalize()[..] == announced.checksum { Ok(()) } else { Err(ArchiveError::Checksum) }
}
