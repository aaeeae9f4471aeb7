//! Incomplete messages of a connection that ends, or that has to free its buffers.

use std::mem;
use std::ops::ControlFlow;

use super::packet_ctx::PacketCtx;
use super::protocol_state::ProtocolState;
use crate::conntrack::{Budget, SegmentOutcome, StreamParser as _};
use crate::model::{EventHandler, Side};

impl<S: EventHandler> PacketCtx<'_, ProtocolState, S> {
    /// Counts the incomplete messages of a connection, and reports what is known from them, before they are dropped. Also
    /// parses requests that are buffered after a missing one.
    pub(crate) fn finish_messages(&mut self, budget: &mut Budget) {
        let (side, is_ssh) = (mem::replace(&mut self.side, Side::Client), mem::take(&mut self.is_ssh));
        self.parse_past_gaps(budget);
        (self.side, self.is_ssh) = (side, is_ssh);
        self.finish_stream(Side::Client);
        self.finish_stream(Side::Server);
        match mem::take(&mut self.connection.app_state) {
            ProtocolState::Datagrams(mut datagrams) => {
                datagrams.finish(self);
                self.connection.app_state = ProtocolState::Datagrams(datagrams);
            }
            other => self.connection.app_state = other,
        }
    }

    /// Parses the buffered messages of a client's stream that can resync, after bytes that never arrived.
    fn parse_past_gaps(&mut self, budget: &mut Budget) {
        let Some(mut stream) = self.connection.streams.client.take() else {
            return;
        };
        if stream.parser.can_resync() && stream.reassembly.buffered_ranges() > 0 {
            self.stats.incomplete_messages += u64::from(stream.is_incomplete());
            let mut outcome = SegmentOutcome::default();
            let mut parsing = ControlFlow::Continue(());
            while stream.parse_past_gap(budget, &mut outcome, |parser, bytes| {
                if parsing.is_continue() {
                    parsing = parser.push(bytes, self);
                }
            }) {}
            self.stats.count_segment(&outcome);
        }
        self.connection.streams.client = Some(stream);
    }

    /// Counts the incomplete message of a side's stream, and reports what is known from it, before the stream is closed.
    pub(super) fn finish_stream(&mut self, side: Side) {
        if let Some(stream) = self.connection.streams[side].take() {
            self.stats.incomplete_messages += u64::from(stream.is_incomplete());
            stream.parser.finish(side, self);
            self.connection.streams[side] = Some(stream);
        }
    }
}
