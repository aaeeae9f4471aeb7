//! TLS hello messages of real programs, generated from a seed.
//!
//! Each [`Shape`] has one JA4, independent of its random parts (bytes, GREASE values, order of extensions, name), as
//! the fingerprint guarantees. The values were computed by hand from the lists according to section 3 of the
//! specification. The browser values also appear in the specification; the curl value is that of curl 7.88 with
//! OpenSSL 3.0.

use crate::random::SplitMix64;

const SERVER_NAME: u16 = 0x0000;
const STATUS_REQUEST: u16 = 0x0005;
const SUPPORTED_GROUPS: u16 = 0x000a;
const POINT_FORMATS: u16 = 0x000b;
const SIGNATURE_ALGORITHMS: u16 = 0x000d;
const ALPN: u16 = 0x0010;
const SIGNED_TIMESTAMPS: u16 = 0x0012;
const PADDING: u16 = 0x0015;
const ENCRYPT_THEN_MAC: u16 = 0x0016;
const EXTENDED_MASTER_SECRET: u16 = 0x0017;
const COMPRESS_CERTIFICATE: u16 = 0x001b;
const SESSION_TICKET: u16 = 0x0023;
const SUPPORTED_VERSIONS: u16 = 0x002b;
const PSK_MODES: u16 = 0x002d;
const POST_HANDSHAKE_AUTH: u16 = 0x0031;
const KEY_SHARE: u16 = 0x0033;
const APPLICATION_SETTINGS: u16 = 0x4469;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
const RENEGOTIATION_INFO: u16 = 0xff01;

const X25519: u16 = 0x001d;
const X25519_MLKEM768: u16 = 0x11ec;

/// Size of a padded ClientHello, bytes. Older browsers and OpenSSL pad a ClientHello of 256 to 511 bytes (RFC 7685).
const PADDED: usize = 512;

