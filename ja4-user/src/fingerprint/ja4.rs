//! JA4, the TLS client fingerprint, in its four forms (specification, sections 1 and 3).
//!
//! ```text
//! a      = protocol version sni suites extensions alpn           such as t13d1516h2
//! JA4    = a _ H12(sorted suites) _ H12(sorted extensions [+ "_" + algorithms])
//! JA4_r  = a _ sorted suites      _ sorted extensions [+ "_" + algorithms]
//! JA4_o  = a _ H12(suites)        _ H12(extensions [+ "_" + algorithms])
//! JA4_ro = a _ suites             _ extensions [+ "_" + algorithms]
//! ```
//! GREASE is dropped everywhere, before counting. The sorted forms leave server_name and ALPN out of
//! the extensions; the original-order forms keep them. The algorithms are never sorted.

use crate::fingerprint::list::{ListHasher, SECTION};
use crate::fingerprint::{Carrier, Forms, alpn_code, ascii, two_digits, version_code};
use crate::wire::tls::{ClientHello, extension_type, is_grease};

/// The forms of one JA4. Meant to be kept and written again: its buffers are reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ja4Values {
    /// JA4.
    pub value: String,
    /// JA4_r; empty unless all forms were asked for, as are the next two.
    pub raw: String,
    /// JA4_o.
    pub original: String,
    /// JA4_ro.
    pub raw_original: String,
}

impl Ja4Values {
    fn clear(&mut self) {
        for form in [&mut self.value, &mut self.raw, &mut self.original, &mut self.raw_original] {
            form.clear();
        }
    }
}

/// Computes JA4. It holds what is worth keeping from one hello to the next, so there is one per shard:
/// scratch space, and the hashes of lists seen before.
pub struct Ja4Engine {
    lists: ListHasher,
    suites: Vec<u16>,
    /// Extensions, and behind them the algorithms.
    extensions: Vec<u16>,
}

impl Default for Ja4Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Ja4Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { lists: ListHasher::new(), suites: Vec::new(), extensions: Vec::new() }
    }

    /// Writes the fingerprint of `hello` over `out`.
    ///
    /// Nothing is cut: a list of any length is hashed whole. Once its buffers have grown to the size of
    /// the traffic's hellos this allocates nothing.
    pub fn ja4(&mut self, hello: &ClientHello<'_>, carrier: Carrier, forms: Forms, out: &mut Ja4Values) {
        out.clear();
        self.suites.clear();
        self.suites.extend(hello.cipher_suites.iter());
        self.suites.retain(|&suite| !is_grease(suite));
        self.extensions.clear();
        self.extensions.extend(hello.extensions.iter().map(|extension| extension.kind));
        self.extensions.retain(|&kind| !is_grease(kind));

        let a = section_a(hello, carrier, self.suites.len(), self.extensions.len());
        if forms == Forms::All {
            let extensions = self.extensions.len();
            push_algorithms(hello, &mut self.extensions);
            self.write(&a, &mut out.original, &mut out.raw_original, forms);
            self.extensions.truncate(extensions);
        }
        self.suites.sort_unstable();
        self.extensions.retain(|&kind| kind != extension_type::SERVER_NAME && kind != extension_type::ALPN);
        self.extensions.sort_unstable();
        push_algorithms(hello, &mut self.extensions);
        self.write(&a, &mut out.value, &mut out.raw, forms);
    }

    /// Joins `a` with the two lists as they stand, hashed and, where asked for, raw.
    fn write(&mut self, a: &[u8; 10], hashed: &mut String, raw: &mut String, forms: Forms) {
        let (b, c) = (self.lists.hash(&self.suites), self.lists.hash(&self.extensions));
        join(hashed, a, b.as_bytes(), c.as_bytes());
        if forms == Forms::All {
            raw.push_str(ascii(a));
            for list in [&self.suites, &self.extensions] {
                raw.push('_');
                raw.push_str(ascii(self.lists.text(list)));
            }
        }
    }
}

/// The section in clear: protocol, version, whether a server name is there, how many suites and
/// extensions, and the first protocol offered.
fn section_a(hello: &ClientHello<'_>, carrier: Carrier, suites: usize, extensions: usize) -> [u8; 10] {
    let [v1, v2] = version_code(hello.version());
    let sni = if hello.has_server_name() { b'd' } else { b'i' };
    let [s1, s2] = two_digits(suites);
    let [e1, e2] = two_digits(extensions);
    let [p1, p2] = alpn_code(hello.alpn().next());
    [carrier.letter(), v1, v2, sni, s1, s2, e1, e2, p1, p2]
}

/// Puts the algorithms behind the extensions; nothing where all of them are GREASE.
fn push_algorithms(hello: &ClientHello<'_>, list: &mut Vec<u16>) {
    let extensions = list.len();
    list.push(SECTION);
    list.extend(hello.signature_algorithms().iter().filter(|&algorithm| !is_grease(algorithm)));
    if list.len() == extensions + 1 {
        list.truncate(extensions);
    }
}

fn join(out: &mut String, a: &[u8; 10], b: &[u8; 12], c: &[u8; 12]) {
    let mut text = [b'_'; 36];
    let (head, rest) = text.split_at_mut(10);
    head.copy_from_slice(a);
    let (middle, tail) = rest.split_at_mut(13);
    for (place, hash) in [(middle, b), (tail, c)] {
        if let Some(place) = place.get_mut(1..) {
            place.copy_from_slice(hash);
        }
    }
    out.push_str(ascii(&text));
}
