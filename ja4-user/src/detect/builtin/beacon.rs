//! A value comes to one destination at regular intervals.
//!
//! A hello is a sighting, and so is each request, also of one connection; of a connection that shows neither, its SYN.
//! Those of one client, server, port and value less than a second apart are one beat. The interval is the time from
//! one beat's start to the next one's. An interval shorter than the setting begins the series anew: what comes that
//! often is a session, not a beacon. Over the last intervals, at most 32, stands their coefficient of variation, the
//! standard deviation over the mean. It is `j / √3` where a beacon varies its sleep evenly by ±j (0.06 for 10 %, 0.12
//! for 20 %), and about 1 where connections come by chance. So the usual bound of 0.15 finds a variation up to a quarter.
//! Eight intervals by chance lie that close together about once in a million connections.
//! A missed beat doubles an interval and hides a beacon until that interval has left the last 32.
//!
//! Much that is harmless polls: mail, updates, monitoring, telemetry. Hence the low severity.

use std::net::IpAddr;

use super::settings::Beacon as Settings;
use crate::detect::OUT_OF_STEP;
use crate::detect::bounded::Bounded;
use crate::model::Time;

/// Series kept, at most 300 bytes each.
const MAX_SERIES: usize = 50_000;

/// Intervals kept of a series.
pub(super) const MAX_INTERVALS: u32 = 32;

/// Sightings closer than this belong to one beat, nanoseconds: a client opens several connections at a time.
const BEAT: u64 = 1_000_000_000;

/// Who, to whom, with what: the value as a keyed hash.
pub(super) type Key = (IpAddr, (IpAddr, u16), u64);

/// A regular series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) intervals: usize,
    /// Mean, seconds.
    pub(super) mean: f64,
    pub(super) variation: f64,
}

#[derive(Debug)]
pub(super) struct Beacons {
    series: Bounded<Key, Series>,
}

#[derive(Debug, Default)]
struct Series {
    /// Start of the last beat.
    beat: Time,
    /// Last sighting.
    last: Time,
    /// Lengths in milliseconds; a ring once it is full.
    intervals: Vec<u32>,
    next: usize,
}

impl Series {
    fn push(&mut self, milliseconds: u32) {
        if self.intervals.len() < MAX_INTERVALS as usize {
            self.intervals.push(milliseconds);
            return;
        }
        if let Some(place) = self.intervals.get_mut(self.next) {
            *place = milliseconds;
        }
        self.next = (self.next + 1) % MAX_INTERVALS as usize;
    }

    fn found(&self) -> Found {
        let number = self.intervals.len() as f64;
        let mean = self.intervals.iter().map(|&interval| f64::from(interval)).sum::<f64>() / number;
        let square = |&interval: &u32| (f64::from(interval) - mean).powi(2);
        // Over n - 1, as the intervals are a sample.
        let variance = self.intervals.iter().map(square).sum::<f64>() / (number - 1.0);
        Found { intervals: self.intervals.len(), mean: mean / 1000.0, variation: variance.sqrt() / mean }
    }
}

impl Beacons {
    pub(super) fn new() -> Self {
        Self { series: Bounded::new(MAX_SERIES) }
    }

    /// Takes note of a sighting. `Some`: the series is regular, with this beat as well.
    pub(super) fn see(&mut self, settings: &Settings, key: Key, now: Time) -> Option<Found> {
        if self.series.get_mut(&key).is_none() {
            self.series.insert(key, Series { beat: now, last: now, ..Series::default() });
            return None;
        }
        let series = self.series.get_mut(&key)?;
        if series.last.0.saturating_sub(now.0) >= OUT_OF_STEP {
            *series = Series { beat: now, last: now, ..Series::default() };
            return None;
        }
        let since = now.0.saturating_sub(series.last.0);
        let interval = now.0.saturating_sub(series.beat.0);
        series.last = series.last.max(now);
        if since < BEAT {
            return None;
        }
        series.beat = now;
        if interval < settings.min_interval.nanoseconds() {
            series.intervals.clear();
            series.next = 0;
            return None;
        }
        series.push(u32::try_from(interval / 1_000_000).unwrap_or(u32::MAX));
        if series.intervals.len() < settings.intervals.max(2) as usize {
            return None;
        }
        let found = series.found();
        (found.variation <= settings.variation).then_some(found)
    }

