//! The JA4+ methods: everything that the feature `ja4plus` builds. FoxIO License 1.1, see the crate's documentation.

pub(super) mod hashers;
mod ja4d;
mod ja4d6;
mod ja4h;
mod ja4l;
mod ja4s;
mod ja4ssh;
mod ja4t;
mod ja4x;

use core::time::Duration;

use crate::fingerprint::hashers::Hashers;
use crate::fingerprint::input::Input;
use crate::fingerprint::retransmissions::Retransmissions;
use crate::fingerprint::ssh_window::SshWindow;
use crate::fingerprint::value::Fingerprint;
use crate::wire::dhcp4::Dhcp4Message;
use crate::wire::dhcp6::Dhcp6Message;
use crate::wire::http::HttpRequest;
use crate::wire::tcp::SynFields;
use crate::wire::tls::ServerHello;
use crate::wire::x509::X509Certificate;

/// Declares a function that computes one method.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),+) $input:ident;)+) => {
        $($(#[$doc])*
        #[must_use]
        pub fn $name($($argument: $type),+) -> Fingerprint {
            Hashers::once(Input::$input($($argument),+))
        })+
    };
}

functions! {
    /// JA4S of a ServerHello or HelloRetryRequest, in all forms.
    ja4s(hello: &ServerHello<'_>) ServerHello;
    /// JA4H of an HTTP request, in all forms.
    ja4h(request: &HttpRequest<'_>) Request;
    /// JA4X of a certificate, in all forms.
    ja4x(certificate: &X509Certificate<'_>) Certificate;
    /// JA4T of a SYN.
    ja4t(syn: &SynFields) Syn;
    /// JA4TS of a SYN-ACK and its retransmissions.
    ja4ts(syn_ack: &SynFields, retransmissions: &Retransmissions) SynAck;
    /// JA4L: `round_trip` is the time from the sensor to the client and back, `ttl` the TTL or hop limit of the
    /// client's packet.
    ja4l(round_trip: Duration, ttl: u8) ClientLatency;
    /// JA4LS: `round_trip` is the time from the sensor to the server and back, `ttl` the TTL or hop limit of the
    /// server's packet.
    ja4ls(round_trip: Duration, ttl: u8) ServerLatency;
    /// JA4SSH of a window of SSH packets, which is empty afterwards.
    ja4ssh(window: &mut SshWindow) SshWindow;
    /// JA4D of a DHCPv4 message.
    ja4d(message: &Dhcp4Message<'_>) Dhcp4;
    /// JA4D6 of a DHCPv6 message.
    ja4d6(message: &Dhcp6Message<'_>) Dhcp6;
}
