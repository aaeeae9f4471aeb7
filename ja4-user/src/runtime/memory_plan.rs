//! The bounds of a live run, which follow the memory of the machine and of the control groups.
//!
//! If the default bounds together exceed what the process may use, each is lowered by the same factor, down to a minimum. A bound
//! that the operator has set to another value than its default stays as it is.

use std::fmt;

use ja4_common::duplicate::{BUCKETS, RecentBucket};
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::FlowEntry;

use crate::capture::CaptureSettings;
use crate::detect::first_seen::FirstSeenSettings;
use crate::detect::profile::ProfileSettings;
use crate::detect::rules::GroupLimits;
use crate::shard::ShardLimits;
use crate::system::memory::{MemoryLimit, MemorySource};
use crate::units::ByteSize;

/// Bytes of the process without its tables: code, libraries, buffers of the threads, rules and labels.
const PROCESS: u64 = 32 << 20;

/// Bytes of the BPF maps that do not depend on a bound: the membership filter and the table of recent packets.
const FIXED_MAPS: u64 = FilterConfig::MEMBERSHIP as u64 + BUCKETS as u64 * size_of::<RecentBucket>() as u64;

/// Bytes of a connection: its entry in the kernel's map with key, links and hash bucket; its state in a shard and its record,
/// with attributes and a few fingerprints.
const CONNECTION: u64 = size_of::<FlowEntry>() as u64 + 72 + 1536;

/// Bytes of a value or pair of first-seen, without its text.
const FIRST_SEEN: u64 = 200;

/// Bytes of a profile key with a few values.
const PROFILE: u64 = 600;

/// Chunks in the queue of standard output.
const CHUNKS: u64 = 256;

/// Bytes of a chunk of lines.
const CHUNK: u64 = 128 << 10;

/// Steps of the factor.
const STEPS: u64 = 1024;

/// The bounds of a live run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MemoryPlan {
    shards: u64,
    /// Bytes of each ring, a power of two.
    pub(crate) ring_bytes: u32,
    /// Connections.
    pub(crate) connections: u32,
    /// Bytes buffered for incomplete messages.
    pub(crate) reassembly: usize,
    /// Settings of first-seen.
    pub(crate) first_seen: FirstSeenSettings,
    /// Profile keys.
    pub(crate) profile_keys: usize,
    /// Limits of the groups of threshold rules.
    pub(crate) rule_groups: GroupLimits,
    /// Chunks in the queue of standard output.
    pub(crate) chunks: usize,
    /// The limit that determines the bounds.
    limit: Option<MemoryLimit>,
}

impl MemoryPlan {
    /// The bounds for these settings and limits.
    pub(crate) fn new(
        capture: &CaptureSettings,
        first_seen: &FirstSeenSettings,
        profiles: &ProfileSettings,
        shards: u32,
        limits: Vec<MemoryLimit>,
    ) -> Self {
        let configured = Self {
            shards: shards.into(),
            // At most a gigabyte, see `CaptureSettings`.
            ring_bytes: (capture.ring_size.0 as u32).next_power_of_two(),
            connections: capture.max_connections,
            reassembly: ShardLimits::REASSEMBLY,
            first_seen: first_seen.clone(),
            profile_keys: profiles.max_keys,
            rule_groups: GroupLimits::default(),
            chunks: CHUNKS as usize,
            limit: limits.into_iter().min_by_key(usable),
        };
        let Some(usable) = configured.limit.as_ref().map(usable) else {
            return configured;
        };
        let plan = (0..=STEPS).rev().map(|step| configured.lowered(step)).find(|plan| plan.bytes() <= usable);
        plan.unwrap_or_else(|| configured.lowered(0))
    }

    /// The plan with each default bound lowered to `step` of [`STEPS`].
    fn lowered(&self, step: u64) -> Self {
        let (capture, seen, profiles) =
            (CaptureSettings::default(), FirstSeenSettings::default(), ProfileSettings::default());
        let lower = |number: u64, default: u64, least: u64| {
            if number == default { (number * step / STEPS).max(least) } else { number }
        };
        let size = |number: usize, default: usize, least: u64| lower(number as u64, default as u64, least) as usize;
        let ring = lower(self.ring_bytes.into(), capture.ring_size.0, 256 << 10);
        Self {
            // Rounded down to a power of two.
            ring_bytes: 1 << ring.max(1).ilog2(),
            connections: lower(self.connections.into(), capture.max_connections.into(), 4096) as u32,
            reassembly: size(self.reassembly, ShardLimits::REASSEMBLY, 1 << 20),
            first_seen: FirstSeenSettings {
                max_values: size(self.first_seen.max_values, seen.max_values, 2048),
                max_host_values: size(self.first_seen.max_host_values, seen.max_host_values, 4096),
                max_bytes: ByteSize(lower(self.first_seen.max_bytes.0, seen.max_bytes.0, 1 << 20)),
                ..self.first_seen.clone()
            },
            profile_keys: size(self.profile_keys, profiles.max_keys, 1024),
            rule_groups: GroupLimits {
                groups: self.rule_groups.groups,
                bytes: size(self.rule_groups.bytes, GroupLimits::default().bytes, 1 << 20),
            },
            chunks: size(self.chunks, CHUNKS as usize, 32),
            ..self.clone()
        }
    }

