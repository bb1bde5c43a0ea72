//! What was rendered, as it goes over the wire: encoded from where it lies, without another copy.

use std::sync::Arc;

use prost::DecodeError;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{self, DecodeContext, WireType};

use crate::manifests::Manifests;

/// `ManifestResponse` of `cmp/plugin.proto`: one entry for each document.
///
/// Documents are sent as helm printed them. `argocd-cmp-server` makes JSON of each; the repo-server reads either in the
/// same way (Argo CD 3.6, `util/kube/kube.go`).
#[derive(Debug, Clone, Default)]
pub(super) struct Reply(Option<Arc<Manifests>>);

/// `ManifestResponse.manifests`
const MANIFESTS: u32 = 1;

impl From<Arc<Manifests>> for Reply {
    fn from(manifests: Arc<Manifests>) -> Self {
        Self(Some(manifests))
    }
}

impl Reply {
    fn documents(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().flat_map(|manifests| manifests.documents())
    }
}

impl prost::Message for Reply {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for document in self.documents() {
            encoding::encode_key(MANIFESTS, WireType::LengthDelimited, buf);
            encoding::encode_varint(document.len() as u64, buf);
            buf.put_slice(document);
        }
    }

    fn encoded_len(&self) -> usize {
        let key = encoding::key_len(MANIFESTS);
        self.documents()
            .map(|document| key + encoding::encoded_len_varint(document.len() as u64) + document.len())
            .sum()
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        // Replies are only ever sent.
        encoding::skip_field(wire_type, tag, buf, context)
    }

    fn clear(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::helm::Rendered;
    use crate::manifests;
    use crate::secret::Plaintext;

    /// As `protoc` would make it.
    #[derive(Clone, PartialEq, prost::Message)]
    struct ManifestResponse {
        #[prost(string, repeated, tag = "1")]
        manifests: Vec<String>,
        #[prost(string, tag = "2")]
        source_type: String,
    }

    #[test]
    fn a_reply_is_read_as_a_manifest_response() {
        let long = format!("apiVersion: v1\nkind: ConfigMap\ndata: {{a: {}}}\n", "ä".repeat(200));
        let text = format!("---\n# Source: a.yaml\napiVersion: v1\nkind: Pod\n---\n# nothing\n---\n{long}");
        let rendered = Rendered::new(Plaintext::from(text));
        let manifests = manifests::check(rendered, false, &manifests::Options::default()).unwrap();
        let reply = Reply::from(Arc::new(manifests));
        let bytes = reply.encode_to_vec();
        assert_eq!(bytes.len(), reply.encoded_len());
        let read = ManifestResponse::decode(&bytes[..]).unwrap();
        assert_eq!(read.manifests, ["# Source: a.yaml\napiVersion: v1\nkind: Pod\n".to_owned(), long]);
        assert_eq!(read.source_type, "");
    }
}
