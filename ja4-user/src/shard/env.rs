//! What a shard uses and does not own.

use ja4::Hashers;

use crate::protocol::FingerprintOptions;
use crate::protocol::quic::QuicBuffers;

/// The hashers and buffers of one shard thread.
#[derive(Default)]
pub struct ShardBuffers {
    pub(super) hashers: Hashers,
    /// Whether JA3 and JA3S are computed too.
    pub(super) ja3: bool,
    pub(super) quic: QuicBuffers,
}

impl ShardBuffers {
    /// Buffers with hashers for what is to be computed.
    pub fn new(options: FingerprintOptions) -> Self {
        Self { hashers: Hashers::new(options.forms), ja3: options.ja3, quic: QuicBuffers::default() }
    }
}

/// The flows of the filter, the buffers of the thread, and the receiver of events.
pub struct ShardEnv<'a, F, S> {
    /// The filter's side of the flows.
    pub flows: &'a mut F,
    /// Hashers and buffers of the thread.
    pub buffers: &'a mut ShardBuffers,
    /// Receives events.
    pub events: &'a mut S,
}
