//! The attach sockets: where a sensor serves its own, and where those of running sensors are.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use nix::unistd::Group;

use super::failure::Failure;
use crate::config::Config;
use crate::output::attach::AttachServer;

/// Folder of the sockets.
const FOLDER: &str = "/run/ja4sensor";

/// Name of the socket of a sensor on several interfaces.
const SEVERAL: &str = "default";

/// How to start a sensor, for the error that there is none.
const START_ONE: &str = "start one with `sudo ja4sensor run -i eth0`, or let `sudo ja4sensor top -i eth0` start one";

/// The socket of a live sensor, if it serves one, and what is logged of it once the sensor runs.
#[derive(Debug, Default)]
pub(super) struct OwnSocket {
    pub(super) server: Option<AttachServer>,
    pub(super) report: Option<String>,
}

/// Serves the socket of a live sensor. Without a configured path, the sensor also runs without a socket.
pub(super) fn serve(config: &Config) -> Result<OwnSocket, Failure> {
    let settings = &config.attach;
    if !settings.enabled {
        return Ok(OwnSocket::default());
    }
    let group = settings.group.as_deref().map(|name| match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        _ => Err(Failure::usage(anyhow!("attach.group: there is no group '{}'", name.escape_debug()))),
    });
    let group = group.transpose()?;
    if let Some(path) = &settings.socket {
        let server = AttachServer::start(path, group).map_err(Failure::run)?;
        return Ok(OwnSocket { server: Some(server), report: None });
    }
    let folder = folder();
    let path = folder.join(format!("{}.sock", name(config)));
    let served = create(&folder)
        .with_context(|| format!("cannot create {}", folder.display()))
        .and_then(|()| Ok(AttachServer::start(&path, group)?));
    Ok(match served {
        Ok(server) => {
            OwnSocket { server: Some(server), report: Some(format!("attach: serving on {}", path.display())) }
        }
        Err(error) => {
            let report = format!("no attach socket: {error:#}; name one with --attach or attach.socket");
            OwnSocket { server: None, report: Some(report) }
        }
    })
}

/// The folder of the default socket.
fn folder() -> PathBuf {
    let of_service = std::env::var_os("RUNTIME_DIRECTORY").unwrap_or_default();
    let first = of_service.to_str().and_then(|list| list.split(':').next()).filter(|folder| !folder.is_empty());
    PathBuf::from(first.unwrap_or(FOLDER))
}

fn create(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// The name of a sensor.
fn name(config: &Config) -> &str {
    let interface = match &*config.capture.interfaces {
        [only] if only != "any" && !only.contains(['*', ',', '!', '/']) => only,
        _ => SEVERAL,
    };
    config.attach.name.as_deref().unwrap_or(interface)
}

/// Returns the socket of a running sensor: at a path, with a name, or the only one.
pub(super) fn find(wanted: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = wanted.filter(|path| is_socket(path)) {
        return Ok(path.to_owned());
    }
    let sockets = running();
    let names = sockets.iter().map(|path| name_of(path)).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = wanted {
        let wanted = wanted.display().to_string();
        let running =
            if names.is_empty() { "no sensor runs here".to_owned() } else { format!("running sensors: {names}") };
        return sockets.into_iter().find(|path| name_of(path) == wanted).ok_or_else(|| {
            Failure::usage(anyhow!("no running sensor is named '{}'; {running}", wanted.escape_debug()))
        });
    }
    match &*sockets {
        [] => Err(Failure::usage(anyhow!("no sensor runs here; {START_ONE}"))),
        [only] => Ok(only.clone()),
        _ => Err(Failure::usage(anyhow!("several sensors run here; name one of {names}"))),
    }
}

/// The name of the sensor of a socket.
pub(super) fn name_of(socket: &Path) -> String {
    socket.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The sockets of running sensors, sorted.
fn running() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let has_name = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sock");
    let mut sockets: Vec<_> = entries.filter(|path| has_name(path) && is_socket(path)).collect();
    sockets.sort();
    sockets
}

pub(super) fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.file_type().is_socket())
}
