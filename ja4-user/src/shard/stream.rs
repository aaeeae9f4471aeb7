//! A TCP connection's streams: segments into order, what is in order into messages, messages into
//! fingerprints.

use std::ops::ControlFlow;

use ja4_common::signature::{self, StreamStart};

use super::stage::Stage;
use super::stats::Protocol;
use super::tls::Handshake;
use super::unfinished::tell_unfinished_stream;
use super::{http, ssh};
use crate::conntrack::connection::Connection;
use crate::conntrack::stream::{Framed, Half, Start, Stream, begins};
use crate::conntrack::{Budget, Outcome};
use crate::model::{EventHandler, Side};
use ja4::wire::framing::FrameContent;
use ja4::wire::tls::Carrier;
use ja4::wire::tls::{HandshakeStatus, HandshakeStream};
use ja4::wire::{http1, http2};

impl<S: EventHandler> Stage<'_, S> {
    /// Reads a segment with payload. `anew`: the filter has not selected the bytes before it. `is_http`: the filter has
    /// selected it as HTTP.
    pub(super) fn stream(&mut self, connection: &mut Connection, seq: u32, payload: &[u8], anew: bool, is_http: bool) {
        let is_ssh = connection.is_ssh && !is_http;
        let Some(mut half) = self.half(connection, seq, payload, anew) else {
            return;
        };
        let Half { reassembly, stream, .. } = &mut *half;
        let (side, cause) = (self.side, self.cause);
        let (engines, stats, sink) = (&mut *self.engines, &mut *self.stats, &mut *self.sink);
        let mut reading = ControlFlow::Continue(());
        let outcome = reassembly.push(seq, payload, self.bounds, self.budget, |bytes| {
            if reading.is_continue() {
                let mut reader = Reader { side, cause, is_ssh, connection, engines, stats, sink };
                reading = reader.read(stream, bytes);
            }
        });
        self.stats.count_reassembly(&outcome);
        let (datagrams, framing) = match &mut half.stream {
            Stream::Framed(framed) => (std::mem::take(&mut framed.datagrams), Some(framed.unframe.framing())),
            _ => (Vec::new(), None),
        };
        if reading.is_continue() && !half.charge(self.budget) {
            self.stats.refused_bytes += half.stream.buffered() as u64;
            reading = ControlFlow::Break(());
        }
        if let Some(place) = connection.halves.get_mut(side as usize) {
            *place = Some(half);
        }
        for datagram in &datagrams {
            self.datagram_in_stream(connection, framing, datagram);
        }
        if reading.is_break() {
            self.close_half(connection, side);
            if side == Side::Server && connection.sealed {
                // The server has answered: the client has nothing more to say in the clear.
                self.close_half(connection, Side::Client);
            }
        }
    }

    /// Ends one side's stream.
    fn close_half(&mut self, connection: &mut Connection, side: Side) {
        tell_unfinished_stream(connection, side, self.cause, self.engines, self.stats, self.sink);
        connection.close_half(side, self.budget);
    }

    /// The stream that the segment belongs to, taken out of the connection.
    fn half(&mut self, connection: &mut Connection, seq: u32, payload: &[u8], anew: bool) -> Option<Box<Half>> {
        let begin = match begins(payload) {
            // Less than the header of the hello that the filter has seen begin.
            StreamStart::None if anew => StreamStart::ClientHello,
            begin => begin,
        };
        let first_seq = connection.first_seq.get(self.side as usize).copied().flatten();
        if let Some(mut half) = connection.halves.get_mut(self.side as usize).and_then(Option::take) {
            let unfinished = half.is_unfinished();
            let gives_up = half.approach(seq, begin, anew, first_seq, self.budget);
            self.stats.unfinished_messages += u64::from(gives_up || (unfinished && !half.is_unfinished()));
            return Some(half);
        }
        let half = match connection.read.get(self.side as usize).copied().flatten() {
            Some(read) if read.contains(seq) => {
                self.stats.duplicate_bytes += payload.len() as u64;
                return None;
            }
            Some(read) if begin != StreamStart::None => Half::after(&read, seq),
            None if anew && begin != StreamStart::None => Half::midway(seq, first_seq),
            None if let Some(first) = first_seq => Half::new(first),
            _ => {
                if !connection.is_ssh {
                    self.stats.stray_segments += 1;
                }
                return None;
            }
        };
        Some(Box::new(half))
    }
}

/// Whether bytes that are too few to tell may be the first of a hello.
fn is_start_of_hello(bytes: &[u8]) -> bool {
    const HANDSHAKE: u8 = 22;
    bytes.len() < signature::SHORTEST as usize && bytes.first() == Some(&HANDSHAKE)
}

/// Whether a TLS hello of either side begins.
fn is_hello(begin: StreamStart) -> bool {
    matches!(begin, StreamStart::ClientHello | StreamStart::ServerHello)
}

/// What reads bytes that are in order.
pub(super) struct Reader<'a, S> {
    pub(super) side: Side,
    pub(super) cause: crate::model::EventContext,
    /// Text that is not recognized belongs to SSH.
    pub(super) is_ssh: bool,
    pub(super) connection: &'a mut Connection,
    pub(super) engines: &'a mut super::engines::Engines,
    pub(super) stats: &'a mut super::stats::CoreStats,
    pub(super) sink: &'a mut S,
}

