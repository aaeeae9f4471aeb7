//! Rule `beacon`: a value is sent to one destination at regular intervals.
//!
//! Sightings are hellos and requests, also several of one connection; of a connection with neither, its SYN. Sightings
//! of one client, server, port and value less than a second apart are one beat. An interval is the time between the
//! starts of two beats. An interval shorter than `min_interval` restarts the series: such frequent traffic is a session.
//!
//! The rule fires if the coefficient of variation of the last intervals, at most 32, is small enough. That is their
//! standard deviation over their mean. It is `j / √3` for a beacon that varies its sleep evenly by ±j (0.06 for 10 %,
//! 0.12 for 20 %), and about 1 for random connections. So the default bound of 0.15 finds a variation of up to a quarter.
//! Eight random intervals are that regular about once in a million connections. A missed beat doubles an interval and
//! hides a beacon until that interval has left the last 32.
//!
//! Much harmless software polls: mail, updates, monitoring, telemetry. Therefore the severity is low.

use std::net::IpAddr;

use super::rule_settings::rule_settings;
use crate::detect::time_ranges::MAX_SHARD_SKEW;
use crate::detect::time_ranges::WINDOW;
use crate::model::Time;
use crate::model::bounded_lru_map::BoundedLruMap;
use crate::units::HumanDuration;

/// Tracked series, at most 300 bytes each.
const MAX_SERIES: usize = 50_000;

/// Tracked intervals of a series.
const MAX_INTERVALS: u32 = 32;

/// Sightings closer than this belong to one beat, nanoseconds: a client opens several connections at a time.
const BEAT: u64 = 1_000_000_000;

rule_settings! {
    /// Section `[builtin.beacon]`: a value is sent to one destination at regular intervals.
    BeaconSettings(Low, 86400) {
        /// Number of intervals that must be regular.
        pub intervals: u32 = 8, in 3..=MAX_INTERVALS;
        /// Largest coefficient of variation (standard deviation over mean) of regular intervals.
        pub variation: f64 = 0.15, in 0.0..=1.0;
        /// Shortest interval of a beacon.
        pub min_interval: HumanDuration = HumanDuration::seconds(5),
            in HumanDuration::seconds(1)..=*WINDOW.end();
    }
}

/// Client, server and port, and the value as a keyed hash.
pub(super) type BeaconKey = (IpAddr, (IpAddr, u16), u64);

/// A regular series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BeaconMatch {
    pub(super) intervals: usize,
    /// Seconds.
    pub(super) mean: f64,
    pub(super) variation: f64,
}

/// The series of each client, destination and value.
#[derive(Debug)]
pub(super) struct BeaconTracker {
    series: BoundedLruMap<BeaconKey, BeaconSeries>,
}

#[derive(Debug, Default)]
struct BeaconSeries {
    /// The start of the last beat.
    beat: Time,
    /// The last sighting.
    last: Time,
    /// Lengths in milliseconds; a ring once it is full.
    intervals: Vec<u32>,
    next: usize,
}

impl BeaconSeries {
    fn push(&mut self, milliseconds: u32) {
        if self.intervals.len() < MAX_INTERVALS as usize {
            self.intervals.push(milliseconds);
            return;
        }
        if let Some(interval) = self.intervals.get_mut(self.next) {
            *interval = milliseconds;
        }
        self.next = (self.next + 1) % MAX_INTERVALS as usize;
    }

    fn measure(&self) -> BeaconMatch {
        let number = self.intervals.len() as f64;
        let mean = self.intervals.iter().map(|&interval| f64::from(interval)).sum::<f64>() / number;
        let square = |&interval: &u32| (f64::from(interval) - mean).powi(2);
        // Over n - 1, as the intervals are a sample.
        let variance = self.intervals.iter().map(square).sum::<f64>() / (number - 1.0);
        BeaconMatch { intervals: self.intervals.len(), mean: mean / 1000.0, variation: variance.sqrt() / mean }
    }
}

impl BeaconTracker {
    /// Returns a tracker without history for one of `parts` equal parts of all keys.
    pub(super) fn new(parts: usize) -> Self {
        Self { series: BoundedLruMap::new(MAX_SERIES.div_ceil(parts)) }
    }

