//! Archives for tests, as odd as they are wanted.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

/// One entry of an archive: its kind, its name, and its content or target.
pub(super) type Row<'a> = (EntryType, &'a [u8], &'a [u8]);

pub(super) fn file<'a>(name: &'a str, content: &'a str) -> Row<'a> {
    (EntryType::Regular, name.as_bytes(), content.as_bytes())
}

pub(super) fn folder(name: &str) -> Row<'_> {
    (EntryType::Directory, name.as_bytes(), b"")
}

pub(super) fn link<'a>(name: &'a str, target: &'a str) -> Row<'a> {
    (EntryType::Symlink, name.as_bytes(), target.as_bytes())
}

/// A tar of entries as they are given, however odd.
pub(super) fn tar_of(rows: &[Row<'_>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (kind, name, content) in rows {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        let place = &mut header.as_old_mut().name;
        place[..name.len()].copy_from_slice(name);
        let has_content = !matches!(kind, EntryType::Symlink | EntryType::Link);
        if has_content {
            header.set_size(content.len() as u64);
        } else {
            header.set_size(0);
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content);
        }
        header.set_mode(0o600);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        if has_content {
            tar.extend_from_slice(content);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn archive(rows: &[Row<'_>]) -> Vec<u8> {
    gzip(&tar_of(rows))
}
