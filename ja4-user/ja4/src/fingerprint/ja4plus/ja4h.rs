//! JA4H, the HTTP client fingerprint, in its four forms (FoxIO JA4+ technical details, JA4H.md).
//!
//! ```text
//! a       = method version cookie referer fields language       such as ge11cr04da00
//! JA4H    = a _ H12(names) _ H12(sorted cookie names) _ H12(pairs in the order of their sorted names)
//! JA4H_r  = a _ names _ sorted cookie names _ pairs in that order
//! JA4H_o  = a _ H12(names) _ H12(cookie names) _ H12(pairs)      in wire order
//! JA4H_ro = a _ names _ cookie names _ pairs                     in wire order
//! ```
//! Cookie, Referer and pseudo-header fields are in no list of names. The hashes are over the bytes on the
//! wire; the raw forms are text, with U+FFFD for bytes that are not UTF-8.

use memchr::memchr;

use crate::fingerprint::hash::H12;
use crate::fingerprint::list::Memo;
use crate::fingerprint::text::{ascii, two_digits};
use crate::fingerprint::value::{Fingerprint, Forms};
use crate::wire::http::{HttpRequest, HttpVersion};

/// Most cookies of a request that are read, in wire order. JA4H defines no limit. Browsers store about 180 of a site,
/// and servers accept 8 to 32 KiB of them; without a limit a header block could contain 32,768 to be sorted.
const MAX_COOKIES: usize = 1024;

/// Computes JA4H.
pub(super) struct Ja4hHasher {
    /// Hashes of the names of fields and of cookies: the requests of a client have the same.
    memo: Memo,
    /// Field names, joined.
    names: Vec<u8>,
    /// The values of the Cookie fields, concatenated.
    crumbs: Vec<u8>,
    cookies: Vec<Cookie>,
    /// Cookie names, and pairs, joined.
    joined: [Vec<u8>; 2],
}

/// The position of a cookie in `crumbs`, in bytes. Cookies in wire order have ascending starts.
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

impl Ja4hHasher {
    /// A hasher with this memo.
    pub(super) const fn new(memo: Memo) -> Self {
        Self { memo, names: Vec::new(), crumbs: Vec::new(), cookies: Vec::new(), joined: [const { Vec::new() }; 2] }
    }

    /// Writes the fingerprint of `request` to `out`, which is empty. It is capped if the request has more than
    /// [`MAX_COOKIES`].
    pub(super) fn write(&mut self, request: &HttpRequest<'_>, forms: Forms, out: &mut Fingerprint) {
        let a = self.read(request, &mut out.is_capped);
        let names = self.memo.get_or(&self.names, || H12::of(&self.names));

        if forms == Forms::All {
            self.join();
            self.hashed(&a, names, &mut out.original);
            self.raw(&a, &mut out.raw_original);
        }
        // By name, then in wire order, so that pairs of one name keep their order.
        let crumbs = &self.crumbs;
        self.cookies
            .sort_unstable_by(|one, two| one.name(crumbs).cmp(two.name(crumbs)).then(one.start.cmp(&two.start)));
        self.join();
        self.hashed(&a, names, &mut out.value);
        if forms == Forms::All {
            self.raw(&a, &mut out.raw);
        }
    }

