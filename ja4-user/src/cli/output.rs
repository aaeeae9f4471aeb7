//! Options on what is printed, which all commands share.

use std::num::NonZeroU16;

use clap::Args;

use crate::config;
use crate::encode::{Filter, Format};

/// What is printed, and how.
#[derive(Debug, Args)]
pub(super) struct OutputFlags {
    /// Format of the lines [default: json]
    #[arg(long, value_enum)]
    format: Option<Format>,

    /// Print only these: fingerprint, connection, alert, stats, or methods such as ja4,ja4s
    /// [default: fingerprint,connection,alert,stats]
    #[arg(long, value_name = "LIST")]
    types: Option<Filter>,

    /// Print raw and original-order forms too
    #[arg(long)]
    raw: bool,

    /// SSH packets of one ja4ssh [default: 200]
    #[arg(long, value_name = "PACKETS")]
    ssh_window: Option<NonZeroU16>,

    /// Name of this sensor, for the `sensor` field
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
}

impl OutputFlags {
    /// Changes what the configuration says.
    pub(super) fn apply(&self, to: &mut config::Output) {
        to.format = self.format.unwrap_or(to.format);
        to.types = self.types.unwrap_or(to.types);
        to.raw |= self.raw;
        to.ssh_window = self.ssh_window.unwrap_or(to.ssh_window);
        if self.sensor.is_some() {
            to.sensor.clone_from(&self.sensor);
        }
    }
}
