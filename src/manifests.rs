//! Helm's output becomes the list that Argo CD expects: proven to be objects, none of them encrypted.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess as _, Visitor};

use crate::helm::Rendered;
use crate::secret::Plaintext;

/// `ENC[AES256_GCM,` as it stands in the `data` of a Secret: 15 bytes are 20 characters, whatever follows.
const CIPHERTEXT_IN_BASE64: &str = "RU5DW0FFUzI1Nl9HQ00s";

/// How strict the output is looked at.
#[derive(Debug, Clone, Default, Hash)]
pub struct Options {
    /// Kinds whose objects may carry ciphertext on purpose (a controller in the cluster decrypts them).
    pub encrypted_kinds: Vec<String>,
}

/// The manifests of one source: every document is an object with `apiVersion` and `kind`.
#[derive(Debug)]
pub struct Manifests {
    text: Plaintext,
    objects: Vec<Range<usize>>,
}

impl Manifests {
    /// The YAML documents as helm printed them, for Argo CD.
    #[must_use]
    pub fn text(&self) -> &Plaintext {
        &self.text
    }

    /// The number of objects.
    #[must_use]
    pub fn count(&self) -> usize {
        self.objects.len()
    }

    /// The YAML document of each object, as helm printed it: UTF-8.
    pub fn documents(&self) -> impl Iterator<Item = &[u8]> {
        self.objects.iter().map(|place| &self.text.expose()[place.clone()])
    }

    /// The bytes of all documents.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// A document of the output, for messages: its template where helm says so, else its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The template that made it, below the chart.
    pub template: Option<String>,
    /// Its place among the documents, from 1.
    pub number: usize,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.template {
            Some(template) => write!(f, "`{template}`"),
            None => write!(f, "document {}", self.number),
        }
    }
}

/// The output is not what may be handed on. Nothing of a document is quoted: it may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not YAML.
    #[error("{document} rendered to invalid YAML{}", place(*at))]
    Yaml {
        /// Which.
        document: Document,
        /// Line and column within the document.
        at: Option<(usize, usize)>,
    },
    /// Not an object of Kubernetes.
    #[error("{document} rendered to something without `{field}`")]
    NotAnObject {
        /// Which.
        document: Document,
        /// What is missing.
        field: &'static str,
    },
    /// Something that `sops` should have decrypted.
    #[error("{document} rendered to an object that is still encrypted")]
    Encrypted {
        /// Which.
        document: Document,
    },
    /// No objects.
    #[error("the chart rendered to no objects")]
    Empty,
}

fn place(at: Option<(usize, usize)>) -> String {
    at.map_or_else(String::new, |(line, column)| format!(" (line {line}, column {column})"))
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Yaml { .. } => "look at it with `argocd-sops generate` and a template that prints less; quote values with `quote` or `toYaml`",
                Self::NotAnObject { .. } => "Argo CD takes only objects with `apiVersion` and `kind`; a values file does not belong into `templates`",
                Self::Encrypted { .. } => "encrypted files are decrypted as `valueFiles` and `fileParameters` only, not inside the chart; \
                     list the kind in `ARGOCD_SOPS_ENCRYPTED_KINDS` if a controller decrypts it",
                Self::Empty => "check the values that switch templates on, or set the parameter `allowEmpty`",
            }
            .to_owned(),
        )
    }
}

/// Takes helm's output apart far enough to know that each document is an object and none is encrypted.
///
/// # Errors
///
/// For the first document that is not, and for no objects at all unless `allow_empty`.
pub fn check(rendered: Rendered, allow_empty: bool, options: &Options) -> Result<Manifests, Error> {
    let text = rendered.into_plaintext();
    let mut objects = Vec::new();
    for (index, place) in documents(text.expose()).enumerate() {
        let document = &text.expose()[place.clone()];
        if is_blank(document) {
            continue;
        }
        let about = || Document { template: template(document), number: index + 1 };
        let object: Object = serde_yaml::from_slice(document).map_err(|error| Error::Yaml {
            document: about(),
            at: error.location().map(|location| (location.line(), location.column())),
        })?;
        let Object::Map { kind, api_version, encrypted } = object else {
            if matches!(object, Object::Nothing) {
                continue;
            }
            return Err(Error::NotAnObject { document: about(), field: "kind" });
        };
        let Some(kind) = kind else { return Err(Error::NotAnObject { document: about(), field: "kind" }) };
        if !api_version {
            return Err(Error::NotAnObject { document: about(), field: "apiVersion" });
        }
        if encrypted && !options.encrypted_kinds.contains(&kind) {
            return Err(Error::Encrypted { document: about() });
        }
        objects.push(place);
    }
    if objects.is_empty() && !allow_empty {
        return Err(Error::Empty);
    }
    Ok(Manifests { text, objects })
}

