//! What archives may hold, what they may not, and that none reaches out of its folder.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use proptest::prelude::*;
use tar::EntryType;

use super::super::samples::{Row, archive, file, folder, gzip, link, tar_of};
use super::super::tree::Stray;
use super::*;

fn unpacked(archive: &[u8], limits: &Limits) -> (tempfile::TempDir, Result<Unpacked, ArchiveError>) {
    let folder = tempfile::tempdir().unwrap();
    let outcome = unpack(archive, folder.path(), limits);
    (folder, outcome)
}

fn message(rows: &[Row<'_>]) -> String {
    unpacked(&archive(rows), &Limits::default()).1.unwrap_err().to_string()
}

/// What lies in a folder, as an index would say it.
fn found(folder: &Path) -> BTreeMap<Vec<u8>, Item> {
    fn walk(root: &Path, below: &Path, found: &mut BTreeMap<Vec<u8>, Item>) {
        for entry in fs::read_dir(root.join(below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            let kind = entry.file_type().unwrap();
            let item = if kind.is_dir() {
                walk(root, &path, found);
                Item::Folder
            } else if kind.is_symlink() {
                Item::Link { target: fs::read_link(entry.path()).unwrap().into_os_string().into_vec() }
            } else {
                let content = fs::read(entry.path()).unwrap();
                Item::File { digest: blake3::hash(&content).into(), size: content.len() as u64 }
            };
            found.insert(path.as_os_str().as_bytes().to_vec(), item);
        }
    }
    let mut all = BTreeMap::new();
    walk(folder, Path::new(""), &mut all);
    all
}

fn indexed(unpacked: Unpacked) -> BTreeMap<Vec<u8>, Item> {
    unpacked.index.into_items()
}

#[test]
fn files_folders_and_links_become_what_they_were_without_modes() {
    let rows = [folder("."), folder("a"), file("a/x", "1"), link("a/l", "x"), file("b/deep/y", ""), file("./c", "3")];
    let (place, outcome) = unpacked(&archive(&rows), &Limits::default());
    let outcome = outcome.unwrap();
    assert_eq!(outcome.sums, Sums { written: 2, linked: 0, git: 0 });
    assert_eq!(indexed(outcome), found(place.path()));
    let read = |path: &str| fs::read_to_string(place.path().join(path)).unwrap();
    assert_eq!((read("a/l"), read("b/deep/y"), read("c")), ("1".into(), String::new(), "3".into()));
    assert_eq!(place.path().join("a/x").metadata().unwrap().permissions().mode() & 0o777, 0o444);
}

#[test]
fn git_is_left_out_at_the_root_and_counted() {
    let rows = [
        folder(".git"),
        file(".git/index", "12345"),
        (EntryType::Link, b".git/x", b".git/index"),
        // What a submodule has: helm reads it.
        file("module/.git", "gitdir: ../.git/modules/module"),
        file(".gitignore", ""),
    ];
    let (place, outcome) = unpacked(&archive(&rows), &Limits::default());
    assert_eq!(outcome.unwrap().sums.git, 5);
    let names: Vec<_> = found(place.path()).into_keys().map(|name| String::from_utf8(name).unwrap()).collect();
    assert_eq!(names, [".gitignore", "module", "module/.git"]);
}

#[test]
fn names_need_not_be_utf8_and_may_be_long() {
    let long = format!("{0}/{0}/{0}", "x".repeat(90));
    let pax = format!("path={long}\n");
    let pax = format!("{} {pax}", pax.len() + 4);
    let rows = [
        (EntryType::Regular, &b"\xff.yaml"[..], &b"1"[..]),
        (EntryType::XHeader, b"pax", pax.as_bytes()),
        file("short", "2"),
        (EntryType::GNULongName, b"././@LongLink", b"gnu/long\0"),
        file("short", "3"),
        (EntryType::GNULongLink, b"././@LongLink", b"gnu/long\0"),
        link("gnulink", "x"),
    ];
    let (place, outcome) = unpacked(&archive(&rows), &Limits::default());
    assert_eq!(indexed(outcome.unwrap()), found(place.path()));
    assert_eq!(fs::read_to_string(place.path().join(long)).unwrap(), "2");
    assert_eq!(fs::read_to_string(place.path().join("gnulink")).unwrap(), "3");
}

#[test]
fn names_that_lead_out_are_refused() {
    for (name, reason) in [
        ("../x", "leads out of it"),
        ("a/../../x", "leads out of it"),
        ("a/../x", "leads out of it"),
        ("/etc/x", "is an absolute path"),
    ] {
        assert_eq!(message(&[file(name, "")]), format!("the archive holds `{name}`, which {reason}"));
    }
}

#[test]
fn nothing_is_written_through_a_link_or_a_file() {
    for rows in [
        [link("a", ".."), file("a/x", "")],
        [link("a", "."), folder("a/b")],
        [link("a", "b"), link("a/c", "d")],
        [file("a", ""), file("a/x", "")],
    ] {
        assert!(message(&rows).ends_with("which lies below something that is not a folder"));
    }
}

#[test]
fn the_last_file_of_a_name_counts_and_other_doubles_are_refused() {
    let (place, outcome) = unpacked(&archive(&[file("a", "long"), file("a", "x")]), &Limits::default());
    assert_eq!(indexed(outcome.unwrap()), found(place.path()));
    assert_eq!(fs::read_to_string(place.path().join("a")).unwrap(), "x");
    for rows in [
        [link("a", "b"), file("a", "")],
        [file("a", ""), link("a", "b")],
        [link("a", "b"), link("a", "c")],
        [folder("a"), file("a", "")],
        [folder("a"), link("a", "b")],
    ] {
        assert_eq!(message(&rows), "the archive holds `a`, which is there twice");
    }
    assert!(message(&[link("a", "b"), folder("a")]).ends_with("which lies below something that is not a folder"));
}

#[test]
fn a_file_that_is_written_often_counts_each_time() {
    let rows = [file("a", ""); 4];
    let (_place, outcome) = unpacked(&archive(&rows), &Limits { entries: 3, ..Limits::default() });
    assert_eq!(outcome.unwrap_err().to_string(), "the archive holds more than 3 entries");
    let (_place, outcome) = unpacked(&archive(&rows[..3]), &Limits { entries: 3, ..Limits::default() });
    outcome.unwrap();
}

#[test]
fn what_a_source_never_holds_is_refused_by_name() {
    for (kind, text) in [
        (EntryType::Link, "a hard link"),
        (EntryType::Char, "a device"),
        (EntryType::Fifo, "a pipe"),
        (EntryType::GNUSparse, "a sparse file"),
        (EntryType::new(b'?'), "of an unknown kind"),
    ] {
        assert_eq!(message(&[(kind, b"x\n", b"")]), format!("the archive holds `x\\n`, which is {text}"));
    }
    let sparse = (EntryType::XHeader, &b"pax"[..], &b"22 GNU.sparse.major=1\n"[..]);
    assert_eq!(message(&[sparse, file("x", "")]), "the archive holds `x`, which is a sparse file");
}

#[test]
fn links_that_lead_out_are_made_and_left_to_whoever_follows_them() {
    let (place, outcome) = unpacked(&archive(&[link("a", "/etc/passwd"), link("b", "../x")]), &Limits::default());
    let index = outcome.unwrap().index;
    assert_eq!(index.resolve(b"a"), Err(Stray::Outside));
    assert_eq!(index.resolve(b"b"), Err(Stray::Outside));
    assert_eq!(fs::read_link(place.path().join("a")).unwrap(), Path::new("/etc/passwd"));
}

#[test]
fn an_archive_beyond_a_limit_is_refused() {
    let rows = [folder("a"), file("a/x", "1234"), link("a/l", "x"), file("b", "")];
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        unpacked(&archive(&rows), &limits).1.map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(with(|limits| limits.entries = 3), "the archive holds more than 3 entries");
    assert_eq!(with(|limits| limits.links = 0), "the archive holds more than 0 symbolic links");
    assert_eq!(with(|limits| limits.depth = 1), "the archive holds `a/x`, which is in too deep a folder");
    assert_eq!(with(|limits| limits.path_bytes = 2), "the archive holds `a/x`, which has too long a path");
    assert_eq!(with(|limits| limits.unpacked_bytes = 3_583), "the archive holds more than 3583 bytes, unpacked");
    let limits = Limits { entries: 4, links: 1, depth: 2, path_bytes: 3, unpacked_bytes: 4_096, ..Limits::default() };
    unpacked(&archive(&rows), &limits).1.unwrap();
}

#[test]
fn a_bomb_is_refused_before_it_is_written() {
    let mut tar = tar_of(&[file("bomb", "")]);
    let mut header = tar::Header::from_byte_slice(&tar[..512]).clone();
    header.set_size(1 << 40);
    header.set_cksum();
    tar[..512].copy_from_slice(header.as_bytes());
    let (place, outcome) = unpacked(&gzip(&tar), &Limits::default());
    assert!(matches!(outcome, Err(ArchiveError::TooMuch(Excess::UnpackedBytes(_)))));
    assert!(found(place.path()).is_empty());
}

#[test]
fn an_archive_that_is_not_whole_is_refused() {
    let tar = tar_of(&[file("a", "1234")]);
    let reason = |archive: &[u8]| match unpacked(archive, &Limits::default()).1 {
        Err(ArchiveError::Broken { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(b""), "it ends too early");
    assert_eq!(reason(&tar), "it is not gzip");
    assert_eq!(reason(&gzip(&tar)[..30]), "it ends too early");
    assert_eq!(reason(&gzip(&tar[..600])), "it ends within a file");
    assert_eq!(reason(&gzip(&tar[..500])), "it ends within a header");
    assert_eq!(reason(&[gzip(&tar), b"more".to_vec()].concat()), "it ends too early");
    assert_eq!(reason(&[gzip(&tar), b"more than a header".to_vec()].concat()), "it is not gzip");
    assert_eq!(reason(&[gzip(&tar), gzip(b"x")].concat()), "something follows its end");
    let mut wrong = tar.clone();
    wrong[0] = b'b';
    assert_eq!(reason(&gzip(&wrong)), "a header's checksum is wrong");
    let mut wrong = gzip(&tar);
    let sum = wrong.len() - 8;
    wrong[sum] ^= 1;
    assert_eq!(reason(&wrong), "it is not gzip");
    let pax = (EntryType::XHeader, &b"pax"[..], &b"99 path=x\n"[..]);
    assert_eq!(reason(&archive(&[pax, file("x", "")])), "an extended header cannot be read");
    assert_eq!(reason(&archive(&[(EntryType::Directory, b"x", b"1")])), "something that is not a file has content");
    let two = [gzip(&tar[..700]), gzip(&tar[700..]), gzip(&[0; 512])].concat();
    unpacked(&two, &Limits::default()).1.unwrap();
}

#[test]
fn a_file_that_a_known_tree_has_is_not_written_again() {
    let (known, first) = unpacked(&archive(&[file("a/same", "1"), file("a/other", "2")]), &Limits::default());
    let first = first.unwrap();
    let place = tempfile::tempdir().unwrap();
    let archive = archive(&[file("a/same", "1"), file("a/other", "3"), file("same", "1")]);
    let beside = Known { folder: known.path(), index: &first.index };
    let second = unpack_beside(&archive[..], place.path(), &Limits::default(), Some(beside), &|| false).unwrap();
    assert_eq!(second.sums, Sums { written: 2, linked: 1, git: 0 });
    assert_eq!(indexed(second), found(place.path()));
    let number = |folder: &Path, path: &str| folder.join(path).metadata().unwrap().ino();
    assert_eq!(number(known.path(), "a/same"), number(place.path(), "a/same"));
    assert_eq!(indexed(first), found(known.path()));
}

#[test]
fn an_archive_that_go_wrote_is_read() {
    let (place, outcome) = unpacked(include_bytes!("../../../tests/vectors/archive/tree.tgz"), &Limits::default());
    let outcome = outcome.unwrap();
    assert_eq!(outcome.sums, Sums { written: 320_025, linked: 0, git: 21 });
    assert_eq!(indexed(outcome), found(place.path()));
    let long = "folder-with-a-long-name/".repeat(12) + "values.yaml";
    let read = |path: &[u8]| fs::read_to_string(place.path().join(std::ffi::OsStr::from_bytes(path))).unwrap();
    assert_eq!(read("app/größe.yaml".as_bytes()), "b: 2\n");
    assert_eq!(read(b"app/\xff.yaml"), "c: 3\n");
    assert_eq!(read(long.as_bytes()), "d: 4\n");
    assert_eq!(read(b"app/long-link"), "d: 4\n");
    assert_eq!(read(b"app/root/app/link"), "a: 1\n");
}

#[test]
fn a_full_disk_is_tried_again_once_room_was_made() {
    let (place, limits) = (tempfile::tempdir().unwrap(), Limits::default());
    for (room, outcome) in [(true, "Ok(2)"), (false, "Err(Full)")] {
        let make_room = || room;
        let writer = Writer::new(place.path(), &limits, None, &make_room).unwrap();
        let mut times = 0;
        let tried = writer.retried("try", || {
            times += 1;
            if times == 1 { Err(Errno::NOSPC) } else { Ok(times) }
        });
        assert_eq!(format!("{tried:?}"), outcome);
    }
}

fn odd_name() -> impl Strategy<Value = String> {
    let component = prop_oneof![8 => "[ab]", 1 => Just("..".to_owned()), 1 => Just(".".to_owned()),
        1 => Just(String::new()), 1 => Just(".git".to_owned())];
    proptest::collection::vec(component, 1..4).prop_map(|components| components.join("/"))
}

fn odd_rows() -> impl Strategy<Value = Vec<(EntryType, String, String)>> {
    let kind = prop_oneof![4 => Just(EntryType::Regular), 2 => Just(EntryType::Directory), 4 => Just(EntryType::Symlink),
        1 => Just(EntryType::Link)];
    let row = (kind, odd_name(), odd_name()).prop_map(|(kind, name, other)| {
        let other = if kind == EntryType::Directory { String::new() } else { other };
        (kind, name, other)
    });
    proptest::collection::vec(row, 1..12)
}

proptest! {
    #[test]
    fn no_archive_reaches_anything_outside_its_folder(rows in odd_rows()) {
        let rows: Vec<Row<'_>> =
            rows.iter().map(|(kind, name, other)| (*kind, name.as_bytes(), other.as_bytes())).collect();
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::create_dir(outer.path().join("a")).unwrap();
        fs::write(outer.path().join("a/b"), "secret").unwrap();
        fs::write(outer.path().join("b"), "secret").unwrap();
        let outcome = unpack(&archive(&rows)[..], &inner, &Limits::default());
        let mut names: Vec<_> = fs::read_dir(outer.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        prop_assert_eq!(names, ["a", "b", "inner"]);
        prop_assert_eq!(fs::read_dir(outer.path().join("a")).unwrap().count(), 1);
        prop_assert_eq!(fs::read_to_string(outer.path().join("a/b")).unwrap(), "secret");
        prop_assert_eq!(fs::read_to_string(outer.path().join("b")).unwrap(), "secret");
        if let Ok(unpacked) = outcome {
            // The index and the kernel agree on where every path leads.
            let root = Dir::open_ambient_dir(&inner, ambient_authority()).unwrap();
            for path in ["a", "b", "a/a", "a/b", "b/a", "b/b", "a/../b", "a/a/b", "b/a/.."] {
                match (unpacked.index.resolve(path.as_bytes()), root.metadata(path)) {
                    (Ok((_, Item::Folder)), Ok(kind)) => prop_assert!(kind.is_dir(), "{}", path),
                    (Ok((real, Item::File { digest, .. })), Ok(_)) => {
                        let content = root.read(path).unwrap();
                        prop_assert_eq!(digest, &Digest::from(blake3::hash(&content)));
                        prop_assert_eq!(&content, &fs::read(inner.join(std::ffi::OsStr::from_bytes(&real))).unwrap());
                    }
                    (Err(Stray::Outside), Err(cause)) => prop_assert!(super::super::source::is_escape(&cause), "{} {}", path, cause),
                    (Err(Stray::Nowhere), Err(cause)) => prop_assert!(!super::super::source::is_escape(&cause), "{} {}", path, cause),
                    (ours, kernels) => prop_assert!(false, "{} {:?} {:?}", path, ours, kernels),
                }
            }
            prop_assert_eq!(indexed(unpacked), found(&inner));
        }
    }

    #[test]
    fn a_known_tree_changes_nothing_but_what_is_written(first in odd_rows(), second in odd_rows()) {
        let rows = |rows: &[(EntryType, String, String)]| {
            let rows: Vec<Row<'_>> =
                rows.iter().map(|(kind, name, other)| (*kind, name.as_bytes(), other.as_bytes())).collect();
            archive(&rows)
        };
        let (known, first) = unpacked(&rows(&first), &Limits::default());
        let archive = rows(&second);
        let (alone, without) = unpacked(&archive, &Limits::default());
        if let (Ok(first), Ok(without)) = (first, without) {
            let place = tempfile::tempdir().unwrap();
            let beside = Known { folder: known.path(), index: &first.index };
            let with = unpack_beside(&archive[..], place.path(), &Limits::default(), Some(beside), &|| false).unwrap();
            prop_assert_eq!(with.sums.written + with.sums.linked, without.sums.written);
            prop_assert_eq!(indexed(with), found(alone.path()));
            prop_assert_eq!(found(place.path()), found(alone.path()));
            prop_assert_eq!(indexed(first), found(known.path()));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let limits = Limits::default();
        let _ = unpacked(&bytes, &limits);
        let _ = unpacked(&gzip(&bytes), &limits);
    }
}
