//! TURN messages that carry application data (RFC 8656, sections 11 and 12).
//!
//! Over UDP a datagram is one message. Over TCP messages follow each other, and ChannelData is padded to four bytes
//! (section 12.5).

use crate::wire::{Cursor, WireError};

/// Bytes of a ChannelData header: channel number and length (RFC 8656, section 12.4).
pub const CHANNEL_HEADER_LEN: usize = 4;

/// Bytes of a STUN header: type, length, magic cookie, transaction id (RFC 8489, section 5).
pub const STUN_HEADER_LEN: usize = 20;

/// The magic cookie of every STUN message (RFC 8489, section 5).
const MAGIC_COOKIE: u32 = 0x2112_a442;

/// Types of a Send and of a Data indication (RFC 8656, section 17).
const SEND_INDICATION: u16 = 0x0016;
const DATA_INDICATION: u16 = 0x0017;

/// The DATA attribute (RFC 8656, section 18).
const DATA: u16 = 0x0013;

/// Most attributes of an indication that are read: an indication has at most a peer address, the data, DONT-FRAGMENT
/// and an ICMP error (RFC 8656, sections 11.1 and 11.4), and extensions may add others.
const MAX_ATTRIBUTES: usize = 8;

/// Application data of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnData<'a> {
    /// The captured part of the data.
    pub bytes: &'a [u8],
    /// Length of the data on the wire, bytes.
    pub length: usize,
}

/// Whether a message that begins with this byte is ChannelData: channel numbers are 0x4000 to 0x4fff (RFC 8656,
/// section 12).
#[must_use]
pub const fn is_channel(first: u8) -> bool {
    first >> 4 == 4
}

/// Whether a message that begins with this byte is STUN: its top two bits are zero (RFC 8489, section 5).
#[must_use]
pub const fn is_stun(first: u8) -> bool {
    first >> 6 == 0
}

/// Bytes of a message over TCP with its padding, by its first four bytes; `None` if it is neither STUN nor ChannelData.
#[must_use]
pub fn frame_len(&[first, _, high, low]: &[u8; CHANNEL_HEADER_LEN]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([high, low]));
    if is_channel(first) {
        return Some(CHANNEL_HEADER_LEN + length.next_multiple_of(4));
    }
    // The length of a STUN message is a multiple of four.
    (is_stun(first) && length.is_multiple_of(4)).then_some(STUN_HEADER_LEN + length)
}

/// Whether these are the first bytes of a STUN message: type below 0x0200, length, cookie.
#[must_use]
pub fn begins_stun(&[kind, _, _, length, cookie @ ..]: &[u8; 8]) -> bool {
    kind < 2 && length & 3 == 0 && cookie == MAGIC_COOKIE.to_be_bytes()
}

/// Whether these are the first bytes of ChannelData with a DTLS handshake record.
#[must_use]
pub const fn begins_channel(bytes: &[u8; 8]) -> bool {
    matches!(bytes, [0x40..=0x4f, _, _, _, 22, 0xfe, ..])
}

/// Whether bytes, fewer than eight, may be the start of a STUN message.
#[must_use]
pub fn may_begin_stun(bytes: &[u8]) -> bool {
    let cookie = MAGIC_COOKIE.to_be_bytes();
    bytes.first().is_none_or(|kind| *kind < 2) && bytes.get(4..).is_none_or(|rest| cookie.starts_with(rest))
}

/// The application data of a message; `None` if it is another STUN message or not a TURN message. `truncated`: the end
/// of the message was not captured.
///
/// # Errors
/// [`WireError::BadLength`] if ChannelData or an attribute is longer than the message, [`WireError::TooMany`] if no
/// data is among the first attributes.
pub fn data(message: &[u8], truncated: bool) -> Result<Option<TurnData<'_>>, WireError> {
    let Some(&first) = message.first() else {
        return Ok(None);
    };
    let mut rest = Cursor::new(message);
    if is_channel(first) {
        rest.take(2)?;
        let length = rest.u16()?;
        return content(rest, length, truncated).map(Some);
    }
    let Ok(SEND_INDICATION | DATA_INDICATION) = rest.u16() else {
        return Ok(None);
    };
    let (_length, cookie) = (rest.u16()?, rest.u32()?);
    if cookie != MAGIC_COOKIE {
        return Ok(None);
    }
    rest.take(STUN_HEADER_LEN - 8)?;
    for _ in 0..MAX_ATTRIBUTES {
        if rest.is_empty() {
            return Ok(None);
        }
        let (kind, length) = (rest.u16()?, rest.u16()?);
        if kind == DATA {
            return content(rest, length, truncated).map(Some);
        }
        rest.take(usize::from(length).next_multiple_of(4)).map_err(|_| WireError::BadLength)?;
    }
    Err(WireError::TooMany)
}

/// The next `length` bytes.
fn content(mut rest: Cursor<'_>, length: u16, truncated: bool) -> Result<TurnData<'_>, WireError> {
    let length = usize::from(length);
    let bytes = match rest.take(length) {
        Ok(bytes) => bytes,
        Err(_) if truncated => rest.rest(),
        Err(_) => return Err(WireError::BadLength),
    };
    Ok(TurnData { bytes, length })
}

#[cfg(test)]
mod tests {
    use ::tests::framing::{channel_data, indication};

    use super::*;

    #[test]
    fn every_message_with_data_is_parsed() {
        for message in [channel_data(0x4001, b"hello"), channel_data(0x4fff, b"hello"), indication(0x16, b"hello")] {
            assert_eq!(data(&message, false), Ok(Some(TurnData { bytes: b"hello", length: 5 })));
            let cut = &message[..message.len() - 5];
            assert!(data(cut, false).is_err());
            let whole = data(cut, true).unwrap().unwrap();
            assert_eq!((whole.length, whole.bytes), (5, &b"hello"[..whole.bytes.len()]));
        }
        for other in [&b""[..], b"\x16\xfe\xfd", &indication(0x101, b"hello"), b"\x80\x60\0\0"] {
            assert_eq!(data(other, false), Ok(None));
        }
    }

    #[test]
    fn lengths_over_tcp_include_the_padding() {
        assert_eq!(frame_len(&[0x40, 1, 0, 5]), Some(12));
        assert_eq!(frame_len(&[0, 3, 0, 8]), Some(28));
        assert_eq!(frame_len(&[0, 3, 0, 7]), None);
        assert_eq!(frame_len(&[0x50, 0, 0, 8]), None);
    }
}
