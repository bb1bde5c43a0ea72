//! Finds the files that a plan refers to: which, in which order, opened.

use std::collections::{BTreeMap, HashSet};

use super::Error;
use crate::app::Plan;
use crate::reference::Reference;
use crate::repo::{self, Base, RepoPath, Source, SourceFile};

/// The most values files of one run: each needs a pipe.
const MAX_FILES: usize = 256;

/// The trees that references may point into.
pub struct Sources {
    /// The application's own source.
    pub own: Source,
    /// Further sources by the name of their `ref`; in a plugin there are none.
    pub refs: BTreeMap<String, Source>,
}

/// A file that a plan refers to, opened beneath its source.
#[derive(Debug)]
pub struct Found {
    /// The file.
    pub file: SourceFile,
    /// Whether the reference says that it is encrypted.
    pub said_to_be_encrypted: bool,
}

/// The values files in helm's order, and the files of `fileParameters` in theirs.
///
/// Follows `getResolvedValueFiles` of argo-cd 3.6 (`reposerver/repository/repository.go`): a file counts once, at its
/// first place; a file that is also listed by name keeps the place where it is listed.
///
/// # Errors
///
/// If a file is missing (unless the plan ignores that), a path leaves its source, or a glob matches nothing.
pub fn find(plan: &Plan, sources: &Sources) -> Result<(Vec<Found>, Vec<Found>), Error> {
    let mut by_name = HashSet::new();
    for entry in plan.value_files.iter().filter(|entry| !entry.glob) {
        let (name, _, path) = sources.locate(&entry.reference)?;
        by_name.insert((name, path));
    }
    let mut seen = HashSet::new();
    let mut values = Vec::new();
    for entry in &plan.value_files {
        let (name, source, path) = sources.locate(&entry.reference)?;
        let paths = if entry.glob {
            let mut matches = source.matches(&path)?;
            if matches.is_empty() && !plan.ignore_missing_value_files {
                return Err(Error::NoMatch { pattern: entry.as_written.clone() });
            }
            matches.retain(|path| !by_name.contains(&(name, path.clone())));
            matches
        } else {
            vec![path]
        };
        for path in paths {
            if !seen.insert((name, path.clone())) {
                continue;
            }
            match source.file(path) {
                Ok(file) => values.push(Found { file, said_to_be_encrypted: is_secret(&entry.reference) }),
                Err(repo::Error::Missing { .. }) if plan.ignore_missing_value_files => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut files = Vec::new();
    for (_, reference) in &plan.set_file {
        let (_, source, path) = sources.locate(reference)?;
        files.push(Found { file: source.file(path)?, said_to_be_encrypted: is_secret(reference) });
    }
    if values.len() + files.len() > MAX_FILES {
        return Err(Error::TooMany { limit: MAX_FILES });
    }
    Ok((values, files))
}

fn is_secret(reference: &Reference) -> bool {
    matches!(reference, Reference::Secrets(_))
}

impl Sources {
    /// Where a reference points, without a look at the files.
    fn locate<'s>(&'s self, reference: &'s Reference) -> Result<(&'s str, &'s Source, RepoPath), Error> {
        match reference {
            Reference::Plain(file) | Reference::Secrets(file) => {
                Ok(("", &self.own, self.own.resolve(file.base(), file.path())?))
            }
            Reference::Ref { name, file } => {
                let source = self.refs.get(name).ok_or_else(|| Error::UnknownRef { name: name.clone() })?;
                Ok((name, source, source.resolve(Base::Root, file.path())?))
            }
        }
    }
}
