//! Record limits of a live run, and the controller that adapts them to the load.
//!
//! Two means work together. The marks order the classes by value at each ring, at once and without the control plane. The
//! controller finds the class that fills the rings, and lowers its rate until the queue is short again: then the other
//! classes have the ring to themselves, and a record waits for a tenth of a second and not for as long as a full ring
//! takes.
//!
//! The controller is AIMD per class, with queue length and delay as the signal of congestion, since the capacity of the
//! shards is not known: it depends on the traffic, on other processes and on the CPU limit of the cgroup. A limit that
//! drops nothing returns to its ceiling in one step, because then it is not what keeps the queue short.

use std::time::Duration;

use ja4_common::limit::{self, RecordLimit, RecordLimits};
use ja4_common::reason::RecordClass;

use crate::capture::ebpf::LimitCounters;

/// Burst of a limit at its ceiling, in seconds of the rate.
const BURST_SECONDS: u32 = 1;

/// Bursts of a lowered rate in a second.
const LOWERED_BURSTS: u32 = 10;

/// Part of a rate that remains when it is lowered, in tenths.
const REMAINING_TENTHS: u64 = 7;

/// Part of a rate by which it grows: one in this many.
const GROWTH: u32 = 8;

/// Lowest rate, records per second and CPU: a flood hides no class completely.
const FLOOR: u32 = 1000;

/// Bytes in a ring from which on its shard is overloaded: one in this many bytes of the ring. It is the lowest mark.
const LONG_QUEUE: u64 = 8;

/// Age of the newest record from which on its shard is overloaded.
const LONG_DELAY: Duration = Duration::from_millis(200);

/// A class takes part in an overload if it has at least one in this many parts of the work.
const ACTIVE: f64 = 100.0;

/// Rate of a class in records per second and CPU. A shard can process these rates, and no class takes more than a part
/// of its time.
const fn default_rate(class: RecordClass) -> u32 {
    match class {
        RecordClass::Syn
        | RecordClass::SynAck
        | RecordClass::Ack
        | RecordClass::Latency
        | RecordClass::End
        | RecordClass::Ssh => 1_000_000,
        RecordClass::Tls => 500_000,
        RecordClass::Http => 250_000,
        // Each needs a key derivation.
        RecordClass::Quic => 200_000,
        RecordClass::Dtls => 100_000,
        RecordClass::Dhcp => 20_000,
        // They may be bulk traffic, and most of them yield no fingerprint.
        RecordClass::Fragment | RecordClass::Nested => 20_000,
    }
}

/// Mark of a class, in eighths of the ring: the least valuable records are dropped first.
const fn mark_in_eighths(class: RecordClass, is_assured: bool) -> u32 {
    match class {
        _ if is_assured => 8,
        RecordClass::Fragment | RecordClass::Nested => 1,
        // The flow is tracked in any case, so its hello is fingerprinted without them.
        RecordClass::Syn | RecordClass::SynAck => 2,
        RecordClass::Ack
        | RecordClass::Tls
        | RecordClass::Latency
        | RecordClass::End
        | RecordClass::Http
        | RecordClass::Ssh => 4,
        RecordClass::Quic | RecordClass::Dtls | RecordClass::Dhcp => 5,
    }
}

/// The limits without an overload. `rate`: records per second and CPU of every class, in place of the defaults; 0: no
/// limit.
#[must_use]
pub fn ceilings(rate: Option<u32>, ring_bytes: u32) -> RecordLimits {
    let mut limits = RecordLimits::NONE;
    for class in RecordClass::ALL {
        for is_assured in [false, true] {
            let rate = rate.unwrap_or(default_rate(class));
            let mark = match mark_in_eighths(class, is_assured) {
                8 => 0,
                eighths => ring_bytes / 8 * eighths,
            };
            let new = RecordLimit { rate, burst: rate.saturating_mul(BURST_SECONDS), mark, reserved: 0 };
            if let Some(limit) = limits.by_index.get_mut(usize::from(limit::index(class as u8, is_assured))) {
                *limit = new;
            }
        }
    }
    limits
}

/// What the shards report of their load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardLoad {
    /// Bytes in the fullest ring.
    pub(crate) queued: u64,
    /// Greatest age of the newest record that a shard has read.
    pub(crate) lag: Duration,
}

/// Adapts the limits of flows that are not assured to the load.
#[derive(Clone, Debug)]
pub(crate) struct OverloadController {
    ceilings: RecordLimits,
    current: RecordLimits,
    ring_bytes: u64,
    /// Counters at the last step, by CPU.
    counters: Vec<LimitCounters>,
    /// Bytes in the fullest ring at the last step.
    queued: u64,
}

