//! The JA4SSH stage: all segments of an SSH connection.

use std::mem;
use std::num::NonZeroU16;

use ja4::{Input, SshWindow};

use super::packet_ctx::PacketCtx;
use super::protocol_state::ProtocolState;
use super::ssh::{BANNER, SshTraffic};
use crate::model::{Attributes, EventHandler, Method, Side};
use crate::packet::{Decoded, Segment};

impl<S: EventHandler> PacketCtx<'_, ProtocolState, S> {
    /// Counts a segment of a connection that is SSH, or may become recognized as SSH. `window`: packets of one JA4SSH value.
    pub(crate) fn ssh_packets(
        &mut self,
        decoded: &Decoded<'_>,
        segment: &Segment<'_>,
        gso_size: u16,
        window: NonZeroU16,
    ) {
        if self.connection.is_ssh && Method::Ja4ssh.is_available() {
            self.start_ssh(window);
        }
        let is_bare_ack = SshWindow::is_bare_ack(segment.flags, decoded.payload_len);
        match &mut self.connection.app_state {
            ProtocolState::Ssh(ssh) if is_bare_ack => ssh.ack(self.side),
            ProtocolState::Undecided { bare_acks } if is_bare_ack => {
                bare_acks[self.side] = bare_acks[self.side].saturating_add(1);
            }
            ProtocolState::Ssh(_) if decoded.payload_len > 0 => {
                let mut seq = segment.seq;
                for length in SshWindow::wire_segments(decoded.payload_len, gso_size) {
                    self.count_packet(self.side, seq, length);
                    seq = seq.wrapping_add(length);
                }
            }
            _ => {}
        }
    }

    fn start_ssh(&mut self, window: NonZeroU16) {
        let ProtocolState::Undecided { bare_acks } = self.connection.app_state else {
            return;
        };
        self.connection.app_state = ProtocolState::Ssh(Box::new(SshTraffic::new(window, bare_acks)));
        // Segments with less than a banner's first bytes did not identify SSH.
        for side in [Side::Client, Side::Server] {
            if let Some(stream) = self.connection.streams[side].as_deref()
                && let (seq, prefix @ [_, ..]) = stream.undecided_prefix()
                && BANNER.starts_with(prefix)
            {
                let length = prefix.len() as u32;
                self.count_packet(side, seq, length);
            }
        }
    }

    fn count_packet(&mut self, side: Side, seq: u32, length: u32) {
        if let ProtocolState::Ssh(ssh) = &mut self.connection.app_state
            && ssh.packet(side, seq, length)
        {
            self.emit_ja4ssh();
        }
    }

    /// Emits JA4SSH of the packets since the last value, if there are any.
    pub(crate) fn emit_ja4ssh(&mut self) {
        // An HTTP request or a TLS hello to an SSH server does not make an SSH connection, see docs/methods.md.
        let Attributes { tls, http, ssh, .. } = &*self.connection.record.attributes;
        let has_banner = ssh.as_ref().is_some_and(|ssh| ssh.banner.client.is_some());
        if !has_banner && (http.is_some() || tls.is_some()) {
            return;
        }
        let mut state = mem::take(&mut self.connection.app_state);
        if let ProtocolState::Ssh(ssh) = &mut state
            && let Some(window) = ssh.window.as_mut().filter(|window| !window.is_empty())
        {
            self.emit(Side::Client, Input::SshWindow(window));
        }
        self.connection.app_state = state;
    }
}
