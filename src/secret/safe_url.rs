//! URLs that may carry credentials, made fit for messages.

use std::fmt;

/// Shows a URL without user info, query and fragment, which may hold credentials.
pub struct SafeUrl<'a>(pub &'a str);

impl fmt::Display for SafeUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0.split(['?', '#']).next().unwrap_or_default();
        let Some((scheme, rest)) = url.split_once("://") else { return f.write_str(url) };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let host = authority.rsplit('@').next().unwrap_or_default();
        write!(f, "{scheme}://{host}{path}")
    }
}

impl fmt::Debug for SafeUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        let shown = |url| SafeUrl(url).to_string();
        assert_eq!(shown("https://u:p@ss@charts.example.com/x?token=t#f"), "https://charts.example.com/x");
        assert_eq!(shown("oci://registry.example.com"), "oci://registry.example.com");
        assert_eq!(shown("charts/web"), "charts/web");
    }
}
