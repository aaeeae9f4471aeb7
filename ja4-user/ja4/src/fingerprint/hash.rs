//! The truncated hash and the hex digits of every JA4+ method (specification, section 1).

use core::fmt;

use sha2::{Digest, Sha256};

use crate::fingerprint::ascii;

/// The first twelve characters of a SHA-256 in lower-case hex; twelve zeros for the empty string.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct H12([u8; Self::LEN]);

impl H12 {
    /// Characters of the printed form.
    pub const LEN: usize = 12;

    /// What an empty section prints.
    pub const ZERO: Self = Self([b'0'; Self::LEN]);

    /// Hashes `text`.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        if text.is_empty() {
            return Self::ZERO;
        }
        let digest: [u8; 32] = Sha256::digest(text).into();
        let mut out = Self::ZERO;
        for (four, pair) in out.0.as_chunks_mut().0.iter_mut().zip(digest.as_chunks().0) {
            *four = hex4(u16::from_be_bytes(*pair));
        }
        out
    }

    /// The twelve characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// The twelve characters as bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for H12 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for H12 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The hex digit of a value below 16.
pub(super) const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble }
}

/// The four hex digits of a code point, all four at once: one nibble is spread to each byte of a word,
/// and those above 9 are moved from behind `9` to `a`.
#[inline]
pub(super) const fn hex4(value: u16) -> [u8; 4] {
    let bytes = (value as u32 | (value as u32) << 8) & 0x00ff_00ff;
    let nibbles = (bytes | bytes << 4) & 0x0f0f_0f0f;
    let letters = ((nibbles + 0x0606_0606) >> 4) & 0x0101_0101;
    // No byte overflows: 15 + 0x30 + 0x27 < 256.
    (nibbles + 0x3030_3030 + letters * 0x27).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_specification() {
        let c = "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01";
        assert_eq!(H12::of(c.as_bytes()).as_str(), "6d807ffa2a79");
        let with_algorithms = format!("{c}_0403,0804,0401,0503,0805,0501,0806,0601");
        assert_eq!(H12::of(with_algorithms.as_bytes()).as_str(), "e5627efa2ab1");
        assert_eq!(H12::of(b"0000").as_str(), "9af15b336e6a");
        assert_eq!(H12::of(b"0005,000a,000b,0017,0023,ff01").as_str(), "c39ab67fec8e");
        assert_eq!(H12::of(b"").as_str(), "000000000000");
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
