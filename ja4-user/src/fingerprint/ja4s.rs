//! JA4S, the TLS server fingerprint (specification, section 4).
//!
//! ```text
//! JA4S   = protocol version extensions alpn _ suite _ H12(extensions in wire order)
//! JA4S_r = protocol version extensions alpn _ suite _ extensions in wire order
//! ```

use crate::fingerprint::hash::hex4;
use crate::fingerprint::list::ListHasher;
use crate::fingerprint::{Carrier, Forms, alpn_code, ascii, two_digits, version_code};
use crate::wire::tls::{ServerHello, is_grease};

/// The forms of one JA4S. Meant to be kept and written again: its buffers are reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ja4sValues {
    /// JA4S.
    pub value: String,
    /// JA4S_r; empty unless all forms were asked for.
    pub raw: String,
}

/// Computes JA4S. One per shard, as [`Ja4Engine`](crate::fingerprint::ja4::Ja4Engine).
pub struct Ja4sEngine {
    lists: ListHasher,
    extensions: Vec<u16>,
}

impl Default for Ja4sEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Ja4sEngine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { lists: ListHasher::new(), extensions: Vec::new() }
    }

    /// Writes the fingerprint of `hello` over `out`. A HelloRetryRequest has one like any other.
    pub fn ja4s(&mut self, hello: &ServerHello<'_>, carrier: Carrier, forms: Forms, out: &mut Ja4sValues) {
        self.extensions.clear();
        let kinds = hello.extensions.iter().map(|extension| extension.kind);
        self.extensions.extend(kinds.filter(|&kind| !is_grease(kind)));

        let [v1, v2] = version_code(hello.version());
        let [e1, e2] = two_digits(self.extensions.len());
        let [p1, p2] = alpn_code(hello.alpn().next());
        let [s1, s2, s3, s4] = hex4(hello.cipher_suite);
        let start = [carrier.letter(), v1, v2, e1, e2, p1, p2, b'_', s1, s2, s3, s4, b'_'];

        out.value.clear();
        out.value.push_str(ascii(&start));
        out.value.push_str(self.lists.hash(&self.extensions).as_str());
        out.raw.clear();
        if forms == Forms::All {
            out.raw.push_str(ascii(&start));
            out.raw.push_str(ascii(self.lists.text(&self.extensions)));
        }
    }
}
