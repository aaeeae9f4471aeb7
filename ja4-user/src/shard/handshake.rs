//! A connection's TLS handshake: segments into order, records into messages, messages into
//! fingerprints.

use std::ops::ControlFlow;

use ja4_common::begin::{self, Begin};

use super::engines::Engines;
use super::stats::CoreStats;
use crate::event::{Cause, Fingerprint, Method, Side, Sink};
use crate::fingerprint::{Carrier, Forms};
use crate::flow::connection::{Connection, Half};
use crate::flow::{Budget, Limits, Reassembly};
use crate::packet::Segment;
use crate::wire::tls::{
    ClientHello, End, Framing, HandshakeMessage, HandshakeStream, HandshakeType, ServerHello, Status, version_name,
};

/// Most ALPN names kept of a hello: more than any client offers.
const MAX_ALPN_NAMES: usize = 16;

/// One segment's side of the handshake.
pub(super) struct Stream<'a> {
    pub(super) side: Side,
    pub(super) cause: Cause,
    pub(super) bounds: &'a Limits,
    pub(super) budget: &'a mut Budget,
}

impl Stream<'_> {
    /// Takes a segment with payload.
    pub(super) fn take(
        mut self,
        connection: &mut Connection,
        segment: &Segment<'_>,
        engines: &mut Engines,
        stats: &mut CoreStats,
        sink: &mut impl Sink,
    ) {
        // A SYN's payload (TCP Fast Open, RFC 7413) follows it in sequence.
        let seq = segment.seq.wrapping_add(u32::from(segment.syn));
        let Some(mut half) = self.half(connection, seq, segment.payload, stats) else {
            return;
        };
        let Half { reassembly, stream } = &mut *half;
        let mut status = stream.status();
        let outcome = reassembly.push(seq, segment.payload, self.bounds, self.budget, |bytes| {
            status = stream.push(bytes, |message| {
                let told = Told { side: self.side, cause: self.cause, connection, engines, stats, sink };
                told.message(&message)
            });
        });
        stats.count_reassembly(&outcome);
        if let Status::Failed(error) = status {
            stats.count_malformed(error);
        }
        if let Some(place) = connection.halves.get_mut(self.side as usize) {
            *place = Some(half);
        }
        if status != Status::Open {
            connection.close_half(self.side, self.budget);
        }
        if status == Status::Ended(End::Receiver) {
            // The server has answered: the client has nothing more to say in the clear.
            connection.close_half(Side::Client, self.budget);
        }
    }

    /// The handshake that the segment belongs to, taken out of the connection.
    fn half(
        &mut self,
        connection: &mut Connection,
        seq: u32,
        payload: &[u8],
        stats: &mut CoreStats,
    ) -> Option<Box<Half>> {
        let begins = begins_with_hello(payload);
        let first_seq = connection.first_seq.get(self.side as usize).copied().flatten();
        let Some(mut half) = connection.halves.get_mut(self.side as usize).and_then(Option::take) else {
            let end = connection.handshake_end.get(self.side as usize).copied().flatten();
            if end.is_some_and(|end| seq.wrapping_sub(end).cast_signed() < 0) {
                stats.duplicate_bytes += payload.len() as u64;
                return None;
            }
            // A new one: from the first byte of the stream, or from a hello in the middle of it.
            let fits = first_seq.is_some_and(|first| !begins || seq == first);
            return match first_seq {
                Some(first) if fits => Some(Box::new(Half::new(first))),
                _ if begins => Some(Box::new(Half::new(seq))),
                _ => {
                    stats.stray_segments += 1;
                    None
                }
            };
        };
        // A hello beyond the next expected byte: what lies between was no handshake, and the filter
        // left it out (STARTTLS, or the ChangeCipherSpec before a second hello).
        let ahead = seq.wrapping_sub(half.reassembly.next_seq()).cast_signed();
        if begins && ahead > 0 && half.stream.buffered() == 0 {
            half.reassembly.clear(self.budget);
            half.reassembly = Reassembly::new(seq);
            half.stream = HandshakeStream::new();
        }
        Some(half)
    }
}

