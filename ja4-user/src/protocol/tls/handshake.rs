//! Handshake messages of TLS, DTLS and QUIC: fingerprints and attributes.

use std::ops::ControlFlow;

use arcstr::{ArcStr, literal};
use ja4::wire::tls::{
    Carrier, CertificateList, ClientHello, HandshakeMessage, HandshakeType, ServerHello, version_name,
};
use ja4::wire::{WireError, x509};
use ja4::{Input, Ja3};

use crate::conntrack::{AppState, Connection};
use crate::model::{CertificateAttributes, CowArc, EventHandler, Method, Side, TlsAttributes};
use crate::protocol::packet_ctx::{FingerprintDetails, PacketCtx};
use crate::protocol::stats::MalformedProtocol;
use crate::protocol::text::{text, truncated};

/// ALPN names stored of a hello: more than any client offers.
const MAX_ALPN_NAMES: usize = 16;

/// Bytes of these names together.
const MAX_ALPN_BYTES: usize = 256;

/// ClientHellos emitted of one connection: the first, and the one after a HelloRetryRequest or a HelloVerifyRequest.
const MAX_HELLOS: u32 = 2;

/// Handles the handshake messages of one side.
pub(crate) struct HandshakeHandler<'c, 'a, A: AppState, S> {
    cx: &'c mut PacketCtx<'a, A, S>,
    carrier: Carrier,
    side: Side,
}

impl<'a, A: AppState, S: EventHandler> PacketCtx<'a, A, S> {
    /// The handler of the handshake messages that a side sends over this carrier.
    pub(crate) fn handshake(&mut self, carrier: Carrier, side: Side) -> HandshakeHandler<'_, 'a, A, S> {
        HandshakeHandler { cx: self, carrier, side }
    }
}

impl<A: AppState, S: EventHandler> HandshakeHandler<'_, '_, A, S> {
    /// Handles a message of a stream. Breaks after the last message of its side that is of interest, and after a malformed
    /// one.
    pub(crate) fn message(self, message: &HandshakeMessage<'_>) -> ControlFlow<()> {
        self.try_message(message).unwrap_or(ControlFlow::Break(()))
    }

    /// Handles a message. Breaks after the last message of its side that is of interest.
    ///
    /// # Errors
    /// If it is malformed; the error has been counted.
    pub(crate) fn try_message(mut self, message: &HandshakeMessage<'_>) -> Result<ControlFlow<()>, WireError> {
        let outcome = match (message.kind, self.side) {
            (HandshakeType::CLIENT_HELLO, Side::Client) => self.client_hello(message.body),
            (HandshakeType::SERVER_HELLO, Side::Server) => self.server_hello(message.body),
            (HandshakeType::CERTIFICATE, _) if !self.cx.connection.encrypted => {
                CertificateList::parse(message.body).map(|list| self.certificates(list)).map(ControlFlow::Continue)
            }
            (HandshakeType::SERVER_HELLO_DONE, Side::Server) | (HandshakeType::CLIENT_KEY_EXCHANGE, Side::Client) => {
                Ok(ControlFlow::Break(()))
            }
            _ => Ok(ControlFlow::Continue(())),
        };
        outcome.inspect_err(|error| {
            let is_dtls = self.carrier == Carrier::Dtls;
            let protocol = if is_dtls { MalformedProtocol::Dtls } else { MalformedProtocol::Tls };
            self.cx.stats.count_malformed(protocol, *error);
        })
    }

    /// Handles the start of a message that is incomplete. A part of a hello gives attributes, but no fingerprint: that would
    /// be the fingerprint of another client.
    pub(crate) fn incomplete(mut self, start: &HandshakeMessage<'_>) {
        match (start.kind, self.side) {
            (HandshakeType::CERTIFICATE, _) if !self.cx.connection.encrypted => {
                self.certificates(CertificateList::parse_start(start.body));
            }
            (HandshakeType::CLIENT_HELLO, Side::Client) => {
                if let Some(hello) = ClientHello::parse_start(start.body, self.carrier) {
                    self.set_offer(&hello, !hello.supported_versions().is_empty());
                }
            }
            _ => {}
        }
    }

    /// Sets the attributes that a client offers. `has_versions`: the hello shows the offered versions.
    fn set_offer(&mut self, hello: &ClientHello<'_>, has_versions: bool) {
        let tls = self.cx.connection.record.attributes.tls.get_or_insert_default();
        if tls.sni.is_none() {
            tls.sni = hello.sni().map(ArcStr::from);
        }
        if tls.alpn.is_empty() {
            let mut room = MAX_ALPN_BYTES;
            let fits = |name: &&[u8]| room.checked_sub(name.len()).map(|left| room = left).is_some();
            tls.alpn = hello.alpn().take(MAX_ALPN_NAMES).take_while(fits).map(alpn_name).collect();
            tls.alpn.shrink_to_fit();
        }
        if has_versions && tls.cipher.is_none() {
            tls.version = version_name(hello.version());
        }
        tls.ech = hello.has_encrypted_client_hello();
        tls.is_dtls = Some(self.carrier == Carrier::Dtls);
    }