/// Records of one limit since the last step.
#[derive(Clone, Copy, Debug, Default)]
struct LimitUsage {
    /// Admitted records of all CPUs.
    admitted: u64,
    /// Admitted records of the CPU with the most.
    admitted_by_one: u64,
    /// Dropped records of all CPUs.
    limited: u64,
}

impl OverloadController {
    /// A controller that starts with the ceilings.
    pub(crate) fn new(ceilings: RecordLimits, ring_bytes: u32) -> Self {
        Self { ceilings, current: ceilings, ring_bytes: ring_bytes.into(), counters: Vec::new(), queued: 0 }
    }

    /// The current limits.
    pub(crate) fn limits(&self) -> &RecordLimits {
        &self.current
    }

    /// Adapts the limits, `elapsed` after the last step. Returns whether one has changed.
    pub(crate) fn step(&mut self, load: ShardLoad, counters: Vec<LimitCounters>, elapsed: Duration) -> bool {
        let usage = self.usage(&counters);
        self.counters = counters;
        let is_overloaded = load.queued >= self.ring_bytes / LONG_QUEUE || (load.queued > 0 && load.lag >= LONG_DELAY);
        // While the queue becomes shorter, the last step is enough.
        let is_draining = load.queued < self.queued;
        self.queued = load.queued;
        let before = self.current;
        if !is_overloaded {
            self.raise(&usage);
        } else if !is_draining {
            self.lower(&usage, elapsed);
        }
        self.current != before
    }

    fn usage(&self, counters: &[LimitCounters]) -> [LimitUsage; RecordLimits::COUNT] {
        let mut usage = [LimitUsage::default(); RecordLimits::COUNT];
        // The first step only stores the counters.
        for (now, before) in counters.iter().zip(&self.counters) {
            for ((usage, now), before) in usage.iter_mut().zip(now.by_index).zip(before.by_index) {
                let ([admitted, limited], [admitted_before, limited_before]) = (now, before);
                let admitted = admitted.saturating_sub(admitted_before);
                usage.admitted += admitted;
                usage.admitted_by_one = usage.admitted_by_one.max(admitted);
                usage.limited += limited.saturating_sub(limited_before);
            }
        }
        usage
    }

    /// Lowers the rates of the classes that cause the overload: those with at least half of an equal share of the work.
    fn lower(&mut self, usage: &[LimitUsage; RecordLimits::COUNT], elapsed: Duration) {
        // The default rates weigh the classes: a record of a class with a lower rate is more work.
        let classes = RecordClass::ALL.into_iter().cycle();
        let mut work = [0.0; RecordLimits::COUNT];
        for ((work, usage), class) in work.iter_mut().zip(usage).zip(classes) {
            *work = usage.admitted as f64 / f64::from(default_rate(class));
        }
        let total: f64 = work.iter().sum();
        let active = work.iter().filter(|work| **work * ACTIVE >= total).count();
        let share = total / active.max(1) as f64 / 2.0;
        let limits = self.current.by_index.iter_mut().zip(usage).zip(work);
        for ((limit, usage), work) in limits.take(RecordClass::COUNT) {
            if work >= share && usage.admitted > 0 && limit.rate != 0 {
                let measured = usage.admitted_by_one * 1000 / (elapsed.as_millis() as u64).max(1);
                let rate = measured.min(limit.rate.into()) * REMAINING_TENTHS / 10;
                set_lowered(limit, (rate as u32).max(FLOOR).min(limit.rate));
            }
        }
    }

    /// Raises the rates that were lowered.
    fn raise(&mut self, usage: &[LimitUsage; RecordLimits::COUNT]) {
        for ((limit, ceiling), usage) in self.current.by_index.iter_mut().zip(self.ceilings.by_index).zip(usage) {
            let raised = limit.rate.saturating_add((limit.rate / GROWTH).max(1));
            if usage.limited == 0 || raised >= ceiling.rate {
                *limit = ceiling;
            } else {
                set_lowered(limit, raised);
            }
        }
    }
}