/// Whether a segment begins with a TLS record that holds a hello; the filter's own test.
fn begins_with_hello(payload: &[u8]) -> bool {
    payload.len() >= begin::SHORTEST as usize
        && payload.first_chunk().is_some_and(|first| {
            matches!(begin::begin(u64::from_be_bytes(*first)), Begin::ClientHello | Begin::ServerHello)
        })
}

/// Where messages turn into events.
struct Told<'a, S> {
    side: Side,
    cause: Cause,
    connection: &'a mut Connection,
    engines: &'a mut Engines,
    stats: &'a mut CoreStats,
    sink: &'a mut S,
}

impl<S: Sink> Told<'_, S> {
    fn message(mut self, message: &HandshakeMessage<'_>) -> ControlFlow<()> {
        let outcome = match message.kind {
            HandshakeType::CLIENT_HELLO if self.side == Side::Client => ClientHello::parse(message.body, Framing::Tls)
                .map(|hello| {
                    self.client_hello(&hello);
                    ControlFlow::Continue(())
                }),
            HandshakeType::SERVER_HELLO if self.side == Side::Server => ServerHello::parse(message.body).map(|hello| {
                self.server_hello(&hello);
                // After a HelloRetryRequest comes the ServerHello proper.
                if hello.is_hello_retry_request() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }),
            _ => Ok(ControlFlow::Continue(())),
        };
        outcome.unwrap_or_else(|error| {
            self.stats.count_malformed(error);
            ControlFlow::Break(())
        })
    }

    fn client_hello(&mut self, hello: &ClientHello<'_>) {
        let connection = &mut *self.connection;
        let tls = connection.attributes.tls.get_or_insert_default();
        if tls.sni.is_none() {
            tls.sni = hello.sni().map(str::to_owned);
        }
        if tls.alpn.is_empty() {
            tls.alpn =
                hello.alpn().take(MAX_ALPN_NAMES).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        }
        if tls.cipher.is_none() {
            tls.version = version_name(hello.version());
        }
        let Engines { forms, ja4, ja4_values: values, .. } = self.engines;
        ja4.ja4(hello, Carrier::Tcp, *forms, values);
        let all = *forms == Forms::All;
        let count = connection.count(Method::Ja4);
        self.sink.fingerprint(&Fingerprint {
            cause: self.cause,
            flow: &connection.identity,
            method: Method::Ja4,
            side: Side::Client,
            count,
            value: &values.value,
            raw: all.then_some(&values.raw),
            original: all.then_some(&values.original),
            raw_original: all.then_some(&values.raw_original),
            certificate: None,
            attributes: &connection.attributes,
        });
    }

    /// The first ServerHello counts, a HelloRetryRequest too; one that follows it says the final
    /// version and suite.
    fn server_hello(&mut self, hello: &ServerHello<'_>) {
        let connection = &mut *self.connection;
        let tls = connection.attributes.tls.get_or_insert_default();
        tls.version = version_name(hello.version());
        tls.cipher = Some(hello.cipher_suite);
        #[cfg(feature = "ja4plus")]
        if !connection.has_told(Method::Ja4s) {
            let Engines { forms, ja4s, ja4s_values: values, .. } = self.engines;
            ja4s.ja4s(hello, Carrier::Tcp, *forms, values);
            let count = connection.count(Method::Ja4s);
            self.sink.fingerprint(&Fingerprint {
                cause: self.cause,
                flow: &connection.identity,
                method: Method::Ja4s,
                side: Side::Server,
                count,
                value: &values.value,
                raw: (*forms == Forms::All).then_some(&values.raw),
                original: None,
                raw_original: None,
                certificate: None,
                attributes: &connection.attributes,
            });
        }
    }
}
