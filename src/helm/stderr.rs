//! What helm says when it fails, made fit for people.

use super::arguments::input_path;
use crate::secret::{Plaintext, redact};
use crate::values::ValuesFile;

/// The most bytes of helm's stderr that are kept; the rest is read and forgotten.
pub(super) const MAX_STDERR: usize = 64 * 1024;

/// The longest message that is passed on, in bytes: Argo CD stores it in the Application.
const MAX_MESSAGE: usize = 8 * 1024;

/// helm's words without decrypted values, with inputs called by their names and the flood cut.
pub(super) fn readable<'a>(
    raw: &[u8],
    inputs: &[ValuesFile],
    secrets: impl IntoIterator<Item = &'a Plaintext>,
    folder: &str,
) -> String {
    // A flood was cut off, perhaps in the middle of a value that can no longer be recognised: its last line goes.
    let raw =
        if raw.len() < MAX_STDERR { raw } else { &raw[..raw.iter().rposition(|byte| *byte == b'\n').unwrap_or(0)] };
    let text = String::from_utf8_lossy(raw);
    let mut text = redact(&text, secrets);
    // Longest number first: `/proc/self/fd/1` is the beginning of `/proc/self/fd/12`.
    for (index, input) in inputs.iter().enumerate().rev() {
        text = text.replace(&input_path(index), &input.name);
    }
    text = text.replace(&format!("{folder}/"), "").replace(folder, ".");
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix("Error: ").unwrap_or(line).trim_end())
        .filter(|line| !line.is_empty() && !line.starts_with("Use --debug flag to render out invalid YAML"))
        .collect();
    // helm 4 logs some errors before it says them.
    let said: Vec<&str> = lines.iter().copied().filter(|line| !line.starts_with("level=")).collect();
    let mut message = if said.is_empty() { lines } else { said }.join("\n");
    if message.len() > MAX_MESSAGE {
        let mut end = MAX_MESSAGE;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push_str(" [...]");
    }
    message
}

/// Whether Go's runtime has ended helm for want of memory. What it prints then is about itself.
pub(super) fn was_short_of_memory(raw: &[u8]) -> bool {
    raw.starts_with(b"fatal error: runtime: out of memory") || raw.starts_with(b"runtime: out of memory")
}

/// Whether helm missed dependencies: argo-cd 3.6 looks for the same words (`util/helm/helm.go`, `IsMissingDependencyErr`).
pub(super) fn missed_dependencies(message: &str) -> bool {
    message.contains("found in Chart.yaml, but missing in charts/ directory")
        || message.contains("found in requirements.yaml, but missing in charts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helm_is_quoted_without_values_descriptors_and_places() {
        let input = |name: &str| ValuesFile { name: name.into(), content: Plaintext::default() };
        let inputs: Vec<ValuesFile> = (0..12).map(|number| input(&format!("values-{number}.yaml"))).collect();
        let secret = Plaintext::from("correct horse".to_owned());
        let raw = b"Error: failed to parse /proc/self/fd/14: in /tmp/x/app/templates/a.yaml: bad \"correct horse\"\n\n\
            Use --debug flag to render out invalid YAML\n";
        let message = readable(raw, &inputs, [&secret], "/tmp/x/app");
        assert_eq!(message, "failed to parse values-11.yaml: in templates/a.yaml: bad \"[redacted]\"");
    }

    #[test]
    fn what_helm_has_logged_is_not_said_twice() {
        let raw = b"level=ERROR msg=\"release name check failed\"\nError: release name check failed: \"Web_X\"\n";
        assert_eq!(readable(raw, &[], [], "/x"), "release name check failed: \"Web_X\"");
        assert_eq!(readable(b"level=ERROR msg=x\n", &[], [], "/x"), "level=ERROR msg=x");
    }

    #[test]
    fn a_flood_is_cut() {
        let message = readable("ä\n".repeat(20_000).as_bytes(), &[], [], "/x");
        assert!(message.len() <= MAX_MESSAGE + " [...]".len() && message.ends_with(" [...]"));
    }
}
