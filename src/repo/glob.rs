//! Globs over the paths of a source, with the rules of the doublestar library that Argo CD uses.

use globset::{GlobBuilder, GlobMatcher};

use super::RepoPath;

/// A pattern over whole paths: `*`, `?` and `[...]` stay within a component, `**` crosses them.
pub struct Glob {
    matcher: GlobMatcher,
    folder: RepoPath,
    /// The deepest level on which something can match; `None` for any.
    levels: Option<usize>,
    ends_in_any: bool,
}

impl Glob {
    /// Whether a text asks for matching rather than for one file (argo-cd 3.6, `util/glob`: `*`, `?`, `[`).
    #[must_use]
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    /// Reads a pattern; `None` where it is malformed.
    #[must_use]
    pub fn new(pattern: &RepoPath) -> Option<Self> {
        let matcher = GlobBuilder::new(pattern.as_str()).literal_separator(true).build().ok()?.compile_matcher();
        let fixed: Vec<&str> =
            pattern.components().take_while(|component| !component.contains(['*', '?', '[', '{', '\\'])).collect();
        // A brace may hold several components, `**` any number of them.
        let levels =
            (!pattern.as_str().contains("**") && !pattern.as_str().contains('{')).then(|| pattern.components().count());
        let ends_in_any = pattern.file_name() == "**";
        Some(Self { matcher, folder: RepoPath::root().join(&fixed.join("/"))?, levels, ends_in_any })
    }

    /// Whether something below a folder can match.
    #[must_use]
    pub fn enters(&self, folder: &RepoPath) -> bool {
        self.levels.is_none_or(|levels| folder.components().count() < levels)
    }

    /// Whether files and folders are listed as they come, and not the files first.
    #[must_use]
    pub fn lists_as_they_come(&self) -> bool {
        self.ends_in_any
    }

    /// The deepest folder that holds all possible matches.
    #[must_use]
    pub fn folder(&self) -> RepoPath {
        self.folder.clone()
    }

    /// Whether a path matches.
    #[must_use]
    pub fn matches(&self, path: &RepoPath) -> bool {
        self.matcher.is_match(path.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_pattern_ends_before_the_first_component_that_may_vary() {
        for (pattern, folder) in [
            ("envs/prod/*.yaml", "envs/prod"),
            ("envs/{prod,dev}/x-*.yaml", "envs"),
            ("envs/pro?/x.yaml", "envs"),
            ("envs/pro\\d/*.yaml", "envs"),
            ("**/x.yaml", ""),
        ] {
            let pattern = RepoPath::root().join(pattern).unwrap();
            assert_eq!(Glob::new(&pattern).unwrap().folder(), RepoPath::root().join(folder).unwrap());
        }
    }
}
