//! `ja4sensor top`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;

use super::failure::Failure;
use crate::top::{self, PrivateFolder, TopError, TopSource};

/// Folder of the sockets of running sensors.
const SOCKETS: &str = "/run/ja4sensor";

/// How to start a sensor, for the error that there is none.
const START_ONE: &str =
    "start one with `sudo ja4sensor run -i eth0`, or let top start it: `sudo ja4sensor top -i eth0`";

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
        let is_file = self.target.as_deref().is_some_and(is_capture);
        let unused = [(self.config.is_some() && !is_file, "--config"), (self.db.is_some(), "--db")];
        if let Some((_, unused)) = unused.into_iter().find(|(is_unused, _)| *is_unused) {
            return Err(Failure::usage(anyhow!("{unused} is for a sensor that top starts; name an interface with -i")));
        }
        match &self.target {
            None => running(Path::new(SOCKETS), None),
            Some(target) if is_socket(target) => Ok(TopSource::Running { name: named(target), socket: target.clone() }),
            Some(target) if is_capture(target) => Ok(TopSource::File { path: target.clone(), config: self.config }),
            Some(target) => running(Path::new(SOCKETS), Some(target)),
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

/// Returns the running sensor with a name, or the only one.
fn running(folder: &Path, name: Option<&Path>) -> Result<TopSource, Failure> {
    let mut sockets: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sock") && is_socket(path))
        .collect();
    sockets.sort();
    let names = sockets.iter().map(|path| named(path)).collect::<Vec<_>>().join(", ");
    if let Some(name) = name {
        let name = name.display().to_string();
        let socket = sockets.into_iter().find(|path| named(path) == name);
        let running = if names.is_empty() { "no sensor runs".to_owned() } else { format!("running sensors: {names}") };
        return socket
            .map(|socket| TopSource::Running { name: name.clone(), socket })
            .ok_or_else(|| Failure::usage(anyhow!("no file and no running sensor is named {name}; {running}")));
    }
    match &*sockets {
        [] => Err(Failure::usage(anyhow!("no sensor has a socket in {}; {START_ONE}", folder.display()))),
        [socket] => Ok(TopSource::Running { name: named(socket), socket: socket.clone() }),
        _ => Err(Failure::usage(anyhow!("several sensors run here: {names}; name one: `ja4sensor top NAME`"))),
    }
}

fn named(socket: &Path) -> String {
    socket.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

fn is_capture(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| !file.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn found(folder: &Path, name: Option<&str>) -> Result<PathBuf, String> {
        match running(folder, name.map(Path::new)) {
            Ok(TopSource::Running { socket, .. }) => Ok(socket),
            Ok(other) => panic!("{other:?}"),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn the_only_sensor_needs_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(found(&path("none"), None).unwrap_err().contains("sudo ja4sensor top -i eth0"));
        fs::write(path("file.sock"), "").unwrap();
        let _one = UnixListener::bind(path("eth0.sock")).unwrap();
        assert_eq!(found(folder.path(), None), Ok(path("eth0.sock")));
        let _other = UnixListener::bind(path("dmz.sock")).unwrap();
        assert!(found(folder.path(), None).unwrap_err().starts_with("several sensors run here: dmz, eth0; "));
        assert_eq!(found(folder.path(), Some("dmz")), Ok(path("dmz.sock")));
        let unknown = found(folder.path(), Some("wlan0")).unwrap_err();
        assert_eq!(unknown, "no file and no running sensor is named wlan0; running sensors: dmz, eth0");
    }
}
