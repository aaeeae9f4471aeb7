//! What the kernel knows of this process, for monitoring.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

/// Resources that the process uses, and its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ProcessUsage {
    /// CPU time, user and system.
    pub(crate) cpu: Duration,
    /// Open file descriptors, and their limit.
    pub(crate) open_files: u64,
    pub(crate) max_files: u64,
    /// Bytes of virtual memory, and of memory that is resident.
    pub(crate) virtual_bytes: u64,
    pub(crate) resident_bytes: u64,
    pub(crate) threads: u64,
    /// Seconds since the Unix epoch.
    pub(crate) started: f64,
}

impl ProcessUsage {
    /// Reads them from /proc; `None` without it.
    pub(crate) fn read() -> Option<Self> {
        let setting = |name| sysconf(name).ok().flatten().and_then(|value| u64::try_from(value).ok());
        let (ticks, page) = (setting(SysconfVar::CLK_TCK)?, setting(SysconfVar::PAGE_SIZE)?);
        let booted = fs::read_to_string("/proc/stat").ok()?;
        let booted = booted.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok())?;
        let mut usage = Self::of(&fs::read_to_string("/proc/self/stat").ok()?, ticks, page)?;
        usage.started += booted as f64;
        usage.open_files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        usage.max_files = getrlimit(Resource::RLIMIT_NOFILE).ok()?.0;
        Some(usage)
    }

    /// Reads a line of `/proc/PID/stat` (proc_pid_stat(5)). The start is relative to that of the machine.
    fn of(stat: &str, ticks: u64, page: u64) -> Option<Self> {
        // The name of the program may contain spaces and parentheses.
        let fields: Vec<u64> =
            stat.rsplit_once(')')?.1.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        // Fields are numbered from 1, and the first one here is the third.
        let field = |number: usize| fields.get(number - 3).copied();
        let seconds = |field: u64| field as f64 / ticks as f64;
        Some(Self {
            cpu: Duration::try_from_secs_f64(seconds(field(14)? + field(15)?)).ok()?,
            threads: field(20)?,
            started: seconds(field(22)?),
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_the_manual() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 12345 1048576 256 184467440 1 1 0";
        let usage = ProcessUsage::of(stat, 100, 4096).unwrap();
        assert_eq!((usage.cpu, usage.threads), (Duration::from_secs(3), 4));
        assert_eq!((usage.virtual_bytes, usage.resident_bytes), (1 << 20, 1 << 20));
        assert!((usage.started - 123.45).abs() < 1e-9);
    }

    #[test]
    fn this_process_is_running() {
        let usage = ProcessUsage::read().unwrap();
        assert!(usage.threads > 0 && usage.open_files > 2 && usage.max_files >= usage.open_files, "{usage:?}");
        assert!(usage.resident_bytes > 1 << 20 && usage.resident_bytes < usage.virtual_bytes, "{usage:?}");
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!(usage.started <= now + 1.0 && usage.started > now - 86_400.0, "{usage:?}");
    }
}
