//! The entries of an archive, one after the other: gzip around tar, as Go and others write it.
//!
//! The headers' fields are read by the `tar` crate; what stands between them (long names, PAX, the end) is read here, since
//! it has to have limits.

use std::io::{self, BufRead, BufReader, Read as _};

use flate2::bufread::MultiGzDecoder;
use tar::{EntryType, Header};

use super::error::{ArchiveError, Excess};
use crate::repo::limits::Limits;

/// What is inflated at once.
const BUFFER: usize = 128 * 1024;

/// The most bytes of one extended header: it holds a path and a link's target.
const MAX_EXTENDED: u64 = 64 * 1024;

/// What a tar is made of.
const BLOCK: u64 = 512;

/// The entries of an archive. The content of an entry that has not been read is skipped.
pub(super) struct Entries<'a, R> {
    inflated: BufReader<MultiGzDecoder<R>>,
    limits: &'a Limits,
    /// How many bytes may still come.
    room: u64,
    /// How many bytes of the present entry's content have not been read.
    content: u64,
    /// What fills the last block of the content.
    padding: u64,
}

/// One entry, as the archive calls it.
#[derive(Debug)]
pub(super) struct Entry {
    /// As written.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) size: u64,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// A symbolic link, and where it points.
    Link(Vec<u8>),
    /// What a source never holds, by its name.
    Other(&'static str),
}

/// What extended headers say about the entry that follows them.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl<'a, R: BufRead> Entries<'a, R> {
    pub(super) fn new(archive: R, limits: &'a Limits) -> Self {
        Self {
            inflated: BufReader::with_capacity(BUFFER, MultiGzDecoder::new(archive)),
            limits,
            room: limits.unpacked_bytes,
            content: 0,
            padding: 0,
        }
    }

