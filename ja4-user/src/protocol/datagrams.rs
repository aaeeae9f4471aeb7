//! The registry of datagram protocols with handshakes.

use ja4::wire::framing::StreamFraming;
use ja4_common::reason::RecordClass;

use super::datagram::UdpDatagram;
use super::datagram_protocol::DatagramProtocol;
use super::dtls::DtlsFlow;
use super::openvpn::OpenVpnFlow;
use super::packet_ctx::PacketCtx;
use super::quic::{QuicBuffers, QuicFlow};
use crate::conntrack::{AppState, Budget, Session};
use crate::model::EventHandler;

/// The handshakes of a flow in datagrams.
#[derive(Debug, Default)]
pub(crate) struct Datagrams {
    quic: QuicFlow,
    dtls: DtlsFlow,
    openvpn: OpenVpnFlow,
}

impl Datagrams {
    /// Whether datagrams of this class have handshakes.
    pub(crate) fn has_class(class: u8) -> bool {
        const CLASSES: [u8; 3] = [RecordClass::Quic as u8, RecordClass::Dtls as u8, RecordClass::Tls as u8];
        CLASSES.contains(&class)
    }

    /// Parses a UDP datagram of a class.
    pub(crate) fn push<A: AppState, S: EventHandler>(
        &mut self,
        class: u8,
        datagram: &UdpDatagram<'_>,
        quic: &mut QuicBuffers,
        budget: &mut Budget,
        cx: &mut PacketCtx<'_, A, S>,
    ) {
        const QUIC: u8 = RecordClass::Quic as u8;
        const OPENVPN: u8 = RecordClass::Tls as u8;
        match class {
            QUIC => self.quic.push(datagram, quic, budget, cx),
            OPENVPN => self.openvpn.push(datagram, &mut (), budget, cx),
            _ => self.dtls.push(datagram, &mut (), budget, cx),
        }
    }

    /// Parses a datagram in a framed TCP stream.
    pub(crate) fn push_framed<A: AppState, S: EventHandler>(
        &mut self,
        framing: StreamFraming,
        datagram: &UdpDatagram<'_>,
        budget: &mut Budget,
        cx: &mut PacketCtx<'_, A, S>,
    ) {
        match framing {
            StreamFraming::OpenVpn => self.openvpn.push(datagram, &mut (), budget, cx),
            _ => self.dtls.push(datagram, &mut (), budget, cx),
        }
    }

    /// Number of incomplete messages.
    pub(crate) fn incomplete(&self) -> u64 {
        self.quic.incomplete() + self.dtls.incomplete() + self.openvpn.incomplete()
    }

    /// Counts incomplete messages, and reports what is known from them.
    pub(crate) fn finish<A: AppState, S: EventHandler>(&mut self, cx: &mut PacketCtx<'_, A, S>) {
        self.quic.finish(cx);
        self.dtls.finish(cx);
        self.openvpn.finish(cx);
    }

    /// Drops incomplete messages; other handshakes continue.
    pub(crate) fn drop_incomplete(&mut self, budget: &mut Budget) {
        self.quic.drop_incomplete(budget);
        self.dtls.drop_incomplete(budget);
        self.openvpn.drop_incomplete(budget);
    }

    /// Drops everything buffered, and returns its memory to the budget.
    pub(crate) fn clear(&mut self, budget: &mut Budget) {
        self.quic.clear(budget);
        self.dtls.clear(budget);
        self.openvpn.clear(budget);
    }

    /// All sessions.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.quic.sessions().chain(self.dtls.sessions()).chain(self.openvpn.sessions())
    }

    /// All sessions, and whether the high end of the flow's key is the client.
    pub(crate) fn sessions_mut(&mut self) -> impl Iterator<Item = (&mut Session, bool)> {
        self.quic.sessions_mut().chain(self.dtls.sessions_mut()).chain(self.openvpn.sessions_mut())
    }
}
