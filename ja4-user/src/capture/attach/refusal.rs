//! Why a hook was not to be had, in words that a user can act on.

use std::{fmt, io};

use aya::programs::ProgramError;
use aya::programs::tc::TcError;
use aya::programs::xdp::XdpError;
use nix::errno::Errno;

use crate::capture::ebpf::KernelError;

/// Longest cause that goes into the line, in characters: a verifier's log has thousands.
const MAX_CAUSE: usize = 200;

/// A way into the kernel.
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

/// A hook that was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    hook: AttachHook,
    /// What the system says.
    pub(super) words: String,
    /// Its number for it.
    pub(super) errno: Option<i32>,
    /// Set where no other hook would do either.
    pub(super) kernel: Option<KernelError>,
    is_load: bool,
}

impl Refusal {
    pub(super) fn words(hook: AttachHook, words: &str) -> Self {
        Self { hook, words: one_line(words), errno: None, kernel: None, is_load: false }
    }

    /// The program itself could not be loaded.
    pub(super) fn load(hook: AttachHook, error: KernelError) -> Self {
        match error {
            KernelError::Load(text) => Self { is_load: true, ..Self::words(hook, &verdict(&text)) },
            error => Self { kernel: Some(error), ..Self::words(hook, "") },
        }
    }

    /// The program could not be attached.
    pub(super) fn program(hook: AttachHook, error: &ProgramError) -> Self {
        let (number, text) = match error {
            ProgramError::SyscallError(error) => (error.io_error.raw_os_error(), String::new()),
            ProgramError::XdpError(XdpError::NetlinkError(error)) | ProgramError::NetlinkError(error) => {
                (error.raw_os_error(), drivers_words(&error.to_string()))
            }
            ProgramError::TcError(error) => return Self { hook, ..Self::tc(error) },
            error => (None, error.to_string()),
        };
        Self { errno: number, ..Self::words(hook, &described(number, text)) }
    }

    /// The qdisc could not be added, or the filter not be put there.
    pub(super) fn tc(error: &TcError) -> Self {
        let (number, text) = match error {
            TcError::NetlinkError(error) => (error.raw_os_error(), drivers_words(&error.to_string())),
            // `if_nametoindex` finds no such name.
            TcError::IoError(error) if error.kind() == io::ErrorKind::NotFound => (Some(libc::ENODEV), String::new()),
            TcError::IoError(error) => (error.raw_os_error(), String::new()),
            error => (None, error.to_string()),
        };
        Self { errno: number, ..Self::words(AttachHook::Tc, &described(number, text)) }
    }

    pub(super) fn is_privilege(&self) -> bool {
        matches!(self.errno, Some(libc::EPERM | libc::EACCES))
    }

    /// Whether trying another hook is no use.
    pub(super) fn is_final(&self) -> bool {
        self.kernel.is_some() || self.is_privilege() || self.errno == Some(libc::ENODEV)
    }

