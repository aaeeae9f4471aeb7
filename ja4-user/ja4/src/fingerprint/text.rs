//! Pieces of text that several methods share.

/// The two characters of a TLS or DTLS version (FoxIO JA4+ technical details, JA4.md).
pub(super) const fn version_code(version: u16) -> [u8; 2] {
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

/// A count as two decimal digits; counts above 99 print as 99.
pub(super) fn two_digits(count: usize) -> [u8; 2] {
    let count = u8::try_from(count).unwrap_or(u8::MAX).min(99);
    [b'0' + count / 10, b'0' + count % 10]
}

/// The two characters of the first ALPN protocol (FoxIO JA4+ technical details, JA4.md): its first and last byte if
/// both are ASCII alphanumeric, else the first and last digit of its hex form; `00` without a protocol.
pub(super) fn alpn_code(first: Option<&[u8]>) -> [u8; 2] {
    let Some(name) = first else { return *b"00" };
    let (Some(&head), Some(&tail)) = (name.first(), name.last()) else {
        return *b"00";
    };
    if head.is_ascii_alphanumeric() && tail.is_ascii_alphanumeric() {
        [head, tail]
    } else {
        [hex_digit(head >> 4), hex_digit(tail & 0x0f)]
    }
}

/// The hex digit of a value below 16.
pub(super) const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
}

/// The two hex digits of each byte.
static HEX: [[u8; 2]; 256] = {
    let mut table = [[0; 2]; 256];
    let (mut rest, mut byte) = (table.as_mut_slice(), 0_u8);
    while let Some((digits, behind)) = rest.split_first_mut() {
        *digits = [hex_digit(byte >> 4), hex_digit(byte & 0x0f)];
        byte = byte.wrapping_add(1);
        rest = behind;
    }
    table
};

/// The two hex digits of a byte.
#[inline]
pub(super) fn hex2(byte: u8) -> [u8; 2] {
    HEX.get(usize::from(byte)).copied().unwrap_or_default()
}

/// The four hex digits of a code point.
#[inline]
pub(super) fn hex4(value: u16) -> [u8; 4] {
    let [high, low] = value.to_be_bytes();
    let ([a, b], [c, d]) = (hex2(high), hex2(low));
    [a, b, c, d]
}

/// Bytes that are ASCII by construction, as text.
pub(super) fn ascii(bytes: &[u8]) -> &str {
    debug_assert!(bytes.is_ascii(), "a fingerprint is ASCII");
    str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpn_codes_of_the_technical_details() {
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

    #[test]
    fn every_code_point_prints_as_four_lower_case_digits() {
        for value in 0..=u16::MAX {
            assert_eq!(ascii(&hex4(value)), format!("{value:04x}"));
        }
        let digits: Vec<u8> = (0..16).map(hex_digit).collect();
        assert_eq!(digits, b"0123456789abcdef");
    }
}
