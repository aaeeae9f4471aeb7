//! What the control groups, the memory and the files of this machine allow.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::finding::Finding;
use super::kernel::read;
use crate::config::Config;
use crate::system::memory;
use crate::units::ByteSize;

/// Free bytes below which a disk is reported, if the size of the database has no limit.
const LITTLE_SPACE: u64 = 1 << 30;

/// The findings about the machine.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = vec![control_groups(), memory_limits()];
    findings.extend(config.storage.path.as_deref().map(|path| {
        let wanted = config.storage.max_size.map_or(LITTLE_SPACE, |size| size.0);
        disk("storage.disk", path, wanted)
    }));
    findings.extend(config.attach.socket.as_deref().map(|path| folder("attach.socket", path)));
    findings
}

fn control_groups() -> Finding {
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    match groups.lines().find_map(|line| line.strip_prefix("0::")) {
        Some(group) => Finding::ok("machine.cgroup", format!("control group {group} (version 2)")),
        None if groups.is_empty() => Finding::unknown("machine.cgroup", "control groups cannot be read"),
        None => Finding::warning(
            "machine.cgroup",
            "control groups have version 1: memory of BPF maps does not count for the sensor's group",
            "boot with systemd.unified_cgroup_hierarchy=1",
        ),
    }
}

fn memory_limits() -> Finding {
    let limits = memory::limits();
    let Some(least) = limits.iter().min_by_key(|limit| limit.bytes) else {
        return Finding::unknown("machine.memory", "the memory of the machine cannot be read");
    };
    Finding::ok("machine.memory", format!("{} MiB available, by {}", least.bytes >> 20, least.source))
}

/// The folder of a path.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Whether a file can be created at a path.
fn folder(check: &'static str, path: &Path) -> Finding {
    let folder = parent(path);
    match access(&folder, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Finding::ok(check, format!("{} can be created", path.display())),
        Err(error) => {
            let (folder, cause) = (folder.display(), error.desc());
            Finding::error(check, format!("cannot create {}: {folder}: {cause}; name another folder", path.display()))
        }
    }
}

/// Whether a database can be written, and has space.
fn disk(check: &'static str, path: &Path, wanted: u64) -> Finding {
    let target = if path.exists() { path.to_owned() } else { parent(path) };
    if let Err(error) = access(&target, AccessFlags::W_OK) {
        let (target, cause) = (target.display(), error.desc());
        return Finding::error(check, format!("cannot write {target}: {cause}; name another file with --db"));
    }
    let free = match statvfs(&target) {
        Ok(disk) => disk.blocks_available() * disk.fragment_size(),
        Err(error) => return Finding::unknown(check, format!("cannot read the free space: {}", error.desc())),
    };
    let used = std::fs::metadata(path).map_or(0, |file| file.len());
    let message = format!("{}: {} MiB free", path.display(), free >> 20);
    if free + used < wanted {
        let message = format!("{message}, of {} that the database may take", ByteSize(wanted));
        return Finding::warning(check, message, "free space, or set a smaller storage.max_size");
    }
    Finding::ok(check, message)
}
