//! What operators may see: log lines on stderr. stdout belongs to the manifests.

use tracing::Level;
use tracing_subscriber::fmt;

/// How much is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The least important level that is shown.
    pub level: Level,
    /// One JSON object per line instead of text.
    pub json: bool,
}

/// Begins logging; a second call changes nothing.
pub fn begin(options: Options) {
    let lines = fmt().with_max_level(options.level).with_writer(std::io::stderr).with_target(false);
    let _ = if options.json { lines.json().try_init() } else { lines.without_time().try_init() };
}
