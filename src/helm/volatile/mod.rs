//! Whether a chart renders alike each time: what depends on time or chance must not be kept.

mod actions;
mod archive;
mod schema;

use std::fs;
use std::io::Read as _;
use std::path::Path;

use actions::Actions;

use crate::app::Plan;
use crate::values::Values;

/// The most bytes that are looked at; a chart with more is taken for one that changes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The most files and folders that are looked at.
const MAX_ENTRIES: usize = 20_000;

/// The deepest folder that is entered.
const MAX_DEPTH: usize = 100;

/// Whether the same chart, values and plan may render to something else another time: a template or a value calls a
/// function of time or chance, or nobody can tell.
///
/// A template that is put together from parts (`tpl (print "n" "ow")`) is recognised by its braces where they stand in
/// one part, not where they are put together as well.
#[must_use]
pub fn is_volatile(chart: &Path, values: &Values, plan: &Plan) -> bool {
    let mut look = Look::new();
    for file in &values.files {
        look.actions.data(file.content.expose());
    }
    for (name, value) in plan.set.iter().chain(&plan.set_string) {
        // helm takes a backslash for the mark of the next character.
        look.actions.data(name.replace('\\', "").as_bytes());
        look.actions.data(value.replace('\\', "").as_bytes());
    }
    // The inline values are among the values.
    look.folder(chart, "", 0).is_none() || look.actions.are_volatile()
}

/// A walk through all that a chart consists of. `None` where something cannot be looked at.
struct Look {
    actions: Actions,
    bytes: u64,
    entries: usize,
}

impl Look {
    fn new() -> Self {
        Self { actions: Actions::default(), bytes: MAX_BYTES, entries: MAX_ENTRIES }
    }

    /// Looks at all that is in a folder; `within` is its path in the chart.
    fn folder(&mut self, folder: &Path, within: &str, depth: usize) -> Option<()> {
        let templates = holds_templates(within);
        for entry in fs::read_dir(folder).ok()? {
            let path = entry.ok()?.path();
            self.entries = self.entries.checked_sub(1)?;
            // Through links, as helm goes; one that leads nowhere fails there.
            let metadata = fs::metadata(&path).ok()?;
            let name = path.file_name()?.to_string_lossy().into_owned();
            if metadata.is_dir() {
                (depth < MAX_DEPTH).then_some(())?;
                let within = if within.is_empty() { name } else { format!("{within}/{name}") };
                self.folder(&path, &within, depth + 1)?;
            } else if metadata.is_file() {
                let mut content = Vec::new();
                fs::File::open(&path).ok()?.take(self.bytes + 1).read_to_end(&mut content).ok()?;
                self.file(&name, &content, templates, 0)?;
            }
        }
        Some(())
    }

    fn file(&mut self, name: &str, content: &[u8], templates: bool, archives: usize) -> Option<()> {
        self.bytes = self.bytes.checked_sub(content.len() as u64)?;
        if !templates && archive::is_chart(name) {
            return archive::look(self, content, archives + 1);
        }
        if name == "values.schema.json" && !schema::is_alone(content) {
            return None;
        }
        if templates {
            self.actions.template(content);
        } else {
            self.actions.data(content);
        }
        Some(())
    }
}

/// Whether the files of a folder are templates, by its path in the chart: `templates` of the chart or of a sub-chart. What
/// lies in another folder of that name is data.
fn holds_templates(within: &str) -> bool {
    let mut folders = within.split('/');
    while let Some(folder) = folders.next() {
        match folder {
            "templates" => return true,
            // Then comes the name of a sub-chart.
            "charts" => drop(folders.next()),
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests;