    fn client_hello(&mut self, body: &[u8]) -> Result<ControlFlow<()>, WireError> {
        let hello = &ClientHello::parse(body, self.carrier)?;
        self.set_offer(hello, true);
        let connection = &*self.cx.connection;
        if connection.over_limit || connection.counts.get(Method::Ja4) >= MAX_HELLOS {
            return Err(WireError::TooMany);
        }
        self.set_ja3(Side::Client, || Ja3::of_client(hello));
        self.cx.emit(Side::Client, Input::ClientHello(hello));
        // Over TCP a certificate may follow. In QUIC it is encrypted, and decrypting further Initials costs time.
        Ok(if self.carrier == Carrier::Quic { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Sets JA3 of the first hello of a side, if JA3 is requested.
    fn set_ja3(&mut self, side: Side, of_hello: impl FnOnce() -> Ja3) {
        if !self.cx.ja3 {
            return;
        }
        let tls = self.cx.connection.record.attributes.tls.get_or_insert_default();
        let of_side = &mut tls.ja3.get_or_insert_default()[side];
        if of_side.is_none() {
            let Ja3 { hash, string } = of_hello();
            *of_side = Some(Ja3 { hash, string: truncated(string) });
        }
    }

    /// The first ServerHello is fingerprinted, or the HelloRetryRequest before it; a later one has the final version,
    /// cipher suite and group.
    fn server_hello(&mut self, body: &[u8]) -> Result<ControlFlow<()>, WireError> {
        let hello = &ServerHello::parse(body, self.carrier)?;
        let connection = &mut *self.cx.connection;
        let tls = connection.record.attributes.tls.get_or_insert_default();
        tls.is_dtls = Some(self.carrier == Carrier::Dtls);
        tls.version = version_name(hello.version());
        tls.cipher = Some(hello.cipher_suite);
        tls.group = hello.group();
        tls.alpn_chosen = hello.alpn().next().map(alpn_name);
        let encrypted = !matches!(hello.version(), 0x0002 | 0x0300..=0x0303 | 0xfeff | 0xfefd | 0x0100);
        connection.encrypted = encrypted;
        self.set_ja3(Side::Server, || Ja3::of_server(hello));
        if !self.cx.connection.already_emitted(Method::Ja4s) {
            self.cx.emit(Side::Server, Input::ServerHello(hello));
        }
        // A ServerHello follows a HelloRetryRequest; certificates follow below TLS 1.3.
        let is_last = encrypted && !hello.is_hello_retry_request();
        Ok(if is_last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Handles every certificate of the message, leaf first, also after a malformed one.
    fn certificates(&mut self, list: CertificateList<'_>) {
        for (index, der) in list.enumerate() {
            let der = match der {
                Ok(der) => der,
                Err(error) => {
                    self.cx.stats.count_malformed(MalformedProtocol::X509, error);
                    break;
                }
            };
            match x509::X509Certificate::parse(der) {
                Ok(certificate) => self.certificate(&certificate, index == 0),
                Err(error) => self.cx.stats.count_malformed(MalformedProtocol::X509, error),
            }
        }
    }

    fn certificate(&mut self, certificate: &x509::X509Certificate<'_>, is_leaf: bool) {
        let attributes = CertificateAttributes {
            subject: certificate.subject_cn().map(|name| truncated(name.into_owned())),
            issuer: certificate.issuer_cn().map(|name| truncated(name.into_owned())),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            san_count: certificate.san_count(),
        };
        // Before the fingerprint is emitted: its event has the attributes of the connection.
        if is_leaf && self.side == Side::Server {
            let tls = self.cx.connection.record.attributes.tls.get_or_insert_default();
            tls.certificate = Some(Box::new(attributes.clone()));
        }
        let details = FingerprintDetails { certificate: Some(&attributes), ..FingerprintDetails::default() };
        self.cx.emit_with(self.side, Input::Certificate(certificate), details);
    }
}

/// Prepares for another handshake on the same ports: drops the attributes of the last one, and allows methods that are emitted
/// once to be emitted again.
pub(crate) fn restart_handshake<A: AppState>(connection: &mut Connection<A>) {
    connection.encrypted = false;
    if let Some(before) = &connection.record.attributes.tls {
        let tls = TlsAttributes { is_dtls: before.is_dtls, ..TlsAttributes::default() };
        connection.record.attributes.tls = Some(CowArc::new(tls));
    }
    connection.reset_emitted(&[Method::Ja4, Method::Ja4s, Method::Ja4x, Method::Ja4l, Method::Ja4ls]);
}

/// An ALPN name; frequent ones take no memory.
fn alpn_name(name: &[u8]) -> ArcStr {
    match name {
        b"h2" => literal!("h2"),
        b"http/1.1" => literal!("http/1.1"),
        b"h3" => literal!("h3"),
        _ => text(name).into(),
    }
}
