//! HTTP/2 requests.

use ja4::wire::http2::{Http2Status, Http2Stream};
use ja4_common::signature::StreamStart;

use super::packet_ctx::PacketCtx;
use super::stats::MalformedProtocol;
use super::stream_protocol::{Parsed, Probe, SkipOutcome, StreamProtocol};
use crate::conntrack::AppState;
use crate::model::{EventHandler, Side};

/// HTTP/2 from a client.
#[derive(Debug)]
pub(crate) struct Http2Requests(Box<Http2Stream>);

impl Http2Requests {
    /// A stream after its preface (RFC 9113, section 3.4).
    pub(crate) fn after_preface() -> Self {
        Self(Box::new(Http2Stream::after_preface()))
    }
}

impl StreamProtocol for Http2Requests {
    const PREFIX_LEN: usize = 4;

    fn probe(prefix: &[u8], side: Side, _is_ssh: bool) -> Probe<Self> {
        match (prefix, side) {
            ([b'P', b'R', b'I', b' ', ..], Side::Client) => Probe::Match(Self(Box::default())),
            (b"P" | b"PR", Side::Client) => Probe::NeedMore,
            _ => Probe::NoMatch,
        }
    }

    fn push<'b, A: AppState, S: EventHandler>(&mut self, bytes: &'b [u8], cx: &mut PacketCtx<'_, A, S>) -> Parsed<'b> {
        match self.0.push(bytes, |request| cx.http_request(Ok(request))) {
            Http2Status::Open => Parsed::Open,
            Http2Status::Ended => Parsed::Done,
            Http2Status::Failed(error) => {
                cx.stats.count_malformed(MalformedProtocol::Http, error);
                Parsed::Done
            }
        }
    }

    fn buffered(&self) -> usize {
        self.0.buffered()
    }

    fn is_incomplete(&self) -> bool {
        self.0.is_in_block()
    }

    fn on_skipped(&mut self, _start: StreamStart) -> SkipOutcome {
        SkipOutcome::Ignored
    }
}
