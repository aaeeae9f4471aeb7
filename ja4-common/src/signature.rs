//! What a stream's first bytes, or a segment's in the middle of one, say of it.

use crate::bytes::{FrameBytes, SliceFrame};
use crate::headers::PacketHeaders;

/// The port of SSH: a fallback for connections whose banner was not seen.
pub(crate) const SSH_PORT: u16 = 22;

impl PacketHeaders {
    /// Whether a port is that of SSH.
    #[inline(always)]
    pub(crate) const fn may_be_ssh(&self) -> bool {
        self.src_port == SSH_PORT || self.dst_port == SSH_PORT
    }
}

/// What begins with some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StreamStart {
    /// Nothing that is looked for.
    None,
    /// A TLS record with a ClientHello.
    ClientHello,
    /// A TLS record with a ServerHello.
    ServerHello,
    /// An HTTP/1 request.
    Http1,
    /// The preface of HTTP/2 (RFC 9113, section 3.4).
    Http2,
    /// An SSH identification string (RFC 4253, section 4.2).
    Ssh,
}

impl StreamStart {
    /// The variant with this number; [`StreamStart::None`] for any other number.
    #[inline(always)]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::ClientHello,
            2 => Self::ServerHello,
            3 => Self::Http1,
            4 => Self::Http2,
            5 => Self::Ssh,
            _ => Self::None,
        }
    }
}

// What bytes begin with, as numbers: each [`StreamStart`], and more.
pub(crate) const NOTHING: u8 = StreamStart::None as u8;
pub(crate) const HTTP1: u8 = StreamStart::Http1 as u8;
pub(crate) const HTTP2: u8 = StreamStart::Http2 as u8;
pub(crate) const SSH: u8 = StreamStart::Ssh as u8;
/// The bytes are too few to tell.
pub(crate) const TOO_SHORT: u8 = 0x40;
/// They are too few, and of a TLS handshake record.
pub(crate) const PARTIAL_RECORD: u8 = 0x41;
/// They are too few: the letter S alone.
pub(crate) const PREFIX_S: u8 = 0x42;
/// They are too few: two letters S and what follows them.
pub(crate) const PREFIX_SS: u8 = 0x43;
/// A header of the PROXY protocol.
pub(crate) const PROXY: u8 = 0x44;
/// Lines of text, behind which an SSH identification string begins.
pub(crate) const TEXT_SSH: u8 = 0x46;

/// The step of matching that the kernel programs call as a global function.
pub trait SignatureStage: FrameBytes {
    /// Calls [`text`].
    #[inline(always)]
    fn text(first: u64) -> StreamStart {
        text(first)
    }
}

impl SignatureStage for SliceFrame<'_> {}

/// Bytes of a TLS record header.
pub(crate) const RECORD_HEADER: u32 = 5;

/// Longest record body: 2^14 and the 2048 bytes that TLS 1.2 allows on top (RFC 5246, 6.2.3).
pub(crate) const MAX_RECORD: u32 = (1 << 14) + 2048;

/// Shortest payload that is looked at: a record header and a handshake header. No request line and no
/// identification string is shorter.
pub const SHORTEST: u32 = RECORD_HEADER + 4;

/// TLS content types of an alert and of a handshake (RFC 8446, section 5.1).
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;

/// Judges the first eight bytes, in network byte order.
#[inline(always)]
pub fn classify(first: u64) -> StreamStart {
    match binary(first) {
        Some(begin) => begin,
        None => text(first),
    }
}

/// Classifies the first eight bytes unless they are upper-case text. `None`: they are, and [`text`] classifies them.
#[inline(always)]
pub(crate) fn binary(first: u64) -> Option<StreamStart> {
    let byte = (first >> 56) as u8;
    if byte == HANDSHAKE {
        return Some(tls_hello(first));
    }
    if byte == ALERT {
        return Some(tls_warning(first));
    }
    // Nearly every other packet ends here.
    if !byte.is_ascii_uppercase() || byte > b'V' {
        return Some(StreamStart::None);
    }
    None
}

