//! A resource: a name, a version, bytes, and the names that must be known before it.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use smallvec::SmallVec;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The name of a resource, shared between the sets, streams and answers that mention it.
pub type Name = Arc<str>;

/// The content hash of a resource; at most 11 characters as text, since a reconnecting client
/// names the versions of everything it holds in one request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A shared piece of a resource's encoding with the hash of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    bytes: Bytes,
    hash: u64,
}

impl Part {
    /// A part of these bytes.
    pub fn new(bytes: Bytes) -> Self {
        let hash = xxh3_64(&bytes);
        Self { bytes, hash }
    }

    /// The encoded bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The hash of the bytes.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// The encoded message as a list of shared chunks; written one after the other they are the message.
#[derive(Clone, Debug, Default)]
pub struct Body {
    chunks: SmallVec<[Bytes; 1]>,
    len: usize,
}

impl Body {
    /// The chunks in order.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// The length of the message in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the message has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The message in one piece; copies if there is more than one chunk.
    pub fn to_bytes(&self) -> Bytes {
        match self.chunks.as_slice() {
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }
}

/// The names that a client must know before it is given a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Clusters that a route or listener sends traffic to.
    pub clusters: Arc<[Name]>,
    /// Route configurations that a listener asks for.
    pub routes: Arc<[Name]>,
}

/// One resource as every proxy that shares it receives it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name, unique within its type.
    pub name: Name,
    /// The hash of its content.
    pub version: Version,
    /// The encoded message, without the `Any` around it.
    pub body: Body,
    /// What must be known first.
    pub needs: Needs,
}

impl Resource {
    /// A resource made of shared parts, in order; the version is a hash over the parts' hashes.
    pub fn from_parts(name: Name, parts: impl IntoIterator<Item = Part>, needs: Needs) -> Self {
        let mut hasher = Xxh3::new();
        let mut body = Body::default();
        for part in parts {
            hasher.update(&part.hash.to_le_bytes());
            body.len += part.bytes.len();
            body.chunks.push(part.bytes);
        }
        Self { name, version: Version(hasher.digest()), body, needs }
    }
}

impl PartialEq for Resource {
    /// Equal name and content; what it needs follows from the content.
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.name == other.name
    }
}

impl Eq for Resource {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_eleven_characters_and_follows_the_content() {
        let one = Resource::from_parts("a".into(), [Part::new(Bytes::from_static(b"x"))], Needs::default());
        let two = Resource::from_parts("a".into(), [Part::new(Bytes::from_static(b"y"))], Needs::default());
        assert_eq!(one.version.to_string().len(), 11);
        assert_ne!(one, two);
        assert_eq!(one.body.to_bytes().as_ref(), b"x");
    }
}