/// Sets a rate below the ceiling, with a short burst.
fn set_lowered(limit: &mut RecordLimit, rate: u32) {
    (limit.rate, limit.burst) = (rate, (rate / LOWERED_BURSTS).max(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: u32 = 8 << 20;
    const STEP: Duration = Duration::from_millis(100);

    /// A host with one CPU under a flood: a queue in front of a shard of some capacity.
    struct FloodedHost {
        controller: OverloadController,
        counters: LimitCounters,
        queued: u64,
        /// Bytes that the shard reads in a step.
        capacity: u64,
    }

    /// Offered records of a class in a step, and the bytes of a record.
    type Offer = (RecordClass, bool, u64, u64);

    impl FloodedHost {
        fn new(capacity: u64) -> Self {
            let controller = OverloadController::new(ceilings(None, RING), RING);
            Self { controller, counters: LimitCounters::default(), queued: 0, capacity }
        }

        /// Runs one step. Returns the admitted records of each offer.
        fn step(&mut self, offers: &[Offer]) -> Vec<u64> {
            let admitted = offers.iter().map(|(class, is_assured, offered, bytes)| {
                let index = usize::from(limit::index(*class as u8, *is_assured));
                let limit = self.controller.limits().by_index[index];
                let by_rate = u64::from(limit.rate) / 10;
                let mark = if limit.mark == 0 { u64::from(RING) } else { limit.mark.into() };
                let by_mark = mark.saturating_sub(self.queued) / bytes;
                let admitted = *offered.min(&by_rate).min(&by_mark.max(1));
                self.queued += admitted * bytes;
                self.counters.by_index[index][0] += admitted;
                self.counters.by_index[index][1] += offered - admitted;
                admitted
            });
            let admitted = admitted.collect();
            self.queued = self.queued.saturating_sub(self.capacity);
            let load = ShardLoad { queued: self.queued, lag: Duration::ZERO };
            self.controller.step(load, vec![self.counters], STEP);
            admitted
        }
    }

    /// A SYN flood of 100,000 records per second.
    const SYN_FLOOD: Offer = (RecordClass::Syn, false, 10_000, 200);

    #[test]
    fn a_flood_is_lowered_to_the_capacity_of_the_shard() {
        let mut host = FloodedHost::new(600_000);
        let admitted: Vec<u64> = (0..100).map(|_| host.step(&[SYN_FLOOD])[0]).collect();
        assert_eq!(admitted[0], 10_000, "without an overload nothing is dropped");
        let later = &admitted[50..];
        let mean = later.iter().sum::<u64>() / later.len() as u64;
        assert!((2_000..=3_100).contains(&mean), "{mean} records in a step, of a capacity of 3,000");
        assert!(host.queued < u64::from(RING) / 4, "the queue holds {} bytes", host.queued);
    }

    #[test]
    fn a_flood_of_one_class_takes_no_records_of_another() {
        let mut host = FloodedHost::new(600_000);
        let others = [
            (RecordClass::SynAck, false, 100, 200),
            (RecordClass::Tls, false, 20, 776),
            (RecordClass::Quic, false, 20, 2056),
            (RecordClass::Tls, true, 20, 776),
        ];
        for step in 0..100 {
            let offers: Vec<Offer> = [SYN_FLOOD].into_iter().chain(others).collect();
            let admitted = host.step(&offers);
            if step >= 20 {
                assert_eq!(admitted[1..], [100, 20, 20, 20], "step {step}");
            }
        }
    }

    #[test]
    fn two_floods_are_both_lowered() {
        let mut host = FloodedHost::new(1_000_000);
        let hellos = (RecordClass::Tls, false, 10_000, 776);
        for _ in 0..50 {
            host.step(&[SYN_FLOOD, hellos]);
        }
        let rate = |class| host.controller.limits().by_index[class as usize].rate;
        assert!(rate(RecordClass::Syn) < 100_000 && rate(RecordClass::Tls) < 100_000, "{:?}", host.controller);
        assert_eq!(rate(RecordClass::Quic), 200_000);
    }

    #[test]
    fn limits_return_to_their_ceilings_within_a_second_after_a_flood() {
        let mut host = FloodedHost::new(600_000);
        for _ in 0..50 {
            host.step(&[SYN_FLOOD]);
        }
        assert_ne!(host.controller.limits(), &ceilings(None, RING));
        for _ in 0..10 {
            host.step(&[(RecordClass::Syn, false, 100, 200)]);
        }
        assert_eq!(host.controller.limits(), &ceilings(None, RING));
    }

    #[test]
    fn assured_flows_keep_their_limits() {
        let mut host = FloodedHost::new(100_000);
        for _ in 0..50 {
            host.step(&[(RecordClass::Tls, true, 10_000, 776)]);
        }
        assert_eq!(host.controller.limits(), &ceilings(None, RING));
    }

    #[test]
    fn a_rate_of_zero_stays_unlimited() {
        let mut host = FloodedHost::new(600_000);
        host.controller = OverloadController::new(ceilings(Some(0), RING), RING);
        host.counters.by_index[0][0] = 1;
        for queued in [0, 4 << 20, 5 << 20, 6 << 20] {
            host.counters.by_index[0][0] += 100_000;
            let load = ShardLoad { queued, lag: Duration::ZERO };
            host.controller.step(load, vec![host.counters], STEP);
        }
        assert_eq!(host.controller.limits(), &ceilings(Some(0), RING));
    }
}
