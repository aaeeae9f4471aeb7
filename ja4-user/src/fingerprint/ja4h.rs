//! JA4H, the HTTP client fingerprint, in its four forms (specification, section 5).
//!
//! ```text
//! a       = method version cookie referer fields language       such as ge11cr04da00
//! JA4H    = a _ H12(names) _ H12(sorted cookie names) _ H12(pairs in the order of their sorted names)
//! JA4H_r  = a _ names _ sorted cookie names _ pairs in that order
//! JA4H_o  = a _ H12(names) _ H12(cookie names) _ H12(pairs)      in wire order
//! JA4H_ro = a _ names _ cookie names _ pairs                     in wire order
//! ```
//! Cookie, Referer and pseudo-header fields are in no list of names. The hashes are over the bytes that
//! came; the raw forms are text, and show what is not UTF-8 as U+FFFD.

use crate::fingerprint::{Forms, H12, ascii, two_digits};
use crate::wire::http::{Request, Version};

/// The forms of one JA4H. Meant to be kept and written again: its buffers are reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ja4hValues {
    /// JA4H.
    pub value: String,
    /// JA4H_r; empty unless all forms were asked for, as are the next two.
    pub raw: String,
    /// JA4H_o.
    pub original: String,
    /// JA4H_ro.
    pub raw_original: String,
}

impl Ja4hValues {
    fn clear(&mut self) {
        for form in [&mut self.value, &mut self.raw, &mut self.original, &mut self.raw_original] {
            form.clear();
        }
    }
}

/// Computes JA4H. It holds scratch space, so there is one per shard.
#[derive(Debug, Default)]
pub struct Ja4hEngine {
    /// Field names, joined.
    names: Vec<u8>,
    /// Cookie pairs as they came, one behind the other.
    crumbs: Vec<u8>,
    cookies: Vec<Cookie>,
    /// Cookie names, and pairs, joined.
    joined: [Vec<u8>; 2],
}

/// Where a cookie lies in the crumbs. It orders by arrival.
#[derive(Clone, Copy, Debug)]
struct Cookie {
    start: usize,
    name_len: usize,
    len: usize,
}

impl Cookie {
    fn name(self, crumbs: &[u8]) -> &[u8] {
        crumbs.get(self.start..self.start + self.name_len).unwrap_or_default()
    }

    fn pair(self, crumbs: &[u8]) -> &[u8] {
        crumbs.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

impl Ja4hEngine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes the fingerprint of `request` over `out`.
    ///
    /// Nothing is cut: lists of any length are hashed whole. Once its buffers have grown to the size of
    /// the traffic's requests this allocates nothing.
    pub fn ja4h(&mut self, request: &Request<'_>, forms: Forms, out: &mut Ja4hValues) {
        out.clear();
        let a = self.read(request);
        let names = H12::of(&self.names);

        if forms == Forms::All {
            self.join();
            self.hashed(&a, names, &mut out.original);
            self.raw(&a, &mut out.raw_original);
        }
        // By name and then by arrival, so pairs of one name stay as they came.
        let crumbs = &self.crumbs;
        self.cookies
            .sort_unstable_by(|one, two| one.name(crumbs).cmp(two.name(crumbs)).then(one.start.cmp(&two.start)));
        self.join();
        self.hashed(&a, names, &mut out.value);
        if forms == Forms::All {
            self.raw(&a, &mut out.raw);
        }
    }

    /// Takes names and cookies out of the fields, in wire order; gives the section in clear.
    fn read(&mut self, request: &Request<'_>) -> SectionA {
        self.names.clear();
        self.crumbs.clear();
        self.cookies.clear();
        let (mut cookie, mut referer, mut count, mut language) = (b'n', b'n', 0, None);
        for field in request.fields().filter(|field| !field.is_pseudo()) {
            if field.is(b"cookie") {
                cookie = b'c';
                self.cut(field.value);
                continue;
            }
            if field.is(b"referer") {
                referer = b'r';
                continue;
            }
            if language.is_none() && field.is(b"accept-language") {
                language = Some(field.value);
            }
            separated(&mut self.names, field.name, count == 0);
            count += 1;
        }
        let [m1, m2] = method_code(request.method());
        let [v1, v2] = version_code(request.version());
        let [c1, c2] = two_digits(count);
        let [l1, l2, l3, l4] = language_code(language.unwrap_or_default());
        [m1, m2, v1, v2, cookie, referer, c1, c2, l1, l2, l3, l4]
    }

    /// Cuts the value of a Cookie field into its pairs.
    fn cut(&mut self, value: &[u8]) {
        for pair in value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
            let name_len = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            self.cookies.push(Cookie { start: self.crumbs.len(), name_len, len: pair.len() });
            self.crumbs.extend_from_slice(pair);
        }
    }