    pub(super) fn evicted(&self) -> u64 {
        self.series.evicted()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    const KEY: Key = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), (IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 443), 7);

    /// Numbers from 0 to 1, the same for a seed.
    struct Chance(u64);

    impl Chance {
        fn next(&mut self) -> f64 {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// The numbers of the sightings that were told, of a series with these gaps in seconds.
    fn told(gaps: impl IntoIterator<Item = f64>) -> Vec<usize> {
        let (settings, mut beacons, mut now) = (Settings::default(), Beacons::new(), 1_000.0);
        let mut told = Vec::new();
        for (number, gap) in gaps.into_iter().enumerate() {
            now += gap;
            if beacons.see(&settings, KEY, Time((now * 1e9) as u64)).is_some() {
                told.push(number);
            }
        }
        told
    }

    #[test]
    fn a_regular_series_is_found_at_its_eighth_interval() {
        assert_eq!(told([60.0; 9]), [8]);
        assert_eq!(told([60.0; 8]), [0; 0]);
        assert_eq!(told([5.0; 9]), [8]);
        assert_eq!(told([4.9; 100]), [0; 0]);
    }

    #[test]
    fn connections_of_one_beat_are_one() {
        let gaps = (0..27).map(|number| if number % 3 == 0 { 60.0 } else { 0.2 });
        assert_eq!(told(gaps), [24]);
    }

    #[test]
    fn one_wrong_time_stamp_hides_no_beacon_for_long() {
        let gaps = [60.0, 1e8, -1e8].into_iter().chain([60.0; 12]);
        assert_eq!(told(gaps), [10, 11, 12, 13, 14]);
    }

    #[test]
    fn the_arithmetic_is_that_of_a_sample() {
        let series = Series { intervals: vec![9_000, 10_000, 11_000], ..Series::default() };
        let Found { intervals, mean, variation } = series.found();
        assert_eq!((intervals, mean), (3, 10.0));
        assert!((variation - 0.1).abs() < 1e-12, "{variation}");
    }

    #[test]
    fn a_beacon_that_misses_a_beat_is_found_again() {
        let gaps = [60.0; 30].into_iter().chain([120.0]).chain([60.0; 40]);
        let told = told(gaps);
        assert!(told.contains(&29) && !told.contains(&31) && told.contains(&70), "{told:?}");
    }

    /// The chance is that of the first eight or nine intervals, and small, so that it takes millions of connections to
    /// see: the same ones each time.
    #[test]
    fn connections_by_chance_are_not() {
        const SERIES: u64 = 2000;
        const CONNECTIONS: u64 = 300;
        let (mut connections, mut taken) = (0, 0);
        for mean in [0.5, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0] {
            for seed in 0..SERIES {
                let mut chance = Chance(seed);
                let gaps = (0..CONNECTIONS).map(|_| -mean * (1.0 - chance.next()).ln());
                taken += u64::from(!told(gaps).is_empty());
                connections += CONNECTIONS;
            }
        }
        assert!(taken * 250_000 < connections, "{taken} beacons in {connections} connections by chance");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Up to a fifth to either side.
        #[test]
        fn a_beacon_that_varies_its_sleep_is_found(sleep in 8.0..4000.0_f64, jitter in 0.0..0.2_f64, seed: u64) {
            let mut chance = Chance(seed);
            let gaps: Vec<_> = (0..60).map(|_| sleep * (1.0 + jitter * (2.0 * chance.next() - 1.0))).collect();
            prop_assert!(!told(gaps).is_empty());
        }

        /// Half or more to either side is beyond the bound.
        #[test]
        fn a_wide_variation_is_not_regular(sleep in 20.0..4000.0_f64, seed: u64) {
            let mut chance = Chance(seed);
            let gaps: Vec<_> = (0..33).map(|_| sleep * (1.0 + 0.5 * (2.0 * chance.next() - 1.0))).collect();
            // The first few may lie close by chance; all together do not.
            prop_assert!(!told(gaps).contains(&32));
        }
    }
}
