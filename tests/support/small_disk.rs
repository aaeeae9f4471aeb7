//! A small file system in memory, for tests of a full disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system; unmounted on drop.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts a file system of this size, such as `64k`.
    ///
    /// # Panics
    /// If it cannot be mounted. The other functions panic too if they fail.
    pub fn new(size: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let size = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status();
        assert!(mount.expect("mount runs").success());
        Self { folder }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Fills it.
    pub fn fill(&self) {
        fs::write(self.filler(), vec![0; 1 << 20]).expect_err("a disk smaller than 1 MiB");
    }

    /// Frees what [`fill`](Self::fill) took.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg(self.path()).status();
    }
}