    /// The next entry; `None` at the end of the archive, behind which there is nothing but zeros.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut extended = Extended::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            let size = header.entry_size().map_err(|_| ArchiveError::broken("a size is not a number"))?;
            match kind {
                EntryType::XHeader => read_pax(&self.extended(size)?, &mut extended)?,
                EntryType::GNULongName => extended.name = Some(until_zero(self.extended(size)?)),
                EntryType::GNULongLink => extended.target = Some(until_zero(self.extended(size)?)),
                // Go's reader does not apply it to entries either.
                EntryType::XGlobalHeader => {
                    self.extended(size)?;
                }
                _ => return self.entry(&header, extended, size).map(Some),
            }
        }
    }

    /// Some more of the present entry's content; empty at its end.
    pub(super) fn read(&mut self) -> Result<&[u8], ArchiveError> {
        let bytes = self.inflated.fill_buf().map_err(unread)?;
        if bytes.is_empty() && self.content > 0 {
            return Err(ArchiveError::broken("it ends within a file"));
        }
        Ok(&bytes[..bytes.len().min(usize::try_from(self.content).unwrap_or(usize::MAX))])
    }

    /// Goes on behind what has been read.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.inflated.consume(bytes);
        self.content = self.content.saturating_sub(bytes as u64);
    }

    fn entry(&mut self, header: &Header, extended: Extended, size: u64) -> Result<Entry, ArchiveError> {
        let name = extended.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match header.entry_type() {
            _ if extended.sparse => Kind::Other("a sparse file"),
            // Archives of old mark folders by the name only.
            EntryType::Regular if name.ends_with(b"/") => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => {
                let target = || header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
                Kind::Link(extended.target.unwrap_or_else(target))
            }
            EntryType::Link => Kind::Other("a hard link"),
            EntryType::Char | EntryType::Block => Kind::Other("a device"),
            EntryType::Fifo => Kind::Other("a pipe"),
            EntryType::GNUSparse => Kind::Other("a sparse file"),
            _ => Kind::Other("of an unknown kind"),
        };
        let size = extended.size.unwrap_or(size);
        if kind != Kind::File && size > 0 {
            // Readers do not agree on whether content follows.
            return Err(ArchiveError::broken("something that is not a file has content"));
        }
        self.begin(size)?;
        Ok(Entry { name, kind, size })
    }

    /// The next header; `None` at the end.
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut block = [0; 512];
        let mut filled = 0;
        while filled < block.len() {
            match self.inflated.read(&mut block[filled..]).map_err(unread)? {
                // Go's reader takes this for an end as well.
                0 if filled == 0 => return Ok(None),
                0 => return Err(ArchiveError::broken("it ends within a header")),
                bytes => filled += bytes,
            }
        }
        self.count(BLOCK)?;
        if block.iter().all(|byte| *byte == 0) {
            self.end()?;
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block);
        let sum = block.iter().enumerate().map(|(place, byte)| match place {
            148..156 => u32::from(b' '),
            _ => u32::from(*byte),
        });
        if header.cksum().ok() != Some(sum.sum()) {
            return Err(ArchiveError::broken("a header's checksum is wrong"));
        }
        Ok(Some(header.clone()))
    }

    /// Reads the zeros behind the last entry.
    fn end(&mut self) -> Result<(), ArchiveError> {
        loop {
            let bytes = self.inflated.fill_buf().map_err(unread)?;
            if bytes.is_empty() {
                return Ok(());
            }
            if bytes.iter().any(|byte| *byte != 0) {
                return Err(ArchiveError::broken("something follows its end"));
            }
            let bytes = bytes.len();
            self.inflated.consume(bytes);
            self.count(bytes as u64)?;
        }
    }

    /// The whole of an extended header.
    fn extended(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > MAX_EXTENDED {
            return Err(ArchiveError::broken("an extended header is too long"));
        }
        self.begin(size)?;
        let mut bytes = Vec::new();
        while self.content > 0 {
            let some = self.read()?;
            bytes.extend_from_slice(some);
            let some = some.len();
            self.consume(some);
        }
        Ok(bytes)
    }

    fn begin(&mut self, size: u64) -> Result<(), ArchiveError> {
        self.content = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
        self.count(size)?;
        self.count(self.padding)
    }

    /// Leaves the present entry behind.
    fn skip(&mut self) -> Result<(), ArchiveError> {
        let mut left = std::mem::take(&mut self.content).saturating_add(std::mem::take(&mut self.padding));
        while left > 0 {
            let bytes = self.inflated.fill_buf().map_err(unread)?.len();
            if bytes == 0 {
                return Err(ArchiveError::broken("it ends within a file"));
            }
            let bytes = bytes.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.inflated.consume(bytes);
            left -= bytes as u64;
        }
        Ok(())
    }

    fn count(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        let excess = Excess::UnpackedBytes(self.limits.unpacked_bytes);
        self.room = self.room.checked_sub(bytes).ok_or(ArchiveError::TooMuch(excess))?;
        Ok(())
    }
}

/// Reads PAX records, `LENGTH KEY=VALUE\n` each, of which the last one of a key counts.
fn read_pax(mut bytes: &[u8], extended: &mut Extended) -> Result<(), ArchiveError> {
    let broken = || ArchiveError::broken("an extended header cannot be read");
    while !bytes.is_empty() {
        let space = bytes.iter().take(8).position(|byte| *byte == b' ').ok_or_else(broken)?;
        let length = number(&bytes[..space]).and_then(|length| usize::try_from(length).ok()).ok_or_else(broken)?;
        let record = bytes.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(broken)?;
        bytes = &bytes[length..];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        // An empty value takes back what was said.
        let text = (!value.is_empty()).then(|| value.to_owned());
        match key {
            b"path" => extended.name = text,
            b"linkpath" => extended.target = text,
            b"size" if text.is_none() => extended.size = None,
            b"size" => extended.size = Some(number(value).ok_or_else(broken)?),
            key if key.starts_with(b"GNU.sparse.") => extended.sparse = true,
            _ => {}
        }
    }
    Ok(())
}

fn number(digits: &[u8]) -> Option<u64> {
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        .then(|| std::str::from_utf8(digits).ok()?.parse().ok())
        .flatten()
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    bytes
}

fn unread(cause: io::Error) -> ArchiveError {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::broken("it ends too early"),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => ArchiveError::broken("it is not gzip"),
        io::ErrorKind::ConnectionAborted => ArchiveError::Aborted,
        _ => ArchiveError::io("read it", cause),
    }
}
