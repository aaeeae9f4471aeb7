//! An SSH connection: banners and HASSH from its first bytes, JA4SSH from all of its segments.

use std::num::NonZeroU16;
use std::ops::ControlFlow;

use super::stage::Stage;
#[cfg(feature = "ja4plus")]
use super::stage::{Values, tell};
use super::stats::Protocol;
use super::stream::Reader;
use super::tls::text;
use crate::event::Sink;
#[cfg(feature = "ja4plus")]
use crate::event::{Cause, Method, Side};
#[cfg(feature = "ja4plus")]
use crate::fingerprint::hassh::Hassh;
#[cfg(feature = "ja4plus")]
use crate::fingerprint::ja4ssh::{Window, is_bare_ack, wire_segments};
use crate::flow::connection::{Carried, Connection, Ssh};
use crate::packet::{Decoded, Segment};
use crate::wire::ssh::{Message, SshStream, Status};

/// Reads a side's bytes in the clear.
pub(super) fn read<S: Sink>(reader: &mut Reader<'_, S>, stream: &mut SshStream, bytes: &[u8]) -> ControlFlow<()> {
    let place = reader.side as usize;
    let ssh = &mut reader.connection.attributes.ssh;
    let status = stream.push(bytes, |message| {
        let ssh = ssh.get_or_insert_default();
        match message {
            Message::Identification(identification) => {
                if let Some(banner) = ssh.banner.get_mut(place) {
                    *banner = Some(text(identification.as_bytes()));
                }
            }
            Message::KexInit(_kex_init) =>
            {
                #[cfg(feature = "ja4plus")]
                if let Some(hassh) = ssh.hassh.get_mut(place) {
                    let value = match reader.side {
                        Side::Client => Hassh::of_client(&_kex_init),
                        Side::Server => Hassh::of_server(&_kex_init),
                    };
                    *hassh = Some(value.as_str().to_owned());
                }
            }
        }
    });
    match status {
        Status::Open => ControlFlow::Continue(()),
        Status::Done => ControlFlow::Break(()),
        Status::Failed(error) => {
            reader.stats.count_malformed(Protocol::Ssh, error);
            ControlFlow::Break(())
        }
    }
}

/// A segment says that the connection is SSH.
#[cfg(feature = "ja4plus")]
pub(super) fn begin(connection: &mut Connection, window: NonZeroU16) {
    if let Carried::Nothing = connection.carried {
        let mut window = Window::new(window);
        for (side, acks) in connection.acks.into_iter().enumerate() {
            for _ in 0..acks {
                window.ack(side == Side::Client as usize);
            }
        }
        connection.carried = Carried::Ssh(Box::new(Ssh { window, next_seq: [None; 2] }));
    }
}

/// FoxIO License 1.1, see NOTICE.
#[cfg(feature = "ja4plus")]
impl<S: Sink> Stage<'_, S> {
    /// Counts a segment of a connection that is, or may turn out to be, SSH.
    pub(super) fn count_ssh(
        &mut self,
        connection: &mut Connection,
        decoded: &Decoded<'_>,
        segment: &Segment<'_>,
        gso_size: u16,
    ) {
        let from_client = self.side == Side::Client;
        let bare = is_bare_ack(segment.flags, decoded.payload_len);
        let Carried::Ssh(ssh) = &mut connection.carried else {
            if bare && let Some(acks) = connection.acks.get_mut(self.side as usize) {
                *acks = acks.saturating_add(1);
            }
            return;
        };
        if bare {
            ssh.window.ack(from_client);
            return;
        }
        if decoded.payload_len == 0 {
            return;
        }
        let end = segment.seq.wrapping_add(decoded.payload_len);
        let Some(next) = ssh.next_seq.get_mut(self.side as usize) else {
            return;
        };
        if next.is_some_and(|next| end.wrapping_sub(next).cast_signed() <= 0) {
            // A retransmission, of which nothing is new.
            return;
        }
        *next = Some(end);
        for length in wire_segments(decoded.payload_len, gso_size) {
            let Carried::Ssh(ssh) = &mut connection.carried else {
                return;
            };
            if ssh.window.packet(from_client, length) {
                tell_window(connection, self.cause, &mut self.engines.methods.text, self.sink);
            }
        }
    }
}

/// JA4SSH of the window that is open; nothing where it holds no packet.
#[cfg(feature = "ja4plus")]
fn tell_window(connection: &mut Connection, cause: Cause, text: &mut String, sink: &mut impl Sink) {
    let Carried::Ssh(ssh) = &mut connection.carried else {
        return;
    };
    if ssh.window.is_empty() {
        return;
    }
    text.clear();
    ssh.window.write(text);
    tell(connection, Method::Ja4ssh, Side::Client, cause, Values::plain(text), None, sink);
}

/// JA4SSH of what is left when the connection ends.
#[cfg(feature = "ja4plus")]
pub(super) fn tell_rest(connection: &mut Connection, cause: Cause, text: &mut String, sink: &mut impl Sink) {
    tell_window(connection, cause, text, sink);
}
