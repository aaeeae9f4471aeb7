//! Where settings come from: a file, and flags that say otherwise.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::failure::Failure;
use crate::config::{self, Config, Opened};
use crate::document::{Report, Warning};

/// The files that `run` and `replay` are told of.
#[derive(Debug, Args)]
pub(super) struct ConfigFlags {
    /// Configuration; flags override it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Database to keep history in
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

impl ConfigFlags {
    /// Reads the configuration and what it names, and changes it as `flags` do. Warnings are told.
    pub(super) fn open(&self, flags: impl FnOnce(&mut Config)) -> Result<Opened, Failure> {
        open(self.config.as_deref(), |config| {
            if self.db.is_some() {
                config.storage.path.clone_from(&self.db);
            }
            flags(config);
        })
    }
}

/// As [`config::open`]; warnings are told, and all errors.
pub(super) fn open(path: Option<&Path>, flags: impl FnOnce(&mut Config)) -> Result<Opened, Failure> {
    let opened = config::open(path, flags).map_err(refused)?;
    warn(&opened.warnings);
    Ok(opened)
}

/// Tells warnings, a line each.
pub(super) fn warn(warnings: &[Warning]) {
    for warning in warnings {
        eprintln!("ja4sensor: warning: {warning}");
    }
}

/// All errors but the last are told as they are; the last is the command's.
pub(super) fn refused(report: Report) -> Failure {
    let lines: Vec<String> = report.to_string().lines().map(str::to_owned).collect();
    let Some((last, others)) = lines.split_last() else {
        return Failure::usage(report);
    };
    for line in others {
        eprintln!("ja4sensor: {line}");
    }
    Failure::usage(anyhow!("{last}"))
}
