//! The TLS record header (RFC 8446, section 5.1).

use crate::wire::WireError;

/// Largest payload of a record: 2^14 bytes of plaintext, and the 2048 bytes that the protection of TLS 1.2 may add (RFC
/// 5246, section 6.2.3); TLS 1.3 allows less.
pub(crate) const MAX_RECORD_PAYLOAD: u16 = (1 << 14) + 2048;

/// The content type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TlsContentType {
    /// 20
    ChangeCipherSpec,
    /// 21
    Alert,
    /// 22
    Handshake,
    /// 23
    ApplicationData,
}

impl TlsContentType {
    const fn from_byte(byte: u8) -> Result<Self, WireError> {
        Ok(match byte {
            20 => Self::ChangeCipherSpec,
            21 => Self::Alert,
            22 => Self::Handshake,
            23 => Self::ApplicationData,
            _ => return Err(WireError::ContentType),
        })
    }
}

/// A record header. Of the version, which is not the negotiated one, only the major number is checked: 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TlsRecordHeader {
    /// The type of the payload.
    pub(super) content: TlsContentType,
    /// Bytes of payload that follow, at most [`MAX_RECORD_PAYLOAD`].
    pub(super) length: u16,
}

impl TlsRecordHeader {
    /// Bytes of a header.
    pub(super) const LEN: usize = 5;

    /// Parses a header.
    ///
    /// # Errors
    /// The bytes are not a TLS record header; content type, version and length are checked in this order.
    #[inline]
    pub(super) fn parse(bytes: &[u8; Self::LEN]) -> Result<Self, WireError> {
        let [content, major, _minor, high, low] = *bytes;
        Self::check_start(&[content, major])?;
        let content = TlsContentType::from_byte(content)?;
        let length = u16::from_be_bytes([high, low]);
        if length > MAX_RECORD_PAYLOAD {
            return Err(WireError::TooLong);
        }
        Ok(Self { content, length })
    }

    /// Checks whether the first bytes of a header, at least one, can begin a TLS record.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), for the available bytes.
    #[inline]
    pub(super) fn check_start(start: &[u8]) -> Result<(), WireError> {
        if let Some(&content) = start.first() {
            TlsContentType::from_byte(content)?;
        }
        match start.get(1) {
            Some(&major) if major != 3 => Err(WireError::RecordVersion),
            _ => Ok(()),
        }
    }
}
