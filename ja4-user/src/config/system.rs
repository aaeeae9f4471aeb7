//! What a configuration needs of the system: interfaces, and folders that can be written to.

use std::path::Path;

use nix::unistd::{AccessFlags, eaccess};

use super::Config;
use super::places::Places;
use crate::capture::interface::Interface;
use crate::document::Issue;

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
        for (key, path) in [("storage.path", &self.storage.path), ("attach.socket", &self.attach.socket)] {
            if let Some(trouble) = path.as_deref().and_then(trouble) {
                issues.push(places.issue(key, format!("{key}: {trouble}")));
            }
        }
        issues
    }
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
