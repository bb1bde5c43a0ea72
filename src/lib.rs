//! Renders Argo CD Applications whose Helm values are encrypted with SOPS.
//!
//! The path of one request, each noun owned by the room that makes it:
//!
//! ```text
//! Request -> app::Plan -> values::ValuesFile -> helm::Rendered -> manifests::Manifests
//! ```
//!
//! `ARCHITECTURE.md` has the map and the reasons.

pub mod repo;
pub mod secret;
pub mod sops;
