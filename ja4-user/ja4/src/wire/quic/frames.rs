//! The frames of an Initial packet (RFC 9000, sections 12.4 and 19).

use crate::wire::quic::varint::{length, prefixed, varint};
use crate::wire::{Cursor, WireError};

/// Frame types that are allowed in an Initial packet (RFC 9000, table 3).
mod frame_type {
    pub(super) const PADDING: u64 = 0x00;
    pub(super) const PING: u64 = 0x01;
    pub(super) const ACK: u64 = 0x02;
    pub(super) const ACK_ECN: u64 = 0x03;
    pub(super) const CRYPTO: u64 = 0x06;
    pub(super) const CONNECTION_CLOSE: u64 = 0x1c;
}

/// A fragment of the TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CryptoFrame<'a> {
    /// Offset of the first byte in the CRYPTO stream of its direction.
    pub offset: u64,
    /// Offset of the bytes in the payload.
    pub start: usize,
    /// The bytes.
    pub data: &'a [u8],
}

/// The CRYPTO frames of an Initial packet's payload.
///
/// The payload's end may be missing. A truncated CRYPTO frame yields its captured part; another truncated frame ends
/// the iteration, as does an error.
#[derive(Clone, Debug)]
pub struct CryptoFrames<'a> {
    cursor: Cursor<'a>,
    len: usize,
    truncated: bool,
}

impl<'a> CryptoFrames<'a> {
    /// The frames of `payload`; `truncated`: its end was not captured.
    #[must_use]
    pub const fn new(payload: &'a [u8], truncated: bool) -> Self {
        Self { cursor: Cursor::new(payload), len: payload.len(), truncated }
    }

    fn read(&mut self) -> Result<Option<CryptoFrame<'a>>, WireError> {
        loop {
            self.skip_padding();
            if self.cursor.is_empty() {
                return Ok(None);
            }
            match varint(&mut self.cursor)? {
                frame_type::PADDING | frame_type::PING => {}
                frame_type::ACK => self.skip_ack()?,
                frame_type::ACK_ECN => {
                    self.skip_ack()?;
                    self.skip_integers(3)?;
                }
                frame_type::CRYPTO => return self.crypto().map(Some),
                frame_type::CONNECTION_CLOSE => {
                    self.skip_integers(2)?;
                    prefixed(&mut self.cursor)?;
                }
                _ => return Err(WireError::Value),
            }
        }
    }

    /// Skips zeros, of which a client's Initial may have a thousand.
    fn skip_padding(&mut self) {
        let mut ahead = self.cursor;
        while let Ok(block) = ahead.array::<16>()
            && u128::from_ne_bytes(*block) == 0
        {
            self.cursor = ahead;
        }
        ahead = self.cursor;
        while let Ok(0) = ahead.u8() {
            self.cursor = ahead;
        }
    }

    /// Skips largest, delay, count of ranges, first range, and a gap and a length for each range (section 19.3).
    fn skip_ack(&mut self) -> Result<(), WireError> {
        self.skip_integers(2)?;
        let ranges = varint(&mut self.cursor)?;
        self.skip_integers(1)?;
        self.skip_integers(ranges.saturating_mul(2))
    }

    /// Takes at most as many steps as bytes remain.
    fn skip_integers(&mut self, count: u64) -> Result<(), WireError> {
        (0..count).try_for_each(|_| varint(&mut self.cursor).map(drop))
    }

    fn crypto(&mut self) -> Result<CryptoFrame<'a>, WireError> {
        let offset = varint(&mut self.cursor)?;
        let length = length(&mut self.cursor)?;
        let start = self.len.saturating_sub(self.cursor.remaining());
        let there = if self.truncated { length.min(self.cursor.remaining()) } else { length };
        let data = self.cursor.take(there).map_err(|_| WireError::BadLength)?;
        Ok(CryptoFrame { offset, start, data })
    }
}

impl<'a> Iterator for CryptoFrames<'a> {
    type Item = Result<CryptoFrame<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let cut = self.truncated;
        match self.read() {
            Ok(frame) => frame.map(Ok),
            Err(error) => {
                self.cursor = Cursor::default();
                let by_the_cut = matches!(error, WireError::Truncated | WireError::BadLength);
                (!cut || !by_the_cut).then_some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every frame that is allowed in an Initial: padding, ping, acks with a range, crypto, close.
    const ALL: &[u8] = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\x05\x40\x10\x01\x00\x01\x02\x06\x00\x02hi\
        \x03\x05\x00\x00\x00\x01\x02\x03\x06\x44\x00\x03abc\x1c\x0a\x00\x04oops\0";

    fn read(payload: &[u8], truncated: bool) -> (Vec<(u64, Vec<u8>)>, Option<WireError>) {
        let mut frames = Vec::new();
        for frame in CryptoFrames::new(payload, truncated) {
            match frame {
                Ok(frame) => {
                    assert!(payload[frame.start..].starts_with(frame.data));
                    frames.push((frame.offset, frame.data.to_vec()));
                }
                Err(error) => return (frames, Some(error)),
            }
        }
        (frames, None)
    }

    #[test]
    fn crypto_frames_are_found_among_all_others() {
        let expected = vec![(0, b"hi".to_vec()), (0x400, b"abc".to_vec())];
        assert_eq!(read(ALL, false), (expected, None));
    }

    #[test]
    fn frames_not_allowed_in_an_initial_are_rejected() {
        // STREAM, CONNECTION_CLOSE of an application, HANDSHAKE_DONE, a type of two bytes.
        for other in [&[0x08][..], &[0x1d, 0, 0], &[0x1e], &[0x40, 0x52]] {
            let payload = [&[0, 1][..], other].concat();
            assert_eq!(read(&payload, false), (vec![], Some(WireError::Value)));
            assert_eq!(read(&payload, true), (vec![], Some(WireError::Value)));
        }
        assert_eq!(read(b"\x06\x00\x05four", false).1, Some(WireError::BadLength));
        assert_eq!(read(b"\x02\x00\x00\xbf\xff\xff\xff\x00\x00", false).1, Some(WireError::Truncated));
    }

    #[test]
    fn a_truncated_payload_yields_its_captured_part() {
        let (whole, _) = read(ALL, false);
        let whole: Vec<u8> = whole.concat_data();
        for end in 0..ALL.len() {
            let (cut, error) = read(&ALL[..end], true);
            assert_eq!(error, None, "cut at {end}");
            assert!(whole.starts_with(&cut.concat_data()));
        }
        assert_eq!(read(b"\x06\x00\x05four", true), (vec![(0, b"four".to_vec())], None));
    }

    trait ConcatData {
        fn concat_data(&self) -> Vec<u8>;
    }

    impl ConcatData for Vec<(u64, Vec<u8>)> {
        fn concat_data(&self) -> Vec<u8> {
            self.iter().flat_map(|(_, data)| data.clone()).collect()
        }
    }
}
