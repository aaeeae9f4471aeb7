//! Identification string and KEXINIT of one direction of a TCP connection.

use crate::wire::ssh::identification::{Identification, MAX_LINE, PREFIX};
use crate::wire::ssh::kex_init::{KexInit, SSH_MSG_KEXINIT};
use crate::wire::{Cursor, WireError};

/// Most bytes of lines that a server may send before its identification string (RFC 4253, section 4.2,
/// sets no limit): a screen of text fits. They are not stored.
pub const MAX_PREAMBLE: usize = 8192;

/// Longest packet, its length field excluded, that every implementation must support (RFC 4253, section
/// 6.1). A KEXINIT takes 1 to 2 KiB.
pub const MAX_PACKET_LENGTH: usize = 35_000;

/// Bytes of packet_length, padding_length and the message number.
const PACKET_START: usize = 6;

/// First allocation for a packet that spans pushes, at most: nearly every KEXINIT fits. The buffer of a longer packet
/// grows as its bytes are received.
const FIRST_ALLOCATION: usize = 2048;

/// An unencrypted message of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshMessage<'a> {
    /// The identification string: once, first.
    Identification(Identification<'a>),
    /// The offered algorithms: at most once.
    KexInit(KexInit<'a>),
}

/// The status of an [`SshStream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SshStatus {
    /// It expects more bytes.
    Open,
    /// All messages were read; further bytes are ignored.
    Done,
    /// The bytes are not SSH, or malformed; further bytes are ignored.
    Failed(WireError),
}

impl From<WireError> for SshStatus {
    fn from(error: WireError) -> Self {
        Self::Failed(error)
    }
}

/// The part of the stream that is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A line from its start; `partial` may contain its first bytes.
    Line,
    /// The rest of a line that is not an identification string.
    LineRest,
    /// A binary packet; `partial` may contain its first bytes.
    Packet,
}

/// Parses one direction of a stream, in order and in slices of any size, and yields its unencrypted messages: the
/// identification string and, from version 2 on, the KEXINIT.
///
/// It ends after the KEXINIT, after a first packet of another type, and after an identification string of SSH 1. A
/// message inside one slice is borrowed from it; only one that spans slices is copied.
#[derive(Debug)]
pub struct SshStream {
    /// The received part of an incomplete line or packet; unallocated otherwise.
    partial: Vec<u8>,
    /// Bytes of skipped lines, `<= MAX_PREAMBLE`.
    skipped: u16,
    phase: Phase,
    status: SshStatus,
}

impl Default for SshStream {
    fn default() -> Self {
        Self::new()
    }
}

impl SshStream {
    /// A stream that expects its first line.
    #[must_use]
    pub const fn new() -> Self {
        Self { partial: Vec::new(), skipped: 0, phase: Phase::Line, status: SshStatus::Open }
    }

    /// The status of the stream.
    #[must_use]
    pub const fn status(&self) -> SshStatus {
        self.status
    }

    /// Bytes of memory of an incomplete message.
    #[must_use]
    pub const fn buffered(&self) -> usize {
        self.partial.capacity()
    }

