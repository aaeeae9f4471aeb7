//! Handshake messages to JA4, JA4S and JA4X, whatever has carried them.

use std::ops::ControlFlow;

use arcstr::{ArcStr, literal};

use super::stage::{FingerprintContext, tell};
use super::stats::{CoreStats, Protocol};
use crate::conntrack::connection::Connection;
use crate::model::{CertificateAttributes, CowArc, EventContext, EventHandler, MAX_TEXT, Method, Side, TlsAttributes};
use ja4::wire::tls::{
    Carrier, CertificateList, ClientHello, HandshakeMessage, HandshakeType, ServerHello, version_name,
};
use ja4::wire::{WireError, x509};
use ja4::{Hashers, Input};

/// Most ALPN names kept of a hello: more than any client offers.
const MAX_ALPN_NAMES: usize = 16;

/// Bytes of these names together.
const MAX_ALPN_BYTES: usize = 256;

/// ClientHellos told of one connection: the first, and the one that a HelloRetryRequest or a
/// HelloVerifyRequest asks for.
const MAX_HELLOS: u32 = 2;

/// Where messages turn into events.
pub(super) struct Handshake<'a, S> {
    pub(super) carrier: Carrier,
    pub(super) side: Side,
    pub(super) cause: EventContext,
    pub(super) connection: &'a mut Connection,
    pub(super) methods: &'a mut Hashers,
    pub(super) stats: &'a mut CoreStats,
    pub(super) sink: &'a mut S,
}

