//! The common parts of ClientHello and ServerHello (RFC 8446, sections 4.1.2 and 4.1.3).

use crate::wire::{Cursor, WireError};

/// Longest session id of a hello (RFC 8446, section 4.1.2; the same since SSL 3.0).
const MAX_SESSION_ID: usize = 32;

/// The protocol that carries a hello. Carriers differ in the layout of the ClientHello and in the first letter of JA4
/// and JA4S.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// TLS over TCP.
    Tcp,
    /// TLS in QUIC CRYPTO frames.
    Quic,
    /// DTLS over UDP or SCTP: its ClientHello has a cookie after the session id (RFC 6347, section 4.2.1).
    Dtls,
}

impl Carrier {
    /// The first letter of JA4 and JA4S.
    pub(crate) const fn letter(self) -> u8 {
        match self {
            Self::Tcp => b't',
            Self::Quic => b'q',
            Self::Dtls => b'd',
        }
    }
}

/// The first fields of a hello.
pub(super) struct HelloStart<'a> {
    pub(super) legacy_version: u16,
    pub(super) random: &'a [u8; 32],
    pub(super) session_id: &'a [u8],
}

impl<'a> HelloStart<'a> {
    #[inline]
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, WireError> {
        let legacy_version = cursor.u16()?;
        let random = cursor.array()?;
        let session_id = cursor.region_u8()?.rest();
        if session_id.len() > MAX_SESSION_ID {
            return Err(WireError::BadLength);
        }
        Ok(Self { legacy_version, random, session_id })
    }
}

/// Whether a value is one of the sixteen reserved values 0x0a0a, 0x1a1a … 0xfafa (RFC 8701): both bytes are equal, and
/// the low nibble of each is 0xa.
#[inline]
#[must_use]
pub const fn is_grease(value: u16) -> bool {
    // Not short-circuited, so that lists are checked without branches.
    (value & 0x0f0f == 0x0a0a) & (value >> 8 == value & 0xff)
}

/// The usual name of a protocol version, such as `TLS 1.3`; `None` for drafts and unknown versions.
#[must_use]
pub const fn version_name(version: u16) -> Option<&'static str> {
    Some(match version {
        0x0002 => "SSL 2.0",
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        0xfeff => "DTLS 1.0",
        0xfefd => "DTLS 1.2",
        0xfefc => "DTLS 1.3",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grease_is_the_sixteen_reserved_values() {
        let found: Vec<u16> = (0..=u16::MAX).filter(|&value| is_grease(value)).collect();
        let reserved: Vec<u16> = (0..16).map(|high| high * 0x1010 + 0x0a0a).collect();
        assert_eq!(found, reserved);
        assert!(!is_grease(0x0a1a) && !is_grease(0xeeee) && !is_grease(0xca34));
    }
}