    /// Collects names and cookies in wire order, and returns the first section.
    fn read(&mut self, request: &HttpRequest<'_>, is_capped: &mut bool) -> Ja4hSectionA {
        self.names.clear();
        self.crumbs.clear();
        self.cookies.clear();
        let (mut cookie, mut referer, mut count, mut language) = (b'n', b'n', 0, None);
        for field in request.fields().filter(|field| !field.is_pseudo()) {
            if field.is(b"cookie") {
                cookie = b'c';
                *is_capped |= !self.cut(field.value);
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

    /// Splits the value of a Cookie field into its pairs. False if it has too many.
    fn cut(&mut self, value: &[u8]) -> bool {
        let mut start = self.crumbs.len();
        self.crumbs.extend_from_slice(value);
        let mut rest = value;
        loop {
            let end = memchr(b';', rest);
            let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let pair = part.trim_ascii_start();
            let at = start + (part.len() - pair.len());
            let pair = pair.trim_ascii_end();
            if !pair.is_empty() {
                if self.cookies.len() == MAX_COOKIES {
                    return false;
                }
                let name_len = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
                self.cookies.push(Cookie { start: at, name_len, len: pair.len() });
            }
            let Some(end) = end else { return true };
            start += end + 1;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }

    /// Joins names and pairs of the cookies in their current order.
    fn join(&mut self) {
        let [names, pairs] = &mut self.joined;
        names.clear();
        pairs.clear();
        for (index, cookie) in self.cookies.iter().enumerate() {
            separated(names, cookie.name(&self.crumbs), index == 0);
            separated(pairs, cookie.pair(&self.crumbs), index == 0);
        }
    }

    /// Writes the hashed form of the current lists.
    fn hashed(&mut self, a: &Ja4hSectionA, names: H12, out: &mut String) {
        let [cookie_names, pairs] = &self.joined;
        let (cookie_names, pairs) = (self.memo.get_or(cookie_names, || H12::of(cookie_names)), H12::of(pairs));
        out.push_str(ascii(a));
        for section in [names, cookie_names, pairs] {
            out.push('_');
            out.push_str(section.as_str());
        }
    }

    /// Writes the raw form of the current lists.
    fn raw(&self, a: &Ja4hSectionA, out: &mut String) {
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

/// The first section, which is not hashed.
type Ja4hSectionA = [u8; 12];

/// Appends an item to a list.
fn separated(list: &mut Vec<u8>, item: &[u8], first: bool) {
    if !first {
        list.push(b',');
    }
    list.extend_from_slice(item);
}

/// The two characters of a version.
const fn version_code(version: HttpVersion) -> [u8; 2] {
    *match version {
        HttpVersion::Http10 => b"10",
        HttpVersion::Http11 => b"11",
        HttpVersion::Http2 => b"20",
    }
}

/// The two letters of a method; `00` for an unlisted one.
fn method_code(method: &[u8]) -> [u8; 2] {
    let known = METHODS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(method));
    known.map_or(*b"00", |(_, code)| **code)
}

/// The first four characters of the first language, which ends at `,` or `;`: without hyphens, and padded with `0`.
/// A byte that is not printable counts as missing, so that the section is ASCII.
fn language_code(value: &[u8]) -> [u8; 4] {
    let end = value.iter().position(|byte| matches!(byte, b',' | b';')).unwrap_or(value.len());
    let first = value.get(..end).unwrap_or_default();
    // Whitespace is trimmed after the hyphens were removed.
    let outer = |byte: &u8| *byte == b'-' || byte.is_ascii_whitespace();
    let start = first.iter().position(|byte| !outer(byte)).unwrap_or(first.len());
    let end = first.iter().rposition(|byte| !outer(byte)).map_or(start, |last| last + 1);
    let trimmed = first.get(start..end).unwrap_or_default();
    let mut code = *b"0000";
    for (character, &byte) in code.iter_mut().zip(trimmed.iter().filter(|&&byte| byte != b'-')) {
        if matches!(byte, b' '..=b'~') {
            *character = byte.to_ascii_lowercase();
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

#[cfg(test)]
mod tests {
    use core::ops::ControlFlow;

    use proptest::prelude::*;

    use super::*;
    use crate::method::Method;
    use crate::wire::http1::Http1Stream;
    use crate::wire::http2::Http2Stream;

    fn forms(hasher: &mut Ja4hHasher, text: &[u8]) -> Fingerprint {
        let mut out = Fingerprint::new(Method::Ja4h);
        Http1Stream::new().push(text, |found| {
            if let Ok(request) = found {
                hasher.write(&request, Forms::All, &mut out);
            }
            ControlFlow::Continue(())
        });
        out
    }

    /// The forms of a GET request with these header lines.
    fn get(lines: &[&str]) -> Fingerprint {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        forms(&mut Ja4hHasher::new(Memo::new()), format!("GET / HTTP/1.1\r\n{lines}\r\n").as_bytes())
    }

    fn value(lines: &[&str]) -> String {
        get(lines).value
    }

    #[test]
    fn published_example_in_all_forms() {
        let out = get(&[
            "Host: example.org",
            "User-Agent: curl/8",
            "Accept: */*",
            "Referer: http://example.org/",
            "Cookie: yummy_cookie=choco; tasty_cookie=strawberry",
            "Accept-Language: da, en-GB;q=0.8, en;q=0.7",
        ]);
        let names = "Host,User-Agent,Accept,Accept-Language";
        assert_eq!(out.value, "ge11cr04da00_8ddaef5d77af_280f366eaa04_c2fb0fe53442");
        assert_eq!(
            out.raw,
            format!("ge11cr04da00_{names}_tasty_cookie,yummy_cookie_tasty_cookie=strawberry,yummy_cookie=choco")
        );
        assert_eq!(out.original, "ge11cr04da00_8ddaef5d77af_f9cc76dcacf7_a0565a60202f");
        assert_eq!(
            out.raw_original,
            format!("ge11cr04da00_{names}_yummy_cookie,tasty_cookie_yummy_cookie=choco,tasty_cookie=strawberry")
        );
    }

    #[test]
    fn first_published_example_without_its_cookie_values() {
        let out = get(&[
            "Host: a",
            "Cookie: FastAB=0; sato=1; countryCode=b; stateCode=c; geoData=d|e; usprivacy=1---; umto=1; _dd_s=f=1&g=h",
            "Sec-Ch-Ua:",
            "Sec-Ch-Ua-Mobile: ?0",
            "User-Agent: i",
            "Sec-Ch-Ua-Platform: \"\"",
            "Accept: */*",
            "Sec-Fetch-Site: same-origin",
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Dest: empty",
            "Referer: https://a/",
            "Accept-Encoding: gzip, deflate",
            "Accept-Language: en-US,en;q=0.9",
        ]);
        assert!(out.value.starts_with("ge11cr11enus_974ebe531c03_0f2659b474bf_"), "{}", out.value);
    }

    #[test]
    fn pairs_are_sorted_by_their_names() {
        // By whole pairs `-` would come before `=`.
        let out = get(&["Cookie: id-hash=1;id=2;z=3"]);
        assert_eq!(out.raw, "ge11cn000000__id,id-hash,z_id=2,id-hash=1,z=3");
        // Equal names keep their order, also across several fields and among many cookies.
        let out = get(&["Cookie: b=2; a=9", "cookie: a-x=0; a=1"]);
        assert_eq!(out.raw, "ge11cn000000__a,a,a-x,b_a=9,a=1,a-x=0,b=2");
        assert_eq!(out.raw_original, "ge11cn000000__b,a,a-x,a_b=2,a=9,a-x=0,a=1");
        assert!(out.value.ends_with(H12::of(b"a=9,a=1,a-x=0,b=2").as_str()));
        let many: Vec<String> = (0..60).rev().map(|place| format!("a={place}")).collect();
        let out = get(&[&format!("Cookie: {}", many.join(";"))]);
        assert!(out.raw.ends_with(&format!("_{}", many.join(","))));
    }

    #[test]
    fn cookies_are_split_at_semicolons_and_the_first_equals_sign() {
        let out = get(&["Cookie: ;x=y=z ; ;\tflag;=v; a =b"]);
        assert_eq!(out.raw_original, "ge11cn000000__x,flag,,a _x=y=z,flag,=v,a =b");
        // An empty field still counts as a Cookie field.
        for empty in ["Cookie:", "Cookie: ; ;", "COOKIE: ;"] {
            assert_eq!(value(&[empty]), "ge11cn000000_000000000000_000000000000_000000000000");
        }
        // A pair without a name leaves an empty list of names.
        assert!(value(&["Cookie: =v"]).contains("_000000000000_000000000000_"));
    }

    #[test]
    fn cookie_and_referer_match_entire_names_in_any_case() {
        assert!(value(&["cOOKIE: a", "rEFERER: b"]).starts_with("ge11cr00"));
        assert_eq!(
            get(&["Cookie2: a", "X-Referer: b", "Referers: c"]).raw,
            "ge11nn030000_Cookie2,X-Referer,Referers__"
        );
    }

    #[test]
    fn without_fields_all_hashes_are_zeros_and_the_raw_form_has_empty_sections() {
        let out = forms(&mut Ja4hHasher::new(Memo::new()), b"GET / HTTP/1.0\n\n");
        assert_eq!(out.value, "ge10nn000000_000000000000_000000000000_000000000000");
        assert_eq!((out.raw.as_str(), out.raw_original.as_str()), ("ge10nn000000___", "ge10nn000000___"));
        let out = forms(&mut Ja4hHasher::new(Memo::new()), b"GET / HTTP/1.0\nUser-Agent:\n\n");
        assert_eq!(out.value, "ge10nn010000_b8bcd45ac095_000000000000_000000000000");
        assert_eq!(out.raw, "ge10nn010000_User-Agent__");
    }

    #[test]
    fn languages() {
        for (text, code) in [
            ("da, en-GB;q=0.8", "da00"),
            ("en-US,en;q=0.9", "enus"),
            ("ru-RU", "ruru"),
            ("en;q=0.5", "en00"),
            ("es-419", "es41"),
            ("zh-Hant-TW", "zhha"),
            ("*", "*000"),
            ("", "0000"),
            (",en", "0000"),
            ("-; q=1", "0000"),
            ("e\u{e9}n", "e00n"),
        ] {
            assert_eq!(value(&[&format!("accept-LANGUAGE: {text}")]).get(8..12), Some(code), "{text}");
        }
        assert!(value(&["Accept-Language:", "Accept-Language: en"]).starts_with("ge11nn020000"));
        assert_eq!(language_code(b" - en-US"), *b"enus");
    }

    #[test]
    fn methods() {
        let code = |method: &str| {
            forms(&mut Ja4hHasher::new(Memo::new()), format!("{method} / HTTP/1.1\r\n\r\n").as_bytes())
                .value
                .get(..2)
                .map(str::to_owned)
        };
        for (method, expected) in [
            ("GET", "ge"),
            ("CONNECT", "co"),
            ("COPY", "cy"),
            ("PROPFIND", "pf"),
            ("M-SEARCH", "ms"),
            ("post", "po"),
            ("GE", "00"),
        ] {
            assert_eq!(code(method).as_deref(), Some(expected));
        }
        // Only PRI, which no request has, and PURGE share their letters.
        let mut codes = METHODS.map(|(_, code)| code).to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), METHODS.len() - 1);
    }

    #[test]
    fn pseudo_headers_are_not_listed_and_cookie_fields_are_joined() {
        // GET http / a, accept-language: en-US, cookie: b=1, cookie: a=2.
        let block = b"\x82\x86\x84\x01\x01a\x0f\x02\x05en-US\x0f\x11\x03b=1\x0f\x11\x03a=2";
        let frame = [&[0, 0, block.len() as u8, 1, 4, 0, 0, 0, 1], &block[..]].concat();
        let mut out = Fingerprint::new(Method::Ja4h);
        Http2Stream::after_preface().push(&frame, |request| {
            Ja4hHasher::new(Memo::new()).write(&request, Forms::All, &mut out);
            ControlFlow::Continue(())
        });
        assert_eq!(out.raw, "ge20cn01enus_accept-language_a,b_a=2,b=1");
    }

    #[test]
    fn counts_stop_at_99_but_all_names_are_hashed() {
        let names: Vec<String> = (0..120).map(|place| format!("X-{place}")).collect();
        let lines: Vec<String> = names.iter().map(|name| format!("{name}: 1")).collect();
        let out = get(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(out.raw, format!("ge11nn990000_{}__", names.join(",")));
        assert!(out.value.contains(H12::of(names.join(",").as_bytes()).as_str()));
    }

    #[test]
    fn of_too_many_cookies_the_first_are_read_and_the_fingerprint_is_capped() {
        let request = |count: usize| {
            let mut hasher = Ja4hHasher::new(Memo::new());
            let mut found = None;
            let text = format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: {}\r\n\r\n", "a;".repeat(count));
            Http1Stream::new().push(text.as_bytes(), |request| {
                let mut out = Fingerprint::new(Method::Ja4h);
                hasher.write(&request.unwrap(), Forms::All, &mut out);
                found = Some((std::mem::take(&mut out.is_capped), out, hasher.cookies.len()));
                ControlFlow::Continue(())
            });
            found.unwrap()
        };
        let (is_capped, full, _) = request(MAX_COOKIES);
        assert!(!is_capped);
        assert_eq!(full.raw.matches(",a").count(), 2 * (MAX_COOKIES - 1));
        for count in [MAX_COOKIES + 1, 32_000] {
            assert_eq!(request(count), (true, full.clone(), MAX_COOKIES));
        }
    }

    #[test]
    fn hashes_cover_the_bytes_on_the_wire_and_raw_forms_are_text() {
        let out =
            forms(&mut Ja4hHasher::new(Memo::new()), b"GET / HTTP/1.1\r\nX-\xff: 1\r\nCookie: \xe9=\xc3\xa9\r\n\r\n");
        assert_eq!(out.raw, "ge11cn010000_X-\u{fffd}_\u{fffd}_\u{fffd}=\u{e9}");
        let hashes = [&b"X-\xff"[..], b"\xe9", b"\xe9=\xc3\xa9"].map(|bytes| H12::of(bytes).to_string());
        assert_eq!(out.value, format!("ge11cn010000_{}", hashes.join("_")));
    }

    #[test]
    fn a_reused_hasher_carries_nothing_over() {
        let hasher = &mut Ja4hHasher::new(Memo::new());
        let mut out = forms(hasher, b"GET / HTTP/1.1\r\nHost: a\r\nCookie: b=c\r\nReferer: d\r\n\r\n");
        Http1Stream::new().push(b"PUT / HTTP/1.1\r\nAccept: *\r\n\r\n", |request| {
            out.reset(Method::Ja4h);
            hasher.write(&request.unwrap(), Forms::Value, &mut out);
            ControlFlow::Continue(())
        });
        assert_eq!(out.value, format!("pu11nn010000_{}_000000000000_000000000000", H12::of(b"Accept")));
        assert_eq!((out.raw.as_str(), out.original.as_str(), out.raw_original.as_str()), ("", "", ""));
    }

    proptest! {
        #[test]
        fn the_order_of_differently_named_cookies_changes_only_the_original_order_forms(
            cookies in prop::collection::btree_map("[a-z-]{1,4}", "[a-z=]{0,3}", 0..30)
                .prop_map(|map| map.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>())
                .prop_flat_map(|sorted| (Just(sorted.clone()), Just(sorted).prop_shuffle())),
        ) {
            let (sorted, shuffled) = cookies;
            let lines = |cookies: &[String]| format!("Cookie: {}", cookies.join("; "));
            let (one, two) = (get(&[&lines(&sorted)]), get(&[&lines(&shuffled)]));
            prop_assert_eq!(&one.value, &two.value);
            prop_assert_eq!(&one.raw, &two.raw);
            prop_assert_eq!(&one.raw, &one.raw_original);
            let pairs = shuffled.join(",");
            prop_assert!(two.raw_original.ends_with(&pairs), "{}", two.raw_original);
        }
    }
}
