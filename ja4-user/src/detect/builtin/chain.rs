//! The shape of a certificate chain was never seen for a server name.
//!
//! A shape is the sequence of JA4X values, leaf first: which fields issuer, subject and extensions have. Renewal keeps
//! it. A proxy that opens TLS changes it, and so does a service that moves to another authority. Chains go in the clear
//! up to TLS 1.2 only.

use super::settings::NewChain as Settings;
use crate::detect::bounded::Bounded;

/// Server names kept, some 300 bytes each.
const MAX_NAMES: usize = 50_000;

/// Shapes kept of a name, with their beginnings. A chain has 2 to 4 certificates, a name behind many servers a few
/// chains.
const MAX_SHAPES: usize = 32;

#[derive(Debug)]
pub(super) struct Chains {
    names: Bounded<Box<str>, Shapes>,
}

#[derive(Debug, Default)]
struct Shapes {
    /// Chains seen.
    chains: u32,
    /// Keyed hashes of every chain and of every beginning of it: a chain that was cut has a known shape. The front
    /// was seen longest ago.
    known: Vec<u64>,
}

impl Chains {
    pub(super) fn new() -> Self {
        Self { names: Bounded::new(MAX_NAMES) }
    }

    /// Takes note of a chain. `beginnings` are keyed hashes of its first certificate, its first two, …, of all.
    /// `Some`: the number of chains before it, as it is new. One that `kept_back` leaves in peace stays new.
    pub(super) fn see(
        &mut self,
        settings: &Settings,
        name: &str,
        beginnings: &[u64],
        kept_back: impl FnOnce() -> bool,
    ) -> Option<u32> {
        let &whole = beginnings.last()?;
        if self.names.get_mut(name).is_none() {
            self.names.insert(name.into(), Shapes::default());
        }
        let Shapes { chains, known } = self.names.get_mut(name)?;
        let before = *chains;
        let new = !known.contains(&whole) && before >= settings.observations;
        if new && kept_back() {
            return None;
        }
        *chains = before.saturating_add(1);
        for &shape in beginnings.iter().take(MAX_SHAPES) {
            match known.iter().position(|&held| held == shape) {
                Some(place) => {
                    known.remove(place);
                }
                None if known.len() >= MAX_SHAPES => {
                    known.remove(0);
                }
                None => {}
            }
            known.push(shape);
        }
        new.then_some(before)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.names.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_shape_of_a_known_name_is_told_once() {
        let (settings, mut chains) = (Settings::default(), Chains::new());
        let mut see = |name, chain: &[u64]| chains.see(&settings, name, chain, || false);
        for _ in 0..5 {
            assert_eq!(see("example.org", &[1, 12, 123]), None);
        }
        assert_eq!(see("example.org", &[1, 12]), None); // cut
        assert_eq!(see("example.org", &[9, 98]), Some(6));
        assert_eq!(see("example.org", &[9, 98]), None);
        assert_eq!(see("example.net", &[9, 98]), None); // hardly known
        assert_eq!(see("example.org", &[]), None);
    }

    #[test]
    fn a_chain_left_in_peace_is_new_to_everybody_else() {
        let (settings, mut chains) = (Settings::default(), Chains::new());
        for _ in 0..5 {
            chains.see(&settings, "example.org", &[1], || false);
        }
        assert_eq!(chains.see(&settings, "example.org", &[9, 98], || true), None);
        assert_eq!(chains.see(&settings, "example.org", &[9, 98], || false), Some(5));
    }

    #[test]
    fn shapes_are_bounded() {
        let (settings, mut chains) = (Settings::default(), Chains::new());
        for shape in 0..1000 {
            chains.see(&settings, "example.org", &[shape], || false);
        }
        assert!(chains.names.iter().all(|(_, shapes)| shapes.known.len() == MAX_SHAPES));
    }
}
