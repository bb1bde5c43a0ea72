//! Argo CD's door: the gRPC service of a config management plugin on its unix socket.

pub mod announcement;
pub mod authority;
pub mod hardening;
pub mod http;
pub mod init;
pub mod socket;
