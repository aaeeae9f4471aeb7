//! What a configuration needs of the system: interfaces, and folders that can be written to.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::unistd::{AccessFlags, eaccess};

use super::Config;
use super::places::Places;
use crate::capture::interface::Interface;
use crate::document::Issue;
use crate::output::storage::{DatabaseReader, StorageError};

impl Config {
    /// What is not there, or not permitted.
    pub(super) fn missing(&self, places: &Places) -> Vec<Issue> {
        let mut issues = Vec::new();
        for (number, name) in (1..).zip(&self.capture.interfaces) {
            let key = format!("capture.interfaces {number}");
            match Interface::find(name) {
                Ok(interface) if interface.is_ethernet() => {}
                Ok(_) => {
                    let message = format!(
                        "capture.interfaces: {name} is no Ethernet interface; name the device that \
                                           carries its packets"
                    );
                    issues.push(places.issue(&key, message));
                }
                Err(error) => issues.push(places.issue(&key, format!("capture.interfaces: {error}"))),
            }
        }
        let history = self.storage.path.as_deref().and_then(|path| trouble(path).or_else(|| no_database(path)));
        let socket = self.attach.socket.as_deref().and_then(|path| trouble(path).or_else(|| no_socket(path)));
        for (key, trouble) in [("storage.path", history), ("attach.socket", socket)] {
            if let Some(trouble) = trouble {
                issues.push(places.issue(key, format!("{key}: {trouble}")));
            }
        }
        issues
    }
}

/// Why a file that is there can never be a history. One that cannot be read for now may be.
fn no_database(path: &Path) -> Option<String> {
    let is_empty = path.metadata().map_or(true, |file| file.len() == 0);
    let refused = if is_empty { None } else { DatabaseReader::open(path, None).err() };
    refused.filter(StorageError::is_of_the_file).map(|error| error.one_line())
}

/// Why no socket can take the place of what is there.
fn no_socket(path: &Path) -> Option<String> {
    let other = path.symlink_metadata().is_ok_and(|there| !there.file_type().is_socket());
    other.then(|| format!("{} exists and is no socket; name another", path.display()))
}

/// Why no file can be made, or written to, at a path.
fn trouble(path: &Path) -> Option<String> {
    if path.is_dir() {
        return Some(format!("{} is a folder; name a file in it", path.display()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Some(format!("there is no folder {}; make it, or name another", folder.display()));
    }
    let refused = |path: &Path, flags| eaccess(path, flags).err().map(|errno| (path.to_owned(), errno));
    let in_folder = refused(folder, AccessFlags::W_OK | AccessFlags::X_OK);
    let at = in_folder.or_else(|| if path.exists() { refused(path, AccessFlags::W_OK) } else { None });
    at.map(|(path, errno)| format!("cannot write to {}: {}", path.display(), errno.desc()))
}
