//! Rejected hooks: cause and fix for the user.

use std::{fmt, io};

use aya::programs::ProgramError;
use aya::programs::tc::TcError;
use aya::programs::xdp::XdpError;
use nix::errno::Errno;

use crate::capture::ebpf::KernelError;

/// Longest cause in a message, in characters: a verifier log has thousands.
const MAX_CAUSE: usize = 200;

/// A hook that a program can be attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttachHook {
    Native,
    Generic,
    Tc,
}

impl AttachHook {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Native => "XDP native",
            Self::Generic => "XDP generic",
            Self::Tc => "tc",
        }
    }
}

/// A rejected hook.
#[derive(Debug)]
pub(super) struct Refusal {
    hook: AttachHook,
    /// The error text of the system.
    pub(super) cause: String,
    /// The error number.
    pub(super) errno: Option<i32>,
    /// Set if no other hook can work.
    pub(super) kernel: Option<KernelError>,
    is_load: bool,
}

impl Refusal {
    pub(super) fn new(hook: AttachHook, cause: &str) -> Self {
        Self { hook, cause: one_line(cause), errno: None, kernel: None, is_load: false }
    }

    /// Creates the refusal of a program that could not be loaded.
    pub(super) fn load(hook: AttachHook, error: KernelError) -> Self {
        match error {
            KernelError::Load(text) => Self { is_load: true, ..Self::new(hook, &verdict(&text)) },
            error => Self { kernel: Some(error), ..Self::new(hook, "") },
        }
    }

    /// Creates the refusal of a program that could not be attached.
    pub(super) fn program(hook: AttachHook, error: &ProgramError) -> Self {
        let (number, text) = match error {
            ProgramError::SyscallError(error) => (error.io_error.raw_os_error(), String::new()),
            ProgramError::XdpError(XdpError::NetlinkError(error)) | ProgramError::NetlinkError(error) => {
                (error.raw_os_error(), driver_messages(&error.to_string()))
            }
            ProgramError::TcError(error) => return Self { hook, ..Self::tc(error) },
            error => (None, error.to_string()),
        };
        Self { errno: number, ..Self::new(hook, &described(number, text)) }
    }

    /// Creates the refusal of a qdisc or filter.
    pub(super) fn tc(error: &TcError) -> Self {
        let (number, text) = match error {
            TcError::NetlinkError(error) => (error.raw_os_error(), driver_messages(&error.to_string())),
            // `if_nametoindex` finds no such name.
            TcError::IoError(error) if error.kind() == io::ErrorKind::NotFound => (Some(libc::ENODEV), String::new()),
            TcError::IoError(error) => (error.raw_os_error(), String::new()),
            error => (None, error.to_string()),
        };
        Self { errno: number, ..Self::new(AttachHook::Tc, &described(number, text)) }
    }

    pub(super) fn is_privilege(&self) -> bool {
        matches!(self.errno, Some(libc::EPERM | libc::EACCES))
    }

    /// Whether no other hook can work.
    pub(super) fn is_final(&self) -> bool {
        self.kernel.is_some() || self.is_privilege() || self.errno == Some(libc::ENODEV)
    }

    /// Whether the kernel does not support the attach type.
    pub(super) fn is_unknown_to_kernel(&self) -> bool {
        matches!(self.errno, Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS))
    }

    /// Returns the meaning of the error number for this hook, if the cause does not state it.
    fn meaning(&self) -> Option<&'static str> {
        match (self.hook, self.errno?) {
            (AttachHook::Native | AttachHook::Generic, libc::EBUSY | libc::EEXIST) => {
                Some("another XDP program is attached")
            }
            (AttachHook::Native, libc::EOPNOTSUPP) => {
                Some("not supported by the driver, or not with LRO or hardware GRO")
            }
            (AttachHook::Native, libc::ENOSPC | libc::ENOMEM) => Some("too few queues or too little memory"),
            (AttachHook::Native, libc::ERANGE | libc::EMSGSIZE) => Some("the MTU is too large"),
            (AttachHook::Native, libc::EINVAL) => {
                Some("not supported by the driver with this MTU, LRO or number of queues")
            }
            _ => None,
        }
    }

    /// Returns the fix.
    pub(super) fn fix(&self) -> &'static str {
        match (self.hook, self.errno) {
            (AttachHook::Native | AttachHook::Generic, _) if self.is_load => {
                "use --hook tc: multi-buffer XDP requires Linux 5.18"
            }
            (AttachHook::Native | AttachHook::Generic, Some(libc::EBUSY | libc::EEXIST)) => {
                "use --hook tc, or stop the program that `ip link show` names"
            }
            (AttachHook::Tc, _) if self.is_load => "use a kernel known to accept the programs: Linux 5.10, 6.1 or 6.18",
            (AttachHook::Native, Some(libc::EOPNOTSUPP)) => "use --hook generic or --hook tc",
            (AttachHook::Native, Some(libc::ENOSPC | libc::ENOMEM)) => {
                "change the number of queues with `ethtool -L`, or use --hook generic or --hook tc"
            }
            (AttachHook::Native, Some(libc::ERANGE | libc::EMSGSIZE | libc::EINVAL)) => {
                "use a smaller MTU, `ethtool -K … lro off`, or --hook generic or --hook tc"
            }
            (AttachHook::Native | AttachHook::Generic, _) => "use --hook tc",
            (AttachHook::Tc, Some(libc::EOPNOTSUPP | libc::ENOENT | libc::EINVAL)) => {
                "use a kernel with CONFIG_NET_CLS_ACT, CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS"
            }
            (AttachHook::Tc, _) => "check `tc qdisc show` and `tc filter show` for conflicts",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} rejected: {}", self.hook.name(), self.cause)?;
        match self.meaning() {
            Some(meaning) => write!(formatter, " ({meaning})"),
            None => Ok(()),
        }
    }
}

