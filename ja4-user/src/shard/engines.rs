//! What computes fingerprints, and scratch space: one set a thread.

use crate::protocol::quic::QuicEngine;
use ja4::{Forms, Hashers};

/// Engines and scratch space of one shard thread.
#[derive(Default)]
pub struct Engines {
    pub(crate) quic: QuicEngine,
    pub(crate) methods: Hashers,
}

impl Engines {
    /// Engines that write these forms.
    pub fn new(forms: Forms) -> Self {
        Self { quic: QuicEngine::default(), methods: Hashers::new(forms) }
    }
}
