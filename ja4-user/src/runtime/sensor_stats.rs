//! The content of the `stats` event.

use std::sync::Arc;

use crate::api::HttpStats;
use crate::capture::attachment_set::AttachmentStats;
use crate::model::{CounterDeclaration, CounterDeclarations, CounterGroup, CounterKind, CounterSet, counter_set};
use crate::output::alert::SinkStats;
use crate::output::attach::AttachStats;
use crate::output::files::EventFileStats;
use crate::output::packet_file::PacketFileStats;
use crate::output::storage::WriterStatus;
use crate::runtime::drops::declare_drops;
use crate::runtime::engine::stats::EngineStats;
use crate::runtime::run_state::{OutputStats, RingStats};
use crate::shard::{FilterStats, ShardStats};

/// Key of the counters of the database writer.
pub(crate) const STORAGE: &str = "storage";

/// Key of the counters of the alert sinks.
pub(crate) const SINKS: &str = "sinks";

/// Key of the counters of the event files.
pub(crate) const FILES: &str = "files";

/// Key of the counters of the packet file.
pub(crate) const PACKET_FILE: &str = "pcap";

/// Key of the counters of the attach socket.
pub(crate) const ATTACH: &str = "attach";

counter_set! {
    /// Counters of a run, without those of its outputs.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct SensorStats {
        /// Time since the sensor started.
        ///
        /// In a replay, the time between the first and the last packet.
        gauge uptime_ms,
        /// The filter.
        group kernel: FilterStats,
        /// The shards and their rings.
        group shards: ShardTotals,
        /// The engine.
        group engine: Arc<EngineStats>,
        /// Full queues; `None` in a replay.
        group output: Option<OutputStats>,
        /// Hooks of the interfaces; `None` in a replay.
        group interfaces: Option<InterfaceModes>,
        /// Attachments to interfaces; `None` in a replay.
        group attachments: Option<AttachmentStats>,
        /// The HTTP server, if any.
        group http: Option<HttpStats>,
    }
}

counter_set! {
    /// Sums over the shards.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ShardTotals {
        /// The shards.
        flatten shards: ShardStats,
        /// Their rings; `None` in a replay.
        flatten rings: Option<RingStats>,
    }
}

/// Modes of the hooks, or the reason why there is none, by interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceModes(pub CounterGroup);

impl CounterSet for InterfaceModes {
    fn declare(to: &mut CounterDeclarations) {
        let help = "Hooks that the programs are attached to, or why an interface is not watched, by interface.";
        to.add(CounterKind::Info, "{interface}/*", "interface_info", help);
    }

    fn write(&self, to: &mut CounterGroup) {
        to.0.extend_from_slice(&self.0.0);
    }
}

counter_set! {
    /// Packets of capture files. A replay has no `/metrics`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CaptureStats as capture {
        /// Packets read from the files: `packets = link_unsupported + link_unreadable + kernel.seen`.
        counter packets,
        /// Packets skipped because their interface has an unsupported link type.
        counter link_unsupported,
        /// Frames with a truncated link header, or without a network layer.
        counter link_unreadable,
    }
}

/// Returns the declarations of every number in the `stats` event of a live run.
#[must_use]
pub fn declarations() -> Vec<CounterDeclaration> {
    let mut all = CounterDeclarations::default();
    SensorStats::declare(&mut all);
    all.group(STORAGE, WriterStatus::declare);
    all.group(SINKS, |to| to.group("{sink}", SinkStats::declare));
    all.group(FILES, |to| to.group("{path}", EventFileStats::declare));
    all.group(PACKET_FILE, PacketFileStats::declare);
    all.group(ATTACH, AttachStats::declare);
    declare_drops(&mut all);
    all.into_vec()
}
