//! The capabilities that a live sensor needs (capabilities(7)), checked before anything is loaded.
//!
//! The kernel's errors do not name the capability: without CAP_PERFMON it returns a verifier log, without CAP_BPF a
//! generic error. So the sensor names the missing capability. If `/proc` cannot be read, the check passes.

use std::os::unix::fs::MetadataExt;
use std::{fmt, fs};

/// A capability that a live sensor needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Loads programs and creates maps.
    Bpf,
    /// Loads and attaches programs that see packets, adds qdiscs.
    NetAdmin,
    /// Allows pointer arithmetic in programs.
    Perfmon,
}

/// Bit of CAP_SYS_ADMIN, a substitute for CAP_BPF and CAP_PERFMON (bpf_capable and perfmon_capable in
/// include/linux/capability.h), but not for CAP_NET_ADMIN in netlink.
const SYS_ADMIN: u64 = 1 << 21;

/// Inode number of the initial user namespace (PROC_USER_INIT_INO in include/linux/proc_ns.h).
const INITIAL_USER_NAMESPACE: u64 = 0xefff_fffd;

impl Capability {
    /// Every capability that is needed.
    pub const ALL: [Self; 3] = [Self::Bpf, Self::NetAdmin, Self::Perfmon];

    /// The name, as in capabilities(7).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bpf => "CAP_BPF",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
        }
    }

    /// The bits of a capability set, one of which is enough (include/uapi/linux/capability.h).
    const fn enough(self) -> u64 {
        match self {
            Self::Bpf => 1 << 39 | SYS_ADMIN,
            Self::NetAdmin => 1 << 12,
            Self::Perfmon => 1 << 38 | SYS_ADMIN,
        }
    }

    const fn is_in(self, set: u64) -> bool {
        set & self.enough() != 0
    }
}

/// Missing capabilities. The message names them and how to grant them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PrivilegeError {
    missing: Vec<Capability>,
    /// The process is in a user namespace: its capabilities do not count for BPF.
    in_user_namespace: bool,
    /// The bounding set excludes one of them, so file capabilities cannot grant it.
    unbounded: bool,
}

impl fmt::Display for PrivilegeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot load and attach BPF programs: missing ")?;
        for (number, capability) in self.missing.iter().enumerate() {
            let separator = match number {
                0 => "",
                _ if number + 1 == self.missing.len() => " and ",
                _ => ", ",
            };
            write!(f, "{separator}{}", capability.name())?;
        }
        if self.in_user_namespace {
            return f.write_str(
                " (capabilities of a user namespace do not count for BPF); run the sensor in the initial user namespace",
            );
        }
        f.write_str("; run as root, or grant the capabilities with `setcap cap_bpf,cap_net_admin,cap_perfmon+ep ")?;
        f.write_str("PATH/ja4sensor`")?;
        if self.unbounded {
            f.write_str(
                "; the capability bounding set excludes them, so the process that starts the sensor must add them",
            )?;
            f.write_str(" (CapabilityBoundingSet= of systemd, --cap-add of a container)")?;
        }
        Ok(())
    }
}

/// Checks that this process has the capabilities that a live sensor needs.
///
/// # Errors
/// If one is missing.
pub(crate) fn require_capabilities() -> Result<(), PrivilegeError> {
    let namespace = fs::metadata("/proc/self/ns/user").map_or(INITIAL_USER_NAMESPACE, |metadata| metadata.ino());
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    missing(&status, namespace == INITIAL_USER_NAMESPACE).map_or(Ok(()), Err)
}

/// The capabilities missing in a process with this `/proc/PID/status`.
fn missing(status: &str, in_initial_namespace: bool) -> Option<PrivilegeError> {
    let (effective, bounding) = (set(status, "CapEff:")?, set(status, "CapBnd:")?);
    let is_missing = |capability: &Capability| !in_initial_namespace || !capability.is_in(effective);
    let missing: Vec<_> = Capability::ALL.into_iter().filter(is_missing).collect();
    if missing.is_empty() {
        return None;
    }
    let unbounded = !missing.iter().all(|capability| capability.is_in(bounding));
    Some(PrivilegeError { missing, in_user_namespace: !in_initial_namespace, unbounded })
}

/// A set of capabilities in the text of `/proc/PID/status` (proc_pid_status(5)): hexadecimal digits.
fn set(status: &str, name: &str) -> Option<u64> {
    let digits = status.lines().find_map(|line| line.strip_prefix(name))?;
    u64::from_str_radix(digits.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = 0x1ff_ffff_ffff;
    const BPF: u64 = 1 << 39;
    const PERFMON: u64 = 1 << 38;
    const NET_ADMIN: u64 = 1 << 12;

    fn status(effective: u64, bounding: u64) -> String {
        format!("Name:\tja4sensor\nCapPrm:\t{effective:016x}\nCapEff:\t{effective:016x}\nCapBnd:\t{bounding:016x}\n")
    }

    fn named(effective: u64) -> Vec<&'static str> {
        let missing = missing(&status(effective, ALL), true);
        missing.map_or(Vec::new(), |error| error.missing.iter().map(|capability| capability.name()).collect())
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(named(ALL), [""; 0]);
        assert_eq!(named(BPF | PERFMON | NET_ADMIN), [""; 0]);
        assert_eq!(named(0), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
        assert_eq!(named(PERFMON | NET_ADMIN), ["CAP_BPF"]);
        assert_eq!(named(BPF | NET_ADMIN), ["CAP_PERFMON"]);
        assert_eq!(named(BPF | PERFMON), ["CAP_NET_ADMIN"]);
        assert_eq!(named(SYS_ADMIN | NET_ADMIN), [""; 0]);
        assert_eq!(named(ALL & !NET_ADMIN), ["CAP_NET_ADMIN"]);
    }

    #[test]
    fn the_message_says_how_to_grant_them() {
        let error = missing(&status(NET_ADMIN, ALL), true).unwrap().to_string();
        assert!(error.starts_with("cannot load and attach BPF programs: missing CAP_BPF and CAP_PERFMON; run as root"));
        assert!(error.contains("setcap") && !error.contains("bounding"), "{error}");
        let error = missing(&status(0, 0), true).unwrap().to_string();
        assert!(error.contains("missing CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON;") && error.contains("bounding set"));
        let error = missing(&status(ALL, ALL), false).unwrap().to_string();
        assert!(error.contains("CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (capabilities of a user namespace"), "{error}");
    }

    #[test]
    fn an_unreadable_status_passes() {
        for status in ["", "Name:\tja4sensor\n", "CapEff:\tnone\nCapBnd:\tnone\n"] {
            assert_eq!(missing(status, true), None);
        }
    }
}
