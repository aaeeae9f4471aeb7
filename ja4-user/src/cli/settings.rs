//! The configuration: a file, overridden by flags.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::failure::Failure;
use crate::config::{self, Config, OpenedConfig};
use crate::document::{Diagnostic, Diagnostics};

/// Options that name files, shared by `run` and `replay`.
#[derive(Debug, Args)]
pub(super) struct ConfigFlags {
    /// Configuration file; flags override its keys
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Database file for connections, fingerprints and alerts
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

impl ConfigFlags {
    /// Reads the configuration and the files it names; `flags` overrides keys. Prints the warnings.
    pub(super) fn open(&self, flags: impl FnOnce(&mut Config)) -> Result<OpenedConfig, Failure> {
        open(self.config.as_deref(), |config| {
            if self.db.is_some() {
                config.storage.path.clone_from(&self.db);
            }
            flags(config);
        })
    }
}

/// Calls [`config::open`] and prints the warnings, or all errors but the last.
pub(super) fn open(path: Option<&Path>, flags: impl FnOnce(&mut Config)) -> Result<OpenedConfig, Failure> {
    let opened = config::open(path, flags).map_err(refused)?;
    warn(&opened.warnings);
    Ok(opened)
}

/// Prints warnings, one per line.
pub(super) fn warn(warnings: &[Diagnostic]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// Prints all errors but the last, which becomes the error of the command.
pub(super) fn refused(report: Diagnostics) -> Failure {
    let lines: Vec<String> = report.to_string().lines().map(str::to_owned).collect();
    let Some((last, others)) = lines.split_last() else {
        return Failure::usage(report);
    };
    for line in others {
        tracing::error!("{line}");
    }
    Failure::usage(anyhow!("{last}"))
}
