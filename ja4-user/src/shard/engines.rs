//! What computes fingerprints, and room to write them in: one set a thread.

use crate::fingerprint::Forms;
use crate::fingerprint::ja4::{Ja4Engine, Ja4Values};
#[cfg(feature = "ja4plus")]
use crate::fingerprint::ja4s::{Ja4sEngine, Ja4sValues};

/// Engines and scratch space of one shard thread.
#[derive(Default)]
pub struct Engines {
    /// Which forms are asked for.
    pub forms: Forms,
    pub(super) ja4: Ja4Engine,
    pub(super) ja4_values: Ja4Values,
    #[cfg(feature = "ja4plus")]
    pub(super) ja4s: Ja4sEngine,
    #[cfg(feature = "ja4plus")]
    pub(super) ja4s_values: Ja4sValues,
    #[cfg(feature = "ja4plus")]
    pub(super) text: String,
}

impl Engines {
    /// Engines that write these forms.
    pub fn new(forms: Forms) -> Self {
        Self { forms, ..Self::default() }
    }
}
