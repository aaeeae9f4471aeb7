//! JA4, the TLS client fingerprint, in its four forms (FoxIO JA4+ technical details, JA4.md).
//!
//! ```text
//! a      = protocol version sni suites extensions alpn           such as t13d1516h2
//! JA4    = a _ H12(sorted suites) _ H12(sorted extensions [+ "_" + algorithms])
//! JA4_r  = a _ sorted suites      _ sorted extensions [+ "_" + algorithms]
//! JA4_o  = a _ H12(suites)        _ H12(extensions [+ "_" + algorithms])
//! JA4_ro = a _ suites             _ extensions [+ "_" + algorithms]
//! ```
//! GREASE is ignored everywhere, before counting. The sorted forms leave server_name and ALPN out of
//! the extensions; the original-order forms include them. The algorithms are never sorted.

use zerocopy::IntoBytes;

use crate::fingerprint::hash::H12;
use crate::fingerprint::list::{ListText, Memo, SECTION};
use crate::fingerprint::text::{alpn_code, ascii, two_digits, version_code};
use crate::fingerprint::value::{Fingerprint, Forms};
use crate::wire::tls::{ClientHello, extension_type, is_grease};

/// Computes JA4.
pub(super) struct Ja4Hasher {
    /// Hashes of the sorted suites by the suites in wire order: a client rarely shuffles its suites.
    suite_memo: Memo,
    /// Hashes of section c by the set of extensions, since Chrome shuffles them, and the algorithms.
    extension_memo: Memo,
    /// Hashes of lists in wire order, for the original-order forms.
    original_memo: Memo,
    text: ListText,
    suites: Vec<[u8; 2]>,
    algorithms: Vec<[u8; 2]>,
    /// The extensions that the set does not store as bits.
    others: Vec<u16>,
    key: Vec<u8>,
    list: Vec<u16>,
}

impl Ja4Hasher {
    /// A hasher with these memos.
    pub(super) fn new(memo: fn() -> Memo) -> Self {
        Self {
            suite_memo: memo(),
            extension_memo: memo(),
            original_memo: memo(),
            text: ListText::default(),
            suites: Vec::new(),
            algorithms: Vec::new(),
            others: Vec::new(),
            key: Vec::new(),
            list: Vec::new(),
        }
    }

    /// Writes the fingerprint of `hello` to `out`, which is empty. A list of any length is hashed entirely.
    pub(super) fn write(&mut self, hello: &ClientHello<'_>, forms: Forms, out: &mut Fingerprint) {
        let Self { suite_memo, extension_memo, text, suites, algorithms, others, key, list, .. } = self;
        let suites = without_grease(hello.cipher_suites.pairs(), suites);
        let algorithms = without_grease(hello.signature_algorithms().pairs(), algorithms);
        let extensions = hello.extensions.set();
        let a = section_a(hello, suites.len(), extensions.count());

        let b = suite_memo.get_or(suites.as_flattened(), || {
            list.clear();
            list.extend(values(suites));
            list.sort_unstable();
            text.hash(list)
        });

        let small = extensions.small() & !(1 << extension_type::SERVER_NAME | 1 << extension_type::ALPN);
        extensions.others(hello.extensions.kinds(), others);
        if others.first().is_some_and(|&first| first <= extension_type::ALPN) {
            others.retain(|&kind| !is_unsorted(kind));
        }
        key.clear();
        key.extend_from_slice(small.as_bytes());
        key.extend_from_slice(others.as_bytes());
        // The separator is a GREASE value, which no list contains.
        key.extend_from_slice(SECTION.as_bytes());
        key.extend_from_slice(algorithms.as_flattened());
        let c = extension_memo.get_or(key, || {
            list.clear();
            push_sorted(small, others, list);
            push_algorithms(algorithms, list);
            text.hash(list)
        });
        join(&mut out.value, &a, b, c);
        if forms == Forms::All {
            self.other_forms(hello, &a, out);
        }
    }

