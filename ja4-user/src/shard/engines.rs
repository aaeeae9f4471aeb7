//! What computes fingerprints, and room to write them in: one set a thread.

use crate::protocol::quic::QuicEngine;
use ja4::fingerprint::Forms;
use ja4::fingerprint::ja4::{Ja4Engine, Ja4Values};
#[cfg(feature = "ja4plus")]
use ja4::fingerprint::ja4h::{Ja4hEngine, Ja4hValues};
#[cfg(feature = "ja4plus")]
use ja4::fingerprint::ja4s::{Ja4sEngine, Ja4sValues};
#[cfg(feature = "ja4plus")]
use ja4::fingerprint::ja4x::{Ja4xEngine, Ja4xValues};

/// Engines and scratch space of one shard thread.
#[derive(Default)]
pub struct Engines {
    pub(crate) quic: QuicEngine,
    pub(crate) methods: Methods,
}

/// What turns messages into values.
#[derive(Default)]
pub(crate) struct Methods {
    /// Which forms are asked for.
    pub(crate) forms: Forms,
    pub(crate) ja4: Ja4Engine,
    pub(crate) ja4_values: Ja4Values,
    #[cfg(feature = "ja4plus")]
    pub(crate) ja4s: Ja4sEngine,
    #[cfg(feature = "ja4plus")]
    pub(crate) ja4s_values: Ja4sValues,
    #[cfg(feature = "ja4plus")]
    pub(crate) ja4h: Ja4hEngine,
    #[cfg(feature = "ja4plus")]
    pub(crate) ja4h_values: Ja4hValues,
    #[cfg(feature = "ja4plus")]
    pub(crate) ja4x: Ja4xEngine,
    #[cfg(feature = "ja4plus")]
    pub(crate) ja4x_values: Ja4xValues,
    #[cfg(feature = "ja4plus")]
    pub(crate) text: String,
}

impl Engines {
    /// Engines that write these forms.
    pub fn new(forms: Forms) -> Self {
        Self { methods: Methods { forms, ..Methods::default() }, ..Self::default() }
    }
}
