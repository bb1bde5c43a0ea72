//! Key files, and folders of them as Kubernetes mounts them.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::sops::{Form, KeyPlace, Material, PlaceFault};

/// A key ring with some hundred keys is smaller.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// Most files below one mount.
pub(super) const MAX_FILES: usize = 256;

/// One file, named by the operator (anything readable, also a pipe) or looked for.
pub(super) struct File {
    path: PathBuf,
    form: Form,
    may_be_missing: bool,
}

impl File {
    pub(super) fn named(path: PathBuf, form: Form) -> Box<dyn KeyPlace> {
        Box::new(Self { path, form, may_be_missing: false })
    }

    pub(super) fn maybe(path: PathBuf, form: Form) -> Box<dyn KeyPlace> {
        Box::new(Self { path, form, may_be_missing: true })
    }
}

impl KeyPlace for File {
    fn read(&self, _recipient: &str) -> Vec<Material> {
        match read_file(&self.path) {
            Err(PlaceFault::Missing) if self.may_be_missing => Vec::new(),
            content => vec![Material { place: self.path.display().to_string(), form: self.form, content }],
        }
    }
}

/// A file or a folder. Of a folder its files and those of its sub-folders, so that several Secrets can be mounted
/// beside each other; names that begin with `..` are Kubernetes' own.
pub(super) struct Mount {
    path: PathBuf,
    may_be_missing: bool,
}

impl Mount {
    pub(super) fn named(path: PathBuf) -> Box<dyn KeyPlace> {
        Box::new(Self { path, may_be_missing: false })
    }

    pub(super) fn maybe(path: PathBuf) -> Box<dyn KeyPlace> {
        Box::new(Self { path, may_be_missing: true })
    }
}

impl KeyPlace for Mount {
    fn read(&self, _recipient: &str) -> Vec<Material> {
        let mut found = Vec::new();
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.may_be_missing => {}
            Ok(metadata) if metadata.is_dir() => read_folder(&self.path, SUB_FOLDERS, &mut found),
            _ => found.push(material(&self.path, read_file(&self.path))),
        }
        found
    }
}

/// How many levels below a mounted folder are read.
pub(super) const SUB_FOLDERS: usize = 1;

fn read_folder(folder: &Path, levels: usize, found: &mut Vec<Material>) {
    let names = match names(folder) {
        Ok(names) => names,
        Err(error) => return found.push(material(folder, Err(fault(&error)))),
    };
    for path in names {
        // Follows links: Kubernetes mounts each key as a link into `..data`.
        let is = fs::metadata(&path);
        if is.as_ref().is_ok_and(fs::Metadata::is_dir) {
            if levels > 0 {
                read_folder(&path, levels - 1, found);
            }
            continue;
        }
        if found.len() == MAX_FILES {
            return found.push(material(folder, Err(PlaceFault::TooManyFiles { most: MAX_FILES })));
        }
        if found.len() > MAX_FILES {
            return;
        }
        match is {
            Ok(metadata) if !metadata.is_file() => {}
            Ok(_) => found.push(material(&path, read_file(&path))),
            Err(error) => found.push(material(&path, Err(fault(&error)))),
        }
    }
}

/// The paths of a folder's entries but those of Kubernetes' own, in order.
pub(super) fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b"..") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn material(path: &Path, content: Result<Zeroizing<Vec<u8>>, PlaceFault>) -> Material {
    Material { place: path.display().to_string(), form: Form::Any, content }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, PlaceFault> {
    let file = fs::File::open(path).map_err(|error| fault(&error))?;
    let expected = file.metadata().map_or(0, |metadata| metadata.len());
    read_limited(file, usize::try_from(expected).unwrap_or(usize::MAX))
}

fn fault(error: &io::Error) -> PlaceFault {
    match error.kind() {
        io::ErrorKind::NotFound => PlaceFault::Missing,
        kind => PlaceFault::Unreadable(kind),
    }
}

/// Reads to the end, or fails beyond [`MAX_BYTES`]. Leaves no copy behind where the buffer has to grow.
pub(super) fn read_limited(mut reader: impl Read, expected: usize) -> Result<Zeroizing<Vec<u8>>, PlaceFault> {
    let mut content = Zeroizing::new(vec![0; expected.clamp(4096, MAX_BYTES) + 1]);
    let mut length = 0;
    loop {
        if length == content.len() {
            if length > MAX_BYTES {
                return Err(PlaceFault::TooLarge { max_bytes: MAX_BYTES });
            }
            let mut larger = Zeroizing::new(vec![0; (length * 2).min(MAX_BYTES + 1)]);
            larger[..length].copy_from_slice(&content);
            content = larger;
        }
        match reader.read(&mut content[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(fault(&error)),
        }
    }
    content.truncate(length);
    Ok(content)
}
