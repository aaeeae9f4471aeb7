//! TLS and DTLS in a framing: TDS, TURN over TCP, RFC 4571, OpenVPN over TCP.

use std::mem;

use ja4::wire::framing::{FrameContent, Recognized, StreamFraming, Unframe};
use ja4::wire::tls::{Carrier, HandshakeStream};
use ja4_common::signature::StreamStart;

use super::packet_ctx::PacketCtx;
use super::stream_protocol::{Parsed, Probe, StreamProtocol};
use super::tls;
use crate::conntrack::{AppState, classify};
use crate::model::{EventHandler, Side};

/// A framed stream and its content.
#[derive(Debug)]
pub(crate) struct FramedStream(Box<Frames>);

#[derive(Debug)]
struct Frames {
    unframe: Unframe,
    /// The TLS stream inside.
    tls: HandshakeStream,
    /// Datagrams that the current segment has completed.
    datagrams: Vec<Vec<u8>>,
}

impl FramedStream {
    /// The framing, and the datagrams that the current segment has completed.
    pub(crate) fn take_datagrams(&mut self) -> (StreamFraming, Vec<Vec<u8>>) {
        (self.0.unframe.framing(), mem::take(&mut self.0.datagrams))
    }
}

impl StreamProtocol for FramedStream {
    const PREFIX_LEN: usize = StreamFraming::ENOUGH;

    fn probe(prefix: &[u8], _side: Side, _is_ssh: bool) -> Probe<Self> {
        match StreamFraming::recognize(prefix) {
            Recognized::StreamFraming(framing) => Probe::Match(Self(Box::new(Frames {
                unframe: Unframe::new(framing),
                tls: HandshakeStream::new(),
                datagrams: Vec::new(),
            }))),
            Recognized::TooFew => Probe::NeedMore,
            Recognized::Nothing => Probe::NoMatch,
        }
    }

    fn push<'b, A: AppState, S: EventHandler>(&mut self, bytes: &'b [u8], cx: &mut PacketCtx<'_, A, S>) -> Parsed<'b> {
        let Frames { unframe, tls, datagrams } = &mut *self.0;
        if unframe.is_at_frame() && matches!(classify(bytes), StreamStart::ClientHello | StreamStart::ServerHello) {
            return Parsed::Other { buffered: Vec::new(), rest: bytes };
        }
        let mut is_open = true;
        let pushed = unframe.push(bytes, |content| match content {
            FrameContent::Stream(bytes) if is_open => is_open = tls::parse(tls, bytes, cx).is_continue(),
            FrameContent::Stream(_) => {}
            FrameContent::Datagram(datagram) => datagrams.push(datagram.to_vec()),
        });
        match (pushed, is_open) {
            (_, false) => Parsed::Done,
            (Ok(()), true) => Parsed::Open,
            (Err(_), true) => Parsed::Unrecognized,
        }
    }

    fn buffered(&self) -> usize {
        self.0.tls.buffered() + self.0.unframe.buffered()
    }

    fn finish<A: AppState, S: EventHandler>(&self, side: Side, cx: &mut PacketCtx<'_, A, S>) {
        if let Some(message) = self.0.tls.incomplete_message() {
            cx.handshake(Carrier::Tcp, side).incomplete(&message);
        }
    }
}
