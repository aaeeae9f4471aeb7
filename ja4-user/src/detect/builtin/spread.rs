//! A rare value spreads over hosts.
//!
//! A value is rare for a day after this network saw it first, unless that was while the network was learned or
//! a label says what it is. A new version of a program rolled out to many hosts looks the same.

use super::settings::RareValueSpread as Settings;
use super::values::Values;
use crate::detect::bounded::Bounded;
use crate::model::Time;

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
    /// hosts; told once for a value, unless `kept_back` says that this client is left in peace.
    pub(super) fn see(
        &mut self,
        settings: &Settings,
        value: u64,
        client: u64,
        since: Time,
        now: Time,
        kept_back: impl FnOnce() -> bool,
    ) -> Option<usize> {
        if now.0.saturating_sub(since.0) >= settings.rare_for.nanoseconds() {
            return None;
        }
        let Hosts { hosts, told } = self.values.entry(value, Hosts::default);
        let (enough, window) = (settings.hosts as usize, settings.window.nanoseconds());
        if !hosts.see(client, now, window, MAX_HOSTS as usize) || *told || hosts.len() < enough {
            return None;
        }
        let number = hosts.since(now, window);
        if number < enough || kept_back() {
            return None;
        }
        *told = true;
        Some(number)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.values.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::builtin::testing::at;

    #[test]
    fn a_new_value_on_five_hosts_is_told_once() {
        let (settings, mut spread) = (Settings::default(), Spread::new());
        let mut see = |client, second| spread.see(&settings, 7, client, at(0), at(second), || false);
        for client in 0..4 {
            assert_eq!((see(client, 1), see(client, 2)), (None, None));
        }
        assert_eq!(see(4, 3), Some(5));
        assert_eq!(see(5, 4), None);
    }

    #[test]
    fn a_slow_or_an_old_one_is_not() {
        let (settings, mut spread, told) = (Settings::default(), Spread::new(), || false);
        for client in 0..20 {
            assert_eq!(spread.see(&settings, 7, client, at(0), at(client * 1000), told), None);
            assert_eq!(spread.see(&settings, 8, client, at(0), at(86_400 + client), told), None);
        }
    }

    #[test]
    fn hosts_of_long_ago_that_show_it_again_are_new_to_the_window() {
        let (settings, mut spread) = (Settings::default(), Spread::new());
        let mut see = |client, second| spread.see(&settings, 7, client, at(0), at(second), || false);
        for client in 0..6 {
            assert_eq!(see(client, client * 3700), None);
        }
        // The last one was here within the hour.
        let told: Vec<_> = (0..6).filter_map(|client| see(client, 21_000 + client)).collect();
        assert_eq!(told, [5]);
    }

    #[test]
    fn a_client_left_in_peace_hides_it_of_nobody_else() {
        let (settings, mut spread) = (Settings::default(), Spread::new());
        let mut see = |client: u64| spread.see(&settings, 7, client, at(0), at(client), || client == 4);
        assert_eq!((0..6).map(&mut see).collect::<Vec<_>>(), [None, None, None, None, None, Some(6)]);
    }
}