    /// Writes the raw form, and the forms in wire order, which include server_name and ALPN.
    fn other_forms(&mut self, hello: &ClientHello<'_>, a: &Ja4SectionA, out: &mut Fingerprint) {
        let plain = |list: &[[u8; 2]]| values(list).filter(|&value| !is_grease(value)).collect::<Vec<_>>();
        let mut suites = plain(hello.cipher_suites.pairs());
        let algorithms = without_grease(hello.signature_algorithms().pairs(), &mut self.algorithms);
        let mut kinds: Vec<u16> = hello.extensions.kinds().filter(|&kind| !is_grease(kind)).collect();
        let mut extensions = kinds.clone();
        push_algorithms(algorithms, &mut extensions);
        let text = &mut self.text;
        let [b, c] = [&suites, &extensions].map(|list| self.original_memo.get_or(list.as_bytes(), || text.hash(list)));
        join(&mut out.original, a, b, c);
        raw(&mut out.raw_original, text, a, [&suites, &extensions]);

        suites.sort_unstable();
        kinds.retain(|&kind| !is_unsorted(kind));
        kinds.sort_unstable();
        push_algorithms(algorithms, &mut kinds);
        raw(&mut out.raw, text, a, [&suites, &kinds]);
    }
}

/// A list without GREASE: part of `list` if only its first value is GREASE, as clients send it, else `buffer`.
fn without_grease<'a>(list: &'a [[u8; 2]], buffer: &'a mut Vec<[u8; 2]>) -> &'a [[u8; 2]] {
    // Both bytes of GREASE are equal, so that their order does not matter.
    let is_grease = |pair: &[u8; 2]| is_grease(u16::from_ne_bytes(*pair));
    let list = match list {
        [first, rest @ ..] if is_grease(first) => rest,
        _ => list,
    };
    if !list.iter().fold(false, |any, pair| any | is_grease(pair)) {
        return list;
    }
    buffer.clear();
    buffer.extend(list.iter().filter(|pair| !is_grease(pair)));
    buffer
}

/// The values of a list.
fn values(list: &[[u8; 2]]) -> impl Iterator<Item = u16> {
    list.iter().map(|pair| u16::from_be_bytes(*pair))
}

/// Whether the sorted forms leave an extension out.
const fn is_unsorted(kind: u16) -> bool {
    kind == extension_type::SERVER_NAME || kind == extension_type::ALPN
}

/// Appends extensions in ascending order: small types as bits, and the others.
fn push_sorted(mut small: u64, others: &[u16], list: &mut Vec<u16>) {
    while small != 0 {
        // Below 64.
        list.push(small.trailing_zeros() as u16);
        small &= small - 1;
    }
    let has_repetition = others.first().zip(list.last()).is_some_and(|(first, last)| first <= last);
    list.extend_from_slice(others);
    if has_repetition {
        list.sort_unstable();
    }
}

/// Appends the algorithms to the extensions; nothing if there are none.
fn push_algorithms(algorithms: &[[u8; 2]], list: &mut Vec<u16>) {
    if !algorithms.is_empty() {
        list.push(SECTION);
        list.extend(values(algorithms));
    }
}

/// Joins `a` and the texts of lists.
fn raw(out: &mut String, text: &mut ListText, a: &Ja4SectionA, lists: [&[u16]; 2]) {
    out.push_str(ascii(a));
    for list in lists {
        out.push('_');
        out.push_str(ascii(text.of(list)));
    }
}

/// The first section, which is not hashed.
type Ja4SectionA = [u8; 10];

/// Protocol, version, presence of a server name, numbers of suites and extensions, and the first ALPN protocol.
fn section_a(hello: &ClientHello<'_>, suites: usize, extensions: usize) -> Ja4SectionA {
    let [v1, v2] = version_code(hello.version());
    let sni = if hello.has_server_name() { b'd' } else { b'i' };
    let [s1, s2] = two_digits(suites);
    let [e1, e2] = two_digits(extensions);
    let [p1, p2] = alpn_code(hello.alpn().next());
    [hello.carrier.letter(), v1, v2, sni, s1, s2, e1, e2, p1, p2]
}

