//! Rule `new_chain`: a certificate chain has a shape that was never seen for its server name.
//!
//! A shape is the sequence of JA4X values, leaf first: the fields of issuer, subject and extensions. A renewal keeps it.
//! A TLS-intercepting proxy changes it, and so does a service that moves to another authority. Certificates are in
//! cleartext up to TLS 1.2 only.

use super::rule_settings::rule_settings;
use crate::model::bounded_lru_map::BoundedLruMap;

/// Tracked server names, some 300 bytes each.
const MAX_NAMES: usize = 50_000;

/// Tracked shapes of a name, prefixes of chains included. A chain has 2 to 4 certificates, and a name that many servers
/// share has a few chains.
const MAX_SHAPES: usize = 32;

rule_settings! {
    /// Section `[builtin.new_chain]`: a certificate chain has a new shape for its server name.
    NewChainSettings(Low, 3600) {
        /// Chains of a server name that must have been seen before a new shape raises an alert.
        pub observations: u32 = 5, in 1..;
    }
}

/// The chain shapes of each server name.
#[derive(Debug)]
pub(super) struct NewChainTracker {
    names: BoundedLruMap<Box<str>, ChainShapes>,
}

#[derive(Debug, Default)]
struct ChainShapes {
    /// Chains seen.
    chains: u32,
    /// Keyed hashes of every chain and of every prefix of it: a truncated chain has a known shape. The front was seen
    /// longest ago.
    known: Vec<u64>,
}

impl NewChainTracker {
    /// Returns a tracker without history for one of `parts` equal parts of all keys.
    pub(super) fn new(parts: usize) -> Self {
        Self { names: BoundedLruMap::new(MAX_NAMES.div_ceil(parts)) }
    }

    /// Records a chain. `prefixes` are keyed hashes of its first certificate, its first two, …, of all. Returns the
    /// number of chains before it if its shape is new. A shape that the allowlist suppresses stays new.
    pub(super) fn observe(
        &mut self,
        settings: &NewChainSettings,
        name: &str,
        prefixes: &[u64],
        is_allowlisted: impl FnOnce() -> bool,
    ) -> Option<u32> {
        let &whole = prefixes.last()?;
        if self.names.get_mut(name).is_none() {
            self.names.insert(name.into(), ChainShapes::default());
        }
        let ChainShapes { chains, known } = self.names.get_mut(name)?;
        let before = *chains;
        let is_new = !known.contains(&whole) && before >= settings.observations;
        if is_new && is_allowlisted() {
            return None;
        }
        *chains = before.saturating_add(1);
        for &shape in prefixes.iter().take(MAX_SHAPES) {
            match known.iter().position(|&held| held == shape) {
                Some(index) => {
                    known.remove(index);
                }
                None if known.len() >= MAX_SHAPES => {
                    known.remove(0);
                }
                None => {}
            }
            known.push(shape);
        }
        is_new.then_some(before)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.names.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_shape_of_a_known_name_fires_once() {
        let (settings, mut tracker) = (NewChainSettings::default(), NewChainTracker::new(1));
        let mut observe = |name, chain: &[u64]| tracker.observe(&settings, name, chain, || false);
        for _ in 0..5 {
            assert_eq!(observe("example.org", &[1, 12, 123]), None);
        }
        assert_eq!(observe("example.org", &[1, 12]), None, "a truncated chain");
        assert_eq!(observe("example.org", &[9, 98]), Some(6));
        assert_eq!(observe("example.org", &[9, 98]), None);
        assert_eq!(observe("example.net", &[9, 98]), None, "too few observations");
        assert_eq!(observe("example.org", &[]), None);
    }

    #[test]
    fn a_shape_suppressed_by_the_allowlist_stays_new_to_other_clients() {
        let (settings, mut tracker) = (NewChainSettings::default(), NewChainTracker::new(1));
        for _ in 0..5 {
            tracker.observe(&settings, "example.org", &[1], || false);
        }
        assert_eq!(tracker.observe(&settings, "example.org", &[9, 98], || true), None);
        assert_eq!(tracker.observe(&settings, "example.org", &[9, 98], || false), Some(5));
    }

    #[test]
    fn shapes_are_bounded() {
        let (settings, mut tracker) = (NewChainSettings::default(), NewChainTracker::new(1));
        for shape in 0..1000 {
            tracker.observe(&settings, "example.org", &[shape], || false);
        }
        assert!(tracker.names.iter().all(|(_, shapes)| shapes.known.len() == MAX_SHAPES));
    }
}
