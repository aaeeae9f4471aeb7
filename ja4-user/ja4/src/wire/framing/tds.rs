//! Packets of the Tabular Data Stream protocol of Microsoft SQL Server ([MS-TDS], section 2.2.3.1).
//!
//! Both sides send their TLS handshake in PRELOGIN packets (section 2.2.6.5). A server may also respond in packets of
//! type tabular result.

use crate::wire::WireError;

/// Bytes of a packet header: type, status, length, SPID, packet id, window.
pub const HEADER_LEN: usize = 8;

/// Packet types (section 2.2.3.1.1).
const TABULAR_RESULT: u8 = 0x04;
const PRELOGIN: u8 = 0x12;

/// Status bit of the last packet of a message (section 2.2.3.1.2).
const END_OF_MESSAGE: u8 = 0x01;

/// Longest packet that a client can ask for (section 2.2.6.4, PacketSize).
const MAX_PACKET: u16 = 32_767;

/// First byte of the options of a PRELOGIN message: the version comes first (section 2.2.6.5).
pub const FIRST_OPTION: u8 = 0;

/// Whether bytes that are fewer than a header may be the start of one.
#[must_use]
pub fn may_begin(bytes: &[u8]) -> bool {
    bytes.len() < HEADER_LEN && matches!(bytes, [PRELOGIN | TABULAR_RESULT] | [PRELOGIN | TABULAR_RESULT, 0 | 1, ..])
}

/// A packet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TdsHeader {
    /// Bytes of the packet after its header.
    pub length: u16,
    /// Whether this is the last packet of its message.
    pub ends_message: bool,
}

impl TdsHeader {
    /// Reads the header of a packet that may carry TLS.
    ///
    /// # Errors
    /// [`WireError::ContentType`] for another type of packet, [`WireError::Value`] for an unknown status or window,
    /// [`WireError::BadLength`] for a packet without a payload or one that is too long.
    pub fn parse(&[kind, status, high, low, _, _, _, window]: &[u8; HEADER_LEN]) -> Result<Self, WireError> {
        if !matches!(kind, PRELOGIN | TABULAR_RESULT) {
            return Err(WireError::ContentType);
        }
        if status > END_OF_MESSAGE || window != 0 {
            return Err(WireError::Value);
        }
        let length = u16::from_be_bytes([high, low]);
        match length.checked_sub(HEADER_LEN as u16) {
            Some(payload @ 1..) if length <= MAX_PACKET => {
                Ok(Self { length: payload, ends_message: status == END_OF_MESSAGE })
            }
            _ => Err(WireError::BadLength),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_other_packets_are_rejected() {
        let header = [0x12, 1, 0, 26, 0, 0, 1, 0];
        assert_eq!(TdsHeader::parse(&header), Ok(TdsHeader { length: 18, ends_message: true }));
        for (place, value, error) in [
            (0, 0x10, WireError::ContentType),
            (1, 3, WireError::Value),
            (7, 1, WireError::Value),
            (3, 8, WireError::BadLength),
            (2, 0x80, WireError::BadLength),
        ] {
            let mut other = header;
            if let Some(byte) = other.get_mut(place) {
                *byte = value;
            }
            assert_eq!(TdsHeader::parse(&other), Err(error), "{other:?}");
        }
    }
}
