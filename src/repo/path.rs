//! Paths within a source, free of `.` and `..`.

use std::fmt;

/// A path relative to the root of a source, with `/` between its components; empty for the root itself.
///
/// It never begins with `/` and never holds `.` or `..`: [`RepoPath::join`] is the only way to make one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RepoPath(String);

impl RepoPath {
    /// The root of the source.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Appends a relative path and resolves `.` and `..` lexically, as Go's `filepath.Join` does for the repo-server
    /// (argo-cd 3.6, `util/io/path`). `None` where it would leave the root.
    #[must_use]
    pub fn join(&self, relative: &str) -> Option<Self> {
        let mut components: Vec<&str> = self.components().collect();
        for component in relative.split('/') {
            match component {
                "" | "." => {}
                ".." => {
                    components.pop()?;
                }
                name => components.push(name),
            }
        }
        Some(Self(components.join("/")))
    }

    /// The rest of this path below a folder; `None` where it is not in it.
    #[must_use]
    pub fn below(&self, folder: &Self) -> Option<Self> {
        if folder.0.is_empty() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(&folder.0)?;
        if rest.is_empty() { Some(Self::root()) } else { rest.strip_prefix('/').map(|rest| Self(rest.to_owned())) }
    }

    /// The components, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|component| !component.is_empty())
    }

    /// The text; empty for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the operating system opens, relative to the root: `.` for the root.
    #[must_use]
    pub fn as_os_path(&self) -> &str {
        if self.0.is_empty() { "." } else { &self.0 }
    }

    /// The folder that holds this path; the root's is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.0.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned()))
    }

    /// The last component; empty for the root.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_os_path())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(base: &str, relative: &str) -> Option<String> {
        RepoPath::root().join(base)?.join(relative).map(|path| path.to_string())
    }

    #[test]
    fn dots_are_resolved_within_the_root() {
        assert_eq!(joined("apps/web", "../shared/./values.yaml").as_deref(), Some("apps/shared/values.yaml"));
        assert_eq!(joined("apps", "..").as_deref(), Some("."));
    }

    #[test]
    fn a_path_above_the_root_does_not_exist() {
        assert_eq!(joined("apps", "../../etc/passwd"), None);
        assert_eq!(joined("", ".."), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_path_outside_the_root(base in "[a-z./]{0,20}", relative in "[a-z./\\PC]{0,40}") {
            if let Some(path) = RepoPath::root().join(&base).and_then(|base| base.join(&relative)) {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.components().all(|component| component != ".." && component != "." && !component.is_empty()));
            }
        }
    }
}
