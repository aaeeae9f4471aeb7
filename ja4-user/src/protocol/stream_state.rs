//! The registry of stream protocols, and the state of one direction.

use std::ops::ControlFlow;

use ja4::wire::framing::StreamFraming;
use ja4_common::signature::{self, StreamStart};

use super::framed::FramedStream;
use super::http1::Http1Requests;
use super::http2::Http2Requests;
use super::packet_ctx::PacketCtx;
use super::proxy::ProxyPreamble;
use super::ssh::SshHandshake;
use super::stream_protocol::{Parsed, Probe, SkipOutcome, StreamProtocol};
use super::tls::TlsStream;
use crate::conntrack::{AppState, StreamParser, classify};
use crate::model::{EventHandler, Side};

/// Declares the states of a direction: one for each protocol, in the order in which they are probed.
macro_rules! stream_protocols {
    ($($protocol:ident($parser:ty)),* $(,)?) => {
        /// The parser of one direction of a TCP connection.
        #[derive(Debug)]
        pub(crate) enum StreamState {
            /// The first bytes are too few to recognize the protocol.
            Undecided(Prefix),
            /// The protocol was not recognized: the stream is not parsed, but a known one may begin at a push.
            Unrecognized,
            $(#[doc = concat!("[`", stringify!($parser), "`].")] $protocol($parser),)*
        }

        /// Number of first bytes that are enough to recognize every protocol.
        const PREFIX_LEN: usize = longest(&[$(<$parser>::PREFIX_LEN),*]);

        /// The protocol that begins with these bytes.
        fn probe(prefix: &[u8], side: Side, is_ssh: bool) -> Probe<StreamState> {
            if prefix.is_empty() {
                return Probe::NeedMore;
            }
            $(match <$parser>::probe(prefix, side, is_ssh) {
                Probe::Match(parser) => return Probe::Match(StreamState::$protocol(parser)),
                Probe::NeedMore => return Probe::NeedMore,
                Probe::NoMatch => {}
            })*
            Probe::NoMatch
        }

        /// Calls a method of the parser; `$otherwise` while no protocol is recognized.
        macro_rules! delegate {
            ($state:expr, $parser_name:ident => $call:expr, _ => $otherwise:expr) => {
                match $state {
                    StreamState::Undecided(_) | StreamState::Unrecognized => $otherwise,
                    $(StreamState::$protocol($parser_name) => $call,)*
                }
            };
        }
    };
}

stream_protocols! {
    Tls(TlsStream),
    Http2(Http2Requests),
    Proxy(ProxyPreamble),
    Ssh(SshHandshake),
    Http1(Http1Requests),
    Framed(FramedStream),
}

const fn longest(lengths: &[usize]) -> usize {
    match lengths {
        [] => 0,
        [first, rest @ ..] => {
            let longest = longest(rest);
            if *first > longest { *first } else { longest }
        }
    }
}

/// The first bytes of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Prefix {
    bytes: [u8; PREFIX_LEN],
    len: u8,
}

impl Prefix {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Adds as many bytes as are missing, and returns the rest.
    fn fill<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut rest = bytes;
        while let (Some((byte, after)), Some(free)) = (rest.split_first(), self.bytes.get_mut(usize::from(self.len))) {
            *free = *byte;
            self.len += 1;
            rest = after;
        }
        rest
    }
}

impl Default for StreamState {
    fn default() -> Self {
        Self::Undecided(Prefix::default())
    }
}

/// Whether a protocol that the filter recognizes may begin with these bytes, also if they are too few to decide.
fn may_start(bytes: &[u8]) -> bool {
    /// Content type of a TLS handshake record.
    const HANDSHAKE: u8 = 22;
    classify(bytes) != StreamStart::None
        || (bytes.len() < signature::SHORTEST as usize && bytes.first() == Some(&HANDSHAKE))
}

