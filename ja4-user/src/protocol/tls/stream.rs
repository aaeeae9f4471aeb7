//! TLS over TCP.

use std::ops::ControlFlow;

use ja4::wire::tls::{Carrier, HandshakeStatus, HandshakeStream};
use ja4_common::signature::StreamStart;

use crate::conntrack::AppState;
use crate::model::{EventHandler, Side};
use crate::protocol::packet_ctx::PacketCtx;
use crate::protocol::stats::MalformedProtocol;
use crate::protocol::stream_protocol::{Parsed, Probe, SkipOutcome, StreamProtocol};

/// Content types of records (RFC 8446, section 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// TLS of one direction.
#[derive(Debug)]
pub(crate) struct TlsStream(HandshakeStream);

impl StreamProtocol for TlsStream {
    const PREFIX_LEN: usize = 4;

    fn probe(prefix: &[u8], side: Side, _is_ssh: bool) -> Probe<Self> {
        match (prefix, side) {
            // A warning may precede the ServerHello.
            ([HANDSHAKE, ..], _) | ([ALERT, 3, _, _, ..], Side::Server) => Probe::Match(Self(HandshakeStream::new())),
            ([ALERT] | [ALERT, 3] | [ALERT, 3, _], Side::Server) => Probe::NeedMore,
            _ => Probe::NoMatch,
        }
    }

    fn push<'b, A: AppState, S: EventHandler>(&mut self, bytes: &'b [u8], cx: &mut PacketCtx<'_, A, S>) -> Parsed<'b> {
        if parse(&mut self.0, bytes, cx).is_continue() { Parsed::Open } else { Parsed::Done }
    }

    fn buffered(&self) -> usize {
        self.0.buffered()
    }

    fn finish<A: AppState, S: EventHandler>(&self, side: Side, cx: &mut PacketCtx<'_, A, S>) {
        if let Some(message) = self.0.incomplete_message() {
            cx.handshake(Carrier::Tcp, side).incomplete(&message);
        }
    }

    fn on_skipped(&mut self, start: StreamStart) -> SkipOutcome {
        if matches!(start, StreamStart::ClientHello | StreamStart::ServerHello) && self.buffered() == 0 {
            self.0 = HandshakeStream::new();
            SkipOutcome::Restarted
        } else {
            SkipOutcome::Ignored
        }
    }
}

/// Parses the next bytes of a TLS stream. Breaks after the last bytes of interest.
pub(crate) fn parse<A: AppState, S: EventHandler>(
    tls: &mut HandshakeStream,
    bytes: &[u8],
    cx: &mut PacketCtx<'_, A, S>,
) -> ControlFlow<()> {
    let side = cx.side;
    let status = tls.push(bytes, |message| cx.handshake(Carrier::Tcp, side).message(&message));
    match status {
        // An abbreviated handshake of TLS 1.2 ends here.
        HandshakeStatus::Open if tls.cipher_changed() && !cx.connection.encrypted && cx.connection.is_answered() => {
            ControlFlow::Break(())
        }
        HandshakeStatus::Open => ControlFlow::Continue(()),
        HandshakeStatus::Failed(error) => {
            cx.stats.count_malformed(MalformedProtocol::Tls, error);
            ControlFlow::Break(())
        }
        HandshakeStatus::Ended(_) => ControlFlow::Break(()),
    }
}
