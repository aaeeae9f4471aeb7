//! Options on what is printed, which all commands share.

use std::fs::File;
use std::io;
use std::num::NonZeroU16;
use std::os::fd::AsFd;

use clap::Args;

use crate::fingerprint::Forms;
use crate::shard::Limits;
use crate::sink::{Context, Filter, Format};

/// What is printed, and how.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// Format of the lines
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,

    /// Print only these: fingerprint, connection, alert, stats, or methods such as ja4,ja4s
    #[arg(long, value_name = "LIST", default_value = "fingerprint,connection,alert,stats")]
    types: Filter,

    /// Print raw and original-order forms too
    #[arg(long)]
    raw: bool,

    /// SSH packets of one ja4ssh
    #[arg(long, value_name = "PACKETS", default_value_t = Limits::SSH_WINDOW)]
    pub(super) ssh_window: NonZeroU16,

    /// Name of this sensor, for the `sensor` field
    #[arg(long, value_name = "NAME")]
    sensor: Option<String>,
}

impl Output {
    /// Forms of the fingerprints.
    pub(super) fn forms(&self) -> Forms {
        if self.raw { Forms::All } else { Forms::Value }
    }

    /// What all lines share.
    pub(super) fn context(&self, interfaces: Vec<String>) -> Context {
        Context { sensor: self.sensor.clone(), interfaces, filter: self.types }
    }
}

/// Standard output without a buffer: lines come in large chunks.
pub(super) fn stdout() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Whether the reader of the output has gone: a clean end.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
