//! Length-prefixed datagrams in a TCP stream (RFC 4571, section 2), as ICE over TCP sends DTLS, STUN and media (RFC
//! 6544, section 3).

use super::turn;

/// Bytes of a frame header: the length.
pub const HEADER_LEN: usize = 2;

/// Whether the first frame of a direction begins with these bytes: a DTLS handshake record of epoch 0, or a STUN
/// message that fills the frame.
#[must_use]
pub fn begins(bytes: &[u8; 10]) -> bool {
    match *bytes {
        [_, _, 22, 0xfe, 0xfd..=0xff, 0, 0, ..] => true,
        [high, low, kind, method, message_high, message_low, cookie @ ..] => {
            let [frame, message] =
                [[high, low], [message_high, message_low]].map(|bytes| usize::from(u16::from_be_bytes(bytes)));
            let [c1, c2, c3, c4] = cookie;
            turn::begins_stun(&[kind, method, message_high, message_low, c1, c2, c3, c4])
                && frame == message + turn::STUN_HEADER_LEN
        }
    }
}

/// Whether bytes, fewer than ten, may be the start of such a frame.
#[must_use]
pub fn may_begin(bytes: &[u8]) -> bool {
    /// The first byte of the length of a frame that fits an Ethernet frame, rounded up.
    const MAX_FIRST: u8 = 6;
    const RECORD: &[u8] = &[22, 0xfe];
    match bytes.split_at_checked(HEADER_LEN) {
        Some((_, content)) => turn::may_begin_stun(content) || content.iter().zip(RECORD).all(|(a, b)| a == b),
        None => bytes.first().is_none_or(|first| *first < MAX_FIRST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_with_dtls_and_stun() {
        assert!(begins(b"\0\x8f\x16\xfe\xfd\0\0\0\0\0"));
        assert!(begins(b"\0\x1c\0\x01\0\x08\x21\x12\xa4\x42"));
        assert!(!begins(b"\0\x1d\0\x01\0\x08\x21\x12\xa4\x42"));
        assert!(!begins(b"\0\x8f\x16\xfe\xfd\0\x01\0\0\0"));
    }
}
