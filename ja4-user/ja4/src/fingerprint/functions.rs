//! One function for each JA4+ method. FoxIO License 1.1, see the crate's documentation.

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
    ///
    /// ```
    /// use ja4::wire::tls::{Carrier, ServerHello};
    ///
    /// # fn main() -> Result<(), ja4::wire::WireError> {
    /// # let body = [&[3, 3][..], &[7; 32], &[0, 0x13, 0x01, 0, 0, 10, 0, 51, 0, 0, 0, 43, 0, 2, 3, 4]].concat();
    /// let hello = ServerHello::parse(&body, Carrier::Tcp)?;
    /// let fingerprint = ja4::ja4s(&hello);
    /// assert_eq!(fingerprint.as_str(), "t130200_1301_234ea6891581");
    /// assert_eq!(fingerprint.raw(), Some("t130200_1301_0033,002b"));
    /// # Ok(())
    /// # }
    /// ```
    ja4s(hello: &ServerHello<'_>) ServerHello;
    /// JA4H of an HTTP request, in all forms.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// use ja4::wire::http1::Http1Stream;
    ///
    /// # let mut found = Vec::new();
    /// Http1Stream::new().push(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Language: en-US\r\n\r\n", |request| {
    ///     if let Ok(request) = request {
    ///         assert!(ja4::ja4h(&request).as_str().starts_with("ge11nn02enus_"));
    /// #       found.push(request.version());
    ///     }
    ///     ControlFlow::Continue(())
    /// });
    /// # assert_eq!(found.len(), 1);
    /// ```
    ja4h(request: &HttpRequest<'_>) Request;
    /// JA4X of a certificate, in all forms.
    ///
    /// ```no_run
    /// use ja4::wire::x509::X509Certificate;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let der = std::fs::read("leaf.der")?;
    /// println!("{}", ja4::ja4x(&X509Certificate::parse(&der)?));
    /// # Ok(())
    /// # }
    /// ```
    ja4x(certificate: &X509Certificate<'_>) Certificate;
    /// JA4T of a SYN.
    ///
    /// ```
    /// use ja4::wire::tcp::SynFields;
    ///
    /// let syn = SynFields::parse(64_240, &[2, 4, 0x05, 0xb4, 4, 2, 1, 3, 3, 7]);
    /// assert_eq!(ja4::ja4t(&syn).as_str(), "64240_2-4-1-3_1460_7");
    /// ```
    ja4t(syn: &SynFields) Syn;
    /// JA4TS of a SYN-ACK and its retransmissions.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ja4::Retransmissions;
    /// use ja4::wire::tcp::SynFields;
    ///
    /// let mut retransmissions = Retransmissions::default();
    /// retransmissions.push(Duration::from_millis(1_010));
    /// retransmissions.push(Duration::from_millis(1_990));
    /// let syn_ack = SynFields::parse(65_160, &[2, 4, 0x05, 0xb4]);
    /// assert_eq!(ja4::ja4ts(&syn_ack, &retransmissions).as_str(), "65160_2_1460_00_1-2");
    /// ```
    ja4ts(syn_ack: &SynFields, retransmissions: &Retransmissions) SynAck;
    /// JA4L: `round_trip` is the time from the sensor to the client and back, `ttl` the TTL or hop limit of the
    /// client's packet.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// assert_eq!(ja4::ja4l(Duration::from_micros(11_499), 64).as_str(), "5749_64");
    /// ```
    ja4l(round_trip: Duration, ttl: u8) ClientLatency;
    /// JA4LS: `round_trip` is the time from the sensor to the server and back, `ttl` the TTL or hop limit of the
    /// server's packet. See [`ja4l()`].
    ja4ls(round_trip: Duration, ttl: u8) ServerLatency;
    /// JA4SSH of a window of SSH packets, which is empty afterwards.
    ///
    /// ```
    /// use ja4::SshWindow;
    ///
    /// let mut window = SshWindow::default();
    /// for length in [36, 36, 52] {
    ///     window.packet(true, length);
    ///     window.ack(false);
    /// }
    /// assert_eq!(ja4::ja4ssh(&mut window).as_str(), "c36s0_c3s0_c0s3");
    /// ```
    ja4ssh(window: &mut SshWindow) SshWindow;
    /// JA4D of a DHCPv4 message.
    ///
    /// ```
    /// use ja4::wire::dhcp4::Dhcp4Message;
    ///
    /// # fn main() -> Result<(), ja4::wire::WireError> {
    /// # let options = [0x63, 0x82, 0x53, 0x63, 53, 1, 1, 55, 2, 1, 3, 255];
    /// # let payload = [&[1, 1, 6, 0][..], &[0; 232], &options].concat();
    /// let message = Dhcp4Message::parse(&payload)?;
    /// assert_eq!(ja4::ja4d(&message).as_str(), "disco0000nn_55_1-3");
    /// # Ok(())
    /// # }
    /// ```
    ja4d(message: &Dhcp4Message<'_>) Dhcp4;
    /// JA4D6 of a DHCPv6 message.
    ///
    /// ```
    /// use ja4::wire::dhcp6::Dhcp6Message;
    ///
    /// # fn main() -> Result<(), ja4::wire::WireError> {
    /// let message = Dhcp6Message::parse(&[1, 0, 0, 0, 0, 6, 0, 4, 0, 23, 0, 24])?;
    /// assert_eq!(ja4::ja4d6(&message).as_str(), "solct0000nn_6_23-24");
    /// # Ok(())
    /// # }
    /// ```
    ja4d6(message: &Dhcp6Message<'_>) Dhcp6;
}
