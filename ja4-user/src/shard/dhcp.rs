//! DHCP messages to JA4D and JA4D6.

use super::stage::Stage;
#[cfg(feature = "ja4plus")]
use super::stage::{Values, tell};
use super::stats::Protocol;
use super::tls::{cut, text};
#[cfg(feature = "ja4plus")]
use crate::event::Method;
use crate::event::{Dhcp, Sink};
#[cfg(feature = "ja4plus")]
use crate::fingerprint::{ja4d, ja4d6};
use crate::flow::connection::Connection;
use crate::wire::{dhcp4, dhcp6};

/// Ports of DHCPv4 (RFC 2131, section 4.1).
const DHCP4: [u16; 2] = [67, 68];

impl<S: Sink> Stage<'_, S> {
    /// Takes a message, of the version that its ports say.
    pub(super) fn dhcp(&mut self, connection: &mut Connection, payload: &[u8]) {
        if DHCP4.contains(&connection.identity.server.1) {
            self.dhcp4(connection, payload);
        } else {
            self.dhcp6(connection, payload);
        }
    }

    fn dhcp4(&mut self, connection: &mut Connection, payload: &[u8]) {
        let message = match dhcp4::Message::parse(payload) {
            Ok(message) => message,
            Err(error) => return self.stats.count_malformed(Protocol::Dhcp, error),
        };
        if let Some(error) = message.damage {
            self.stats.count_malformed(Protocol::Dhcp, error);
        }
        let named = message.client_fqdn().and_then(|fqdn| fqdn.name().map(|name| name.into_owned()));
        **connection.attributes.dhcp.get_or_insert_default() = Dhcp {
            host_name: message.host_name().map(|name| name.into_owned()).or(named).map(cut),
            vendor_class: message.vendor_class().map(|class| cut(class.into_owned())),
            client_mac: hardware_address(message.hardware_address().as_bytes()),
        };
        #[cfg(feature = "ja4plus")]
        {
            let written = &mut self.engines.methods.text;
            written.clear();
            ja4d::write(&message, written);
            tell(connection, Method::Ja4d, self.side, self.cause, Values::plain(written), None, self.sink);
        }
    }

    fn dhcp6(&mut self, connection: &mut Connection, payload: &[u8]) {
        let message = match dhcp6::Message::parse(payload) {
            Ok(message) => message,
            Err(error) => return self.stats.count_malformed(Protocol::Dhcp, error),
        };
        if let Some(error) = message.damage {
            self.stats.count_malformed(Protocol::Dhcp, error);
        }
        **connection.attributes.dhcp.get_or_insert_default() = Dhcp {
            host_name: message.host_name().map(cut),
            vendor_class: message.vendor_class().map(|class| cut(class.into_owned())),
            client_mac: None,
        };
        #[cfg(feature = "ja4plus")]
        {
            let written = &mut self.engines.methods.text;
            written.clear();
            ja4d6::write(&message, written);
            tell(connection, Method::Ja4d6, self.side, self.cause, Values::plain(written), None, self.sink);
        }
    }
}

/// As `02:00:00:00:00:01`.
fn hardware_address(bytes: &[u8]) -> Option<String> {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
    (!digits.is_empty()).then(|| text(digits.join(":").as_bytes()))
}