/// What must be known of a document. Double keys pass, as they do in Argo CD, and nothing is kept of the values.
enum Object {
    /// Empty, or `null`.
    Nothing,
    /// A map.
    Map {
        /// `kind`, where it is a text.
        kind: Option<String>,
        /// Whether `apiVersion` is a text.
        api_version: bool,
        /// Whether it carries SOPS metadata, or a string that begins as a SOPS value does.
        encrypted: bool,
    },
    /// Anything else.
    Other,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Object, E> {
        Ok(Object::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let (mut kind, mut api_version, mut encrypted) = (None, false, false);
        while let Some(Leaf { text: key, .. }) = map.next_key()? {
            let value: Leaf = map.next_value()?;
            match key.as_deref() {
                Some("kind") => kind = value.text.filter(|text| !text.is_empty()),
                Some("apiVersion") => api_version = value.text.is_some_and(|text| !text.is_empty()),
                Some("sops") => encrypted |= value.metadata,
                _ => {}
            }
            encrypted |= value.ciphertext;
        }
        Ok(Object::Map { kind, api_version, encrypted })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Object, A::Error> {
        while items.next_element::<Leaf>()?.is_some() {}
        Ok(Object::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Object, E> {
        Ok(Object::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Object, E> {
        Ok(Object::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Object, E> {
        Ok(Object::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Object, E> {
        Ok(Object::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Object, E> {
        Ok(Object::Other)
    }
}

/// A value within an object: its text if it is one, and whether there is ciphertext in it.
#[derive(Default)]
struct Leaf {
    text: Option<String>,
    ciphertext: bool,
    metadata: bool,
}

impl<'de> Deserialize<'de> for Leaf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LeafVisitor)
    }
}

struct LeafVisitor;

impl<'de> Visitor<'de> for LeafVisitor {
    type Value = Leaf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Leaf, A::Error> {
        let mut found = Leaf::default();
        let (mut mac, mut last_modified) = (false, false);
        while let Some(key) = map.next_key::<Leaf>()? {
            mac |= key.text.as_deref() == Some("mac");
            last_modified |= key.text.as_deref() == Some("lastmodified");
            found.ciphertext |= map.next_value::<Leaf>()?.ciphertext;
        }
        found.metadata = mac && last_modified;
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Leaf, A::Error> {
        let mut found = Leaf::default();
        while let Some(item) = items.next_element::<Leaf>()? {
            found.ciphertext |= item.ciphertext;
        }
        Ok(found)
    }

    fn visit_str<E>(self, text: &str) -> Result<Leaf, E> {
        let ciphertext = text.starts_with("ENC[AES256_GCM,") || text.starts_with(CIPHERTEXT_IN_BASE64);
        // Long texts are values; only names are looked at.
        let text = (text.len() <= 253).then(|| text.to_owned());
        Ok(Leaf { text, ciphertext, metadata: false })
    }

    fn visit_unit<E>(self) -> Result<Leaf, E> {
        Ok(Leaf::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Leaf, E> {
        Ok(Leaf::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Leaf, E> {
        Ok(Leaf::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Leaf, E> {
        Ok(Leaf::default())
    }

    // Numbers beyond 64 bits: Go reads them as floats.
    fn visit_i128<E>(self, _: i128) -> Result<Leaf, E> {
        Ok(Leaf::default())
    }

    fn visit_u128<E>(self, _: u128) -> Result<Leaf, E> {
        Ok(Leaf::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Leaf, E> {
        Ok(Leaf::default())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Leaf, A::Error> {
        let (_, value) = tagged.variant::<IgnoredAny>()?;
        value.newtype_variant()
    }
}

/// The places of the documents between lines of `---`.
fn documents(text: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut rest = Some(0);
    std::iter::from_fn(move || {
        let mut begin = rest?;
        if is_separator(&text[begin..]) {
            begin = after_line(text, begin);
        }
        let mut from = begin;
        while from < text.len() {
            from = after_line(text, from);
            if is_separator(&text[from..]) {
                rest = Some(from);
                return Some(begin..from);
            }
        }
        rest = None;
        Some(begin..text.len())
    })
}

/// Whether there is nothing but blank lines and comments.
fn is_blank(document: &[u8]) -> bool {
    let mut lines = document.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.all(|line| line.is_empty() || line.starts_with(b"#"))
}

fn is_separator(text: &[u8]) -> bool {
    text.strip_prefix(b"---").is_some_and(|rest| rest.is_empty() || rest[0].is_ascii_whitespace())
}

fn after_line(text: &[u8], from: usize) -> usize {
    memchr::memchr(b'\n', &text[from..]).map_or(text.len(), |length| from + length + 1)
}

/// helm writes `# Source: chart/templates/file.yaml` above each document.
fn template(document: &[u8]) -> Option<String> {
    let line = document.split(|byte| *byte == b'\n').find(|line| !line.is_empty())?;
    let path = line.strip_prefix(b"# Source: ")?;
    Some(String::from_utf8_lossy(path).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<usize, Error> {
        let rendered = Rendered::new(Plaintext::from(text.to_owned()));
        check(rendered, false, &Options::default()).map(|manifests| manifests.count())
    }

    const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    #[test]
    fn objects_are_counted_and_empty_documents_are_not() {
        assert_eq!(checked(&format!("---\n# Source: a/b.yaml\n{OBJECT}---\n# nothing\n---\n{OBJECT}")).unwrap(), 2);
    }

    #[test]
    fn double_keys_pass_as_they_do_in_argo_cd() {
        assert_eq!(checked(&format!("{OBJECT}data: {{a: b, a: c}}\nkind: Secret\n")).unwrap(), 1);
    }

    #[test]
    fn numbers_of_any_size_pass() {
        for number in ["18446744073709551616", "-9223372036854775809", "0xFFFFFFFFFFFFFFFFFF", &"9".repeat(60)] {
            assert_eq!(checked(&format!("{OBJECT}spec: {{big: {number}}}\n")).unwrap(), 1, "{number}");
        }
    }

    #[test]
    fn a_document_without_a_kind_is_refused_without_a_word_of_it() {
        let error = checked(&format!("{OBJECT}---\n# Source: web/templates/x.yaml\npassword: hunter2\n")).unwrap_err();
        assert_eq!(error.to_string(), "`web/templates/x.yaml` rendered to something without `kind`");
    }

    #[test]
    fn invalid_yaml_is_refused_with_its_place() {
        let error = checked("a: b\n c: hunter2\n").unwrap_err();
        assert_eq!(error.to_string(), "document 1 rendered to invalid YAML (line 2, column 3)");
    }

    #[test]
    fn an_object_that_is_still_encrypted_is_refused() {
        for rest in [
            "data: {a: 'ENC[AES256_GCM,data:x,iv:y,tag:z,type:str]'}",
            "data: [[{b: 'ENC[AES256_GCM,data:x'}]]",
            "data: !secret 'ENC[AES256_GCM,data:x'",
            "data: {a: RU5DW0FFUzI1Nl9HQ00sZGF0YTp4}",
            "sops: {mac: x, lastmodified: y}",
        ] {
            assert!(matches!(checked(&format!("{OBJECT}{rest}\n")), Err(Error::Encrypted { .. })), "{rest}");
        }
    }

    #[test]
    fn kinds_that_carry_ciphertext_on_purpose_can_be_listed() {
        let rendered = Rendered::new(Plaintext::from(format!("{OBJECT}sops: {{mac: x, lastmodified: y}}\n")));
        let options = Options { encrypted_kinds: vec!["ConfigMap".into()] };
        assert_eq!(check(rendered, false, &options).unwrap().count(), 1);
    }

    #[test]
    fn no_objects_are_an_error_unless_allowed() {
        assert!(matches!(checked("---\n# nothing\n"), Err(Error::Empty)));
        assert_eq!(check(Rendered::new(Plaintext::default()), true, &Options::default()).unwrap().count(), 0);
    }
}
