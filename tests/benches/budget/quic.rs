//! Nanoseconds from a QUIC datagram to its JA4, including keys, packet protection, frames, reassembly and parsing.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ja4::wire::quic::{PacketKeys, V1};
use ja4::wire::tls::{Carrier, ClientHello};
use ja4::{Forms, Hashers, Input};
use ja4_user::conntrack::{Budget, ReassemblyLimits};
use ja4_user::model::Time;
use ja4_user::protocol::UdpDatagram;
use ja4_user::protocol::quic::{QuicBuffers, QuicConnections};
use tests::hello::Shape;
use tests::packets::Sender;
use tests::quic::{self, QuicEnds};
use tests::random::SplitMix64;

use crate::Scale;
use crate::figure::{Figure, least};

/// QUIC connections in a round, each with a unique connection ID.
const CONNECTIONS: usize = 1024;

/// Bytes available for CRYPTO data in a datagram of 1200 bytes.
const PIECE: usize = 1150;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let mut random = SplitMix64::new(1);
    let mut connection = |shape: Shape| {
        let ends = QuicEnds::new(&random.bytes::<8>(), &random.bytes::<8>());
        let hello = shape.client_hello("www.example.org", &mut random);
        let pieces = hello.chunks(PIECE).enumerate();
        let datagram = |(number, piece): (usize, &[u8])| {
            ends.initial(Sender::Client, number as u16, &quic::crypto(number * PIECE, piece))
        };
        pieces.map(datagram).collect::<Vec<_>>()
    };
    let whole: Vec<_> = (0..CONNECTIONS).map(|_| connection(Shape::Browser)).collect();
    let halves: Vec<_> = (0..CONNECTIONS).map(|_| connection(Shape::PostQuantum)).collect();
    ensure!(whole.iter().all(|datagrams| datagrams.len() == 1) && halves.iter().all(|datagrams| datagrams.len() == 2));

    let mut reader = Reader::default();
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..scale.of(100, 3) {
        let [first, next, keys] = &mut rounds;
        first.push(reader.round(&whole, 0)?);
        next.push(reader.round(&halves, 1)?);
        keys.push(derive());
    }
    let [first, next, keys] = rounds.map(least);
    Ok(vec![
        Figure::new("Initial → JA4, fresh DCID", first, "ns")
            .at_most(1500.0)
            .note(format!("{} bytes; keys alone {keys:.0} ns", whole[0][0].len())),
        Figure::new("the connection's next Initial → JA4", next, "ns")
            .at_most(600.0)
            .note(format!("{} bytes, second half of a hello", halves[0][1].len())),
    ])
}

/// State of a shard for its QUIC connections.
struct Reader {
    engine: QuicBuffers,
    budget: Budget,
    hashers: Hashers,
    read: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            engine: QuicBuffers::new(ReassemblyLimits::default()),
            budget: Budget::new(64 << 20),
            hashers: Hashers::new(Forms::Value),
            read: 0,
        }
    }
}

impl Reader {
    /// Measures datagram `number` of each connection, which completes its hello; returns nanoseconds per connection.
    fn round(&mut self, connections: &[Vec<Vec<u8>>], number: usize) -> Result<f64> {
        let mut flows: Vec<QuicConnections<()>> = connections.iter().map(|_| QuicConnections::default()).collect();
        for (flow, datagrams) in flows.iter_mut().zip(connections) {
            datagrams[..number].iter().for_each(|datagram| self.take(flow, datagram));
        }
        let before = self.read;
        let begun = Instant::now();
        for (flow, datagrams) in flows.iter_mut().zip(connections) {
            self.take(flow, black_box(&datagrams[number]));
        }
        let time = begun.elapsed();
        flows.iter_mut().for_each(|flow| flow.close(&mut self.budget));
        ensure!(self.read - before == connections.len(), "{} hellos", self.read - before);
        Ok(each(time))
    }

    fn take(&mut self, flow: &mut QuicConnections<()>, payload: &[u8]) {
        let Self { engine, budget, hashers, read } = self;
        let datagram = UdpDatagram { payload, wire_len: payload.len(), from_high: false, time: Time(0), ttl: 64 };
        let _ = flow.push(engine, &datagram, budget, |(), given| {
            if let Ok(hello) = ClientHello::parse(given.message.body, Carrier::Quic) {
                black_box(hashers.compute(Input::ClientHello(&hello)));
                *read += 1;
            }
            ControlFlow::Continue(())
        });
    }
}

/// Measures the derivation of a client's Initial keys; returns nanoseconds per connection.
fn derive() -> f64 {
    let begun = Instant::now();
    for number in 0..CONNECTIONS as u64 {
        black_box(PacketKeys::client(V1, &black_box(number).to_be_bytes())).ok();
    }
    each(begun.elapsed())
}

fn each(time: Duration) -> f64 {
    time.as_nanos() as f64 / CONNECTIONS as f64
}
