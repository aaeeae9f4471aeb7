//! MD5 in lower-case hex, the form of HASSH, JA3 and JA3S.

use core::fmt;

use md5::{Digest, Md5};

use crate::fingerprint::text::{ascii, hex4};

/// An MD5 in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Md5Hex([u8; Self::LEN]);

impl Md5Hex {
    /// Characters of the printed form.
    pub const LEN: usize = 32;

    /// Hashes `text`.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        Self::finish(Md5::new_with_prefix(text))
    }

    /// The hash of everything that `md5` was updated with.
    pub(super) fn finish(md5: Md5) -> Self {
        let digest: [u8; 16] = md5.finalize().into();
        let mut out = Self([b'0'; Self::LEN]);
        for (four, pair) in out.0.as_chunks_mut().0.iter_mut().zip(digest.as_chunks().0) {
            *four = hex4(u16::from_be_bytes(*pair));
        }
        out
    }

    /// The 32 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }
}

impl fmt::Display for Md5Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Md5Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_rfc_1321() {
        assert_eq!(Md5Hex::of(b"").as_str(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(Md5Hex::of(b"message digest").as_str(), "f96b697d7cb7938d525a2f31aaf161d0");
    }
}
