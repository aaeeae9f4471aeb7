//! Settings of the capture.

use std::num::NonZeroU16;
use std::ops::RangeInclusive;

use ja4_common::capture_filter::CaptureFilter;
use ja4_common::tunnel::TunnelPorts;

use super::attach::{DirectionChoice, HookChoice};
use super::ebpf::MAX_SHARDS;
use super::filter::FilterExpression;
use crate::document::{documented_type, settings};
use crate::units::{ByteSize, HumanDuration};

/// The accepted idle timeouts.
pub(crate) const IDLE_TIMEOUT: RangeInclusive<HumanDuration> =
    HumanDuration::seconds(1)..=HumanDuration::seconds(86_400);

settings! {
    /// Section `[capture]`: live capture. A replay ignores it.
    #[derive(Eq)]
    pub struct CaptureSettings {
        /// Interfaces to capture from: names, patterns, `any`, and exclusions after `!`.
        pub interfaces: Vec<String> = Vec::new();
        /// Hook of ingress packets.
        pub hook: HookChoice = HookChoice::default();
        /// Direction of captured packets.
        pub direction: DirectionChoice = DirectionChoice::default();
        /// Shards, each with a thread and a ring; default: one per CPU.
        pub shards: Option<u32> = None, in 1..=MAX_SHARDS;
        /// Size of each shard's ring, rounded up to a power of two.
        pub ring_size: ByteSize = ByteSize(8 << 20), in ByteSize(64 << 10)..=ByteSize(1 << 30);
        /// Filter expression: only connections that match are captured.
        pub filter: Option<FilterExpression> = None;
        /// Connections that are tracked at once.
        pub max_connections: u32 = 262_144, in 1..=1 << 24;
        /// Time without a packet after which a connection has ended.
        pub idle_timeout: HumanDuration = HumanDuration::seconds(120), in IDLE_TIMEOUT;
        /// Records of each class per second and CPU; 0: no limit; default: a limit for each class.
        pub rate_limit: Option<u32> = None;
        /// Whether all packets and bytes of connections are counted. If not, only selected packets are, and bulk packets
        /// cost less.
        pub accounting: bool = true;
    }
}

impl CaptureSettings {
    /// The filter expression for the filter.
    pub(crate) fn capture_filter(&self) -> CaptureFilter {
        self.filter.as_ref().map_or(CaptureFilter::NONE, FilterExpression::compiled)
    }
}

settings! {
    /// Section `[tunnels]`: UDP ports, in addition to the assigned ones.
    #[derive(Eq)]
    pub struct TunnelSettings {
        /// Further ports of VXLAN, at most two.
        pub vxlan_ports: Vec<NonZeroU16> = Vec::new();
        /// Further ports of Geneve, at most two.
        pub geneve_ports: Vec<NonZeroU16> = Vec::new();
    }
}

impl TunnelSettings {
    /// The ports for the filter.
    pub(crate) fn ports(&self) -> TunnelPorts {
        if *self == Self::default() {
            return TunnelPorts::NONE;
        }
        let first = |ports: &[NonZeroU16]| {
            let mut first = [0; TunnelPorts::MAX];
            for (to, port) in first.iter_mut().zip(ports) {
                *to = port.get();
            }
            first
        };
        TunnelPorts::new(first(&self.vxlan_ports), first(&self.geneve_ports))
    }
}

documented_type! {
    HookChoice: "auto, native, generic or tc", |value| Some(format!("\"{value:?}\"").to_lowercase());
    DirectionChoice: "both, ingress or egress", |value| Some(format!("\"{value:?}\"").to_lowercase());
}