    /// Records a sighting. Returns the series if it is regular, this beat included.
    pub(super) fn observe(&mut self, settings: &BeaconSettings, key: BeaconKey, now: Time) -> Option<BeaconMatch> {
        if self.series.get_mut(&key).is_none() {
            self.series.insert(key, BeaconSeries { beat: now, last: now, ..BeaconSeries::default() });
            return None;
        }
        let series = self.series.get_mut(&key)?;
        if series.last.0.saturating_sub(now.0) >= MAX_SHARD_SKEW {
            *series = BeaconSeries { beat: now, last: now, ..BeaconSeries::default() };
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
        let found = series.measure();
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

    const KEY: BeaconKey =
        (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), (IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 443), 7);

    /// Pseudorandom numbers from 0 to 1.
    struct SplitMix(u64);

    impl SplitMix {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// The numbers of the sightings that fired, of a series with these gaps in seconds.
    fn fired(gaps: impl IntoIterator<Item = f64>) -> Vec<usize> {
        let (settings, mut tracker, mut now) = (BeaconSettings::default(), BeaconTracker::new(1), 1_000.0);
        let mut fired = Vec::new();
        for (number, gap) in gaps.into_iter().enumerate() {
            now += gap;
            if tracker.observe(&settings, KEY, Time((now * 1e9) as u64)).is_some() {
                fired.push(number);
            }
        }
        fired
    }

    #[test]
    fn a_regular_series_fires_at_its_eighth_interval() {
        assert_eq!(fired([60.0; 9]), [8]);
        assert_eq!(fired([60.0; 8]), [0; 0]);
        assert_eq!(fired([5.0; 9]), [8]);
        assert_eq!(fired([4.9; 100]), [0; 0]);
    }

    #[test]
    fn connections_of_one_beat_count_once() {
        let gaps = (0..27).map(|number| if number % 3 == 0 { 60.0 } else { 0.2 });
        assert_eq!(fired(gaps), [24]);
    }

    #[test]
    fn one_wrong_timestamp_hides_a_beacon_briefly() {
        let gaps = [60.0, 1e8, -1e8].into_iter().chain([60.0; 12]);
        assert_eq!(fired(gaps), [10, 11, 12, 13, 14]);
    }

    #[test]
    fn the_variance_is_that_of_a_sample() {
        let series = BeaconSeries { intervals: vec![9_000, 10_000, 11_000], ..BeaconSeries::default() };
        let BeaconMatch { intervals, mean, variation } = series.measure();
        assert_eq!((intervals, mean), (3, 10.0));
        assert!((variation - 0.1).abs() < 1e-12, "{variation}");
    }

    #[test]
    fn a_beacon_that_misses_a_beat_is_found_again() {
        let gaps = [60.0; 30].into_iter().chain([120.0]).chain([60.0; 40]);
        let fired = fired(gaps);
        assert!(fired.contains(&29) && !fired.contains(&31) && fired.contains(&70), "{fired:?}");
    }

    /// False positives come from the first eight or nine intervals and are so rare that the test needs millions of
    /// connections, the same in every run.
    #[test]
    fn random_connections_do_not_fire() {
        const SERIES: u64 = 2000;
        const CONNECTIONS: u64 = 300;
        let (mut connections, mut false_positives) = (0, 0);
        for mean in [0.5, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0] {
            for seed in 0..SERIES {
                let mut random = SplitMix(seed);
                let gaps = (0..CONNECTIONS).map(|_| -mean * (1.0 - random.next()).ln());
                false_positives += u64::from(!fired(gaps).is_empty());
                connections += CONNECTIONS;
            }
        }
        assert!(
            false_positives * 250_000 < connections,
            "{false_positives} beacons in {connections} random connections"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// A variation of up to a fifth to either side.
        #[test]
        fn a_beacon_that_varies_its_sleep_fires(sleep in 8.0..4000.0_f64, jitter in 0.0..0.2_f64, seed: u64) {
            let mut random = SplitMix(seed);
            let gaps: Vec<_> = (0..60).map(|_| sleep * (1.0 + jitter * (2.0 * random.next() - 1.0))).collect();
            prop_assert!(!fired(gaps).is_empty());
        }

        /// A variation of half to either side is beyond the bound.
        #[test]
        fn a_wide_variation_is_not_regular(sleep in 20.0..4000.0_f64, seed: u64) {
            let mut random = SplitMix(seed);
            let gaps: Vec<_> = (0..33).map(|_| sleep * (1.0 + 0.5 * (2.0 * random.next() - 1.0))).collect();
            // The first few may be regular by chance; all of them are not.
            prop_assert!(!fired(gaps).contains(&32));
        }
    }
}