fn join(out: &mut String, a: &Ja4SectionA, b: H12, c: H12) {
    let mut text = [b'_'; 10 + 1 + H12::LEN + 1 + H12::LEN];
    let parts: [&[u8]; 3] = [a, b.as_bytes(), c.as_bytes()];
    for (start, part) in [0, 11, 24].into_iter().zip(parts) {
        if let Some(target) = text.get_mut(start..start + part.len()) {
            target.copy_from_slice(part);
        }
    }
    out.push_str(ascii(&text));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::method::Method;
    use crate::wire::tls::Carrier;
    use crate::wire::tls::builder::HelloBuilder;

    /// Chrome's suites in wire order, without GREASE.
    const CHROME_SUITES: [u16; 15] = [
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f,
        0x0035,
    ];

    fn forms(hasher: &mut Ja4Hasher, hello: HelloBuilder, carrier: Carrier) -> Fingerprint {
        let mut out = Fingerprint::new(Method::Ja4);
        hasher.write(&ClientHello::parse(&hello.build(), carrier).unwrap(), Forms::All, &mut out);
        out
    }

    fn tcp(hello: HelloBuilder) -> Fingerprint {
        forms(&mut Ja4Hasher::new(Memo::new), hello, Carrier::Tcp)
    }

    /// Adds extensions by type; those that JA4 reads get a plausible body.
    fn with_extensions(hello: HelloBuilder, kinds: &[u16], algorithms: &[u16]) -> HelloBuilder {
        kinds.iter().fold(hello, |hello, &kind| match kind {
            0x0000 => hello.sni("example.org"),
            0x000d => hello.algorithms(algorithms),
            0x0010 => hello.alpn(&[b"h2", b"http/1.1"]),
            0x002b => hello.versions(&[0x4a4a, 0x0304, 0x0303]),
            _ => hello.extension(kind, &[0; 5]),
        })
    }

    /// Section c of the formula, computed from the lists without any cache.
    fn section_c(kinds: &[u16], algorithms: &[u16]) -> String {
        let hex = |list: &[u16]| {
            let plain = list.iter().filter(|&&value| !is_grease(value));
            plain.map(|value| format!("{value:04x}")).collect::<Vec<_>>().join(",")
        };
        match hex(algorithms) {
            none if none.is_empty() => hex(kinds),
            some => format!("{}_{some}", hex(kinds)),
        }
    }

    #[test]
    fn chrome_111_has_its_published_values_in_all_forms() {
        let kinds = [
            0x0023, 0xff01, 0x0000, 0x001b, 0x0012, 0x4469, 0x002d, 0x002b, 0x000d, 0x0010, 0x0033, 0x000a, 0x0005,
            0x0017, 0x000b, 0x0015,
        ];
        let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        let hello = HelloBuilder::new(0x0303).suites(&CHROME_SUITES);
        let out = tcp(with_extensions(hello, &kinds, &algorithms));
        assert_eq!(out.value, "t13d1516h2_8daaf6152771_e5627efa2ab1");
        let sorted = "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01";
        let suites = "002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9";
        let tail = "0403,0804,0401,0503,0805,0501,0806,0601";
        assert_eq!(out.raw, format!("t13d1516h2_{suites}_{sorted}_{tail}"));
        let suites = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035";
        let wire = "0023,ff01,0000,001b,0012,4469,002d,002b,000d,0010,0033,000a,0005,0017,000b,0015";
        assert_eq!(out.raw_original, format!("t13d1516h2_{suites}_{wire}_{tail}"));
        assert_eq!(out.original, "t13d1516h2_acb858a92679_9aeef56da6aa");
    }

    #[test]
    fn chrome_152_puts_grease_into_its_algorithms() {
        let kinds = [
            0x8a8a, 0x0000, 0x0005, 0x000a, 0x000b, 0x000d, 0x0010, 0x0012, 0x0017, 0x001b, 0x0023, 0x002b, 0x002d,
            0x0033, 0x44cd, 0xca34, 0xfe0d, 0xff01, 0xdada,
        ];
        let algorithms =
            [0x9a9a, 0x0904, 0x0905, 0x0906, 0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        let suites = [[0x2a2a].as_slice(), &CHROME_SUITES].concat();
        let out = tcp(with_extensions(HelloBuilder::new(0x0303).suites(&suites), &kinds, &algorithms));
        assert_eq!(out.value, "t13d1517h2_8daaf6152771_cb7bf5808d99");
    }

    #[test]
    fn a_hello_with_nothing_but_a_name_has_an_empty_section_c() {
        let out = tcp(HelloBuilder::new(0x0301).suites(&[0x0005]).sni("example.org"));
        assert_eq!(out.value, format!("t10d010100_{}_000000000000", H12::of(b"0005")));
        assert_eq!(out.raw, "t10d010100_0005_");
        assert!(out.original.ends_with("_9af15b336e6a"), "{}", out.original);
        assert_eq!(out.raw_original, "t10d010100_0005_0000");
    }

    #[test]
    fn a_hello_without_suites_and_extensions_is_all_zeros() {
        let out = tcp(HelloBuilder::new(0x0300).without_extensions());
        assert_eq!(out.value, "ts3i000000_000000000000_000000000000");
        assert_eq!(out.raw, "ts3i000000__");
    }

    #[test]
    fn without_algorithms_there_is_no_trailing_underscore() {
        let kinds = [
            0x0005, 0x000a, 0x000b, 0x000d, 0x0012, 0x0015, 0x0017, 0x001b, 0x0023, 0x002b, 0x002d, 0x0033, 0x4469,
            0xff01,
        ];
        for algorithms in [&[][..], &[0x0a0a, 0xfafa]] {
            let out = tcp(with_extensions(HelloBuilder::new(0x0303), &kinds, algorithms));
            assert!(out.value.ends_with("_6d807ffa2a79"), "{}", out.value);
        }
    }

    #[test]
    fn other_lists_of_algorithms_are_not_signature_algorithms() {
        let list = [0, 2, 4, 3];
        let out = tcp(HelloBuilder::new(0x0303).extension(0x0032, &list).extension(0x0022, &list));
        assert_eq!(out.raw, "t12i000200__0022,0032");
    }

    #[test]
    fn version_is_the_highest_offered_alone_and_not_the_legacy_one() {
        let version = |hello| tcp(hello).value.get(1..3).unwrap().to_owned();
        assert_eq!(version(HelloBuilder::new(0x0303).versions(&[0x0301, 0x0302])), "11");
        assert_eq!(version(HelloBuilder::new(0x0303).versions(&[0x0303, 0xfafa, 0x0304])), "13");
        assert_eq!(version(HelloBuilder::new(0x0303).versions(&[0x7f1c, 0x0304])), "00");
        assert_eq!(version(HelloBuilder::new(0x0302).versions(&[0x1a1a])), "11");
        assert_eq!(version(HelloBuilder::new(0x0002)), "s2");
    }

    #[test]
    fn the_carrier_decides_the_first_letter() {
        let hasher = &mut Ja4Hasher::new(Memo::new);
        let hello = HelloBuilder::new(0x0303).suites(&[0x1301]).extension(0x0039, &[]);
        assert!(forms(hasher, hello.clone(), Carrier::Tcp).value.starts_with("t12i0101"));
        assert!(forms(hasher, hello, Carrier::Quic).value.starts_with("q12i0101"));
        let dtls = HelloBuilder::new(0xfefd).cookie(&[1; 8]).suites(&[0xc02b]).versions(&[0xfefc]);
        assert!(forms(hasher, dtls, Carrier::Dtls).value.starts_with("dd3i0101"));
    }

    #[test]
    fn an_empty_or_malformed_server_name_still_counts_as_one() {
        for body in [&[][..], &[0, 9, 1]] {
            let out = tcp(HelloBuilder::new(0x0303).extension(0x0000, body));
            assert!(out.value.starts_with("t12d000100"), "{}", out.value);
        }
    }

    #[test]
    fn counts_stop_at_99_but_the_whole_list_is_hashed() {
        let suites: Vec<u16> = (0x1000..0x1000 + 300).rev().collect();
        let kinds: Vec<u16> = (0x2000..0x2000 + 150).collect();
        let out = tcp(with_extensions(HelloBuilder::new(0x0303).suites(&suites), &kinds, &[]));
        let text = |list: Vec<u16>| list.iter().map(|value| format!("{value:04x}")).collect::<Vec<_>>().join(",");
        let (b, c) = (text(suites.into_iter().rev().collect()), text(kinds));
        assert_eq!(out.value, format!("t12i999900_{}_{}", H12::of(b.as_bytes()), H12::of(c.as_bytes())));
        assert_eq!(out.raw, format!("t12i999900_{b}_{c}"));
    }

    #[test]
    fn a_reused_hasher_carries_nothing_over() {
        let hasher = &mut Ja4Hasher::new(Memo::new);
        let long =
            with_extensions(HelloBuilder::new(0x0303).suites(&CHROME_SUITES), &[0x0000, 0x000d, 0x0010], &[0x0403]);
        let mut out = forms(hasher, long.clone(), Carrier::Tcp);
        assert_eq!(out, tcp(long.clone()));
        assert_eq!(out, forms(&mut Ja4Hasher::new(Memo::disabled), long, Carrier::Tcp));
        let body = HelloBuilder::new(0x0303).suites(&[0x1301]).build();
        out.reset(Method::Ja4);
        hasher.write(&ClientHello::parse(&body, Carrier::Tcp).unwrap(), Forms::Value, &mut out);
        assert_eq!(out.value, format!("t12i010000_{}_000000000000", H12::of(b"1301")));
        assert_eq!((out.raw.as_str(), out.original.as_str(), out.raw_original.as_str()), ("", "", ""));
    }

    prop_compose! {
        /// A list without GREASE, and the same shuffled and with GREASE inserted.
        fn list_and_disguise(values: std::ops::RangeInclusive<u16>, most: usize)(
            plain in prop::collection::vec(values.prop_filter("not GREASE", |&value| !is_grease(value)), 1..most),
        )(
            shuffled in Just(plain.clone()).prop_shuffle(),
            grease in prop::collection::vec((any::<prop::sample::Index>(), 0..16_u16), 0..4),
            plain in Just(plain),
        ) -> (Vec<u16>, Vec<u16>, Vec<u16>) {
            let mut disguised = shuffled.clone();
            for (at, high) in grease {
                disguised.insert(at.index(disguised.len() + 1), high * 0x1010 + 0x0a0a);
            }
            (plain, shuffled, disguised)
        }
    }

    proptest! {
        #[test]
        fn order_and_grease_change_only_the_original_order_forms(
            (suites, suites_shuffled, suites_disguised) in list_and_disguise(0..=u16::MAX, 60),
            (kinds, kinds_shuffled, kinds_disguised) in list_and_disguise(0..=70, 40),
            algorithms in prop::collection::vec(any::<u16>(), 0..20),
        ) {
            let hasher = &mut Ja4Hasher::new(Memo::new);
            let mut ja4 = |suites: &[u16], kinds: &[u16]| {
                forms(hasher, with_extensions(HelloBuilder::new(0x0303).suites(suites), kinds, &algorithms), Carrier::Tcp)
            };
            let plain = ja4(&suites, &kinds);
            let shuffled = ja4(&suites_shuffled, &kinds_shuffled);
            let disguised = ja4(&suites_disguised, &kinds_disguised);

            prop_assert_eq!(&plain.value, &shuffled.value);
            prop_assert_eq!(&plain.raw, &shuffled.raw);
            prop_assert_eq!(&shuffled, &disguised);
            let same_order = suites == suites_shuffled && kinds == kinds_shuffled;
            prop_assert_eq!(plain.original == shuffled.original, same_order);

            let algorithms = if kinds.contains(&0x000d) { algorithms } else { Vec::new() };
            let a = plain.value.get(..10).unwrap();
            let (b, c) = (section_c(&suites, &[]), section_c(&kinds, &algorithms));
            prop_assert_eq!(&plain.original, &format!("{a}_{}_{}", H12::of(b.as_bytes()), H12::of(c.as_bytes())));
            prop_assert_eq!(&plain.raw_original, &format!("{a}_{b}_{c}"));
            let (mut suites, mut kinds) = (suites, kinds);
            suites.sort();
            kinds.sort();
            kinds.retain(|&kind| kind != 0x0000 && kind != 0x0010);
            let (b, c) = (section_c(&suites, &[]), section_c(&kinds, &algorithms));
            prop_assert_eq!(&plain.value, &format!("{a}_{}_{}", H12::of(b.as_bytes()), H12::of(c.as_bytes())));
            prop_assert_eq!(&plain.raw, &format!("{a}_{b}_{c}"));
        }
    }
}
