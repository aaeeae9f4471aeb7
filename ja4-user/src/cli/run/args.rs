//! Options of `ja4sensor run`.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::web;
use crate::api::ListenAddress;
use crate::cli::failure::Failure;
use crate::cli::flags::{CaptureFlags, TunnelFlags, positive, seconds};
use crate::cli::log_flags::LogFlags;
use crate::cli::output::OutputFlags;
use crate::cli::settings::ConfigFlags;
use crate::config::OpenedConfig;
use crate::units::HumanDuration;

/// When a run ends without a signal.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunLimits {
    /// After this number of processed packets.
    pub(super) packets: Option<u64>,
    /// After this time.
    pub(super) time: Option<Duration>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RunCommand {
    #[command(flatten, next_help_heading = "Files")]
    files: ConfigFlags,

    #[command(flatten, next_help_heading = "Capture")]
    capture: CaptureFlags,

    #[command(flatten, next_help_heading = "Tunnels")]
    tunnels: TunnelFlags,

    /// Address and port of /metrics, /healthz and the JSON API, a port on 127.0.0.1 such as 9999, or off
    /// [default: 127.0.0.1:9418]
    #[arg(long, help_heading = "HTTP", value_name = "[ADDRESS:]PORT", value_parser = web::listen)]
    http: Option<ListenAddress>,

    /// Unix socket for `ja4sensor top` and `ja4sensor attach`, or off [default: /run/ja4sensor/IFACE.sock, if it can be
    /// created]
    #[arg(long, help_heading = "Output", value_name = "SOCKET")]
    attach: Option<PathBuf>,

    /// End as at SIGTERM once N packets were selected and processed. Only handshake packets and the like are selected.
    /// The number is compared ten times a second, so packets that follow at once are processed too
    #[arg(long, help_heading = "End of the run", value_name = "N")]
    count: Option<NonZeroU64>,

    /// End as at SIGTERM after this time, for example 60 (seconds) or 5m
    #[arg(long, help_heading = "End of the run", value_name = "TIME", value_parser = positive)]
    duration: Option<HumanDuration>,

    #[command(flatten, next_help_heading = "Log")]
    log: LogFlags,

    #[command(flatten, next_help_heading = "Output")]
    output: OutputFlags,

    /// Interval of stats events, for example 60 (seconds) or 5m; 0 means only at the end [default: 60]
    #[arg(long, help_heading = "Output", value_name = "TIME", value_parser = seconds)]
    stats_interval: Option<HumanDuration>,
}

impl RunCommand {
    /// The options of the log.
    pub(in crate::cli) const fn log(&self) -> &LogFlags {
        &self.log
    }

    /// When the run ends without a signal.
    pub(super) fn limits(&self) -> RunLimits {
        RunLimits { packets: self.count.map(NonZeroU64::get), time: self.duration.map(|time| time.0) }
    }

    /// Reads the configuration, overridden by the flags.
    pub(super) fn open(&self) -> Result<OpenedConfig, Failure> {
        self.files.open(|config| {
            self.capture.apply(&mut config.capture);
            self.tunnels.apply(&mut config.tunnels);
            self.output.apply(&mut config.output);
            if let Some(path) = &self.attach {
                let is_off = path.as_os_str() == "off";
                (config.attach.enabled, config.attach.socket) = (!is_off, Some(path.clone()).filter(|_| !is_off));
            }
            config.http.listen = self.http.unwrap_or(config.http.listen);
            config.output.stats_interval = self.stats_interval.unwrap_or(config.output.stats_interval);
        })
    }
}
