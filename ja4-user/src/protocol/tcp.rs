//! Fingerprints of the TCP handshake: JA4T at the SYN, JA4L and JA4LS at the client's first ACK, JA4TS once no further
//! SYN-ACK can arrive.

use ja4::Input;
use ja4::wire::tcp::SynFields;
use ja4_common::verdict::LatencyPoint;

use super::packet_ctx::{FingerprintDetails, PacketCtx};
use crate::conntrack::latency::between;
use crate::conntrack::{AppState, TcpHandshake};
use crate::model::{EndReason, EventHandler, Method, Side};
use crate::packet::{Decoded, Segment};

impl<A: AppState, S: EventHandler> PacketCtx<'_, A, S> {
    /// Updates the TCP handshake and the latencies by a segment, and emits the fingerprints that it completes.
    pub(crate) fn tcp_handshake(&mut self, decoded: &Decoded<'_>, segment: &Segment<'_>, latency_point: u8) {
        const FIRST_ACK: u8 = LatencyPoint::FirstAck as u8;
        const CLIENT_DATA: u8 = LatencyPoint::ClientData as u8;
        const SERVER_DATA: u8 = LatencyPoint::ServerData as u8;
        const CLIENT_REPLY: u8 = LatencyPoint::ClientReply as u8;
        let time = self.event.time;
        if segment.syn() && !segment.rst() && !segment.fin() {
            self.connection.first_seq[self.side] = Some(segment.seq.wrapping_add(1));
            if self.side == Side::Client {
                self.connection.tcp_handshake.get_or_insert_default().on_syn(time, decoded.ttl);
                self.emit_ja4t(segment, decoded.ttl);
            } else if !self.connection.already_emitted(Method::Ja4ts) {
                let handshake = self.connection.tcp_handshake.get_or_insert_default();
                handshake.on_syn_ack(time, decoded.ttl, segment.window, segment.options, self.event.hook);
            }
            if let Some(handshake) = &mut self.connection.tcp_handshake {
                handshake.has_early_data |= decoded.payload_len > 0;
            }
        }
        match latency_point {
            FIRST_ACK => {
                if let Some(handshake) = &mut self.connection.tcp_handshake {
                    handshake.on_first_ack(time);
                    self.emit_latencies();
                    if self.connection.already_emitted(Method::Ja4ts) {
                        self.connection.tcp_handshake = None;
                    }
                }
            }
            CLIENT_DATA => self.connection.latencies.on_client_data(time),
            SERVER_DATA => self.connection.latencies.on_server_data(time),
            CLIENT_REPLY => self.connection.latencies.on_client_reply(time),
            _ => {}
        }
    }

    fn emit_ja4t(&mut self, segment: &Segment<'_>, ttl: u8) {
        if !self.connection.already_emitted(Method::Ja4t) {
            let fields = SynFields::parse(segment.window, segment.options);
            let details = FingerprintDetails { ttl: Some(ttl), ..FingerprintDetails::default() };
            self.emit_with(Side::Client, Input::Syn(&fields), details);
        }
    }

    /// Emits JA4L and JA4LS at the client's first ACK.
    fn emit_latencies(&mut self) {
        let Some(TcpHandshake { syn, client_ttl, syn_ack: Some(syn_ack), .. }) = &self.connection.tcp_handshake else {
            return;
        };
        let (Some(a), b, client_ttl, server_ttl) = (syn.get(), syn_ack.time, *client_ttl, syn_ack.ttl) else {
            return;
        };
        if self.connection.already_emitted(Method::Ja4l) || !Method::Ja4l.is_available() {
            return;
        }
        let (to_client, to_server) = (between(b, self.event.time), between(a, b));
        self.connection.latencies.on_client(to_client);
        self.connection.latencies.on_server(to_server);
        self.emit(Side::Client, Input::ClientLatency(to_client, client_ttl));
        self.emit(Side::Server, Input::ServerLatency(to_server, server_ttl));
    }

    /// Emits JA4TS, once no further SYN-ACK can arrive. If the client's first ACK has not arrived, times and TTLs are kept for
    /// JA4L and JA4LS.
    pub(crate) fn emit_ja4ts(&mut self) {
        if !Method::Ja4ts.is_available() {
            self.connection.tcp_handshake = None;
        }
        if self.connection.already_emitted(Method::Ja4ts) {
            return;
        }
        // Without a SYN-ACK, it may still arrive.
        let Some(handshake) = self.connection.tcp_handshake.take_if(|handshake| handshake.syn_ack.is_some()) else {
            return;
        };
        if let Some(syn_ack) = &handshake.syn_ack {
            // The fingerprint describes the SYN-ACK, whichever packet has made it final.
            let hook = std::mem::replace(&mut self.event.hook, syn_ack.hook);
            self.emit(Side::Server, Input::SynAck(&syn_ack.fields, &syn_ack.retransmissions));
            self.event.hook = hook;
        }
        if handshake.syn.is_known() && !handshake.first_ack.is_known() {
            self.connection.tcp_handshake = Some(handshake);
        }
    }

    /// Updates the connection by a FIN or RST. Returns whether it has ended with that.
    pub(crate) fn tcp_end(&mut self, segment: &Segment<'_>) -> bool {
        if segment.fin() {
            self.connection.finished[self.side] = true;
        }
        if segment.rst()
            && self.side == Side::Server
            && let Some(handshake) = &mut self.connection.tcp_handshake
        {
            handshake.on_server_reset(self.event.time);
        }
        if self.connection.ended.is_some() {
            return false;
        }
        self.connection.ended = if segment.rst() {
            Some(EndReason::Rst)
        } else if self.connection.finished.client && self.connection.finished.server {
            Some(EndReason::Fin)
        } else {
            None
        };
        let has_ended = self.connection.ended.is_some();
        if has_ended {
            self.emit_ja4ts();
        }
        has_ended
    }
}
