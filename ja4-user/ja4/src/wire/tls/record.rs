//! The TLS record header (RFC 8446, section 5.1).

use crate::wire::WireError;

/// Largest payload a record may announce: 2^14 bytes of plaintext and the 2048 bytes that TLS 1.2
/// allows its protection to add (RFC 5246, section 6.2.3); TLS 1.3 allows less.
pub(crate) const MAX_RECORD_PAYLOAD: u16 = (1 << 14) + 2048;

/// What a record carries.
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

/// A record header. The version says nothing about the connection but that this is TLS: its major
/// number is 3, the minor one is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TlsRecordHeader {
    /// What the payload is.
    pub(super) content: TlsContentType,
    /// Bytes of payload that follow, at most [`MAX_RECORD_PAYLOAD`].
    pub(super) length: u16,
}

impl TlsRecordHeader {
    /// Bytes of a header.
    pub(super) const LEN: usize = 5;

    /// Reads a header.
    ///
    /// # Errors
    /// These five bytes do not begin a TLS record: by content type, then version, then length.
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

    /// Whether the first bytes of a header, be it only one, can begin a TLS record.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), as far as the bytes go.
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
