//! Reading an object field by field: each has one type, and none is passed over.

use serde_json::{Map, Value};

use super::ManifestError;
use crate::app::catalogue::nearest;

/// The fields of one object that are not read yet, and where in the manifest it stands.
pub(super) struct Fields {
    place: String,
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    pub(super) fn new(place: impl Into<String>, value: Value) -> Result<Self, ManifestError> {
        let place = place.into();
        match value {
            Value::Object(fields) => Ok(Self { place, left: fields, known: Vec::new() }),
            _ => Err(ManifestError::Field { place, expected: "a mapping" }),
        }
    }

    /// The value of a field; `null` is as good as absent.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.remove(name).filter(|value| !value.is_null())
    }

    /// A string; an empty one is as good as absent, as in Go.
    pub(super) fn string(&mut self, name: &'static str) -> Result<Option<String>, ManifestError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.contains('\0') => Err(self.wrong(name, "text without a NUL byte")),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    pub(super) fn switch(&mut self, name: &'static str) -> Result<bool, ManifestError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(self.wrong(name, "`true` or `false`")),
        }
    }

    pub(super) fn list(&mut self, name: &'static str) -> Result<Vec<Value>, ManifestError> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.wrong(name, "a list")),
        }
    }

    pub(super) fn strings(&mut self, name: &'static str) -> Result<Vec<String>, ManifestError> {
        let items = self.list(name)?.into_iter();
        items
            .map(|item| match item {
                Value::String(text) if !text.contains('\0') => Ok(text),
                _ => Err(self.wrong(name, "a list of strings")),
            })
            .collect()
    }

    pub(super) fn objects(&mut self, name: &'static str) -> Result<Vec<Self>, ManifestError> {
        let items = self.list(name)?.into_iter().enumerate();
        items.map(|(index, item)| Self::new(format!("{}.{name}[{index}]", self.place), item)).collect()
    }

    /// Ends the reading: whatever nobody asked for is an error, since a render that left it out would be another one.
    pub(super) fn finish(self) -> Result<(), ManifestError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(ManifestError::UnknownField {
                place: format!("{}.{}", self.place, name.chars().take(100).collect::<String>().escape_debug()),
                nearest: nearest(name, self.known.iter().copied()),
            }),
        }
    }

    pub(super) fn place(&self, name: &str) -> String {
        format!("{}.{name}", self.place)
    }

    fn wrong(&self, name: &str, expected: &'static str) -> ManifestError {
        ManifestError::Field { place: self.place(name), expected }
    }
}
