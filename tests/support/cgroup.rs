//! A control group with limits, of version 2 where its controllers are available, else of version 1.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::process::until;

/// Period of the CPU limit, microseconds: the kernel's default.
const PERIOD: u32 = 100_000;

/// Mount point of the control groups.
const ROOT: &str = "/sys/fs/cgroup";

/// A control group, which is removed on drop.
#[derive(Debug)]
pub struct ControlGroup {
    folder: PathBuf,
}

impl ControlGroup {
    /// Creates a group with a limit of CPU time, in parts of one core. Returns `None` if the machine has no such controller, or
    /// not for this process.
    pub fn with_cpu(cores: f64) -> Option<Self> {
        let quota = (f64::from(PERIOD) * cores) as u32;
        Self::new("cpu", ("cpu.max", format!("{quota} {PERIOD}")), ("cpu.cfs_quota_us", quota.to_string()))
    }

    /// Creates a group with a limit of memory, bytes. Returns `None` if the machine has no such controller, or not for this
    /// process.
    pub fn with_memory(bytes: u64) -> Option<Self> {
        let bytes = bytes.to_string();
        Self::new("memory", ("memory.max", bytes.clone()), ("memory.limit_in_bytes", bytes))
    }

    fn new(controller: &str, v2: (&str, String), v1: (&str, String)) -> Option<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let name = format!("ja4t{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let root = Path::new(ROOT);
        let available = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let (parent, setting) = if available.split_whitespace().any(|name| name == controller) {
            fs::write(root.join("cgroup.subtree_control"), format!("+{controller}")).ok()?;
            (root.to_owned(), v2)
        } else {
            (root.join(controller), v1)
        };
        let group = Self { folder: parent.join(name) };
        fs::create_dir(&group.folder).ok()?;
        let (file, value) = setting;
        // Only a control group has this file.
        fs::metadata(group.folder.join(file)).ok()?;
        fs::write(group.folder.join(file), value).ok()?;
        Some(group)
    }

    /// Moves a process into the group, with all of its threads.
    ///
    /// # Panics
    /// If the kernel refuses it.
    pub fn add(&self, process: u32) {
        fs::write(self.folder.join("cgroup.procs"), process.to_string()).expect("the process exists");
    }

    /// Returns `inner` as a command that runs in the group from its start. The process ID of the command is that of the
    /// program.
    pub fn enter(&self, inner: &Command) -> Command {
        let mut command = Command::new("sh");
        let script = format!("echo $$ >{}/cgroup.procs && exec \"$@\"", self.folder.display());
        command.args(["-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // A process that is still ending stays in the group for a moment.
        until(Duration::from_secs(5), || !self.folder.exists() || fs::remove_dir(&self.folder).is_ok());
    }
}
