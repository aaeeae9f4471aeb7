//! Messages to values: pure, and without a clock.
//!
//! JA4 and HASSH are always built. The other methods are under the FoxIO License 1.1 and sit behind the cargo
//! feature `ja4plus`.

pub mod hassh;
pub mod ja4;
#[cfg(feature = "ja4plus")]
pub mod ja4d;
#[cfg(feature = "ja4plus")]
pub mod ja4d6;
#[cfg(feature = "ja4plus")]
pub mod ja4h;
#[cfg(feature = "ja4plus")]
pub mod ja4l;
#[cfg(feature = "ja4plus")]
pub mod ja4s;
#[cfg(feature = "ja4plus")]
pub mod ja4ssh;
#[cfg(feature = "ja4plus")]
pub mod ja4t;
#[cfg(feature = "ja4plus")]
pub mod ja4x;

mod extension_set;
mod hash;
mod list;

pub use hash::H12;

/// What a hello came in. It decides the first letter, whatever extensions are present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// TLS over TCP.
    Tcp,
    /// TLS inside QUIC.
    Quic,
    /// DTLS, over UDP or SCTP.
    Dtls,
}

impl Carrier {
    const fn letter(self) -> u8 {
        match self {
            Self::Tcp => b't',
            Self::Quic => b'q',
            Self::Dtls => b'd',
        }
    }
}

/// Which forms of a fingerprint to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Forms {
    /// The value alone.
    #[default]
    Value,
    /// The raw and original-order forms as well.
    All,
}

/// The two characters of a TLS or DTLS version (specification, section 3).
const fn version_code(version: u16) -> [u8; 2] {
    *match version {
        0x0304 => b"13",
        0x0303 => b"12",
        0x0302 => b"11",
        0x0301 => b"10",
        0x0300 => b"s3",
        0x0002 => b"s2",
        0xfeff => b"d1",
        0xfefd => b"d2",
        0xfefc => b"d3",
        _ => b"00",
    }
}

/// A count as two decimal digits; above 99 it prints 99 (specification, section 1).
fn two_digits(count: usize) -> [u8; 2] {
    let count = u8::try_from(count).unwrap_or(u8::MAX).min(99);
    [b'0' + count / 10, b'0' + count % 10]
}

/// The two characters of the first ALPN protocol (specification, section 1): its first and last byte if
/// both are ASCII alphanumeric, else the first and last digit of its hex form; `00` without one.
fn alpn_code(first: Option<&[u8]>) -> [u8; 2] {
    let Some(name) = first else { return *b"00" };
    let (Some(&head), Some(&tail)) = (name.first(), name.last()) else {
        return *b"00";
    };
    if head.is_ascii_alphanumeric() && tail.is_ascii_alphanumeric() {
        [head, tail]
    } else {
        [hash::hex_digit(head >> 4), hash::hex_digit(tail & 0x0f)]
    }
}

/// ASCII bytes of our own making, as text.
fn ascii(bytes: &[u8]) -> &str {
    debug_assert!(bytes.is_ascii(), "a fingerprint is ASCII");
    str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpn_table_of_the_specification() {
        let table: [(&[u8], &[u8; 2]); 14] = [
            (b"", b"00"),
            (b"h2", b"h2"),
            (b"http/1.1", b"h1"),
            (b"h3-29", b"h9"),
            (b"spdy/3.1", b"s1"),
            (b"x", b"xx"),
            (b"\x30\xab", b"3b"),
            (b"\x30\xab\xcd\x31", b"01"),
            (b"\xab", b"ab"),
            (b"\xab\xcd", b"ad"),
            (b"\x20", b"20"),
            (b"\x20\x61", b"21"),
            (b"\x61\x20", b"60"),
            (b"\xba\xad", b"bd"),
        ];
        for (name, code) in table {
            assert_eq!(&alpn_code(Some(name)), code, "{name:?}");
        }
        assert_eq!(&alpn_code(Some(b"\x30\x31\xab\xcd")), b"3d");
        assert_eq!(&alpn_code(Some(b"H2")), b"H2");
        assert_eq!(&alpn_code(None), b"00");
    }

    #[test]
    fn counts_stop_at_99() {
        let printed: Vec<_> = [0, 7, 42, 99, 100, 255, 256, 65_535].map(|n| ascii(&two_digits(n)).to_owned()).into();
        assert_eq!(printed, ["00", "07", "42", "99", "99", "99", "99", "99"]);
    }

    #[test]
    fn unknown_versions_print_zeros() {
        for version in [0x7f1c, 0xfb1a, 0x0100, 0x0200, 0x0305, 0x0a0a] {
            assert_eq!(&version_code(version), b"00");
        }
        assert_eq!(&version_code(0x0002), b"s2");
        assert_eq!(&version_code(0xfefc), b"d3");
    }
}
