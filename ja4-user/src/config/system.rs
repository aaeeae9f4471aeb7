//! Checks of a configuration against the system: interfaces and directories.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::unistd::{AccessFlags, eaccess};

use super::sections::Config;
use crate::capture::interface::Interface;
use crate::capture::interface_list::InterfaceList;
use crate::capture::link_socket::LinkSocket;
use crate::document::{Diagnostic, KeyPositions};
use crate::output::storage::{DatabaseReader, StorageError};

/// Returns an error for every interface and directory that does not exist or is not accessible.
pub(super) fn errors(config: &Config, positions: &KeyPositions) -> Vec<Diagnostic> {
    let mut errors = Vec::new();
    for (number, selection) in (1..).zip(&config.capture.interfaces) {
        let list = InterfaceList::new(std::slice::from_ref(selection));
        let Err(message) = LinkSocket::interfaces().map_err(|error| error.to_string()).and_then(|table| {
            list.require_names(&table).map_err(|error| error.to_string())?;
            match list.select(&table).into_iter().find(|interface| !interface.is_supported()) {
                Some(Interface { name, .. }) => Err(format!(
                    "frames of {name} have neither an Ethernet nor an IP header; name the interface that carries its \
                     packets"
                )),
                None => Ok(()),
            }
        }) else {
            continue;
        };
        let key = format!("capture.interfaces {number}");
        errors.push(positions.diagnostic(&key, format!("{key}: {message}")));
    }
    let storage = config.storage.path.as_deref();
    let storage = storage.and_then(|path| file_error(path).or_else(|| database_error(path)));
    let socket = config.attach.socket.as_deref();
    let socket = socket.and_then(|path| file_error(path).or_else(|| socket_error(path)));
    let packets = config.output.pcap.path.as_deref().and_then(file_error);
    for (key, message) in [("storage.path", storage), ("attach.socket", socket), ("output.pcap.path", packets)] {
        if let Some(message) = message {
            errors.push(positions.diagnostic(key, format!("{key}: {message}")));
        }
    }
    errors
}

/// Returns why an existing file is not a database. A file that cannot be read now may be one.
fn database_error(path: &Path) -> Option<String> {
    let is_empty = path.metadata().map_or(true, |file| file.len() == 0);
    let refused = if is_empty { None } else { DatabaseReader::open(path, None).err() };
    refused.filter(StorageError::is_permanent).map(|error| error.one_line())
}

/// Returns why an existing file cannot be replaced by a socket.
fn socket_error(path: &Path) -> Option<String> {
    let other = path.symlink_metadata().is_ok_and(|file| !file.file_type().is_socket());
    other.then(|| format!("{} exists and is not a socket; name another file", path.display()))
}

/// Returns why a file cannot be created or written at a path.
fn file_error(path: &Path) -> Option<String> {
    if path.is_dir() {
        return Some(format!("{} is a directory; name a file in it", path.display()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Some(format!("there is no directory {}; create it, or name another file", folder.display()));
    }
    let refused = |path: &Path, flags| eaccess(path, flags).err().map(|errno| (path.to_owned(), errno));
    let in_folder = refused(folder, AccessFlags::W_OK | AccessFlags::X_OK);
    let at = in_folder.or_else(|| if path.exists() { refused(path, AccessFlags::W_OK) } else { None });
    at.map(|(path, errno)| format!("cannot write to {}: {}", path.display(), errno.desc()))
}
