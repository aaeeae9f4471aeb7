//! A folder for the socket and the database of a sensor.

use std::env;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process;

use anyhow::Context as _;

/// A folder that only this user can enter. It is removed on drop.
#[derive(Debug)]
pub(crate) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// # Errors
    /// If it cannot be created.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let nanoseconds = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().subsec_nanos();
        let path = env::temp_dir().join(format!("ja4sensor-top-{}-{nanoseconds}", process::id()));
        // A folder of this name that another user made is an error.
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    /// Path of the socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("attach.sock")
    }

    /// Path of the database.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("history.db")
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}