    /// Whether the kernel has no such attach type.
    pub(super) fn is_unknown_to_kernel(&self) -> bool {
        matches!(self.errno, Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOSYS))
    }

    /// What the number means for this hook, where that is not in the words.
    fn meaning(&self) -> Option<&'static str> {
        match (self.hook, self.errno?) {
            (AttachHook::Native | AttachHook::Generic, libc::EBUSY | libc::EEXIST) => {
                Some("an XDP program is already there")
            }
            (AttachHook::Native, libc::EOPNOTSUPP) => {
                Some("the driver offers none, or none beside LRO or hardware GRO")
            }
            (AttachHook::Native, libc::ENOSPC | libc::ENOMEM) => Some("too few queues or too little memory"),
            (AttachHook::Native, libc::ERANGE | libc::EMSGSIZE) => Some("the MTU is too large for it"),
            (AttachHook::Native, libc::EINVAL) => Some("the driver offers none with this MTU, LRO or set of queues"),
            _ => None,
        }
    }

    /// What the user can do.
    pub(super) fn fix(&self) -> &'static str {
        match (self.hook, self.errno) {
            (AttachHook::Native | AttachHook::Generic, _) if self.is_load => {
                "use --hook tc; before Linux 5.18 there is no multi-buffer XDP"
            }
            (AttachHook::Native | AttachHook::Generic, Some(libc::EBUSY | libc::EEXIST)) => {
                "use --hook tc beside it, or stop the program that `ip link show` names"
            }
            (AttachHook::Tc, _) if self.is_load => "Linux 5.10, 6.1 and 6.18 are known to take the programs",
            (AttachHook::Native, Some(libc::EOPNOTSUPP)) => "use --hook generic or --hook tc",
            (AttachHook::Native, Some(libc::ENOSPC | libc::ENOMEM)) => {
                "set the queues with `ethtool -L`, or use --hook generic or --hook tc"
            }
            (AttachHook::Native, Some(libc::ERANGE | libc::EMSGSIZE | libc::EINVAL)) => {
                "use a smaller MTU, `ethtool -K … lro off`, or --hook generic or --hook tc"
            }
            (AttachHook::Native | AttachHook::Generic, _) => "use --hook tc",
            (AttachHook::Tc, Some(libc::EOPNOTSUPP | libc::ENOENT | libc::EINVAL)) => {
                "a kernel with CONFIG_NET_CLS_ACT, CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS is needed"
            }
            (AttachHook::Tc, _) => "`tc qdisc show` and `tc filter show` tell what is in the way",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} refused: {}", self.hook.name(), self.words)?;
        match self.meaning() {
            Some(meaning) => write!(formatter, " ({meaning})"),
            None => Ok(()),
        }
    }
}

/// Several in one line.
pub(super) fn list(refusals: &[Refusal]) -> String {
    let texts: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    texts.join("; ")
}

/// The system's text for a number, then what the driver adds.
fn described(number: Option<i32>, text: String) -> String {
    let Some(number) = number else {
        return text;
    };
    let system = Errno::from_raw(number).desc().to_lowercase();
    if text.is_empty() { system } else { format!("{system}: {text}") }
}

/// The messages in aya's text of a netlink error, which is a list in Debug form.
fn drivers_words(text: &str) -> String {
    text.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(", ")
}

/// The error of a load without what the verifier tells of its way: the cause comes last, but for the statistics.
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

/// The first line, cut to a length that a terminal can bear.
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
    fn the_cause_and_the_mend_are_named() {
        let busy = refused(AttachHook::Native, libc::EBUSY);
        assert_eq!(busy.to_string(), "XDP native refused: device or resource busy (an XDP program is already there)");
        assert!(busy.fix().contains("--hook tc"));
        assert!(!busy.is_final());
    }

    #[test]
    fn lack_of_rights_and_a_lost_interface_end_the_search() {
        for number in [libc::EPERM, libc::EACCES, libc::ENODEV] {
            assert!(refused(AttachHook::Generic, number).is_final(), "{number}");
        }
    }

    #[test]
    fn a_verifiers_log_stays_one_short_line() {
        let log = format!("0: R1=ctx\n{}\nR3 min value is outside\nprocessed 1889 insns\n", "x".repeat(10_000));
        let error = KernelError::Load(format!("permission denied. Verifier output: {log}"));
        let refusal = Refusal::load(AttachHook::Generic, error);
        assert_eq!(refusal.to_string(), "XDP generic refused: permission denied: R3 min value is outside");
        assert!(refusal.fix().contains("5.18"));
        let silent = KernelError::Load("invalid argument. Verifier output: ".to_owned());
        assert_eq!(Refusal::load(AttachHook::Native, silent).to_string(), "XDP native refused: invalid argument");
    }

    #[test]
    fn a_drivers_own_words_are_kept() {
        assert_eq!(drivers_words(r#"netlink error: ["MTU too large for XDP"]"#), "MTU too large for XDP");
        assert_eq!(drivers_words("netlink error: []"), "");
    }
}
