//! The interface of a protocol with handshakes in datagrams.

use super::datagram::UdpDatagram;
use super::packet_ctx::PacketCtx;
use crate::conntrack::{AppState, Budget, Session};
use crate::model::EventHandler;

/// All handshakes of one protocol in a flow.
///
/// Anyone who knows the ports can send a hello of any protocol from either end, so a flow may have several.
pub(crate) trait DatagramProtocol: Default {
    /// Buffers that all flows of a shard share.
    type Buffers;

    /// Parses a datagram.
    fn push<A: AppState, S: EventHandler>(
        &mut self,
        datagram: &UdpDatagram<'_>,
        buffers: &mut Self::Buffers,
        budget: &mut Budget,
        cx: &mut PacketCtx<'_, A, S>,
    );

    /// Number of incomplete messages.
    fn incomplete(&self) -> u64;

    /// Counts incomplete messages, and reports what is known from them.
    fn finish<A: AppState, S: EventHandler>(&mut self, cx: &mut PacketCtx<'_, A, S>);

    /// Drops incomplete messages; other handshakes continue.
    fn drop_incomplete(&mut self, budget: &mut Budget);

    /// Drops everything buffered, and returns its memory to the budget.
    fn clear(&mut self, budget: &mut Budget);

    /// All sessions.
    fn sessions(&self) -> impl Iterator<Item = &Session>;

    /// All sessions, and whether the high end of the flow's key is the client.
    fn sessions_mut(&mut self) -> impl Iterator<Item = (&mut Session, bool)>;
}