    /// Reads the next bytes of the stream, and calls `receive` for each message they complete.
    pub fn push<F>(&mut self, mut bytes: &[u8], mut receive: F) -> SshStatus
    where
        F: FnMut(SshMessage<'_>),
    {
        while self.status == SshStatus::Open && !bytes.is_empty() {
            let step = match self.phase {
                Phase::Line | Phase::LineRest => self.take_line(bytes, &mut receive),
                Phase::Packet => self.take_packet(bytes, &mut receive),
            };
            match step {
                Ok(rest) => bytes = rest,
                Err(stop) => {
                    self.status = stop;
                    self.partial = Vec::new();
                }
            }
        }
        self.status
    }

    /// Reads the available bytes of the current line, its end included.
    fn take_line<'b, F>(&mut self, bytes: &'b [u8], receive: &mut F) -> Result<&'b [u8], SshStatus>
    where
        F: FnMut(SshMessage<'_>),
    {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let (piece, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        let mut start = self.partial.iter().chain(piece).zip(PREFIX);
        if self.phase == Phase::LineRest || !start.all(|(byte, wanted)| byte == wanted) {
            self.skip(piece)?;
            self.phase = if end.is_some() { Phase::Line } else { Phase::LineRest };
            return Ok(rest);
        }
        if self.partial.len() + piece.len() > MAX_LINE {
            return Err(WireError::TooLong.into());
        }
        if end.is_none() || !self.partial.is_empty() {
            self.keep(piece, MAX_LINE);
        }
        if end.is_some() {
            let line = if self.partial.is_empty() { piece } else { &self.partial };
            let identification = Identification::parse(line)?;
            receive(SshMessage::Identification(identification));
            if !identification.speaks_v2() {
                return Err(SshStatus::Done);
            }
            self.partial = Vec::new();
            self.phase = Phase::Packet;
        }
        Ok(rest)
    }

    /// Skips a part of a line that is not an identification string, and its stored bytes.
    fn skip(&mut self, piece: &[u8]) -> Result<(), WireError> {
        let allowed = MAX_PREAMBLE.saturating_sub(usize::from(self.skipped));
        let length = self.partial.len() + piece.len();
        // Binary protocols end here early. The stored bytes are a prefix of `PREFIX`, without a NUL.
        if piece.iter().take(allowed.saturating_sub(self.partial.len())).any(|&byte| byte == 0) {
            return Err(WireError::Value);
        }
        if length > allowed {
            return Err(WireError::TooLong);
        }
        // At most MAX_PREAMBLE.
        self.skipped += length as u16;
        self.partial = Vec::new();
        Ok(())
    }

    /// Reads bytes of the first packet, up to its end.
    fn take_packet<'b, F>(&mut self, bytes: &'b [u8], receive: &mut F) -> Result<&'b [u8], SshStatus>
    where
        F: FnMut(SshMessage<'_>),
    {
        let have = if self.partial.is_empty() { bytes } else { &self.partial };
        let wanted = packet_size(have)?;
        if have.len() >= wanted {
            receive(SshMessage::KexInit(kex_init(have)?));
            return Err(SshStatus::Done);
        }
        let missing = wanted.saturating_sub(self.partial.len()).min(bytes.len());
        let (piece, rest) = bytes.split_at(missing);
        self.keep(piece, wanted);
        if packet_size(&self.partial)? <= self.partial.len() {
            receive(SshMessage::KexInit(kex_init(&self.partial)?));
            return Err(SshStatus::Done);
        }
        Ok(rest)
    }

    /// Appends `piece` to the stored part of a message of `wanted` bytes.
    fn keep(&mut self, piece: &[u8], wanted: usize) {
        let at_once = wanted.min(FIRST_ALLOCATION);
        self.partial.reserve_exact(at_once.saturating_sub(self.partial.len()));
        self.partial.extend_from_slice(piece);
    }
}

/// The size of the packet that begins with `start`, or the number of bytes needed to determine it; the final status if
/// the packet is not a KEXINIT.
fn packet_size(start: &[u8]) -> Result<usize, SshStatus> {
    let mut cursor = Cursor::new(start);
    let (Ok(length), Ok(padding), Ok(message)) = (cursor.u32(), cursor.u8(), cursor.u8()) else {
        return Ok(PACKET_START);
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_PACKET_LENGTH {
        return Err(WireError::TooLong.into());
    }
    // padding_length itself, and one byte of payload.
    if length < usize::from(padding) + 2 {
        return Err(WireError::BadLength.into());
    }
    if message != SSH_MSG_KEXINIT {
        return Err(SshStatus::Done);
    }
    Ok(4 + length)
}

/// The message in a complete packet, which bytes may follow.
fn kex_init(packet: &[u8]) -> Result<KexInit<'_>, WireError> {
    let mut cursor = Cursor::new(packet);
    let length = cursor.u32()? as usize;
    let mut packet = Cursor::new(cursor.take(length)?);
    let padding = usize::from(packet.u8()?);
    let payload = packet.remaining().checked_sub(padding).ok_or(WireError::BadLength)?;
    KexInit::parse(packet.take(payload)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::ssh::kex_init::builder::kex_init;

    const BANNER: &[u8] = b"SSH-2.0-OpenSSH_9.9\r\n";

    /// A binary packet with this payload and this much padding.
    fn packet(payload: &[u8], padding: u8) -> Vec<u8> {
        let length = (1 + payload.len() + usize::from(padding)) as u32;
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.push(padding);
        bytes.extend(payload);
        bytes.extend(vec![0xee; usize::from(padding)]);
        bytes
    }

    fn offer() -> Vec<u8> {
        packet(&kex_init(["kex", "key", "enc1", "enc2", "mac1", "mac2", "comp1", "comp2", "", ""]), 7)
    }

    /// Pushes `bytes` in slices of these sizes, then the rest.
    fn run(bytes: &[u8], sizes: &[usize]) -> (SshStatus, Vec<String>) {
        let mut stream = SshStream::new();
        let mut messages = Vec::new();
        let mut rest = bytes;
        for &size in sizes.iter().chain([&usize::MAX]) {
            let (slice, after) = rest.split_at(rest.len().min(size));
            rest = after;
            stream.push(slice, |message| {
                messages.push(match message {
                    SshMessage::Identification(line) => String::from_utf8_lossy(line.as_bytes()).into_owned(),
                    SshMessage::KexInit(offer) => String::from_utf8_lossy(offer.kex).into_owned(),
                });
            });
            if stream.status() != SshStatus::Open {
                assert_eq!(stream.buffered(), 0);
            }
        }
        (stream.status(), messages)
    }

    #[test]
    fn identification_then_offer_and_nothing_after() {
        for banner in [BANNER, b"SSH-2.0-OpenSSH_9.9\n"] {
            let bytes = [banner, &offer(), b"encrypted"].concat();
            let (status, messages) = run(&bytes, &[]);
            assert_eq!((status, &messages[..]), (SshStatus::Done, &["SSH-2.0-OpenSSH_9.9".into(), "kex".into()][..]));
            assert_eq!(run(&bytes, &vec![1; bytes.len()]), (status, messages));
        }
    }

    #[test]
    fn a_message_in_one_slice_is_not_copied() {
        let mut stream = SshStream::new();
        stream.push(BANNER, |_| {});
        assert_eq!(stream.buffered(), 0);
        let offer = offer();
        stream.push(&offer[..9], |_| {});
        assert!((9..=FIRST_ALLOCATION).contains(&stream.buffered()));
        assert_eq!(stream.push(&offer[9..], |_| {}), SshStatus::Done);
        assert_eq!(stream.buffered(), 0);
    }

    #[test]
    fn lines_before_the_identification_are_skipped_up_to_a_limit() {
        let preamble = |bytes: usize| [&vec![b'x'; bytes - 1][..], b"\n"].concat();
        let several = [&b"\r\nSS\nSSH\nplease log in\r\n"[..], BANNER].concat();
        assert_eq!(run(&several, &[3, 2]), (SshStatus::Open, vec!["SSH-2.0-OpenSSH_9.9".into()]));
        let most = [&preamble(MAX_PREAMBLE)[..], BANNER].concat();
        assert_eq!(run(&most, &[]).1.len(), 1);
        let more = [&preamble(MAX_PREAMBLE + 1)[..], BANNER].concat();
        assert_eq!(run(&more, &[]), (SshStatus::Failed(WireError::TooLong), vec![]));
        assert_eq!(run(b"GET / \0\n", &[]).0, SshStatus::Failed(WireError::Value));
    }

    #[test]
    fn an_endless_identification_is_rejected_and_not_stored() {
        let endless = [&b"SSH-2.0-"[..], &[b'x'; 100_000]].concat();
        assert_eq!(run(&endless, &[]).0, SshStatus::Failed(WireError::TooLong));
        let mut stream = SshStream::new();
        for piece in endless.chunks(7) {
            stream.push(piece, |_| {});
            assert!(stream.buffered() <= MAX_LINE);
        }
    }

    #[test]
    fn version_1_ends_with_its_identification() {
        let bytes = [&b"SSH-1.5-1.2.27\n"[..], &offer()].concat();
        assert_eq!(run(&bytes, &[]), (SshStatus::Done, vec!["SSH-1.5-1.2.27".into()]));
        let bytes = [&b"SSH-1.99-Cisco-1.25\n"[..], &offer()].concat();
        assert_eq!(run(&bytes, &[]).1.len(), 2);
    }

    #[test]
    fn other_first_packets_end_the_stream() {
        let banner_then = |packet: &[u8]| run(&[BANNER, packet].concat(), &[]).0;
        // SSH_MSG_IGNORE
        assert_eq!(banner_then(&packet(&[2, 0, 0, 0, 0], 10)), SshStatus::Done);
        assert_eq!(banner_then(&[0, 0, 0x88, 0xb9, 4, 20]), SshStatus::Failed(WireError::TooLong));
        assert_eq!(banner_then(&[0, 0, 0x88, 0xb8, 4, 20]), SshStatus::Open);
        assert_eq!(banner_then(&[0, 0, 0, 12, 11, 20]), SshStatus::Failed(WireError::BadLength));
        assert_eq!(banner_then(&packet(&[20; 40], 4)), SshStatus::Failed(WireError::BadLength));
        assert_eq!(banner_then(&packet(&[20; 10], 4)), SshStatus::Failed(WireError::Truncated));
    }

    proptest! {
        #[test]
        fn slices_do_not_matter(
            lines in proptest::collection::vec("[ -~]{0,6}\n", 0..3),
            first_byte in any::<u8>(),
            sizes in proptest::collection::vec(0_usize..50, 0..40),
        ) {
            let mut offer = offer();
            offer[5] = if first_byte < 200 { 20 } else { first_byte };
            let bytes = [lines.concat().as_bytes(), BANNER, &offer].concat();
            prop_assert_eq!(run(&bytes, &sizes), run(&bytes, &[]));
        }
    }
}
