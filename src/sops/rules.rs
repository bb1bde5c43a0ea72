//! Which leaves of a file are encrypted: the one selector of its metadata, applied to keys and comments.

use std::borrow::Cow;

use regex::Regex;

use super::go_regex::{self, Compiled};
use super::metadata::{MetadataError, Selector};

/// A selector, ready to be asked.
pub(crate) struct Rules {
    subject: Subject,
    /// What a match means: encrypted, or open.
    match_encrypts: bool,
}

enum Subject {
    /// Keys with this ending.
    Suffix(String),
    /// Keys that match.
    Key(Regex),
    /// Comments that match.
    Comment(Regex),
    /// Nothing: sops takes an invalid regex for one that never matches.
    Nothing,
}

/// Where a walk stands, as far as the rules care.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Covered {
    /// A key on the way from the root matches.
    by_key: bool,
    /// A comment that is active in an outer map or list matches.
    by_comment: bool,
}

/// The comments since the last entry of one map or list.
#[derive(Debug, Default)]
pub(crate) struct Comments {
    before_last: bool,
    last: bool,
}

impl Rules {
    /// Compiles the selector of a file.
    pub(crate) fn new(selector: &Selector) -> Result<Self, MetadataError> {
        let (subject, match_encrypts) = match selector {
            Selector::UnencryptedSuffix(suffix) => (Subject::Suffix(suffix.clone()), false),
            Selector::EncryptedSuffix(suffix) => (Subject::Suffix(suffix.clone()), true),
            Selector::UnencryptedRegex(regex) => (Self::regex(regex, Subject::Key)?, false),
            Selector::EncryptedRegex(regex) => (Self::regex(regex, Subject::Key)?, true),
            Selector::UnencryptedCommentRegex(regex) => (Self::regex(regex, Subject::Comment)?, false),
            Selector::EncryptedCommentRegex(regex) => (Self::regex(regex, Subject::Comment)?, true),
        };
        Ok(Self { subject, match_encrypts })
    }

    fn regex(pattern: &str, subject: fn(Regex) -> Subject) -> Result<Subject, MetadataError> {
        match go_regex::compile(pattern) {
            Compiled::Regex(regex) => Ok(subject(regex)),
            Compiled::Invalid => Ok(Subject::Nothing),
            Compiled::TooLarge => Err(MetadataError::SelectorTooLarge),
        }
    }

    /// Goes down into the value of `key`, past the comments in front of it.
    pub(crate) fn enter(&self, covered: Covered, comments: &Comments, key: &str) -> Covered {
        Covered {
            by_key: covered.by_key || self.is_key(key),
            by_comment: covered.by_comment || comments.before_last || comments.last,
        }
    }

    /// Goes on to a list item, past the comments in front of it.
    #[expect(clippy::unused_self, reason = "reads like `enter`, and callers need not know that lists have no keys")]
    pub(crate) fn enter_item(&self, covered: Covered, comments: &Comments) -> Covered {
        Covered { by_comment: covered.by_comment || comments.before_last || comments.last, ..covered }
    }

    /// Notes a comment; it is active, for itself too, until the next entry.
    pub(crate) fn note(&self, comments: &mut Comments, text: &[u8]) {
        comments.before_last |= comments.last;
        comments.last = self.is_comment(text);
    }

    /// Whether a leaf at this place is due to be encrypted.
    pub(crate) fn leaf_is_due(&self, covered: Covered) -> bool {
        let matched = match self.subject {
            Subject::Suffix(_) | Subject::Key(_) => covered.by_key,
            Subject::Comment(_) => covered.by_comment,
            Subject::Nothing => false,
        };
        matched == self.match_encrypts
    }

    /// Whether the comment noted last is due; `covered` is the place of the map or list that holds it.
    ///
    /// A comment does not ask for its own encryption, but it does ask for its own openness.
    pub(crate) fn comment_is_due(&self, covered: Covered, comments: &Comments) -> bool {
        let own = comments.last && !self.match_encrypts;
        self.leaf_is_due(Covered { by_comment: covered.by_comment || comments.before_last || own, ..covered })
    }

    fn is_key(&self, key: &str) -> bool {
        match &self.subject {
            Subject::Suffix(suffix) => key.ends_with(suffix.as_str()),
            Subject::Key(regex) => regex.is_match(key),
            Subject::Comment(_) | Subject::Nothing => false,
        }
    }

    fn is_comment(&self, text: &[u8]) -> bool {
        match &self.subject {
            Subject::Comment(regex) => regex.is_match(&as_go_sees(text)),
            _ => false,
        }
    }
}

/// Go matches each invalid byte as U+FFFD.
fn as_go_sees(text: &[u8]) -> Cow<'_, str> {
    super::store::json::replace_invalid(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(selector: &Selector) -> Rules {
        Rules::new(selector).unwrap()
    }

    fn due(rules: &Rules, path: &[&str]) -> bool {
        let covered =
            path.iter().fold(Covered::default(), |covered, key| rules.enter(covered, &Comments::default(), key));
        rules.leaf_is_due(covered)
    }

    #[test]
    fn any_ancestor_counts() {
        let rules = rules(&Selector::UnencryptedSuffix("_unencrypted".to_owned()));
        assert!(due(&rules, &["a", "b"]));
        assert!(!due(&rules, &["a_unencrypted", "b"]));
        assert!(!due(&rules, &["a", "b_unencrypted"]));
        assert!(due(&rules, &["a_unencrypted_", "b"]));
    }

    #[test]
    fn each_key_is_tested_alone_and_not_anchored() {
        let rules = rules(&Selector::EncryptedRegex("Data|^x:y$".to_owned()));
        assert!(due(&rules, &["stringData", "a"]));
        assert!(!due(&rules, &["string", "data"]));
        assert!(!due(&rules, &["x", "y"]));
    }

    #[test]
    fn an_invalid_regex_matches_nothing() {
        assert!(!due(&rules(&Selector::EncryptedRegex("a**".to_owned())), &["a"]));
        assert!(due(&rules(&Selector::UnencryptedRegex("(".to_owned())), &["("]));
    }

    #[test]
    fn a_marking_comment_stays_open_and_the_next_one_is_encrypted() {
        let rules = rules(&Selector::EncryptedCommentRegex("enc".to_owned()));
        let mut comments = Comments::default();
        rules.note(&mut comments, b" enc");
        assert!(!rules.comment_is_due(Covered::default(), &comments));
        rules.note(&mut comments, b" more");
        assert!(rules.comment_is_due(Covered::default(), &comments));
        assert!(rules.leaf_is_due(rules.enter(Covered::default(), &comments, "a")));
        assert!(!rules.leaf_is_due(rules.enter(Covered::default(), &Comments::default(), "b")));
    }

    #[test]
    fn an_opening_comment_opens_itself() {
        let rules = rules(&Selector::UnencryptedCommentRegex("open".to_owned()));
        let mut comments = Comments::default();
        assert!(rules.comment_is_due(Covered::default(), &comments));
        rules.note(&mut comments, b" open");
        assert!(!rules.comment_is_due(Covered::default(), &comments));
        assert!(!rules.leaf_is_due(rules.enter(Covered::default(), &comments, "a")));
    }
}
