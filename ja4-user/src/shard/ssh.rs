//! An SSH connection's first bytes, which are in the clear: banners and HASSH.

use std::ops::ControlFlow;

use super::stats::Protocol;
use super::stream::Reader;
use super::tls::text;
use crate::model::{EventHandler, Side};
use ja4::Hassh;
use ja4::wire::ssh::{SshMessage, SshStatus, SshStream};

/// Reads a side's bytes in the clear.
pub(super) fn read<S: EventHandler>(
    reader: &mut Reader<'_, S>,
    stream: &mut SshStream,
    bytes: &[u8],
) -> ControlFlow<()> {
    let place = reader.side as usize;
    let attributes = &mut reader.connection.attributes;
    let status = stream.push(bytes, |message| {
        let ssh = attributes.ssh.get_or_insert_default();
        match message {
            SshMessage::Identification(identification) => {
                if let Some(banner) = ssh.banner.get_mut(place) {
                    *banner = Some(text(identification.as_bytes()));
                }
            }
            SshMessage::KexInit(kex_init) => {
                if let Some(hassh) = ssh.hassh.get_mut(place) {
                    let value = match reader.side {
                        Side::Client => Hassh::of_client(&kex_init),
                        Side::Server => Hassh::of_server(&kex_init),
                    };
                    *hassh = Some(value.as_str().to_owned());
                }
            }
        }
    });
    match status {
        SshStatus::Open => ControlFlow::Continue(()),
        SshStatus::Done => ControlFlow::Break(()),
        SshStatus::Failed(error) => {
            reader.stats.count_malformed(Protocol::Ssh, error);
            ControlFlow::Break(())
        }
    }
}