/// Program to generate a ClientHello of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Chromium before post-quantum key exchange: GREASE, extensions in random order, padding.
    Browser,
    /// Newer Chromium: a post-quantum key share of 1216 bytes, so the ClientHello needs two segments.
    PostQuantum,
    /// curl with OpenSSL.
    Curl,
    /// A Go program.
    Go,
    /// A device with TLS 1.2 and without SNI.
    Device,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 5] = [Self::Browser, Self::PostQuantum, Self::Curl, Self::Go, Self::Device];

    /// Returns the JA4 of this shape.
    pub const fn ja4(self) -> &'static str {
        match self {
            Self::Browser => "t13d1516h2_8daaf6152771_e5627efa2ab1",
            Self::PostQuantum => "t13d1516h2_8daaf6152771_02713d6af862",
            Self::Curl => "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6",
            Self::Go => "t13d1311h2_f57a46bbacb6_8ae82214aac3",
            Self::Device => "t12i070300_f875daa0436b_b35187a5e83b",
        }
    }

    /// Returns a ClientHello of this shape with SNI `name`, as a handshake message (RFC 8446, section 4.1.2).
    pub fn client_hello(self, name: &str, random: &mut SplitMix64) -> Vec<u8> {
        let grease = self.is_chromium();
        let mut message = Vec::with_capacity(2048);
        message.push(1);
        prefixed(&mut message, 3, |out| {
            out.extend_from_slice(&0x0303_u16.to_be_bytes());
            out.extend_from_slice(&random.bytes::<32>());
            let session = if self == Self::Device { 0 } else { 32 };
            prefixed(out, 1, |out| out.extend_from_slice(&random.bytes::<32>()[..session]));
            prefixed(out, 2, |out| {
                if grease {
                    out.extend_from_slice(&grease_value(random).to_be_bytes());
                }
                numbers(out, self.suites());
            });
            out.extend_from_slice(&[1, 0]);
            prefixed(out, 2, |out| self.extensions(name, random, out));
        });
        message
    }

    const fn is_chromium(self) -> bool {
        matches!(self, Self::Browser | Self::PostQuantum)
    }

    const fn suites(self) -> &'static [u16] {
        match self {
            Self::Browser | Self::PostQuantum => &[
                0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d,
                0x002f, 0x0035,
            ],
            Self::Curl => &[
                0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0x009f, 0xcca9, 0xcca8, 0xccaa, 0xc02b, 0xc02f, 0x009e, 0xc024,
                0xc028, 0x006b, 0xc023, 0xc027, 0x0067, 0xc00a, 0xc014, 0x0039, 0xc009, 0xc013, 0x0033, 0x009d, 0x009c,
                0x003d, 0x003c, 0x0035, 0x002f, 0x00ff,
            ],
            Self::Go => &[
                0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0x1301, 0x1302, 0x1303,
            ],
            Self::Device => &[0xc030, 0xc02f, 0x009f, 0x009e, 0x0035, 0x002f, 0x000a],
        }
    }

    const fn signature_algorithms(self) -> &'static [u16] {
        match self {
            Self::Browser | Self::PostQuantum => &[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
            Self::Curl => &[
                0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0809, 0x080a, 0x080b, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501,
                0x0601, 0x0303, 0x0301, 0x0302, 0x0402, 0x0502, 0x0602,
            ],
            Self::Go => &[0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603],
            Self::Device => &[0x0401, 0x0501, 0x0201],
        }
    }

    const fn extension_types(self) -> &'static [u16] {
        match self {
            Self::Browser => &[
                SERVER_NAME,
                EXTENDED_MASTER_SECRET,
                RENEGOTIATION_INFO,
                SUPPORTED_GROUPS,
                POINT_FORMATS,
                SESSION_TICKET,
                ALPN,
                STATUS_REQUEST,
                SIGNATURE_ALGORITHMS,
                SIGNED_TIMESTAMPS,
                KEY_SHARE,
                PSK_MODES,
                SUPPORTED_VERSIONS,
                COMPRESS_CERTIFICATE,
                APPLICATION_SETTINGS,
            ],
            Self::PostQuantum => &[
                SERVER_NAME,
                EXTENDED_MASTER_SECRET,
                RENEGOTIATION_INFO,
                SUPPORTED_GROUPS,
                POINT_FORMATS,
                SESSION_TICKET,
                ALPN,
                STATUS_REQUEST,
                SIGNATURE_ALGORITHMS,
                SIGNED_TIMESTAMPS,
                KEY_SHARE,
                PSK_MODES,
                SUPPORTED_VERSIONS,
                COMPRESS_CERTIFICATE,
                APPLICATION_SETTINGS,
                ENCRYPTED_CLIENT_HELLO,
            ],
            Self::Curl => &[
                SERVER_NAME,
                POINT_FORMATS,
                SUPPORTED_GROUPS,
                ALPN,
                ENCRYPT_THEN_MAC,
                EXTENDED_MASTER_SECRET,
                POST_HANDSHAKE_AUTH,
                SIGNATURE_ALGORITHMS,
                SUPPORTED_VERSIONS,
                PSK_MODES,
                KEY_SHARE,
            ],
            Self::Go => &[
                SERVER_NAME,
                STATUS_REQUEST,
                SUPPORTED_GROUPS,
                POINT_FORMATS,
                SIGNATURE_ALGORITHMS,
                RENEGOTIATION_INFO,
                EXTENDED_MASTER_SECRET,
                SIGNED_TIMESTAMPS,
                ALPN,
                SUPPORTED_VERSIONS,
                KEY_SHARE,
            ],
            Self::Device => &[POINT_FORMATS, SUPPORTED_GROUPS, SIGNATURE_ALGORITHMS],
        }
    }

    fn extensions(self, name: &str, random: &mut SplitMix64, out: &mut Vec<u8>) {
        let mut types = [0; 16];
        let types = &mut types[..self.extension_types().len()];
        types.copy_from_slice(self.extension_types());
        if self.is_chromium() {
            random.shuffle(types);
            extension(out, grease_value(random), |_| ());
        }
        for kind in types.iter() {
            extension(out, *kind, |out| self.extension_body(*kind, name, random, out));
        }
        if self.is_chromium() {
            extension(out, grease_value(random), |out| out.push(0));
        }
        if matches!(self, Self::Browser | Self::Curl) {
            // `out` contains the whole message so far; the header of this extension adds four bytes.
            let body = PADDED.saturating_sub(out.len() + 4);
            extension(out, PADDING, |out| out.resize(out.len() + body, 0));
        }
    }

    fn extension_body(self, kind: u16, name: &str, random: &mut SplitMix64, out: &mut Vec<u8>) {
        match kind {
            SERVER_NAME => prefixed(out, 2, |out| {
                out.push(0);
                prefixed(out, 2, |out| out.extend_from_slice(name.as_bytes()));
            }),
            STATUS_REQUEST => out.extend_from_slice(&[1, 0, 0, 0, 0]),
            SUPPORTED_GROUPS => prefixed(out, 2, |out| match self {
                Self::Browser => numbers(out, &[grease_value(random), X25519, 0x0017, 0x0018]),
                Self::PostQuantum => numbers(out, &[grease_value(random), X25519_MLKEM768, X25519, 0x0017, 0x0018]),
                Self::Curl => numbers(out, &[X25519, 0x0017, 0x001e, 0x0019, 0x0018, 0x0100, 0x0101, 0x0102]),
                Self::Go => numbers(out, &[X25519, 0x0017, 0x0018, 0x0019]),
                Self::Device => numbers(out, &[0x0017, 0x0018]),
            }),
            POINT_FORMATS if self == Self::Curl => out.extend_from_slice(&[3, 0, 1, 2]),
            POINT_FORMATS => out.extend_from_slice(&[1, 0]),
            SIGNATURE_ALGORITHMS => prefixed(out, 2, |out| numbers(out, self.signature_algorithms())),
            ALPN => prefixed(out, 2, |out| out.extend_from_slice(b"\x02h2\x08http/1.1")),
            SUPPORTED_VERSIONS => prefixed(out, 1, |out| match self {
                Self::Browser | Self::PostQuantum => numbers(out, &[grease_value(random), 0x0304, 0x0303]),
                _ => numbers(out, &[0x0304, 0x0303]),
            }),
            COMPRESS_CERTIFICATE => out.extend_from_slice(&[2, 0, 2]),
            PSK_MODES => out.extend_from_slice(&[1, 1]),
            KEY_SHARE => prefixed(out, 2, |out| {
                if self.is_chromium() {
                    out.extend_from_slice(&grease_value(random).to_be_bytes());
                    out.extend_from_slice(&[0, 1, 0]);
                }
                if self == Self::PostQuantum {
                    out.extend_from_slice(&X25519_MLKEM768.to_be_bytes());
                    prefixed(out, 2, |out| out.extend_from_slice(&random.bytes::<1216>()));
                }
                out.extend_from_slice(&X25519.to_be_bytes());
                prefixed(out, 2, |out| out.extend_from_slice(&random.bytes::<32>()));
            }),
            APPLICATION_SETTINGS => prefixed(out, 2, |out| out.extend_from_slice(b"\x02h2")),
            ENCRYPTED_CLIENT_HELLO => {
                // Outer ClientHello, HKDF-SHA256, AES-128-GCM, then key and payload (random in a GREASE extension).
                out.extend_from_slice(&[0, 0, 1, 0, 1]);
                out.push(random.next() as u8);
                prefixed(out, 2, |out| out.extend_from_slice(&random.bytes::<32>()));
                prefixed(out, 2, |out| out.extend_from_slice(&random.bytes::<176>()));
            }
            RENEGOTIATION_INFO => out.push(0),
            _ => (),
        }
    }
}

