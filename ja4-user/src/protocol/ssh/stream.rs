//! The unencrypted start of an SSH connection: identification strings and KEXINIT.

use ja4::Hassh;
use ja4::wire::ssh::{SshMessage, SshStatus, SshStream};

use crate::conntrack::AppState;
use crate::model::{EventHandler, Side};
use crate::protocol::packet_ctx::PacketCtx;
use crate::protocol::stats::MalformedProtocol;
use crate::protocol::stream_protocol::{Parsed, Probe, StreamProtocol};
use crate::protocol::text::text;

/// The first bytes of an identification string (RFC 4253, section 4.2).
pub(crate) const BANNER: &[u8; 4] = b"SSH-";

/// SSH of one direction, until it is encrypted.
#[derive(Debug)]
pub(crate) struct SshHandshake(SshStream);

impl StreamProtocol for SshHandshake {
    const PREFIX_LEN: usize = BANNER.len();

    fn probe(prefix: &[u8], side: Side, is_ssh: bool) -> Probe<Self> {
        if prefix.starts_with(BANNER) {
            return Probe::Match(Self(SshStream::new()));
        }
        if side == Side::Server && prefix.first() == Some(&b'S') && prefix.len() < BANNER.len() {
            return Probe::NeedMore;
        }
        // Other lines may precede the banner (RFC 4253, section 4.2).
        if is_ssh { Probe::Match(Self(SshStream::new())) } else { Probe::NoMatch }
    }

    fn push<'b, A: AppState, S: EventHandler>(&mut self, bytes: &'b [u8], cx: &mut PacketCtx<'_, A, S>) -> Parsed<'b> {
        let side = cx.side;
        let attributes = &mut cx.connection.record.attributes;
        let status = self.0.push(bytes, |message| {
            let ssh = attributes.ssh.get_or_insert_default();
            match message {
                SshMessage::Identification(identification) => {
                    ssh.banner[side] = Some(text(identification.as_bytes()));
                }
                SshMessage::KexInit(kex_init) => {
                    let hassh = match side {
                        Side::Client => Hassh::of_client(&kex_init),
                        Side::Server => Hassh::of_server(&kex_init),
                    };
                    ssh.hassh[side] = Some(hassh.as_str().to_owned());
                }
            }
        });
        match status {
            SshStatus::Open => Parsed::Open,
            SshStatus::Done => Parsed::Done,
            SshStatus::Failed(error) => {
                cx.stats.count_malformed(MalformedProtocol::Ssh, error);
                Parsed::Done
            }
        }
    }

    fn buffered(&self) -> usize {
        self.0.buffered()
    }
}
