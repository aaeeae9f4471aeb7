//! The state of one connection in a shard.

use ja4_common::flow::Books;

use super::tcp::Opening;
use super::{Budget, Reassembly};
use crate::event::{Attributes, Ended, FlowIdentity, Method, Side, Time};
use crate::wire::tls::HandshakeStream;

/// One direction's TLS handshake under way.
#[derive(Debug)]
pub struct Half {
    /// Puts segments in order.
    pub reassembly: Reassembly,
    /// Takes handshake messages out of what is in order.
    pub stream: HandshakeStream,
}

impl Half {
    /// A handshake whose first byte has this sequence number.
    pub fn new(first_seq: u32) -> Self {
        Self { reassembly: Reassembly::new(first_seq), stream: HandshakeStream::new() }
    }
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
    /// Sequence number behind each side's last handshake, once it is over: a hello before it is a
    /// retransmission. Client, server.
    pub handshake_end: [Option<u32>; 2],
    /// Each side's handshake; client, server.
    pub halves: [Option<Box<Half>>; 2],
    /// What is known of it beside its fingerprints.
    pub attributes: Attributes,
    /// The opening, until JA4TS is told.
    pub opening: Option<Box<Opening>>,
    /// Fingerprints told, by method.
    pub told: [u8; Method::ALL.len()],
    /// Sides that have sent FIN; client, server.
    pub finished: [bool; 2],
    /// How it ended, once it has.
    pub ended: Option<Ended>,
}

impl Connection {
    /// The number of the next fingerprint of a method, from 1; it stays at 255.
    pub fn count(&mut self, method: Method) -> u32 {
        match self.told.get_mut(method as usize) {
            Some(told) => {
                *told = told.saturating_add(1);
                u32::from(*told)
            }
            None => 1,
        }
    }

    /// Whether a fingerprint of the method was told.
    pub fn has_told(&self, method: Method) -> bool {
        self.told.get(method as usize).is_some_and(|told| *told > 0)
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

    /// Ends one side's handshake and gives back what it held. What follows is not to begin another by
    /// chance: only a hello does.
    pub fn close_half(&mut self, side: Side, budget: &mut Budget) {
        if let Some(half) = self.halves.get_mut(side as usize)
            && let Some(mut half) = half.take()
        {
            half.reassembly.clear(budget);
            if let Some(first) = self.first_seq.get_mut(side as usize) {
                *first = None;
            }
            if let Some(end) = self.handshake_end.get_mut(side as usize) {
                *end = Some(half.reassembly.next_seq());
            }
        }
    }
}