    /// Joins names and pairs of the cookies in the order they have now.
    fn join(&mut self) {
        let [names, pairs] = &mut self.joined;
        names.clear();
        pairs.clear();
        for (place, cookie) in self.cookies.iter().enumerate() {
            separated(names, cookie.name(&self.crumbs), place == 0);
            separated(pairs, cookie.pair(&self.crumbs), place == 0);
        }
    }

    /// Writes the hashed form of the lists as they stand.
    fn hashed(&self, a: &SectionA, names: H12, out: &mut String) {
        let [cookie_names, pairs] = self.joined.each_ref().map(|list| H12::of(list));
        out.push_str(ascii(a));
        for section in [names, cookie_names, pairs] {
            out.push('_');
            out.push_str(section.as_str());
        }
    }

    /// Writes the raw form of the lists as they stand.
    fn raw(&self, a: &SectionA, out: &mut String) {
        let [cookie_names, pairs] = &self.joined;
        out.push_str(ascii(a));
        for section in [&self.names, cookie_names, pairs] {
            out.push('_');
            for chunk in section.utf8_chunks() {
                out.push_str(chunk.valid());
                if !chunk.invalid().is_empty() {
                    out.push(char::REPLACEMENT_CHARACTER);
                }
            }
        }
    }
}

/// The section in clear.
type SectionA = [u8; 12];

/// Adds an item to a list.
fn separated(list: &mut Vec<u8>, item: &[u8], first: bool) {
    if !first {
        list.push(b',');
    }
    list.extend_from_slice(item);
}

/// The two characters of a version.
const fn version_code(version: Version) -> [u8; 2] {
    *match version {
        Version::Http10 => b"10",
        Version::Http11 => b"11",
        Version::Http2 => b"20",
    }
}

/// The two letters of a method; `00` for one that has none.
fn method_code(method: &[u8]) -> [u8; 2] {
    let known = METHODS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(method));
    known.map_or(*b"00", |(_, code)| **code)
}

/// Four characters of the first language: of what comes before `,` and `;`, hyphens left out, and filled up
/// with `0`. A byte that cannot be printed counts as missing, so that the section stays ASCII.
fn language_code(value: &[u8]) -> [u8; 4] {
    let end = value.iter().position(|byte| matches!(byte, b',' | b';')).unwrap_or(value.len());
    let first = value.get(..end).unwrap_or_default();
    // Whitespace is trimmed once the hyphens have gone.
    let outer = |byte: &u8| *byte == b'-' || byte.is_ascii_whitespace();
    let start = first.iter().position(|byte| !outer(byte)).unwrap_or(first.len());
    let end = first.iter().rposition(|byte| !outer(byte)).map_or(start, |last| last + 1);
    let kept = first.get(start..end).unwrap_or_default();
    let mut code = *b"0000";
    for (place, &byte) in code.iter_mut().zip(kept.iter().filter(|&&byte| byte != b'-')) {
        if matches!(byte, b' '..=b'~') {
            *place = byte.to_ascii_lowercase();
        }
    }
    code
}

/// Methods and their letters, the common ones first.
#[rustfmt::skip]
const METHODS: [(&str, &[u8; 2]); 43] = [
    ("GET", b"ge"), ("POST", b"po"), ("HEAD", b"he"), ("PUT", b"pu"), ("OPTIONS", b"op"), ("DELETE", b"de"),
    ("PATCH", b"pa"), ("CONNECT", b"co"), ("TRACE", b"tr"),
    ("ACL", b"ac"), ("BASELINE-CONTROL", b"ba"), ("BIND", b"bi"), ("CHECKIN", b"cn"), ("CHECKOUT", b"ct"),
    ("COPY", b"cy"), ("LABEL", b"la"), ("LINK", b"li"), ("LOCK", b"lo"), ("MERGE", b"me"), ("MKACTIVITY", b"ma"),
    ("MKCALENDAR", b"mc"), ("MKCOL", b"ml"), ("MKREDIRECTREF", b"mr"), ("MKWORKSPACE", b"mw"), ("MOVE", b"mo"),
    ("M-SEARCH", b"ms"), ("NOTIFY", b"no"), ("PRI", b"pr"), ("PROPFIND", b"pf"), ("PROPPATCH", b"pp"),
    ("PURGE", b"pr"), ("REBIND", b"rb"), ("REPORT", b"rp"), ("SEARCH", b"se"), ("SUBSCRIBE", b"su"),
    ("UNBIND", b"ub"), ("UNCHECKOUT", b"uc"), ("UNLINK", b"ui"), ("UNLOCK", b"uo"), ("UNSUBSCRIBE", b"un"),
    ("UPDATE", b"up"), ("UPDATEREDIRECTREF", b"ur"), ("VERSION-CONTROL", b"ve"),
];
