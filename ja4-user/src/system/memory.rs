//! The memory that the process may use: that of the machine and of its control groups, version 1 and 2.

use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Version 1 writes this or more for no limit.
const UNLIMITED: u64 = 1 << 60;

/// A limit of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimit {
    /// Bytes.
    pub(crate) bytes: u64,
    /// Its origin.
    pub(crate) source: MemorySource,
}

/// The origin of a limit of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemorySource {
    /// `MemAvailable` of the machine, which other programs also use.
    Machine,
    /// A control group, by the file with its limit.
    ControlGroup(PathBuf),
}

impl fmt::Display for MemorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine => f.write_str("MemAvailable"),
            Self::ControlGroup(file) => write!(f, "{}", file.display()),
        }
    }
}

/// Returns all limits: that of the machine, and those of the process's control group and of its parents. Limits that cannot be
/// read are left out.
pub(crate) fn limits() -> Vec<MemoryLimit> {
    limits_in(Path::new("/"))
}

/// The same for another root folder.
fn limits_in(root: &Path) -> Vec<MemoryLimit> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let mut limits = Vec::new();
    if let Some(bytes) = available(&read("proc/meminfo")) {
        limits.push(MemoryLimit { bytes, source: MemorySource::Machine });
    }
    let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
            continue;
        };
        let file = match controllers {
            "" => "memory.max",
            names if names.split(',').any(|name| name == "memory") => "memory.limit_in_bytes",
            _ => continue,
        };
        for mount in mounts.lines().filter_map(|line| GroupMount::of(line, controllers)) {
            limits.extend(mount.limits(root, Path::new(group), file));
        }
    }
    limits
}

/// `MemAvailable` of `/proc/meminfo`, bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

/// A mounted hierarchy of control groups.
#[derive(Debug)]
struct GroupMount<'a> {
    /// The group at the mount point.
    top: &'a Path,
    /// The mount point.
    point: &'a Path,
}

impl<'a> GroupMount<'a> {
    /// Reads a line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)), if it is the hierarchy with these controllers of version
    /// 1, or that of version 2 for none.
    fn of(line: &'a str, controllers: &str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (top, point) = (fields.next()?, fields.next()?);
        let mut fields = filesystem.split(' ');
        let (kind, options) = (fields.next()?, fields.nth(1)?);
        let is_searched = match kind {
            "cgroup2" => controllers.is_empty(),
            "cgroup" => options.split(',').any(|option| option == "memory") && !controllers.is_empty(),
            _ => false,
        };
        is_searched.then_some(Self { top: Path::new(top), point: Path::new(point) })
    }

    /// The limits of a group and of its parents, as far as they are mounted.
    fn limits(&self, root: &Path, group: &Path, file: &str) -> Vec<MemoryLimit> {
        let inside = group.strip_prefix(self.top).unwrap_or(Path::new(""));
        if inside.components().any(|part| part == Component::ParentDir) {
            return Vec::new();
        }
        let point = root.join(self.point.strip_prefix("/").unwrap_or(self.point));
        let limits = inside.ancestors().filter_map(|group| {
            let path = point.join(group).join(file);
            let bytes = fs::read_to_string(&path).ok()?.trim().parse().ok()?;
            (bytes < UNLIMITED).then_some(MemoryLimit { bytes, source: MemorySource::ControlGroup(path) })
        });
        limits.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root folder with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    /// The limits in bytes, in order of their size.
    fn bytes(files: &[(&str, &str)]) -> Vec<u64> {
        let mut bytes: Vec<_> = limits_in(root(files).path()).iter().map(|limit| limit.bytes).collect();
        bytes.sort_unstable();
        bytes
    }

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_machine_has_a_limit() {
        let limits = limits_in(root(&[("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:     2048 kB\n")]).path());
        assert_eq!(limits, [MemoryLimit { bytes: 2 << 20, source: MemorySource::Machine }]);
        assert!(bytes(&[]).is_empty());
    }

    #[test]
    fn the_limits_of_all_parents_hold() {
        let files = [
            ("proc/self/cgroup", "0::/system.slice/ja4sensor.service\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/system.slice/memory.max", "1000000\n"),
            ("sys/fs/cgroup/system.slice/ja4sensor.service/memory.max", "2000000\n"),
        ];
        assert_eq!(bytes(&files), [1_000_000, 2_000_000]);
        let unlimited = ("sys/fs/cgroup/system.slice/ja4sensor.service/memory.max", "max\n");
        assert_eq!(bytes(&[files[0], files[1], files[2], unlimited]), [1_000_000]);
    }

    #[test]
    fn in_a_container_its_group_is_the_mount_point() {
        let files = [
            ("proc/self/cgroup", "0::/docker/a1\n"),
            ("proc/self/mountinfo", "30 23 0:26 /docker/a1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/memory.max", "3000000\n"),
        ];
        assert_eq!(bytes(&files), [3_000_000]);
        assert_eq!(bytes(&[("proc/self/cgroup", "0::/\n"), ("proc/self/mountinfo", V2), files[2]]), [3_000_000]);
    }

    #[test]
    fn version_1_has_a_hierarchy_for_memory() {
        let files = [
            ("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a/b\n0::/\n"),
            (
                "proc/self/mountinfo",
                "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                 35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "4000000\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(bytes(&files), [4_000_000]);
    }
}