/// JA4S of [`server_hello_13`].
pub const JA4S_13: &str = "t130200_1301_234ea6891581";
/// JA4S of [`server_hello_12`].
pub const JA4S_12: &str = "t120400_c030_4e8089b08790";

/// Returns a TLS 1.3 ServerHello (key share, then version) as a handshake message.
pub fn server_hello_13(random: &mut SplitMix64) -> Vec<u8> {
    server_hello(0x1301, random, |out, random| {
        extension(out, KEY_SHARE, |out| {
            out.extend_from_slice(&X25519.to_be_bytes());
            prefixed(out, 2, |out| out.extend_from_slice(&random.bytes::<32>()));
        });
        extension(out, SUPPORTED_VERSIONS, |out| out.extend_from_slice(&[3, 4]));
    })
}

/// Returns a TLS 1.2 ServerHello as a handshake message.
pub fn server_hello_12(random: &mut SplitMix64) -> Vec<u8> {
    server_hello(0xc030, random, |out, _| {
        extension(out, STATUS_REQUEST, |_| ());
        extension(out, EXTENDED_MASTER_SECRET, |_| ());
        extension(out, RENEGOTIATION_INFO, |out| out.push(0));
        extension(out, SERVER_NAME, |_| ());
    })
}

fn server_hello(
    suite: u16,
    random: &mut SplitMix64,
    extensions: impl FnOnce(&mut Vec<u8>, &mut SplitMix64),
) -> Vec<u8> {
    let mut message = vec![2];
    prefixed(&mut message, 3, |out| {
        out.extend_from_slice(&[3, 3]);
        out.extend_from_slice(&random.bytes::<32>());
        prefixed(out, 1, |out| out.extend_from_slice(&random.bytes::<32>()));
        out.extend_from_slice(&suite.to_be_bytes());
        out.push(0);
        prefixed(out, 2, |out| extensions(out, random));
    });
    message
}

