//! JA4SSH, from all segments of an SSH connection. FoxIO License 1.1, see NOTICE.

use std::num::NonZeroU16;

use super::stage::{FingerprintContext, Stage, tell};
use crate::conntrack::connection::{Carried, Connection, Ssh};
use crate::conntrack::stream::Half;
use crate::model::{Attributes, EventContext, EventHandler, Side};
use crate::packet::{Decoded, Segment};
use ja4::{Hashers, Input, SshWindow};

impl<S: EventHandler> Stage<'_, S> {
    /// A segment says that the connection is SSH.
    pub(super) fn begin_ssh(&mut self, connection: &mut Connection, window: NonZeroU16) {
        let Carried::Nothing = connection.carried else {
            return;
        };
        let mut window = SshWindow::new(window);
        for (side, acks) in connection.acks.into_iter().enumerate() {
            for _ in 0..acks {
                window.ack(side == Side::Client as usize);
            }
        }
        connection.carried = Carried::Ssh(Box::new(Ssh { window: Some(window), seen: Default::default() }));
        // The first letter of a banner, alone in its segment, did not say so yet.
        for side in [Side::Client, Side::Server] {
            let half = connection.halves.get(side as usize).and_then(Option::as_deref);
            if let Some((seq, length)) = half.and_then(Half::letters) {
                self.count_packet(connection, side, seq, length);
            }
        }
    }

    /// Counts a segment of a connection that is, or may turn out to be, SSH.
    pub(super) fn count_ssh(
        &mut self,
        connection: &mut Connection,
        decoded: &Decoded<'_>,
        segment: &Segment<'_>,
        gso_size: u16,
    ) {
        let from_client = self.side == Side::Client;
        let bare = SshWindow::is_bare_ack(segment.flags, decoded.payload_len);
        let Carried::Ssh(ssh) = &mut connection.carried else {
            if bare && let Some(acks) = connection.acks.get_mut(self.side as usize) {
                *acks = acks.saturating_add(1);
            }
            return;
        };
        if bare {
            if let Some(window) = &mut ssh.window {
                window.ack(from_client);
            }
            return;
        }
        if decoded.payload_len == 0 {
            return;
        }
        let mut seq = segment.seq;
        for length in SshWindow::wire_segments(decoded.payload_len, gso_size) {
            self.count_packet(connection, self.side, seq, length);
            seq = seq.wrapping_add(length);
        }
    }

    /// Counts `length` bytes at `seq` that one packet has brought, unless it is a retransmission, of which nothing is
    /// new.
    fn count_packet(&mut self, connection: &mut Connection, side: Side, seq: u32, length: u32) {
        let Carried::Ssh(ssh) = &mut connection.carried else {
            return;
        };
        let is_new = ssh.seen.get_mut(side as usize).is_some_and(|seen| seen.take(seq, length));
        if is_new
            && let Some(window) = &mut ssh.window
            && window.packet(side == Side::Client, length)
        {
            tell_window(connection, self.cause, &mut self.engines.methods, self.sink);
        }
    }
}

/// The connection's window, if it is SSH and there was room for it.
fn window(connection: &mut Connection) -> Option<&mut SshWindow> {
    match &mut connection.carried {
        Carried::Ssh(ssh) => ssh.window.as_mut(),
        _ => None,
    }
}

/// JA4SSH of the window that is open; nothing where it holds no packet.
fn tell_window(connection: &mut Connection, cause: EventContext, hashers: &mut Hashers, sink: &mut impl EventHandler) {
    // An HTTP request or a TLS hello to a server of SSH makes no SSH connection (specification, section 15.10).
    let Attributes { tls, http, ssh, .. } = &*connection.attributes;
    let has_banner = ssh.as_ref().is_some_and(|ssh| ssh.banner.first().is_some_and(Option::is_some));
    if !has_banner && (http.is_some() || tls.is_some()) {
        return;
    }
    let Some(window) = window(connection).filter(|window| !window.is_empty()) else {
        return;
    };
    let value = hashers.compute(Input::SshWindow(window));
    tell(connection, value, Side::Client, cause, FingerprintContext::default(), sink);
}

/// JA4SSH of what is left when the connection ends.
pub(super) fn tell_rest(
    connection: &mut Connection,
    cause: EventContext,
    hashers: &mut Hashers,
    sink: &mut impl EventHandler,
) {
    tell_window(connection, cause, hashers, sink);
}
