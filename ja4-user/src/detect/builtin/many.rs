//! One host shows many JA4s: randomised, or sprayed.
//!
//! JA4 sorts ciphers and extensions, so a client that shuffles them has one value. A host with as many clients exists:
//! a proxy, a gateway that translates addresses, a scanner of one's own; the allowlist is for them.

use std::net::IpAddr;

use super::settings::ManyJa4 as Settings;
use super::values::Values;
use crate::detect::bounded::Bounded;
use crate::model::Time;

/// Hosts kept. Most show a few values: 100 bytes each, 2 KiB for one that fills its list.
const MAX_HOSTS: usize = 50_000;

/// Values kept of a host.
pub(super) const MAX_VALUES: u32 = 128;

#[derive(Debug)]
pub(super) struct ManyJa4 {
    hosts: Bounded<IpAddr, Values>,
}

impl ManyJa4 {
    pub(super) fn new() -> Self {
        Self { hosts: Bounded::new(MAX_HOSTS) }
    }

    /// Takes note of a value, given as a keyed hash. `Some`: the number of values, as it is more than usual.
    pub(super) fn see(&mut self, settings: &Settings, host: IpAddr, value: u64, now: Time) -> Option<usize> {
        let values = self.hosts.entry(host, Values::default);
        let window = settings.window.nanoseconds();
        let fresh = values.see(value, now, window, MAX_VALUES as usize);
        if !fresh || values.len() <= settings.threshold as usize {
            return None;
        }
        let number = values.since(now, window);
        (number > settings.threshold as usize).then_some(number)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.hosts.evicted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::builtin::testing::at;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn more_values_than_usual_in_the_window_are_told() {
        let (settings, mut many) = (Settings::default(), ManyJa4::new());
        for value in 0..20 {
            assert_eq!(many.see(&settings, HOST, value, at(value)), None);
            assert_eq!(many.see(&settings, HOST, value, at(value)), None);
        }
        assert_eq!(many.see(&settings, HOST, 20, at(20)), Some(21));
        assert_eq!(many.see(&settings, HOST, 20, at(21)), None); // nothing new about it
        assert_eq!(many.see(&settings, HOST, 21, at(22)), Some(22));
    }

    #[test]
    fn values_of_long_ago_are_new_to_the_window() {
        let (settings, mut many) = (Settings::default(), ManyJa4::new());
        // One in a quarter of an hour is usual; all of them within a minute are not, and no more so two hours later.
        for value in 0..30 {
            assert_eq!(many.see(&settings, HOST, value, at(value * 900)), None);
        }
        for begin in [30_000, 37_200] {
            let told: Vec<_> =
                (0..30).filter_map(|value| many.see(&settings, HOST, value, at(begin + value))).collect();
            assert_eq!(told, [21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
        }
    }

    #[test]
    fn values_spread_over_a_longer_time_are_usual() {
        let (settings, mut many) = (Settings::default(), ManyJa4::new());
        for value in 0..1000 {
            assert_eq!(many.see(&settings, HOST, value, at(value * 31)), None, "{value}");
        }
    }

    #[test]
    fn a_spray_is_bounded() {
        let (settings, mut many) = (Settings::default(), ManyJa4::new());
        let told: Vec<_> = (0..10_000).filter_map(|value| many.see(&settings, HOST, value, at(1))).collect();
        assert_eq!((told.first(), told.last()), (Some(&21), Some(&128)));
        for host in 0..60_000_u32 {
            many.see(&settings, IpAddr::from(host.to_be_bytes()), 1, at(1));
        }
        assert_eq!(many.evicted(), 10_001);
    }
}
