//! What a shard uses and does not own.

use ja4::{Forms, Hashers};

use crate::protocol::quic::QuicBuffers;

/// The hashers and buffers of one shard thread.
#[derive(Default)]
pub struct ShardBuffers {
    pub(super) hashers: Hashers,
    pub(super) quic: QuicBuffers,
}

impl ShardBuffers {
    /// Buffers with hashers for these forms.
    pub fn new(forms: Forms) -> Self {
        Self { hashers: Hashers::new(forms), quic: QuicBuffers::default() }
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
