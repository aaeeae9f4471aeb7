//! The PROXY protocol header, which a proxy sends before its client's first bytes (HAProxy's
//! `proxy-protocol.txt`, section 2).

use crate::wire::WireError;

/// First bytes of a line of version 1 (section 2.1).
pub const TEXT: &[u8] = b"PROXY ";

/// The twelve bytes with which version 2 begins (section 2.2).
pub const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Shortest line of version 1, `PROXY UNKNOWN` and its end (section 2.1).
pub const MIN_LINE: u32 = 15;

/// Longest line of version 1, its end included (section 2.1).
pub const MAX_LINE: u32 = 107;

/// Bytes of a version 2 header before the addresses: signature, version and command, family, length.
const FIXED: usize = SIGNATURE.len() + 4;

/// Skips a header of either version, in slices of any size. Nothing of the header is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The first bytes, until the version 2 length is known.
    start: [u8; FIXED],
    /// Bytes read so far.
    read: u32,
    /// Length of the header, once it is known. `read <= length`.
    length: Option<u32>,
}

impl ProxyHeader {
    /// Creates a reader before the header's first byte.
    #[must_use]
    pub const fn new() -> Self {
        Self { start: [0; FIXED], read: 0, length: None }
    }

    /// Reads the next bytes of the stream. Returns the bytes after the header, or `None` if the header continues.
    ///
    /// # Errors
    /// [`WireError::Magic`] if the bytes begin neither version, [`WireError::TooLong`] if a line has no end within
    /// [`MAX_LINE`], [`WireError::Value`] if the line is too short, or if the version or the command is unknown.
    pub fn push<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<&'b [u8]>, WireError> {
        let mut rest = bytes;
        while self.length.is_none() {
            let Some((&byte, after)) = rest.split_first() else {
                return Ok(None);
            };
            rest = after;
            self.take(byte)?;
        }
        let missing = self.length.unwrap_or_default().saturating_sub(self.read);
        let skipped = rest.len().min(missing as usize);
        self.read += skipped as u32; // at most `missing`
        let behind = rest.get(skipped..).unwrap_or_default();
        Ok((skipped == missing as usize).then_some(behind))
    }

    /// Reads a byte while the length is unknown.
    fn take(&mut self, byte: u8) -> Result<(), WireError> {
        let place = self.read as usize;
        self.read += 1;
        if let Some(slot) = self.start.get_mut(place) {
            *slot = byte;
        }
        let is_text = self.start.first() == TEXT.first();
        let expected = if is_text { TEXT.get(place) } else { SIGNATURE.get(place) };
        if expected.is_some_and(|expected| *expected != byte) {
            return Err(WireError::Magic);
        }
        if is_text {
            if byte == b'\n' {
                if self.read < MIN_LINE {
                    return Err(WireError::Value);
                }
                self.length = Some(self.read);
            } else if self.read >= MAX_LINE {
                return Err(WireError::TooLong);
            }
        } else if place + 1 == FIXED {
            let [.., version, _, high, low] = self.start;
            // Version 2; LOCAL or PROXY.
            if !matches!(version, 0x20 | 0x21) {
                return Err(WireError::Value);
            }
            self.length = Some(self.read + u32::from(u16::from_be_bytes([high, low])));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\0\x02\x01\xc0\0\x02\x02\xdc\x04\x01\xbb";

    /// The bytes after the header, for a stream in slices of `size` bytes.
    fn behind(stream: &[u8], size: usize) -> Result<Option<Vec<u8>>, WireError> {
        let (mut header, mut pieces) = (ProxyHeader::new(), stream.chunks(size));
        while let Some(piece) = pieces.next() {
            if let Some(rest) = header.push(piece)? {
                return Ok(Some([rest, &pieces.collect::<Vec<_>>().concat()].concat()));
            }
        }
        Ok(None)
    }

    #[test]
    fn the_stream_continues_after_a_header_of_either_version() {
        for header in [&b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"[..], b"PROXY UNKNOWN\r\n", V2] {
            let stream = [header, b"hello"].concat();
            for size in 1..=stream.len() {
                assert_eq!(behind(&stream, size).unwrap().unwrap(), b"hello", "{size}");
                assert_eq!(behind(header, size).unwrap().unwrap(), b"", "{size}");
                assert_eq!(behind(&header[..header.len() - 1], size), Ok(None));
            }
        }
    }

    #[test]
    fn other_bytes_are_rejected() {
        let long = [TEXT, &[b'x'; MAX_LINE as usize - 6][..], b"\n"].concat();
        let mut version_1 = V2.to_vec();
        version_1[12] = 0x11;
        for (stream, error) in [
            (&b"PROXIES"[..], WireError::Magic),
            (b"\r\n\r\n\0\r\nQUIET", WireError::Magic),
            (&long, WireError::TooLong),
            (&version_1, WireError::Value),
            (b"PROXY TCP4\r\n", WireError::Value),
        ] {
            assert_eq!(behind(stream, 5), Err(error));
        }
    }
}
