//! Sub-charts in archives, looked at as helm would read them.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::{Look, holds_templates};

/// Archives in archives that are opened.
const MAX_ARCHIVES: usize = 4;

/// Whether helm takes a file for a chart.
pub(super) fn is_chart(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".tgz", ".tar.gz", ".tar"].iter().any(|end| name.ends_with(end))
}

/// Looks at all files of an archive; `archives` counts this one and those around it.
pub(super) fn look(look: &mut Look, archive: &[u8], archives: usize) -> Option<()> {
    if archives > MAX_ARCHIVES {
        return None;
    }
    // No more comes out of it than may be looked at.
    let inflated = MultiGzDecoder::new(archive).take(look.bytes + 1);
    let mut archive = tar::Archive::new(inflated);
    for entry in archive.entries().ok()? {
        let mut entry = entry.ok()?;
        look.entries = look.entries.checked_sub(1)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().ok()?.to_string_lossy().into_owned();
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
        // The outermost folder is the chart's own.
        let templates = folders.split_once('/').is_some_and(|(_, within)| holds_templates(within));
        let mut content = Vec::new();
        entry.by_ref().take(look.bytes + 1).read_to_end(&mut content).ok()?;
        look.file(name, &content, templates, archives)?;
    }
    Some(())
}
