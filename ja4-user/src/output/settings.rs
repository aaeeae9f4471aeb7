//! Settings of the output.

use std::num::NonZeroU16;
use std::sync::Arc;

use ja4::Forms;

use crate::document::{documented_type, settings};
use crate::encode::{EncodeContext, Filter, Format, LineUnit};
use crate::enrich::ssh_session::DEFAULT_WINDOW;
use crate::output::files::EventFileSettings;
use crate::output::packet_file::PacketFileSettings;
use crate::protocol::FingerprintOptions;
use crate::units::HumanDuration;

settings! {
    /// Section `[output]`: what is printed, in which format.
    #[derive(Eq)]
    pub struct OutputSettings {
        /// Whether lines are printed to standard output.
        pub stdout: bool = true;
        /// Format of the lines of standard output.
        pub format: Format = Format::default();
        /// Lines of events or of connections. A table of connections has no other lines.
        pub by: LineUnit = LineUnit::default();
        /// Event types and methods that are printed.
        pub types: Filter = Filter::default();
        /// Whether raw and original-order forms are printed too.
        pub raw: bool = false;
        /// Whether JA3 and JA3S are computed and printed too.
        pub ja3: bool = false;
        /// SSH packets of one JA4SSH.
        pub ssh_window: NonZeroU16 = DEFAULT_WINDOW;
        /// Name of this sensor, in the field `sensor` of every event.
        pub sensor: Option<String> = None;
        /// Interval of stats events of a live sensor; `"0"`: only at the end.
        pub stats_interval: HumanDuration = HumanDuration::seconds(60);
        /// One `[[output.files]]` per file or socket that events are written to, besides standard output.
        pub files: Vec<EventFileSettings> = Vec::new();
        /// `[output.pcap]`: a file of packets.
        pub pcap: PacketFileSettings = PacketFileSettings::default();
    }
}

impl OutputSettings {
    /// Returns what is to be computed of messages.
    #[must_use]
    pub fn fingerprints(&self) -> FingerprintOptions {
        FingerprintOptions { forms: if self.raw { Forms::All } else { Forms::Value }, ja3: self.ja3 }
    }

    /// Returns the format of standard output; `None`: nothing is printed.
    #[must_use]
    pub fn stdout_format(&self) -> Option<Format> {
        self.stdout.then_some(self.format)
    }

    /// Returns what all lines share.
    #[must_use]
    pub fn context(&self) -> EncodeContext {
        EncodeContext { sensor: self.sensor.clone(), interfaces: Arc::default(), filter: self.types, by: self.by }
    }
}

documented_type! {
    Format: "json, eve, csv or table", |value| Some(format!("\"{value:?}\"").to_lowercase());
    LineUnit: "event or connection", |value| Some(format!("\"{value:?}\"").to_lowercase());
    Filter: "array of event types and methods", |value| {
        let all = *value == Self::default();
        all.then(|| r#"["fingerprint", "connection", "alert", "stats"]"#.to_owned())
    };
}
