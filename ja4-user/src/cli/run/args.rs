//! Options of `ja4sensor run`.

use clap::Args;

use super::web;
use crate::api::ListenAddress;
use crate::cli::failure::Failure;
use crate::cli::flags::{CaptureFlags, TunnelFlags, seconds};
use crate::cli::output::OutputFlags;
use crate::cli::settings::ConfigFlags;
use crate::config::OpenedConfig;
use crate::units::HumanDuration;

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

    #[command(flatten, next_help_heading = "Output")]
    output: OutputFlags,

    /// Interval of stats events, for example 60 (seconds) or 5m; 0 means only at the end [default: 60]
    #[arg(long, help_heading = "Output", value_name = "TIME", value_parser = seconds)]
    stats_interval: Option<HumanDuration>,
}

impl RunCommand {
    /// Reads the configuration, overridden by the flags.
    pub(super) fn open(&self) -> Result<OpenedConfig, Failure> {
        self.files.open(|config| {
            self.capture.apply(&mut config.capture);
            self.tunnels.apply(&mut config.tunnels);
            self.output.apply(&mut config.output);
            config.http.listen = self.http.unwrap_or(config.http.listen);
            config.output.stats_interval = self.stats_interval.unwrap_or(config.output.stats_interval);
        })
    }
}
