//! The TCP stream stage: segments into order, bytes in order to the parser.

use std::ops::ControlFlow;

use ja4_common::signature::StreamStart;

use super::datagram::UdpDatagram;
use super::packet_ctx::PacketCtx;
use super::protocol_state::ProtocolState;
use super::stream_state::StreamState;
use crate::conntrack::{Budget, DirectionStream, ReassemblyLimits, StreamParser as _, classify};
use crate::model::{EventHandler, Side};

impl<S: EventHandler> PacketCtx<'_, ProtocolState, S> {
    /// Parses a segment with payload. `resync`: the filter has not selected the bytes before it.
    pub(crate) fn stream(
        &mut self,
        seq: u32,
        payload: &[u8],
        resync: bool,
        limits: &ReassemblyLimits,
        budget: &mut Budget,
    ) {
        let side = self.side;
        let Some(mut stream) = self.take_stream(seq, payload, resync, budget) else {
            return;
        };
        let DirectionStream { reassembly, parser, .. } = &mut *stream;
        let mut parsing = ControlFlow::Continue(());
        let outcome = reassembly.push(seq, payload, limits, budget, |bytes| {
            if parsing.is_continue() {
                parsing = parser.push(bytes, self);
            }
        });
        self.stats.count_segment(&outcome);
        let framed = stream.parser.take_datagrams();
        if parsing.is_continue() && !stream.charge(budget) {
            self.stats.refused_bytes += stream.parser.buffered() as u64;
            parsing = ControlFlow::Break(());
        }
        self.connection.streams[side] = Some(stream);
        if let Some((framing, datagrams)) = framed
            && !matches!(self.connection.app_state, ProtocolState::Ssh(_))
        {
            for payload in &datagrams {
                let from_high = (side == Side::Client) == self.connection.client_is_high;
                let wire_len = payload.len();
                let datagram = UdpDatagram { payload, wire_len, from_high, time: self.event.time, ttl: 0 };
                self.with_datagrams(|datagrams, cx| datagrams.push_framed(framing, &datagram, budget, cx));
            }
        }
        if parsing.is_break() {
            self.close_stream(side, budget);
            if side == Side::Server && self.connection.encrypted {
                // The server has answered: everything that the client sends after its hello is encrypted.
                self.close_stream(Side::Client, budget);
            }
        }
    }

    /// Takes the stream that a segment belongs to out of the connection.
    fn take_stream(
        &mut self,
        seq: u32,
        payload: &[u8],
        resync: bool,
        budget: &mut Budget,
    ) -> Option<Box<DirectionStream<StreamState>>> {
        let start = match classify(payload) {
            // Less than the header of the hello that the filter has recognized.
            StreamStart::None if resync => StreamStart::ClientHello,
            start => start,
        };
        let first_seq = self.connection.first_seq[self.side];
        if let Some(mut stream) = self.connection.streams[self.side].take() {
            let was_incomplete = stream.is_incomplete();
            let gives_up = stream.prepare_for(seq, start, resync, first_seq, budget);
            let is_dropped = gives_up || (was_incomplete && !stream.is_incomplete());
            self.stats.incomplete_messages += u64::from(is_dropped);
            return Some(stream);
        }
        let stream = match self.connection.read_ranges[self.side] {
            Some(read) if read.contains(seq) => {
                self.stats.duplicate_bytes += payload.len() as u64;
                return None;
            }
            Some(read) if start != StreamStart::None => DirectionStream::after(&read, seq),
            None if resync && start != StreamStart::None => DirectionStream::midway(seq, first_seq),
            None if let Some(first) = first_seq => DirectionStream::new(first),
            _ => {
                if !self.connection.is_ssh {
                    self.stats.stray_segments += 1;
                }
                return None;
            }
        };
        Some(Box::new(stream))
    }

    /// Ends the stream of a side.
    fn close_stream(&mut self, side: Side, budget: &mut Budget) {
        self.finish_stream(side);
        self.connection.close_stream(side, budget);
    }
}