/// Joins several on one line.
pub(super) fn join(refusals: &[Refusal]) -> String {
    let texts: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    texts.join("; ")
}

/// Returns the system's text for an error number, followed by the text of the driver.
fn described(number: Option<i32>, text: String) -> String {
    let Some(number) = number else {
        return text;
    };
    let system = Errno::from_raw(number).desc().to_lowercase();
    if text.is_empty() { system } else { format!("{system}: {text}") }
}

/// Returns the messages in aya's text of a netlink error, which is a list in Debug form.
fn driver_messages(text: &str) -> String {
    text.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(", ")
}

/// Returns the error of a load without the verifier's trace: the cause is the last line before the statistics.
fn verdict(text: &str) -> String {
    let mut lines = text.lines();
    let error = lines.next().unwrap_or_default();
    let error = error.split_once(". Verifier output: ").map_or(error, |(error, _)| error);
    let is_statistics =
        |line: &&str| ["verification time ", "stack depth ", "processed "].iter().any(|word| line.starts_with(word));
    match lines.rfind(|line| !line.trim().is_empty() && !is_statistics(line)) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_owned(),
    }
}

/// Returns the first line, truncated.
fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(MAX_CAUSE).collect()
}

#[cfg(test)]
mod tests {
    use aya::sys::SyscallError;

    use super::*;

    fn refused(hook: AttachHook, number: i32) -> Refusal {
        let io_error = io::Error::from_raw_os_error(number);
        Refusal::program(hook, &ProgramError::SyscallError(SyscallError { call: "bpf_link_create", io_error }))
    }

    #[test]
    fn the_cause_and_the_fix_are_named() {
        let busy = refused(AttachHook::Native, libc::EBUSY);
        assert_eq!(busy.to_string(), "XDP native rejected: device or resource busy (another XDP program is attached)");
        assert!(busy.fix().contains("--hook tc"));
        assert!(!busy.is_final());
    }

    #[test]
    fn missing_privileges_and_a_removed_interface_are_final() {
        for number in [libc::EPERM, libc::EACCES, libc::ENODEV] {
            assert!(refused(AttachHook::Generic, number).is_final(), "{number}");
        }
    }

    #[test]
    fn a_verifier_log_becomes_one_short_line() {
        let log = format!("0: R1=ctx\n{}\nR3 min value is outside\nprocessed 1889 insns\n", "x".repeat(10_000));
        let error = KernelError::Load(format!("permission denied. Verifier output: {log}"));
        let refusal = Refusal::load(AttachHook::Generic, error);
        assert_eq!(refusal.to_string(), "XDP generic rejected: permission denied: R3 min value is outside");
        assert!(refusal.fix().contains("5.18"));
        let silent = KernelError::Load("invalid argument. Verifier output: ".to_owned());
        assert_eq!(Refusal::load(AttachHook::Native, silent).to_string(), "XDP native rejected: invalid argument");
    }

    #[test]
    fn messages_of_the_driver_are_kept() {
        assert_eq!(driver_messages(r#"netlink error: ["MTU too large for XDP"]"#), "MTU too large for XDP");
        assert_eq!(driver_messages("netlink error: []"), "");
    }
}
