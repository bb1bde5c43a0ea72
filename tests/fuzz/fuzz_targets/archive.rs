//! `repo::unpack`: what an archive may do to the disk, whatever it holds.
//!
//! The first byte of an input says what the rest is: a gzipped archive, a tar, or a tar whose headers get right checksums.
#![no_main]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use argocd_sops::repo::{Limits, unpack};
use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use tar::Header;

/// Beside the folder that is unpacked into lies what must not be touched.
static OUTER: LazyLock<PathBuf> = LazyLock::new(|| {
    let outer = std::env::temp_dir().join(format!("fuzz-archive-{}", std::process::id()));
    fs::create_dir_all(outer.join("a")).unwrap();
    fs::write(outer.join("a/b"), "secret").unwrap();
    fs::write(outer.join("b"), "secret").unwrap();
    outer
});

/// What lies in a folder.
#[derive(Default)]
struct Seen {
    entries: usize,
    links: usize,
    bytes: u64,
    depth: usize,
}

fuzz_target!(|input: &[u8]| {
    let Some((&mode, rest)) = input.split_first() else { return };
    let archive = match mode % 3 {
        0 => rest.to_vec(),
        1 => gzip(rest),
        _ => gzip(&with_checksums(rest)),
    };
    let limits = Limits {
        unpacked_bytes: 64 * 1024,
        entries: 40,
        links: 10,
        depth: 6,
        path_bytes: 300,
        ..Limits::default()
    };
    let inner = OUTER.join("inner");
    fs::create_dir(&inner).unwrap();
    let outcome = unpack(&archive[..], &inner, &limits);

    let seen = look(&inner, 1);
    // What has been noted when a limit is met lies there already.
    let more = usize::from(outcome.is_err());
    assert!(seen.entries <= limits.entries + more, "{} entries", seen.entries);
    assert!(seen.links <= limits.links, "{} links", seen.links);
    assert!(seen.bytes <= limits.unpacked_bytes, "{} bytes", seen.bytes);
    assert!(seen.depth <= limits.depth, "{} levels", seen.depth);
    fs::remove_dir_all(&inner).unwrap();
    assert_eq!(fs::read(OUTER.join("a/b")).unwrap(), b"secret");
    assert_eq!(fs::read(OUTER.join("b")).unwrap(), b"secret");
    assert_eq!(names(&OUTER), ["a", "b"]);
    assert_eq!(names(&OUTER.join("a")), ["b"]);
});

fn look(folder: &Path, depth: usize) -> Seen {
    let mut seen = Seen::default();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        seen.entries += 1;
        seen.depth = seen.depth.max(depth);
        if metadata.is_dir() {
            let below = look(&entry.path(), depth + 1);
            seen.entries += below.entries;
            seen.links += below.links;
            seen.bytes += below.bytes;
            seen.depth = seen.depth.max(below.depth);
        } else if metadata.is_symlink() {
            seen.links += 1;
        } else {
            assert!(metadata.is_file() && metadata.nlink() == 1 && metadata.mode() & 0o777 == 0o444);
            seen.bytes += metadata.len();
        }
    }
    seen
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn with_checksums(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    let mut at = 0;
    while let Some(block) = tar.get_mut(at..at + 512) {
        let mut header = Header::from_byte_slice(block).clone();
        if block.iter().any(|byte| *byte != 0) {
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
        let size = usize::try_from(header.entry_size().unwrap_or(0)).unwrap_or(usize::MAX).min(1 << 20);
        at += 512 + size.next_multiple_of(512);
    }
    tar
}