impl<S: EventHandler> Handshake<'_, S> {
    /// Takes a message of a stream; breaks after the last one of its side that is read, and where one is
    /// malformed.
    pub(super) fn message(self, message: &HandshakeMessage<'_>) -> ControlFlow<()> {
        self.read(message).unwrap_or(ControlFlow::Break(()))
    }

    /// Takes a message; breaks after the last one of its side that is read.
    ///
    /// # Errors
    /// It is malformed, and has been counted.
    pub(super) fn read(mut self, message: &HandshakeMessage<'_>) -> Result<ControlFlow<()>, WireError> {
        let outcome = match (message.kind, self.side) {
            (HandshakeType::CLIENT_HELLO, Side::Client) => self.client_hello(message.body),
            (HandshakeType::SERVER_HELLO, Side::Server) => self.server_hello(message.body),
            (HandshakeType::CERTIFICATE, _) if !self.connection.sealed => {
                CertificateList::parse(message.body).map(|list| self.certificates(list)).map(ControlFlow::Continue)
            }
            (HandshakeType::SERVER_HELLO_DONE, Side::Server) | (HandshakeType::CLIENT_KEY_EXCHANGE, Side::Client) => {
                Ok(ControlFlow::Break(()))
            }
            _ => Ok(ControlFlow::Continue(())),
        };
        outcome.inspect_err(|error| {
            let protocol = if self.carrier == Carrier::Dtls { Protocol::Dtls } else { Protocol::Tls };
            self.stats.count_malformed(protocol, *error);
        })
    }

    /// Takes the start of a message whose rest does not come, or has not come yet. Of a hello it gives what is
    /// known of a connection, and no value: that would be another client's.
    pub(super) fn unfinished(mut self, start: &HandshakeMessage<'_>) {
        match (start.kind, self.side) {
            (HandshakeType::CERTIFICATE, _) if !self.connection.sealed => {
                self.certificates(CertificateList::parse_start(start.body));
            }
            (HandshakeType::CLIENT_HELLO, Side::Client) => {
                if let Some(hello) = ClientHello::parse_start(start.body, self.carrier) {
                    self.offered(&hello, !hello.supported_versions().is_empty());
                }
            }
            _ => {}
        }
    }

    /// Notes what a client offers. `versions`: it says which.
    fn offered(&mut self, hello: &ClientHello<'_>, versions: bool) {
        let tls = self.connection.attributes.tls.get_or_insert_default();
        if tls.sni.is_none() {
            tls.sni = hello.sni().map(ArcStr::from);
        }
        if tls.alpn.is_empty() {
            let mut room = MAX_ALPN_BYTES;
            let within = |name: &&[u8]| room.checked_sub(name.len()).map(|left| room = left).is_some();
            tls.alpn = hello.alpn().take(MAX_ALPN_NAMES).take_while(within).map(protocol).collect();
            tls.alpn.shrink_to_fit();
        }
        if versions && tls.cipher.is_none() {
            tls.version = version_name(hello.version());
        }
        tls.ech = hello.has_encrypted_client_hello();
        tls.is_dtls = Some(self.carrier == Carrier::Dtls);
    }

    fn client_hello(&mut self, body: &[u8]) -> Result<ControlFlow<()>, WireError> {
        let hello = &ClientHello::parse(body, self.carrier)?;
        self.offered(hello, true);
        let connection = &mut *self.connection;
        if connection.surplus || connection.told_of(Method::Ja4) >= MAX_HELLOS {
            return Err(WireError::TooMany);
        }
        let value = self.methods.compute(Input::ClientHello(hello));
        tell(connection, value, Side::Client, self.cause, FingerprintContext::default(), self.sink);
        // Over TCP a certificate may follow. In QUIC it is encrypted, and to open further Initials costs.
        Ok(if self.carrier == Carrier::Quic { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// The first ServerHello counts, a HelloRetryRequest too; one that follows it says the final
    /// version and suite.
    fn server_hello(&mut self, body: &[u8]) -> Result<ControlFlow<()>, WireError> {
        let hello = &ServerHello::parse(body, self.carrier)?;
        let connection = &mut *self.connection;
        let tls = connection.attributes.tls.get_or_insert_default();
        tls.is_dtls = Some(self.carrier == Carrier::Dtls);
        tls.version = version_name(hello.version());
        tls.cipher = Some(hello.cipher_suite);
        tls.alpn_chosen = hello.alpn().next().map(protocol);
        connection.sealed = !matches!(hello.version(), 0x0002 | 0x0300..=0x0303 | 0xfeff | 0xfefd | 0x0100);
        if !connection.has_told(Method::Ja4s) {
            let value = self.methods.compute(Input::ServerHello(hello));
            tell(connection, value, Side::Server, self.cause, FingerprintContext::default(), self.sink);
        }
        // After a HelloRetryRequest comes the ServerHello proper; below TLS 1.3 come the certificates.
        let last = connection.sealed && !hello.is_hello_retry_request();
        Ok(if last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Every certificate of the message, leaf first. What follows a malformed one is still read.
    fn certificates(&mut self, list: CertificateList<'_>) {
        for (place, der) in list.enumerate() {
            let der = match der {
                Ok(der) => der,
                Err(error) => {
                    self.stats.count_malformed(Protocol::X509, error);
                    break;
                }
            };
            match x509::X509Certificate::parse(der) {
                Ok(certificate) => self.certificate(&certificate, place == 0),
                Err(error) => self.stats.count_malformed(Protocol::X509, error),
            }
        }
    }

    fn certificate(&mut self, certificate: &x509::X509Certificate<'_>, leaf: bool) {
        let connection = &mut *self.connection;
        let attributes = CertificateAttributes {
            subject: certificate.subject_cn().map(|name| cut(name.into_owned())),
            issuer: certificate.issuer_cn().map(|name| cut(name.into_owned())),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            san_count: certificate.san_count(),
        };
        // Before the value is told: who looks at its connection then wants to know the certificate too.
        if leaf && self.side == Side::Server {
            connection.attributes.tls.get_or_insert_default().certificate = Some(Box::new(attributes.clone()));
        }
        let value = self.methods.compute(Input::Certificate(certificate));
        let context = FingerprintContext { certificate: Some(&attributes), ..FingerprintContext::default() };
        tell(connection, value, self.side, self.cause, context, self.sink);
    }
}

/// Whether the server has said hello.
pub(super) fn is_answered(connection: &Connection) -> bool {
    connection.attributes.tls.as_ref().is_some_and(|tls| tls.cipher.is_some())
}

/// Another handshake has begun on the same ports: nothing that is known of the last one holds, and what is
/// told once a connection is told again.
pub(super) fn begin_anew(connection: &mut Connection) {
    connection.sealed = false;
    if let Some(before) = &connection.attributes.tls {
        let tls = TlsAttributes { is_dtls: before.is_dtls, ..TlsAttributes::default() };
        connection.attributes.tls = Some(CowArc::new(tls));
    }
    connection.tell_again(&[Method::Ja4, Method::Ja4s, Method::Ja4x, Method::Ja4l, Method::Ja4ls]);
}

/// Name of a protocol in ALPN; the usual ones take no memory.
fn protocol(name: &[u8]) -> ArcStr {
    match name {
        b"h2" => literal!("h2"),
        b"http/1.1" => literal!("http/1.1"),
        b"h3" => literal!("h3"),
        _ => text(name).into(),
    }
}

/// Bytes of the wire as an attribute.
pub(super) fn text(bytes: &[u8]) -> String {
    cut(String::from_utf8_lossy(bytes.get(..MAX_TEXT).unwrap_or(bytes)).into_owned())
}

/// A text within [`MAX_TEXT`].
pub(super) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text.shrink_to_fit();
    text
}
