//! Argo CD's door: the plugin server, its socket, the uploaded archive.

pub mod announcement;
pub mod hardening;
pub mod http;
pub mod init;
pub mod socket;
