//! DHCP messages: JA4D, JA4D6 and attributes.

use std::hash::{DefaultHasher, Hasher};
use std::mem;

use ja4::Input;
use ja4::wire::{WireError, dhcp4, dhcp6};
use ja4_common::datagram::is_dhcp6;

use super::datagram::UdpDatagram;
use super::packet_ctx::PacketCtx;
use super::stats::MalformedProtocol;
use super::text::{text, truncated};
use crate::conntrack::{AppState, Connection};
use crate::model::{DhcpAttributes, EventHandler, Side};

impl<A: AppState, S: EventHandler> PacketCtx<'_, A, S> {
    /// Parses a message of the version that its ports show.
    pub(crate) fn dhcp(&mut self, datagram: &UdpDatagram<'_>) {
        let (client, server) = (self.connection.record.identity.client.1, self.connection.record.identity.server.1);
        let (from, to) = if self.side == Side::Client { (client, server) } else { (server, client) };
        let parsed = if is_dhcp6(from, to) { self.dhcp6(datagram) } else { self.dhcp4(datagram) };
        if let Err(error) = parsed {
            self.stats.count_malformed(MalformedProtocol::Dhcp, error);
        }
    }

    fn dhcp4(&mut self, datagram: &UdpDatagram<'_>) -> Result<(), WireError> {
        let message = dhcp4::Dhcp4Message::parse(datagram.payload)?;
        if datagram.is_truncated() && !message.has_end() {
            // The missing bytes may have options: a part of the list has another fingerprint.
            return Err(WireError::Truncated);
        }
        if let Some(error) = message.damage {
            self.stats.count_malformed(MalformedProtocol::Dhcp, error);
        }
        let fqdn = message.client_fqdn().and_then(|fqdn| fqdn.name().map(|name| name.into_owned()));
        let attributes = DhcpAttributes {
            host_name: message.host_name().map(|name| name.into_owned()).or(fqdn).map(truncated),
            vendor_class: message.vendor_class().map(|class| truncated(class.into_owned())),
            client_mac: hardware_address(message.hardware_address().as_bytes()),
            duid: None,
        };
        update(self.connection, attributes);
        self.emit(self.side, Input::Dhcp4(&message));
        Ok(())
    }

    fn dhcp6(&mut self, datagram: &UdpDatagram<'_>) -> Result<(), WireError> {
        if datagram.is_truncated() {
            // Options extend to the end of the datagram.
            return Err(WireError::Truncated);
        }
        let message = dhcp6::Dhcp6Message::parse(datagram.payload)?;
        if let Some(error) = message.damage {
            self.stats.count_malformed(MalformedProtocol::Dhcp, error);
        }
        let attributes = DhcpAttributes {
            host_name: message.host_name().map(truncated),
            vendor_class: message.vendor_class().map(|class| truncated(class.into_owned())),
            client_mac: None,
            duid: message.option(dhcp6::option_code::CLIENT_ID).map(hash),
        };
        update(self.connection, attributes);
        self.emit(self.side, Input::Dhcp6(&message));
        Ok(())
    }
}

/// Sets the attributes of a message. Those of an earlier message of the same client are kept, as an answer or a renewal seldom
/// repeats them. Between relay and server the next message may be of another client.
fn update<A: AppState>(connection: &mut Connection<A>, mut attributes: DhcpAttributes) {
    let known = connection.record.attributes.dhcp.get_or_insert_default();
    let is_identified = attributes.client_mac.is_some() || attributes.duid.is_some();
    if is_identified && (&attributes.client_mac, attributes.duid) == (&known.client_mac, known.duid) {
        let before = mem::take(&mut **known);
        attributes.host_name = attributes.host_name.or(before.host_name);
        attributes.vendor_class = attributes.vendor_class.or(before.vendor_class);
    }
    **known = attributes;
}

fn hash(duid: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(duid);
    hasher.finish()
}

/// An address as `02:00:00:00:00:01`.
fn hardware_address(bytes: &[u8]) -> Option<String> {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
    (!digits.is_empty()).then(|| text(digits.join(":").as_bytes()))
}
