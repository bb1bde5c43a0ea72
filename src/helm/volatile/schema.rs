//! Whether a schema of values is all that helm reads to apply it: one may name others, by file or by URL.

use serde_json::Value;

/// Whether every reference of a schema stays within it.
pub(super) fn is_alone(schema: &[u8]) -> bool {
    serde_json::from_slice(schema).is_ok_and(|schema| stays(&schema))
}

fn stays(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().all(|(name, value)| {
            let local = match (name.as_str(), value) {
                ("$schema", Value::String(url)) => is_known(url),
                // `$ref` and its relatives.
                (name, Value::String(target)) if name.starts_with('$') && name.to_lowercase().ends_with("ref") => {
                    target.starts_with('#')
                }
                _ => true,
            };
            local && stays(value)
        }),
        Value::Array(items) => items.iter().all(stays),
        _ => true,
    }
}

/// Drafts that helm carries with it.
fn is_known(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.starts_with("json-schema.org/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_names_another_is_not_alone() {
        assert!(is_alone(
            br##"{"$schema": "http://json-schema.org/draft-07/schema#", "a": {"$ref": "#/definitions/b"}}"##
        ));
        assert!(is_alone(br#"{"properties": {"$ref": {"type": "string"}}}"#));
        for schema in [
            r#"{"a": [{"$ref": "file:///proc/self/cwd/../other.json"}]}"#,
            r#"{"a": {"\u0024ref": "https://example.com/x.json"}}"#,
            r#"{"$id": "file:///x/", "a": {"$dynamicRef": "other.json"}}"#,
            r#"{"$schema": "https://example.com/draft.json"}"#,
            "{",
        ] {
            assert!(!is_alone(schema.as_bytes()), "{schema}");
        }
    }
}
