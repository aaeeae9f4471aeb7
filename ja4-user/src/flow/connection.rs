//! The state of one connection in a shard.

use ja4_common::flow::Books;

use super::Budget;
use super::dtls::Association;
use super::latency::Latencies;
use super::quic::QuicState;
use super::sequence::Seen;
use super::stream::{Half, Stretch};
use super::tcp::Opening;
use crate::event::{Attributes, Ended, FlowIdentity, Method, Side, Time};
#[cfg(feature = "ja4plus")]
use crate::fingerprint::ja4ssh::Window;

/// What a connection carries beside byte streams.
#[derive(Debug, Default)]
pub enum Carried {
    /// Nothing, or nothing that is known yet.
    #[default]
    Nothing,
    /// SSH.
    Ssh(Box<Ssh>),
    /// QUIC.
    Quic(Box<Quic>),
    /// DTLS.
    Dtls(Box<Association>),
}

/// An SSH connection's traffic.
#[derive(Debug)]
pub struct Ssh {
    /// What JA4SSH is made of; `None` once there was no room for it.
    #[cfg(feature = "ja4plus")]
    pub window: Option<Window>,
    /// Bytes of each side that were counted; client, server.
    pub seen: [Seen; 2],
}

/// A QUIC connection's handshake.
#[derive(Debug, Default)]
pub struct Quic {
    /// Keys and CRYPTO streams; A: time and TTL of the first client Initial.
    pub state: QuicState,
    /// B: time and TTL of the first server Initial.
    pub answered: Option<(Time, u8)>,
    /// C: time of the last server Handshake packet so far.
    pub server_handshake: Option<Time>,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// How every record names it.
    pub identity: FlowIdentity,
    /// Its hash, by which the filter knows it.
    pub hash: u64,
    /// Whether the client is the high end of the key.
    pub client_is_high: bool,
    /// Interface that saw its first packet.
    pub interface: u32,
    /// Time of the first packet.
    pub start: Time,
    /// Time of the last packet that is known of.
    pub last: Time,
    /// Packets and bytes, as the filter counts them.
    pub books: Books,
    /// Sequence number of each side's first payload byte, once its SYN was seen; client, server.
    pub first_seq: [Option<u32>; 2],
    /// What was read of each side's last stream, once it is over: what comes of it again is a
    /// retransmission. Client, server.
    pub read: [Option<Stretch>; 2],
    /// Each side's stream; client, server.
    pub halves: [Option<Box<Half>>; 2],
    /// What it carries beside.
    pub carried: Carried,
    /// It is one of SSH.
    pub is_ssh: bool,
    /// What follows the ServerHello is encrypted: so since TLS 1.3.
    pub sealed: bool,
    /// ACKs without payload that came before it was known to be SSH; client, server.
    pub acks: [u8; 2],
    /// Latencies, and what they are made of.
    pub latencies: Latencies,
    /// What is known of it beside its fingerprints.
    pub attributes: Attributes,
    /// Bytes of the budget for what connections keep that it takes.
    pub charged: usize,
    /// The opening, until JA4TS is told.
    pub opening: Option<Box<Opening>>,
    /// Fingerprints told, by method.
    pub told: [u32; Method::ALL.len()],
    /// Sides that have sent FIN; client, server.
    pub finished: [bool; 2],
    /// How it ended, once it has.
    pub ended: Option<Ended>,
}

impl Connection {
    /// The number of the next fingerprint of a method, from 1.
    pub fn count(&mut self, method: Method) -> u32 {
        match self.told.get_mut(method as usize) {
            Some(told) => {
                *told = told.saturating_add(1);
                *told
            }
            None => 1,
        }
    }

    /// Another connection has begun on the same ports: what is told once may be told again.
    pub fn tell_again(&mut self, methods: &[Method]) {
        for method in methods {
            if let Some(told) = self.told.get_mut(*method as usize) {
                *told = 0;
            }
        }
    }

    /// How many fingerprints of the method were told.
    pub fn told_of(&self, method: Method) -> u32 {
        self.told.get(method as usize).copied().unwrap_or_default()
    }

    /// Whether a fingerprint of the method was told.
    pub fn has_told(&self, method: Method) -> bool {
        self.told_of(method) > 0
    }

    /// Packets and bytes, client first.
    pub fn totals(&self) -> ([u64; 2], [u64; 2]) {
        let Books { packets: [low, high], bytes: [low_bytes, high_bytes] } = self.books;
        if self.client_is_high {
            ([high, low], [high_bytes, low_bytes])
        } else {
            ([low, high], [low_bytes, high_bytes])
        }
    }

    /// Ends one side's stream and gives back what it held. What follows is not to begin another by
    /// chance: only a hello does.
    pub fn close_half(&mut self, side: Side, budget: &mut Budget) {
        if let Some(half) = self.halves.get_mut(side as usize)
            && let Some(mut half) = half.take()
        {
            half.clear(budget);
            if let Some(read) = self.read.get_mut(side as usize) {
                *read = Some(half.stretch());
            }
        }
    }

    /// The client is the server and the server the client.
    pub fn turn_round(&mut self) {
        let FlowIdentity { client, server, .. } = &mut self.identity;
        std::mem::swap(client, server);
        self.client_is_high = !self.client_is_high;
    }

    /// Whether a ServerHello was seen that leaves the rest of the handshake in the clear.
    pub fn is_answered(&self) -> bool {
        !self.sealed && self.attributes.tls.as_ref().is_some_and(|tls| tls.cipher.is_some())
    }

    /// Gives back all that the connection holds.
    pub fn release(&mut self, budget: &mut Budget) {
        self.close_half(Side::Client, budget);
        self.close_half(Side::Server, budget);
        match &mut self.carried {
            Carried::Quic(quic) => quic.state.close(budget),
            Carried::Dtls(association) => association.clear(budget),
            Carried::Ssh(_) | Carried::Nothing => {}
        }
    }
}
