//! `ja4sensor top`.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::attach_socket;
use super::failure::Failure;
use crate::top::{self, PrivateFolder, TopError, TopSource};

#[derive(Debug, Args)]
pub(super) struct TopCommand {
    /// Capture file, name of a running sensor, or its socket [default: the running sensor]
    #[arg(value_name = "FILE|SENSOR", conflicts_with = "interfaces")]
    target: Option<PathBuf>,

    /// Interface to watch with a sensor that ends with top (repeatable), as with run
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,

    /// Configuration file of the sensor that top starts, or of the replay of FILE
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Database of the sensor that top starts [default: a temporary one]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

impl TopCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Err(Failure::usage(anyhow!(
                "top needs a terminal; `ja4sensor run` and `ja4sensor query` print lines"
            )));
        }
        top::run(self.source()?).map_err(|error| match error {
            TopError::NotStarted { status: Some(2), .. } => Failure::usage(error),
            TopError::NotStarted { status: Some(3), .. } => Failure::system(error),
            error => Failure::run(error),
        })
    }

    fn source(self) -> Result<TopSource, Failure> {
        if !self.interfaces.is_empty() {
            return self.start_live();
        }
        let is_file = self.target.as_deref().is_some_and(|path| path.exists() && !attach_socket::is_socket(path));
        let unused = [(self.config.is_some() && !is_file, "--config"), (self.db.is_some(), "--db")];
        if let Some((_, unused)) = unused.into_iter().find(|(is_unused, _)| *is_unused) {
            return Err(Failure::usage(anyhow!("{unused} is for a sensor that top starts; name an interface with -i")));
        }
        match self.target {
            Some(path) if is_file => Ok(TopSource::File { path, config: self.config }),
            target => running(target.as_deref()),
        }
    }

    /// A sensor on interfaces.
    fn start_live(self) -> Result<TopSource, Failure> {
        let folder = PrivateFolder::new().map_err(Failure::run)?;
        let mut arguments: Vec<OsString> = vec!["run".into()];
        for interface in &self.interfaces {
            arguments.extend(["-i".into(), interface.into()]);
        }
        // A sensor ends at the first line that cannot be written: it does not outlive a killed program.
        arguments.extend(["--http", "off", "--types", "stats", "--stats-interval", "1"].map(OsString::from));
        arguments.extend(["--attach".into(), folder.socket().into()]);
        arguments.extend(["--db".into(), self.db.unwrap_or_else(|| folder.database()).into()]);
        if let Some(config) = self.config {
            arguments.extend(["--config".into(), config.into()]);
        }
        Ok(TopSource::Started { name: self.interfaces.join(", "), arguments, folder })
    }
}

/// Returns a running sensor: at a path, with a name, or the only one.
fn running(wanted: Option<&Path>) -> Result<TopSource, Failure> {
    let socket = attach_socket::find(wanted)?;
    Ok(TopSource::Running { name: attach_socket::name_of(&socket), socket })
}
