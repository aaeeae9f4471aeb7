//! DHCP messages to JA4D and JA4D6.

use std::hash::{DefaultHasher, Hasher};

use ja4_common::datagram::is_dhcp6;

use super::stage::{FingerprintContext, Stage, tell};
use super::stats::Protocol;
use super::tls::{cut, text};
use crate::conntrack::connection::Connection;
use crate::model::{DhcpAttributes, EventHandler, Side};
use crate::protocol::quic::Datagram;
use ja4::Input;
use ja4::wire::{WireError, dhcp4, dhcp6};

impl<S: EventHandler> Stage<'_, S> {
    /// Reads a message; its ports decide the version.
    pub(super) fn dhcp(&mut self, connection: &mut Connection, datagram: &Datagram<'_>) {
        let (client, server) = (connection.identity.client.1, connection.identity.server.1);
        let (from, to) = if self.side == Side::Client { (client, server) } else { (server, client) };
        if is_dhcp6(from, to) {
            self.dhcp6(connection, datagram);
        } else {
            self.dhcp4(connection, datagram);
        }
    }

    fn dhcp4(&mut self, connection: &mut Connection, datagram: &Datagram<'_>) {
        let message = match dhcp4::Dhcp4Message::parse(datagram.payload) {
            // The missing bytes may hold options: a part of the list would be another value.
            Ok(message) if datagram.is_truncated() && !message.has_end() => {
                return self.stats.count_malformed(Protocol::Dhcp, WireError::Truncated);
            }
            Ok(message) => message,
            Err(error) => return self.stats.count_malformed(Protocol::Dhcp, error),
        };
        if let Some(error) = message.damage {
            self.stats.count_malformed(Protocol::Dhcp, error);
        }
        let named = message.client_fqdn().and_then(|fqdn| fqdn.name().map(|name| name.into_owned()));
        let said = DhcpAttributes {
            host_name: message.host_name().map(|name| name.into_owned()).or(named).map(cut),
            vendor_class: message.vendor_class().map(|class| cut(class.into_owned())),
            client_mac: hardware_address(message.hardware_address().as_bytes()),
            duid: None,
        };
        note(connection, said);
        let value = self.engines.methods.compute(Input::Dhcp4(&message));
        tell(connection, value, self.side, self.cause, FingerprintContext::default(), self.sink);
    }

    fn dhcp6(&mut self, connection: &mut Connection, datagram: &Datagram<'_>) {
        if datagram.is_truncated() {
            // Options extend to the end of the datagram.
            return self.stats.count_malformed(Protocol::Dhcp, WireError::Truncated);
        }
        let message = match dhcp6::Dhcp6Message::parse(datagram.payload) {
            Ok(message) => message,
            Err(error) => return self.stats.count_malformed(Protocol::Dhcp, error),
        };
        if let Some(error) = message.damage {
            self.stats.count_malformed(Protocol::Dhcp, error);
        }
        let said = DhcpAttributes {
            host_name: message.host_name().map(cut),
            vendor_class: message.vendor_class().map(|class| cut(class.into_owned())),
            client_mac: None,
            duid: message.option(dhcp6::option_code::CLIENT_ID).map(hash),
        };
        note(connection, said);
        let value = self.engines.methods.compute(Input::Dhcp6(&message));
        tell(connection, value, self.side, self.cause, FingerprintContext::default(), self.sink);
    }
}

/// Notes what a message says. Of the same client what it said before stays: an answer, or a renewal, seldom
/// repeats it. Between relay and server the next message may be about another client.
fn note(connection: &mut Connection, mut said: DhcpAttributes) {
    let known = connection.attributes.dhcp.get_or_insert_default();
    let named = said.client_mac.is_some() || said.duid.is_some();
    if named && (&said.client_mac, said.duid) == (&known.client_mac, known.duid) {
        let before = std::mem::take(&mut **known);
        said.host_name = said.host_name.or(before.host_name);
        said.vendor_class = said.vendor_class.or(before.vendor_class);
    }
    **known = said;
}

fn hash(duid: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(duid);
    hasher.finish()
}

/// As `02:00:00:00:00:01`.
fn hardware_address(bytes: &[u8]) -> Option<String> {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
    (!digits.is_empty()).then(|| text(digits.join(":").as_bytes()))
}
