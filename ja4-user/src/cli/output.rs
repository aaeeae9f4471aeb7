//! Options of the output, shared by `run` and `replay`.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::Args;

use crate::encode::{Filter, Format, LineUnit};
use crate::output::OutputSettings;
use crate::output::files::EventFileSettings;
use crate::output::packet_file::WrittenPackets;

/// Options of the output.
#[derive(Debug, Args)]
pub(super) struct OutputFlags {
    /// File that lines are appended to, in place of standard output (repeatable); - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Vec<PathBuf>,

    /// Output format [default: json]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Print a line for each event, or for each connection at its end [default: event]
    #[arg(long, value_enum, value_name = "UNIT")]
    by: Option<LineUnit>,

    /// Event types (fingerprint, connection, alert, stats) or methods (ja4, ja4s, ...) to print
    /// [default: fingerprint,connection,alert,stats]
    #[arg(long, value_name = "LIST")]
    types: Option<Filter>,

    /// Raw and original-order forms in addition to the hashes
    #[arg(long)]
    raw: bool,

    /// pcapng file of the selected packets: handshakes and the like, not bulk data. It is closed at 1 GiB, and an older file is
    /// renamed
    #[arg(short, long, value_name = "FILE")]
    write_pcap: Option<PathBuf>,

    /// Packets that --write-pcap writes [default: selected]
    #[arg(long, value_enum, value_name = "PACKETS")]
    pcap_packets: Option<WrittenPackets>,

    /// JA3 and JA3S of TLS handshakes too
    #[arg(long)]
    ja3: bool,

    /// SSH packets per ja4ssh fingerprint [default: 200]
    #[arg(long, value_name = "PACKETS")]
    ssh_window: Option<NonZeroU16>,

    /// Sensor name in the `sensor` field
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
}

impl OutputFlags {
    /// Overrides the configuration.
    pub(super) fn apply(&self, to: &mut OutputSettings) {
        to.format = self.format.unwrap_or(to.format);
        to.by = self.by.unwrap_or(to.by);
        to.types = self.types.unwrap_or(to.types);
        to.raw |= self.raw;
        to.ja3 |= self.ja3;
        to.ssh_window = self.ssh_window.unwrap_or(to.ssh_window);
        if self.sensor.is_some() {
            to.sensor.clone_from(&self.sensor);
        }
        if self.write_pcap.is_some() {
            to.pcap.path.clone_from(&self.write_pcap);
        }
        to.pcap.packets = self.pcap_packets.unwrap_or(to.pcap.packets);
        if !self.output.is_empty() {
            let (stdout, files): (Vec<_>, Vec<_>) = self.output.iter().partition(|path| path.as_os_str() == "-");
            let file = |path: &PathBuf| EventFileSettings {
                path: Some(path.clone()),
                format: to.format,
                by: to.by,
                types: to.types,
                ..EventFileSettings::default()
            };
            to.stdout = !stdout.is_empty();
            to.files.extend(files.into_iter().map(file).collect::<Vec<_>>());
        }
    }
}
