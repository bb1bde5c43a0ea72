//! The stream of one call: metadata first, then the archive in chunks.

use std::path::{Component, Path};

use bytes::Bytes;
use tonic::{Code, Streaming};

use super::error::Error;
use super::wire::app_stream_request::Request;
use super::wire::{AppStreamRequest, ManifestRequestMetadata};
use crate::app::Environment;
use crate::repo::{Announced, Commit};

/// What is asked about the archive that follows.
pub(super) struct Metadata {
    /// Variables for the plugin.
    pub(super) variables: Vec<(String, String)>,
    /// What Argo CD says in them about the Application.
    pub(super) environment: Environment,
    /// The application's folder, relative to the root of the archive.
    pub(super) app: String,
    /// The path of the archive's root in the repository: not empty where Argo CD has trimmed it.
    pub(super) above: String,
    /// What is known of the archive before it arrives.
    pub(super) announced: Announced,
}

/// The rest of a stream.
pub(super) struct Upload {
    stream: Streaming<AppStreamRequest>,
    ended: bool,
    /// Bytes of the archive so far.
    pub(super) bytes: u64,
    /// Messages that they came in.
    pub(super) chunks: u64,
}

impl Upload {
    pub(super) fn new(stream: Streaming<AppStreamRequest>) -> Self {
        Self { stream, ended: false, bytes: 0, chunks: 0 }
    }

    /// The first message.
    pub(super) async fn metadata(&mut self) -> Result<ManifestRequestMetadata, Error> {
        match self.message().await? {
            Some(Request::Metadata(metadata)) => Ok(metadata),
            _ => Err(Error::NoMetadata),
        }
    }

    /// The next chunk of the archive; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self.message().await? {
            None => Ok(None),
            Some(Request::File(file)) => {
                self.bytes += file.chunk.len() as u64;
                self.chunks += 1;
                Ok(Some(file.chunk))
            }
            Some(Request::Metadata(_)) => Err(Error::MetadataTwice),
        }
    }

    /// Reads the stream to its end. The repo-server looks for an answer only when it has sent everything: it would report
    /// an early one as `error sending stream: EOF`, without a word of ours.
    pub(super) async fn drain(&mut self) {
        while !self.ended {
            // What makes no sense is counted and left at that.
            let _ = self.chunk().await;
        }
    }

    async fn message(&mut self) -> Result<Option<Request>, Error> {
        if self.ended {
            return Ok(None);
        }
        match self.stream.message().await {
            Ok(Some(AppStreamRequest { request: Some(request) })) => Ok(Some(request)),
            Ok(Some(AppStreamRequest { request: None })) => Err(Error::EmptyMessage),
            Ok(None) => {
                self.ended = true;
                Ok(None)
            }
            Err(status) => {
                self.ended = true;
                let cause = status.message().to_owned();
                Err(if status.code() == Code::OutOfRange {
                    Error::MessageTooLarge { cause }
                } else {
                    Error::Broken { cause }
                })
            }
        }
    }
}

impl Metadata {
    /// Reads the message.
    pub(super) fn read(message: ManifestRequestMetadata) -> Result<Self, Error> {
        let ManifestRequestMetadata { app_name: _, app_rel_path: app, checksum, size, env } = message;
        let checksum = hex(&checksum).ok_or(Error::NoChecksum)?;
        let variables: Vec<_> = env.into_iter().map(|entry| (entry.name, entry.value)).collect();
        let environment = Environment::from_pairs(variables.iter().map(|(name, value)| (name, value.as_str())));
        let environment = environment.map_err(crate::plugin::Error::App)?;
        let root = archive_root(environment.source_path().unwrap_or_default(), &app);
        let commit = root.as_ref().and_then(|above| {
            let revision = environment.revision().filter(|revision| is_commit(revision))?;
            let repository = environment.repository()?;
            Some(Commit { repository: repository.to_owned(), revision: revision.to_owned(), above: above.clone() })
        });
        let announced = Announced { checksum, size: u64::try_from(size).unwrap_or(0), commit };
        Ok(Self { variables, environment, app, above: root.unwrap_or_default(), announced })
    }
}

/// Where the archive begins in the repository: the path of the source without the end that it shares with the application's
/// folder in the archive. `None` if it does not end so, as for charts of a Helm repository.
fn archive_root(source_path: &str, app: &str) -> Option<String> {
    let source = names(source_path)?;
    let app = names(app)?;
    let above = source.strip_suffix(&app[..])?;
    Some(above.join("/"))
}

/// The names of a relative path; `None` if it leads upwards.
fn names(path: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    for component in Path::new(path.trim_start_matches('/')).components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => {
                names.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(names)
}

/// A full id of git: nothing that could mean another commit tomorrow.
fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_an_archive_is_what_the_path_has_more() {
        let root = |source: &str, app: &str| archive_root(source, app);
        assert_eq!(root("charts/web", "charts/web").unwrap(), "");
        assert_eq!(root("./charts//web/", "charts/web").unwrap(), "");
        assert_eq!(root("charts/x/../web", "charts/web").unwrap(), "");
        assert_eq!(root("charts/web", "web").unwrap(), "charts");
        assert_eq!(root("charts/web", ".").unwrap(), "charts/web");
        assert_eq!(root(".", ".").unwrap(), "");
        assert_eq!(root("", ".").unwrap(), "");
        assert_eq!(root("", "web"), None);
        assert_eq!(root("charts/web", "other"), None);
        assert_eq!(root("../charts", "charts"), None);
    }

    #[test]
    fn only_a_full_id_is_a_commit() {
        assert!(is_commit("0123456789abcdef0123456789abcdef01234567"));
        for revision in ["streamed", "HEAD", "v1.2.3", "0123456", "0123456789ABCDEF0123456789ABCDEF01234567", ""] {
            assert!(!is_commit(revision), "{revision}");
        }
    }

    #[test]
    fn a_checksum_is_sixty_four_hex_digits() {
        assert_eq!(hex(&"0f".repeat(32)), Some([15; 32]));
        for text in ["", "0f", &"0g".repeat(32), &"0f".repeat(33), &"ä".repeat(32), &"+f".repeat(32)] {
            assert_eq!(hex(text), None, "{text}");
        }
    }
}
