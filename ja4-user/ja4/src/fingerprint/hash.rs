//! The truncated hash of every JA4+ method.

use core::fmt;

use crate::fingerprint::text::{ascii, hex4};
use crate::sha256::{digest_bytes, sha256};

/// The first twelve characters of a SHA-256 in lower-case hex; twelve zeros for the empty string.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct H12([u8; Self::LEN]);

impl H12 {
    /// Characters of the printed form.
    pub const LEN: usize = 12;

    /// The hash of an empty section.
    pub const ZERO: Self = Self([b'0'; Self::LEN]);

    /// Hashes `text`.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        if text.is_empty() {
            return Self::ZERO;
        }
        let digest = digest_bytes(sha256(text));
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
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_hashes() {
        let c = "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01";
        assert_eq!(H12::of(c.as_bytes()).as_str(), "6d807ffa2a79");
        let with_algorithms = format!("{c}_0403,0804,0401,0503,0805,0501,0806,0601");
        assert_eq!(H12::of(with_algorithms.as_bytes()).as_str(), "e5627efa2ab1");
        assert_eq!(H12::of(b"0000").as_str(), "9af15b336e6a");
        assert_eq!(H12::of(b"0005,000a,000b,0017,0023,ff01").as_str(), "c39ab67fec8e");
        assert_eq!(H12::of(b"").as_str(), "000000000000");
    }
}