/// Returns the first flight of a TLS 1.3 server: ServerHello, ChangeCipherSpec, and one record of `encrypted` random
/// bytes in place of the encrypted messages.
pub fn server_flight_13(random: &mut SplitMix64, encrypted: usize) -> Vec<u8> {
    let mut flight = records(&server_hello_13(random), usize::MAX);
    flight.extend_from_slice(&[20, 3, 3, 0, 1, 1]);
    flight.extend_from_slice(&[23, 3, 3]);
    prefixed(&mut flight, 2, |out| {
        let start = out.len();
        out.resize(start + encrypted, 0);
        random.fill(&mut out[start..]);
    });
    flight
}

/// Splits handshake bytes into records of at most `size` bytes (RFC 8446, section 5.1).
pub fn records(handshake: &[u8], size: usize) -> Vec<u8> {
    const LARGEST: usize = 1 << 14;
    let mut out = Vec::with_capacity(handshake.len() + 5);
    for (number, piece) in handshake.chunks(size.min(LARGEST)).enumerate() {
        // The first record of a ClientHello has version TLS 1.0, for compatibility with old middleboxes.
        let minor = if number == 0 && piece[0] == 1 { 1 } else { 3 };
        out.extend_from_slice(&[22, 3, minor]);
        prefixed(&mut out, 2, |out| out.extend_from_slice(piece));
    }
    out
}

/// Returns one of the 16 GREASE values of RFC 8701.
fn grease_value(random: &mut SplitMix64) -> u16 {
    0x0a0a + 0x1010 * random.below(16) as u16
}

fn extension(out: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&kind.to_be_bytes());
    prefixed(out, 2, body);
}

fn numbers(out: &mut Vec<u8>, numbers: &[u16]) {
    out.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
}

/// Writes the output of `body` after its length in `width` bytes.
fn prefixed(out: &mut Vec<u8>, width: usize, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.resize(start + width, 0);
    body(out);
    let length = (out.len() - start - width) as u64;
    assert!(length < 1 << (8 * width), "{length} bytes do not fit a length of {width}");
    out[start..start + width].copy_from_slice(&length.to_be_bytes()[8 - width..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_real_programs() {
        let mut random = SplitMix64::new(1);
        let mut size = |shape: Shape| records(&shape.client_hello("example.org", &mut random), usize::MAX).len();
        assert_eq!(size(Shape::Browser), 517);
        assert_eq!(size(Shape::Curl), 517);
        assert!((1600..1900).contains(&size(Shape::PostQuantum)), "two segments, not three");
        assert!(size(Shape::Go) < 300 && size(Shape::Device) < 120);
    }

    #[test]
    fn two_hellos_of_a_browser_differ() {
        let mut random = SplitMix64::new(1);
        let mut hello = || Shape::Browser.client_hello("example.org", &mut random);
        assert_ne!(hello(), hello());
    }

    #[test]
    fn records_cut_the_message_and_nothing_else() {
        assert_eq!(records(&[1, 2, 3], 2), [22, 3, 1, 0, 2, 1, 2, 22, 3, 3, 0, 1, 3]);
    }
}
