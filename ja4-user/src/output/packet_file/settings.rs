//! `[output.pcap]`: the settings of the packet file.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;

use crate::document::{documented_type, settings};
use crate::units::ByteSize;

settings! {
    /// Section `[output.pcap]`: a pcapng file of packets.
    #[derive(Eq)]
    pub struct PacketFileSettings {
        /// The file; unset: no packets are written.
        pub path: Option<PathBuf> = None;
        /// Which packets are written.
        pub packets: WrittenPackets = WrittenPackets::default();
        /// With `packets = "alerts"`: memory of all shards for packets before the alert. The oldest packets are forgotten first.
        pub before: ByteSize = ByteSize(16 << 20);
        /// Size at which the file is closed and another one begun.
        pub max_size: ByteSize = ByteSize(1 << 30), in MIN_SIZE..;
        /// Closed files that are kept; the oldest are deleted.
        pub max_files: u32 = 10;
    }
}

/// Smallest size of a file: packets that arrive at once are in one file.
const MIN_SIZE: ByteSize = ByteSize(1 << 20);

/// The packets that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum WrittenPackets {
    /// Every packet that the filter selects: handshakes and the like, not bulk data.
    #[default]
    Selected,
    /// Of these, the packets of connections that raise an alert, before the alert as far as they are remembered, and after it.
    Alerts,
}

documented_type! {
    WrittenPackets: "selected or alerts", |value| Some(format!("\"{value:?}\"").to_lowercase());
}