impl StreamState {
    /// Parses the next bytes. Breaks after the last bytes of interest.
    pub(crate) fn push<A: AppState, S: EventHandler>(
        &mut self,
        bytes: &[u8],
        cx: &mut PacketCtx<'_, A, S>,
    ) -> ControlFlow<()> {
        match self {
            Self::Undecided(prefix) => {
                let mut filled = *prefix;
                let rest = filled.fill(bytes);
                match probe(filled.as_bytes(), cx.side, cx.is_ssh) {
                    Probe::NeedMore => *prefix = filled,
                    Probe::NoMatch => self.stop_parsing(cx),
                    Probe::Match(state) => {
                        let earlier = prefix.len;
                        *self = state;
                        // All of the prefix is in `bytes`, except if the first segments were very short.
                        if earlier == 0 {
                            return self.push(bytes, cx);
                        }
                        self.push(filled.as_bytes(), cx)?;
                        return self.push(rest, cx);
                    }
                }
                return ControlFlow::Continue(());
            }
            _ if bytes.is_empty() => return ControlFlow::Continue(()),
            Self::Unrecognized if may_start(bytes) => {
                *self = Self::default();
                return self.push(bytes, cx);
            }
            _ => {}
        }
        match delegate!(self, parser => parser.push(bytes, cx), _ => Parsed::Unrecognized) {
            Parsed::Open => ControlFlow::Continue(()),
            Parsed::Done => ControlFlow::Break(()),
            Parsed::Unrecognized => {
                self.stop_parsing(cx);
                ControlFlow::Continue(())
            }
            Parsed::Other { buffered, rest } => {
                *self = Self::default();
                self.push(&buffered, cx)?;
                self.push(rest, cx)
            }
            Parsed::Http2(rest) => {
                *self = Self::Http2(Http2Requests::after_preface());
                self.push(rest, cx)
            }
        }
    }

    fn stop_parsing<A: AppState, S: EventHandler>(&mut self, cx: &mut PacketCtx<'_, A, S>) {
        *self = Self::Unrecognized;
        cx.stats.stray_segments += u64::from(!cx.connection.is_ssh);
    }

    /// Reports what is known from the incomplete message of a side, as the stream ends.
    pub(crate) fn finish<A: AppState, S: EventHandler>(&self, side: Side, cx: &mut PacketCtx<'_, A, S>) {
        delegate!(self, parser => parser.finish(side, cx), _ => {});
    }

    /// The datagrams that the current segment has completed, and their framing.
    pub(crate) fn take_datagrams(&mut self) -> Option<(StreamFraming, Vec<Vec<u8>>)> {
        match self {
            Self::Framed(framed) => Some(framed.take_datagrams()),
            _ => None,
        }
    }
}

impl StreamParser for StreamState {
    fn buffered(&self) -> usize {
        delegate!(self, parser => parser.buffered(), _ => 0)
    }

    fn is_incomplete(&self) -> bool {
        delegate!(self, parser => parser.is_incomplete(), _ => false)
    }

    fn needs_missing_bytes(&self) -> bool {
        delegate!(self, parser => parser.needs_missing_bytes(), _ => !self.is_unrecognized())
    }

    fn is_unrecognized(&self) -> bool {
        matches!(self, Self::Unrecognized)
    }

    fn undecided_prefix(&self) -> &[u8] {
        match self {
            Self::Undecided(prefix) => prefix.as_bytes(),
            _ => &[],
        }
    }

    fn is_next_message(&self, start: StreamStart) -> bool {
        delegate!(self, parser => parser.is_next_message(start), _ => false)
    }

    fn can_resync(&self) -> bool {
        delegate!(self, parser => parser.can_resync(), _ => false)
    }

    fn body_left(&self) -> Option<u64> {
        delegate!(self, parser => parser.body_left(), _ => None)
    }

    fn skip_body(&mut self, bytes: u64) -> bool {
        delegate!(self, parser => parser.skip_body(bytes), _ => false)
    }

    fn skip(&mut self, bytes: u64) {
        delegate!(self, parser => parser.skip(bytes), _ => {});
    }

    fn resync(&mut self) {
        delegate!(self, parser => parser.resync(), _ => {});
    }

    fn restart(&mut self, start: StreamStart, ahead: i32) -> bool {
        match self {
            Self::Undecided(_) if ahead < 0 => return false,
            Self::Undecided(_) => {}
            _ if ahead <= 0 => return false,
            _ => match delegate!(self, parser => parser.on_skipped(start), _ => SkipOutcome::AnyProtocol) {
                SkipOutcome::Ignored => return false,
                SkipOutcome::Restarted => return true,
                SkipOutcome::AnyProtocol => {}
            },
        }
        *self = Self::default();
        true
    }
}
