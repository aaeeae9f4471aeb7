//! The signature table: stream protocols, and the bytes that they start with.
//!
//! A protocol is one row of `protocols!`, and one row of `text_signatures!` if it starts with upper-case text. A signature
//! is eight bytes at the start of a segment, anywhere in a stream. [`crate::classify`] has the shorter prefixes with which
//! a stream may start. `select` names the sender of each start, for flows without a captured SYN. One arm for several starts
//! there costs the verifier less than a column of the table.

use crate::bytes::{FrameBytes, SliceFrame};
use crate::filter_config::FilterConfig;
use crate::headers::PacketHeaders;
use crate::reason::RecordClass;

/// Port of SSH: the fallback for connections without a captured identification string.
pub(crate) const SSH_PORT: u16 = 22;

impl PacketHeaders {
    /// Whether one port is the port of SSH.
    #[inline(always)]
    pub(crate) const fn may_be_ssh(&self) -> bool {
        self.src_port == SSH_PORT || self.dst_port == SSH_PORT
    }
}

/// Declares the stream protocols.
macro_rules! protocols {
    ($(
        #[doc = $doc:literal]
        $PROTOCOL:ident = $number:literal: $class:ident, $budget:ident, exclusive $exclusive:literal, {
            $(#[doc = $start_doc:literal] $Start:ident = $start:literal,)+
        }
    )+) => {
        /// Protocol of a direction; see [`crate::flow::DirectionState::protocol`].
        pub mod protocol {
            /// Not known.
            pub const UNKNOWN: u8 = 0;
            $(#[doc = $doc] pub const $PROTOCOL: u8 = $number;)+
            /// TLS in OpenVPN's control channel over UDP.
            pub const OPENVPN: u8 = 5;
        }

        /// What a segment starts with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum StreamStart {
            /// Nothing that is selected.
            None = 0,
            $($(#[doc = $start_doc] $Start = $start,)+)+
        }

        impl StreamStart {
            /// The variant with this number; [`StreamStart::None`] for any other number.
            #[inline(always)]
            pub const fn from_number(number: u8) -> Self {
                match number {
                    $($($start => Self::$Start,)+)+
                    _ => Self::None,
                }
            }

            /// The protocol that starts.
            #[inline(always)]
            pub(crate) const fn protocol(self) -> u8 {
                match self {
                    Self::None => protocol::UNKNOWN,
                    $($(Self::$Start => protocol::$PROTOCOL,)+)+
                }
            }
        }

        /// Class of the records of a protocol.
        #[inline(always)]
        pub(crate) const fn class_of(protocol: u8) -> RecordClass {
            match protocol {
                $(protocol::$PROTOCOL => RecordClass::$class,)+
                _ => RecordClass::Tls,
            }
        }

        /// Payload bytes that are selected of one direction.
        #[inline(always)]
        pub(crate) const fn budget_of(protocol: u8, config: &FilterConfig) -> u32 {
            match protocol {
                $(protocol::$PROTOCOL => config.$budget,)+
                _ => config.handshake_budget,
            }
        }

        /// Whether no other protocol starts inside the protocol.
        #[inline(always)]
        pub(crate) const fn is_exclusive(protocol: u8) -> bool {
            match protocol {
                $(protocol::$PROTOCOL => $exclusive,)+
                _ => false,
            }
        }
    };
}

// Columns: number, class of the records, budget, exclusive, starts.
protocols! {
    /// TLS.
    TLS = 1: Tls, handshake_budget, exclusive false, {
        /// A TLS record with a ClientHello.
        ClientHello = 1,
        /// A TLS record with a ServerHello.
        ServerHello = 2,
    }
    /// HTTP/1.
    HTTP = 2: Http, http_budget, exclusive false, {
        /// An HTTP/1 request.
        Http1 = 3,
    }
    /// HTTP/2 without TLS.
    HTTP2 = 3: Http, http2_budget, exclusive true, {
        /// The connection preface of HTTP/2 (RFC 9113, section 3.4).
        Http2 = 4,
    }
    /// SSH.
    SSH = 4: Ssh, ssh_budget, exclusive true, {
        /// An SSH identification string (RFC 4253, section 4.2).
        Ssh = 5,
    }
}

/// Declares [`text`]: per row four bytes, a condition on the next bytes, and what starts with them.
macro_rules! text_signatures {
    ($($($word:literal)|+, $condition:expr => $Start:ident;)+) => {
        /// Classifies upper-case text.
        #[inline(always)]
        pub fn text(first: u64) -> StreamStart {
            let word = (first >> 32) as u32;
            $(
                // LLVM turns the comparisons into one binary search.
                if $(word == u32::from_be_bytes(*$word))||+ {
                    return if holds(first, $condition) { StreamStart::$Start } else { StreamStart::None };
                }
            )+
            StreamStart::None
        }

        const _: () = {
            $($(assert!(matches!($word[0], b'A'..=LAST_TEXT));)+)+
        };
    };
}

/// Whether a condition holds for the fifth byte, and for all eight.
#[inline(always)]
fn holds(first: u64, condition: impl FnOnce(u8, u64) -> bool) -> bool {
    condition((first >> 24) as u8, first)
}

/// Greatest first byte of the text signatures.
const LAST_TEXT: u8 = b'V';

// Methods: RFC 9110, section 9; RFC 3253, 3648, 3744, 4437, 4918, 5323, 5842; UPnP and GENA. The fifth byte distinguishes a
// method from a word with the same first four bytes.
text_signatures! {
    b"GET " | b"PUT " | b"ACL ", |fifth, _| fifth > b' ' => Http1;
    b"HEAD" | b"POST" | b"COPY" | b"MOVE" | b"LOCK" | b"LINK" | b"BIND", |fifth, _| fifth == b' ' => Http1;
    b"PRI ", |_, first| first == u64::from_be_bytes(*b"PRI * HT") => Http2;
    b"SSH-", |fifth, _| fifth.is_ascii_digit() => Ssh;
    b"OPTI" | b"DELE" | b"PATC" | b"CONN" | b"TRAC" | b"PROP" | b"MKCO" | b"MKAC" | b"MKCA" | b"MKRE" | b"MKWO"
        | b"SEAR" | b"SUBS" | b"UNSU" | b"NOTI" | b"PURG" | b"REPO" | b"MERG" | b"CHEC" | b"UNCH" | b"UNLO" | b"UNLI"
        | b"UNBI" | b"REBI" | b"UPDA" | b"LABE" | b"VERS" | b"BASE" | b"M-SE", |fifth, _| fifth.is_ascii_uppercase() => Http1;
}

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

/// Longest record body: 2^14 bytes, and the 2048 bytes that TLS 1.2 adds (RFC 5246, section 6.2.3).
pub(crate) const MAX_RECORD: u32 = (1 << 14) + 2048;

/// Shortest payload that is classified: a record header and a handshake header. No request line and no identification
/// string is shorter.
pub const SHORTEST: u32 = RECORD_HEADER + 4;

/// TLS content types of an alert and of a handshake (RFC 8446, section 5.1).
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;

/// Alert level after which the handshake continues (RFC 5246, section 7.2).
pub(crate) const ALERT_WARNING: u8 = 1;

/// Classifies the first eight bytes, in network byte order.
#[inline(always)]
pub fn classify(first: u64) -> StreamStart {
    match binary(first) {
        Some(start) => start,
        None => text(first),
    }
}

/// Classifies the first eight bytes unless they are upper-case text. Returns `None` for text, which [`text`] classifies.
#[inline(always)]
pub(crate) fn binary(first: u64) -> Option<StreamStart> {
    let byte = (first >> 56) as u8;
    if byte == HANDSHAKE {
        return Some(tls_hello(first));
    }
    if byte == ALERT {
        return Some(tls_warning(first));
    }
    // Nearly every packet returns here.
    if !byte.is_ascii_uppercase() || byte > LAST_TEXT {
        return Some(StreamStart::None);
    }
    None
}

/// Classifies the start of a TLS record.
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

/// Classifies a TLS alert. A server sends a warning before its ServerHello if it does not recognize the server name
/// (RFC 6066, section 3); the type of the next record follows.
#[inline(always)]
fn tls_warning(first: u64) -> StreamStart {
    match first.to_be_bytes() {
        [_, 3, 0..=4, 0, 2, ALERT_WARNING, _, HANDSHAKE] => StreamStart::ServerHello,
        _ => StreamStart::None,
    }
}

/// Whether four bytes may start a request with a method that is not in the table: three or more letters.
#[inline(always)]
pub(crate) fn may_be_method(first: [u8; 4]) -> bool {
    let [a, b, c, d] = first;
    a.is_ascii_uppercase()
        && b.is_ascii_uppercase()
        && c.is_ascii_uppercase()
        && (d.is_ascii_uppercase() || d == b' ' || d == b'-' || d == b'_')
        && first != *b"HTTP"
}

/// Classes of the first bytes of a stream: the numbers of [`StreamStart`], and the numbers of prefixes that match no
/// signature. A global BPF function returns a number, which the verifier takes for any number.
pub(crate) mod prefix {
    use super::StreamStart;

    pub(crate) const NONE: u8 = StreamStart::None as u8;
    pub(crate) const HTTP1: u8 = StreamStart::Http1 as u8;
    /// Too short to classify.
    pub(crate) const TOO_SHORT: u8 = 0x40;
    /// Too short, and the start of a TLS handshake record.
    pub(crate) const PARTIAL_RECORD: u8 = 0x41;
    /// Too short: the letter S alone.
    pub(crate) const S: u8 = 0x42;
    /// Too short: the letters SS, and more bytes.
    pub(crate) const SS: u8 = 0x43;
    /// A PROXY protocol header.
    pub(crate) const PROXY: u8 = 0x44;
    /// Lines of text before an SSH identification string.
    pub(crate) const TEXT_SSH: u8 = 0x46;

    /// The protocol that starts; TLS for a framing.
    #[inline(always)]
    pub(crate) const fn protocol(prefix: u8) -> u8 {
        match StreamStart::from_number(prefix) {
            StreamStart::None if prefix == TEXT_SSH => super::protocol::SSH,
            StreamStart::None => super::protocol::TLS,
            start => start.protocol(),
        }
    }
}