/// Judges them where a TLS record begins.
#[inline(always)]
pub(crate) fn tls_hello(first: u64) -> StreamStart {
    let [content, major, minor, hi, lo, hello, len_hi, _] = first.to_be_bytes();
    let record = u32::from(u16::from_be_bytes([hi, lo]));
    if content != HANDSHAKE || major != 3 || minor > 4 || !(4..=MAX_RECORD).contains(&record) || len_hi != 0 {
        return StreamStart::None;
    }
    match hello {
        1 => StreamStart::ClientHello,
        2 => StreamStart::ServerHello,
        _ => StreamStart::None,
    }
}

/// A warning, as a server sends it before its ServerHello where it does not know the name it was asked
/// for (RFC 6066, section 3), and the next record's type.
#[inline(always)]
fn tls_warning(first: u64) -> StreamStart {
    match first.to_be_bytes() {
        [_, 3, 0..=4, 0, 2, ALERT_WARNING, _, HANDSHAKE] => StreamStart::ServerHello,
        _ => StreamStart::None,
    }
}

/// Level of an alert after which the handshake goes on (RFC 5246, section 7.2).
pub(crate) const ALERT_WARNING: u8 = 1;

/// Whether a word is one of those texts. LLVM makes one binary search of it.
macro_rules! is_any {
    ($word:expr, $($text:literal),+) => {
        $($word == u32::from_be_bytes(*$text))||+
    };
}

/// Upper-case text: the first four bytes tell one method from another, the fifth a method from a
/// word that only begins alike.
#[inline(always)]
pub fn text(first: u64) -> StreamStart {
    let fifth = (first >> 24) as u8;
    // RFC 9110, section 9; RFC 3253, 3648, 3744, 4437, 4918, 5323, 5842; GENA.
    let word = (first >> 32) as u32;
    if is_any!(word, b"GET ", b"PUT ", b"ACL ") {
        return if fifth > b' ' { StreamStart::Http1 } else { StreamStart::None };
    }
    if is_any!(word, b"HEAD", b"POST", b"COPY", b"MOVE", b"LOCK", b"LINK", b"BIND") {
        return if fifth == b' ' { StreamStart::Http1 } else { StreamStart::None };
    }
    if is_any!(word, b"PRI ") {
        return if first == PREFACE { StreamStart::Http2 } else { StreamStart::None };
    }
    if is_any!(word, b"SSH-") {
        return if fifth.is_ascii_digit() { StreamStart::Ssh } else { StreamStart::None };
    }
    // RFC 9110, section 9; RFC 3253, 4437, 4918, 5323, 5842; UPnP and GENA.
    let method = fifth.is_ascii_uppercase()
        && is_any!(
            word, b"OPTI", b"DELE", b"PATC", b"CONN", b"TRAC", b"PROP", b"MKCO", b"MKAC", b"MKCA", b"MKRE", b"MKWO",
            b"SEAR", b"SUBS", b"UNSU", b"NOTI", b"PURG", b"REPO", b"MERG", b"CHEC", b"UNCH", b"UNLO", b"UNLI", b"UNBI",
            b"REBI", b"UPDA", b"LABE", b"VERS", b"BASE", b"M-SE"
        );
    if method { StreamStart::Http1 } else { StreamStart::None }
}

/// First eight bytes of the preface of HTTP/2.
const PREFACE: u64 = u64::from_be_bytes(*b"PRI * HT");

/// Whether four bytes may begin a request whose method is not in the table: three letters or more.
#[inline(always)]
pub(crate) fn may_be_method(first: [u8; 4]) -> bool {
    let [a, b, c, d] = first;
    a.is_ascii_uppercase()
        && b.is_ascii_uppercase()
        && c.is_ascii_uppercase()
        && (d.is_ascii_uppercase() || d == b' ' || d == b'-' || d == b'_')
        && first != *b"HTTP"
}
