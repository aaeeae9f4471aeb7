//! HTTP/1 requests.

use ja4::wire::http1::{Http1Status, Http1Stream};
use ja4_common::signature::StreamStart;

use super::packet_ctx::PacketCtx;
use super::stream_protocol::{Parsed, Probe, SkipOutcome, StreamProtocol};
use crate::conntrack::AppState;
use crate::model::{EventHandler, Side};

/// HTTP/1 from a client. Its requests are independent of each other: after a gap, parsing continues with the next one.
#[derive(Debug)]
pub(crate) struct Http1Requests(Http1Stream);

impl StreamProtocol for Http1Requests {
    const PREFIX_LEN: usize = 4;

    fn probe(prefix: &[u8], side: Side, _is_ssh: bool) -> Probe<Self> {
        match (prefix, side) {
            // An empty line may precede a request.
            ([b'A'..=b'Z' | b'\r' | b'\n', ..], Side::Client) if prefix.len() >= Self::PREFIX_LEN => {
                Probe::Match(Self(Http1Stream::new()))
            }
            ([b'A'..=b'Z' | b'\r' | b'\n', ..], Side::Client) => Probe::NeedMore,
            _ => Probe::NoMatch,
        }
    }

    fn push<'b, A: AppState, S: EventHandler>(&mut self, bytes: &'b [u8], cx: &mut PacketCtx<'_, A, S>) -> Parsed<'b> {
        match self.0.push(bytes, |request| cx.http_request(request)) {
            Http1Status::Open => Parsed::Open,
            Http1Status::Http2(rest) => Parsed::Http2(rest),
            // After CONNECT or an upgrade.
            Http1Status::Tunnel(rest) => Parsed::Other { buffered: self.0.incomplete_block().to_vec(), rest },
            Http1Status::Lost => Parsed::Unrecognized,
            Http1Status::Ended => Parsed::Done,
        }
    }

    fn buffered(&self) -> usize {
        self.0.buffered()
    }

    fn on_skipped(&mut self, start: StreamStart) -> SkipOutcome {
        if self.is_next_message(start) { SkipOutcome::Ignored } else { SkipOutcome::AnyProtocol }
    }

    fn needs_missing_bytes(&self) -> bool {
        !self.0.in_body()
    }

    fn is_next_message(&self, start: StreamStart) -> bool {
        start == StreamStart::Http1
    }

    fn can_resync(&self) -> bool {
        true
    }

    fn body_left(&self) -> Option<u64> {
        self.0.body_left()
    }

    fn skip_body(&mut self, bytes: u64) -> bool {
        self.0.skip_body(bytes)
    }

    fn skip(&mut self, bytes: u64) {
        self.0.skip(bytes);
    }

    fn resync(&mut self) {
        self.0.resync();
    }
}
