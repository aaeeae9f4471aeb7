//! JA3 of a TLS client and JA3S of a TLS server, from their hellos.
//!
//! ```text
//! JA3  = MD5(version,suites,extensions,groups,point formats)     such as 771,4865-4866,0-10-11,29-23,0
//! JA3S = MD5(version,suite,extensions)                           such as 771,4865,51-43
//! ```
//! All numbers are decimal and in wire order, and the version is legacy_version. GREASE is ignored. JA3 and JA3S do not
//! distinguish carriers.

use crate::fingerprint::md5_hex::Md5Hex;
use crate::wire::tls::{ClientHello, ServerHello, is_grease};

/// JA3 or JA3S.
///
/// ```no_run
/// use ja4::Ja3;
/// use ja4::wire::tls::{Carrier, ClientHello};
///
/// # fn body() -> Vec<u8> { Vec::new() }
/// let hello = body();
/// let Ja3 { hash, string } = Ja3::of_client(&ClientHello::parse(&hello, Carrier::Tcp)?);
/// println!("{hash} {string}");
/// # Ok::<_, ja4::wire::WireError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ja3 {
    /// MD5 of the string.
    pub hash: Md5Hex,
    /// The lists, up to three times as long as the hello.
    pub string: String,
}

impl Ja3 {
    /// JA3 of a ClientHello.
    #[must_use]
    pub fn of_client(hello: &ClientHello<'_>) -> Self {
        let mut lists = Lists::new(hello.legacy_version);
        lists.list(hello.cipher_suites.iter());
        lists.list(hello.extensions.kinds());
        lists.list(hello.supported_groups().iter());
        lists.list(hello.ec_point_formats().iter().copied().map(u16::from));
        lists.finish()
    }

    /// JA3S of a ServerHello or HelloRetryRequest.
    #[must_use]
    pub fn of_server(hello: &ServerHello<'_>) -> Self {
        let mut lists = Lists::new(hello.legacy_version);
        lists.list([hello.cipher_suite].into_iter());
        lists.list(hello.extensions.kinds());
        lists.finish()
    }
}

/// Writes the string.
struct Lists {
    string: String,
    digits: itoa::Buffer,
}

impl Lists {
    /// Room reserved for a string: that of most clients fits.
    const LEN: usize = 256;

    /// A string of the version alone.
    fn new(version: u16) -> Self {
        let mut lists = Self { string: String::with_capacity(Self::LEN), digits: itoa::Buffer::new() };
        lists.number(version);
        lists
    }

    fn number(&mut self, value: u16) {
        self.string.push_str(self.digits.format(value));
    }

    /// Appends a list, without GREASE.
    fn list(&mut self, values: impl Iterator<Item = u16>) {
        let mut separator = ',';
        for value in values.filter(|&value| !is_grease(value)) {
            self.string.push(separator);
            self.number(value);
            separator = '-';
        }
        // An empty list has a separator too.
        if separator == ',' {
            self.string.push(separator);
        }
    }

    fn finish(self) -> Ja3 {
        Ja3 { hash: Md5Hex::of(self.string.as_bytes()), string: self.string }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tls::Carrier;
    use crate::wire::tls::builder::HelloBuilder;

    fn ja3(hello: HelloBuilder) -> (String, String) {
        let Ja3 { hash, string } = Ja3::of_client(&ClientHello::parse(&hello.build(), Carrier::Tcp).unwrap());
        (string, hash.to_string())
    }

    fn ja3s(hello: HelloBuilder) -> (String, String) {
        let Ja3 { hash, string } = Ja3::of_server(&ServerHello::parse(&hello.build_server(), Carrier::Tcp).unwrap());
        (string, hash.to_string())
    }

    fn pair(string: &str, hash: &str) -> (String, String) {
        (string.to_owned(), hash.to_owned())
    }

    /// JA3: examples in its description (<https://github.com/salesforce/ja3>). JA3S: OpenSSL's, as Wireshark prints it, and
    /// Go's.
    #[test]
    fn published_examples() {
        let hello = HelloBuilder::new(769)
            .suites(&[47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4])
            .sni("example.org")
            .extension(10, &[0, 6, 0, 23, 0, 24, 0, 25])
            .extension(11, &[1, 0]);
        assert_eq!(
            ja3(hello),
            pair(
                "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0",
                "ada70206e40642a3e4461f35503241d5"
            )
        );
        let hello = HelloBuilder::new(769).suites(&[4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99]).without_extensions();
        assert_eq!(ja3(hello), pair("769,4-5-10-9-100-98-3-6-19-18-99,,,", "de350869b8c85de67a350c8d186f11e6"));
        let hello = HelloBuilder::new(771).suites(&[4866]).extension(43, &[3, 4]).extension(51, &[]);
        assert_eq!(ja3s(hello), pair("771,4866,43-51", "15af977ce25de452b96affa2addb1036"));
        let hello = HelloBuilder::new(771).suites(&[4865]).extension(51, &[]).extension(43, &[3, 4]);
        assert_eq!(ja3s(hello), pair("771,4865,51-43", "eb1d94daa7e0344597e756a1fb6e7054"));
    }

    #[test]
    fn grease_is_ignored_in_every_list() {
        let hello = |grease: bool| {
            let of = |values: &[u16]| -> Vec<u16> {
                values.iter().copied().filter(|&value| grease || !is_grease(value)).collect()
            };
            let groups: Vec<u8> = of(&[0x3a3a, 29, 23, 0xfafa]).iter().flat_map(|value| value.to_be_bytes()).collect();
            let mut body = (groups.len() as u16).to_be_bytes().to_vec();
            body.extend(groups);
            let hello = HelloBuilder::new(0x0303).suites(&of(&[0x0a0a, 4865, 4866, 0x1a1a]));
            of(&[0x2a2a, 10, 11, 43, 0xdada]).into_iter().fold(hello, |hello, kind| match kind {
                10 => hello.extension(kind, &body),
                // 0x0a is no GREASE value of one byte.
                11 => hello.extension(kind, &[2, 0, 0x0a]),
                _ => hello.extension(kind, &[]),
            })
        };
        let with = ja3(hello(true));
        assert_eq!(with, pair("771,4865-4866,10-11-43,29-23,0-10", "cf15f41a80b5729a0bd1ce09daa5ad99"));
        assert_eq!(with, ja3(hello(false)));
        let server = HelloBuilder::new(0x0303).suites(&[4865]).extension(0x5a5a, &[]).extension(51, &[]);
        assert_eq!(ja3s(server).0, "771,4865,51");
    }

    #[test]
    fn the_version_is_that_of_the_message_and_order_and_repetitions_are_those_of_the_wire() {
        let hello = HelloBuilder::new(0x0303).suites(&[4866, 4865, 4866]).versions(&[0x0304]).extension(23, &[]);
        assert_eq!(ja3(hello.extension(23, &[])).0, "771,4866-4865-4866,43-23-23,,");
        let server = HelloBuilder::new(0x0303).suites(&[4865]).extension(43, &[3, 4]);
        assert_eq!(ja3s(server).0, "771,4865,43");
    }

    #[test]
    fn a_malformed_list_is_empty() {
        let hello = HelloBuilder::new(0x0303).suites(&[4865]).extension(10, &[0, 3, 0, 29, 0]).extension(11, &[9, 0]);
        assert_eq!(ja3(hello).0, "771,4865,10-11,,");
    }
}
