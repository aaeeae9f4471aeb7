//! A rare value spreads over hosts.
//!
//! A value is rare for a day after this network saw it first, unless that was while the network was learned or
//! a label says what it is. A new version of a program rolled out to many hosts looks the same.

use super::settings::RareValueSpread as Settings;
use super::values::Values;
use crate::anomaly::bounded::Bounded;
use crate::event::Time;

/// Values kept, up to 1.2 KiB each; only rare ones are.
const MAX_VALUES: usize = 20_000;

/// Hosts kept of a value.
pub(super) const MAX_HOSTS: u32 = 64;

#[derive(Debug)]
pub(super) struct Spread {
    values: Bounded<u64, Hosts>,
}

#[derive(Debug, Default)]
struct Hosts {
    hosts: Values,
    told: bool,
}

impl Spread {
    pub(super) fn new() -> Self {
        Self { values: Bounded::new(MAX_VALUES) }
    }

    /// Takes note of a client's value that was new at `since`. Both are given as keyed hashes. `Some`: the number of
    /// hosts; told once for a value.
    pub(super) fn see(
        &mut self,
        settings: &Settings,
        value: u64,
        client: u64,
        since: Time,
        now: Time,
    ) -> Option<usize> {
        if now.0.saturating_sub(since.0) >= settings.rare_for.nanoseconds() {
            return None;
        }
        let Hosts { hosts, told } = self.values.entry(value, Hosts::default);
        if !hosts.see(client, now, MAX_HOSTS as usize) || *told || hosts.len() < settings.hosts as usize {
            return None;
        }
        let number = hosts.since(now, settings.window.nanoseconds());
        *told = number >= settings.hosts as usize;
        told.then_some(number)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.values.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::builtin::testing::at;

    #[test]
    fn a_new_value_on_five_hosts_is_told_once() {
        let (settings, mut spread) = (Settings::default(), Spread::new());
        let mut see = |client, second| spread.see(&settings, 7, client, at(0), at(second));
        for client in 0..4 {
            assert_eq!((see(client, 1), see(client, 2)), (None, None));
        }
        assert_eq!(see(4, 3), Some(5));
        assert_eq!(see(5, 4), None);
    }

    #[test]
    fn a_slow_or_an_old_one_is_not() {
        let (settings, mut spread) = (Settings::default(), Spread::new());
        for client in 0..20 {
            assert_eq!(spread.see(&settings, 7, client, at(0), at(client * 1000)), None);
            assert_eq!(spread.see(&settings, 8, client, at(0), at(86_400 + client)), None);
        }
    }
}