    /// The parts of the plan: bytes and description of each.
    fn parts(&self) -> [(u64, String); 9] {
        let Self { shards, ring_bytes, connections, reassembly, first_seen, profile_keys, rule_groups, chunks, .. } =
            self;
        let (values, pairs) = (first_seen.max_values, first_seen.max_host_values);
        let seen = (values as u64 + pairs as u64) * FIRST_SEEN + 2 * first_seen.max_bytes.0;
        let ring = ByteSize(u64::from(*ring_bytes));
        [
            (PROCESS, "the process".to_owned()),
            (FIXED_MAPS, "BPF maps without flows".to_owned()),
            (u64::from(*ring_bytes) * shards, format!("rings of {shards} shards, {ring} each")),
            (u64::from(*connections) * CONNECTION, format!("{connections} connections, {CONNECTION} bytes each")),
            (*reassembly as u64, "incomplete messages".to_owned()),
            (seen, format!("first-seen, {values} values and {pairs} pairs")),
            (*profile_keys as u64 * PROFILE, format!("{profile_keys} profile keys")),
            (rule_groups.bytes as u64, "groups of threshold rules".to_owned()),
            (*chunks as u64 * CHUNK, format!("lines in a queue of {chunks} chunks")),
        ]
    }

    /// Bytes of all parts.
    fn bytes(&self) -> u64 {
        self.parts().iter().map(|(bytes, _)| bytes).sum()
    }
}

/// The bytes of a limit that the sensor uses: half of the machine's available memory, because of other programs; three quarters of
/// a control group's limit, because of the page cache and of what allocators keep.
fn usable(limit: &MemoryLimit) -> u64 {
    match limit.source {
        MemorySource::Machine => limit.bytes / 2,
        MemorySource::ControlGroup(_) => limit.bytes / 4 * 3,
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        match &self.limit {
            Some(limit) => writeln!(
                f,
                "memory: at most {} of {} usable, {} of {}",
                mib(self.bytes()),
                mib(usable(limit)),
                mib(limit.bytes),
                limit.source
            )?,
            None => writeln!(f, "memory: at most {}; no limit found", mib(self.bytes()))?,
        }
        self.parts().into_iter().try_for_each(|(bytes, what)| writeln!(f, "  {:>10}  {what}", mib(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(capture: &CaptureSettings, shards: u32, bytes: u64) -> MemoryPlan {
        let limit = MemoryLimit { bytes, source: MemorySource::ControlGroup("memory.max".into()) };
        MemoryPlan::new(capture, &FirstSeenSettings::default(), &ProfileSettings::default(), shards, vec![limit])
    }

    #[test]
    fn with_enough_memory_the_bounds_are_the_defaults() {
        let capture = CaptureSettings::default();
        let plan = plan(&capture, 4, 8 << 30);
        assert_eq!((plan.ring_bytes, plan.connections), (8 << 20, capture.max_connections));
        assert_eq!((plan.reassembly, plan.first_seen), (ShardLimits::REASSEMBLY, FirstSeenSettings::default()));
    }

    #[test]
    fn all_parts_fit_into_a_small_group() {
        for (bytes, shards) in [(128 << 20, 2), (256 << 20, 8), (1 << 30, 64)] {
            let plan = plan(&CaptureSettings::default(), shards, bytes);
            assert!(plan.bytes() <= bytes / 4 * 3, "{plan}");
            assert!(plan.bytes() >= bytes / 2, "{plan}");
            assert!(plan.ring_bytes.is_power_of_two() && plan.ring_bytes >= 256 << 10, "{plan}");
        }
    }

    #[test]
    fn the_least_usable_limit_counts() {
        let machine = MemoryLimit { bytes: 1 << 30, source: MemorySource::Machine };
        let group = MemoryLimit { bytes: 900 << 20, source: MemorySource::ControlGroup("memory.max".into()) };
        let (seen, profiles) = (FirstSeenSettings::default(), ProfileSettings::default());
        let plan = |limits| MemoryPlan::new(&CaptureSettings::default(), &seen, &profiles, 2, limits);
        assert_eq!(plan(vec![group.clone(), machine.clone()]), plan(vec![machine]));
        assert_eq!(plan(Vec::new()).connections, CaptureSettings::default().max_connections);
    }

    #[test]
    fn a_configured_bound_is_not_lowered() {
        let capture = CaptureSettings { max_connections: 30_000, ..CaptureSettings::default() };
        let plan = plan(&capture, 2, 192 << 20);
        assert_eq!(plan.connections, 30_000);
        assert!(plan.reassembly < ShardLimits::REASSEMBLY, "{plan}");
    }
}