impl<S: EventHandler> Reader<'_, S> {
    /// Reads what the side's stream of HTTP/1 holds behind bytes that never came: each request stands by
    /// itself.
    pub(super) fn read_held(mut self, budget: &mut Budget) {
        let place = self.side as usize;
        let Some(mut half) = self.connection.halves.get_mut(place).and_then(Option::take) else {
            return;
        };
        if matches!(half.stream, Stream::Http1(_)) && half.reassembly.held_pieces() > 0 {
            self.stats.unfinished_messages += u64::from(half.is_unfinished());
            let mut outcome = Outcome::default();
            let mut reading = ControlFlow::Continue(());
            while half.pass_gap(budget, &mut outcome, |stream, bytes| {
                if reading.is_continue() {
                    reading = self.read(stream, bytes);
                }
            }) {}
            self.stats.count_reassembly(&outcome);
        }
        if let Some(half_place) = self.connection.halves.get_mut(place) {
            *half_place = Some(half);
        }
    }

    /// The stream is, from here on, nothing that is read.
    fn leave(&mut self, stream: &mut Stream) -> ControlFlow<()> {
        *stream = Stream::Other;
        self.stats.stray_segments += u64::from(!self.connection.is_ssh);
        ControlFlow::Continue(())
    }

    /// Reads the next bytes; breaks where the stream has no more to say.
    fn read(&mut self, stream: &mut Stream, bytes: &[u8]) -> ControlFlow<()> {
        match stream {
            Stream::Unknown(start) => {
                let mut kept = *start;
                let rest = kept.take(bytes);
                match kept.kind(self.side, self.is_ssh) {
                    None => {
                        *start = kept;
                        ControlFlow::Continue(())
                    }
                    Some(Stream::Other) => self.leave(stream),
                    Some(kind) => {
                        let earlier = start.as_bytes().len();
                        *stream = kind;
                        // All of them came in one slice, unless the first ones were very few.
                        if earlier == 0 {
                            return self.read(stream, bytes);
                        }
                        self.read(stream, kept.as_bytes())?;
                        self.read(stream, rest)
                    }
                }
            }
            _ if bytes.is_empty() => ControlFlow::Continue(()),
            Stream::Other if begins(bytes) == StreamStart::None && !is_start_of_hello(bytes) => self.leave(stream),
            Stream::Other => {
                *stream = Stream::Unknown(Start::default());
                self.read(stream, bytes)
            }
            Stream::Proxy(header) => match header.push(bytes) {
                Ok(None) => ControlFlow::Continue(()),
                Ok(Some(rest)) => {
                    *stream = Stream::Unknown(Start::default());
                    self.read(stream, rest)
                }
                Err(_) => self.leave(stream),
            },
            Stream::Framed(framed) if framed.unframe.is_at_frame() && is_hello(begins(bytes)) => {
                *stream = Stream::Unknown(Start::default());
                self.read(stream, bytes)
            }
            Stream::Framed(framed) => {
                let Framed { unframe, tls, datagrams } = &mut **framed;
                let mut reading = ControlFlow::Continue(());
                let pushed = unframe.push(bytes, |content| match content {
                    FrameContent::Stream(bytes) if reading.is_continue() => reading = self.tls(tls, bytes),
                    FrameContent::Stream(_) => {}
                    FrameContent::Datagram(datagram) => datagrams.push(datagram.to_vec()),
                });
                if pushed.is_err() && reading.is_continue() {
                    return self.leave(stream);
                }
                reading
            }
            Stream::Tls(tls) => self.tls(tls, bytes),
            Stream::Http1(http) => {
                let status = http.push(bytes, |request| http::request(self, request));
                match status {
                    http1::Http1Status::Open => ControlFlow::Continue(()),
                    http1::Http1Status::Http2(rest) => {
                        *stream = Stream::Http2(Box::new(http2::Http2Stream::after_preface()));
                        self.read(stream, rest)
                    }
                    // After CONNECT or an upgrade: whatever it is, it begins here.
                    http1::Http1Status::Tunnel(rest) => {
                        let held = http.incomplete_block().to_vec();
                        *stream = Stream::Unknown(Start::default());
                        self.read(stream, &held)?;
                        self.read(stream, rest)
                    }
                    http1::Http1Status::Lost => self.leave(stream),
                    http1::Http1Status::Ended => ControlFlow::Break(()),
                }
            }
            Stream::Http2(http) => match http.push(bytes, |request| http::request(self, Ok(request))) {
                http2::Http2Status::Open => ControlFlow::Continue(()),
                http2::Http2Status::Ended => ControlFlow::Break(()),
                http2::Http2Status::Failed(error) => {
                    self.stats.count_malformed(Protocol::Http, error);
                    ControlFlow::Break(())
                }
            },
            Stream::Ssh(stream) => ssh::read(self, stream, bytes),
        }
    }

    /// Reads the next bytes of TLS; breaks once no further bytes are of interest.
    fn tls(&mut self, tls: &mut HandshakeStream, bytes: &[u8]) -> ControlFlow<()> {
        let status = tls.push(bytes, |message| {
            let handshake = Handshake {
                carrier: Carrier::Tcp,
                side: self.side,
                cause: self.cause,
                connection: self.connection,
                methods: &mut self.engines.methods,
                stats: self.stats,
                sink: self.sink,
            };
            handshake.message(&message)
        });
        match status {
            // An abbreviated handshake of TLS 1.2 ends here.
            HandshakeStatus::Open if tls.cipher_changed() && self.connection.is_answered() => ControlFlow::Break(()),
            HandshakeStatus::Open => ControlFlow::Continue(()),
            HandshakeStatus::Failed(error) => {
                self.stats.count_malformed(Protocol::Tls, error);
                ControlFlow::Break(())
            }
            HandshakeStatus::Ended(_) => ControlFlow::Break(()),
        }
    }
}
