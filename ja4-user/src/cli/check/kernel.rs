//! What this kernel allows.

use std::fs;

use aya::maps::MapType;
use aya::sys::is_map_supported;
use nix::sys::resource::{Resource, getrlimit};

use super::finding::Finding;
use crate::capture::ebpf::KERNEL_TYPES;

/// Release from which tc programs attach by tcx.
const TCX: (u32, u32) = (6, 6);

/// Release from which XDP programs read frames in several buffers.
pub(super) const MULTI_BUFFER_XDP: (u32, u32) = (5, 18);

/// Release from which BPF memory counts for the control group, not for RLIMIT_MEMLOCK.
const CGROUP_MEMORY: (u32, u32) = (5, 11);

/// Locked memory that programs and maps of a run with defaults take at least, bytes.
const LOCKED: u64 = 256 << 20;

/// Clock sources that take microseconds to read.
const SLOW_CLOCKS: [&str; 3] = ["hpet", "acpi_pm", "refined-jiffies"];

/// The kernel's release.
#[derive(Clone, Debug)]
pub(super) struct KernelRelease {
    pub(super) text: String,
    /// Major and minor version; `None`: the text has another form.
    version: Option<(u32, u32)>,
}

impl KernelRelease {
    pub(super) fn read() -> Self {
        Self::parse(read("/proc/sys/kernel/osrelease").as_deref().unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
        let version = numbers.next().and_then(Result::ok).zip(numbers.next().and_then(Result::ok));
        Self { text: text.to_owned(), version }
    }

    /// Whether it is older than a version. An unknown release is not.
    pub(super) fn is_before(&self, version: (u32, u32)) -> bool {
        self.version.is_some_and(|own| own < version)
    }
}

/// Returns the first line of a file without spaces; `None`: it cannot be read.
pub(super) fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The findings about the kernel that need no program. `is_privileged`: the process may create maps.
pub(super) fn findings(release: &KernelRelease, is_privileged: bool) -> Vec<Finding> {
    let mut findings = vec![btf()];
    if is_privileged {
        findings.push(ring_buffers());
    }
    findings.extend([tcx(release), jit(), lockdown(), clock()]);
    findings.extend(locked_memory(release));
    findings
}

fn btf() -> Finding {
    if fs::metadata(KERNEL_TYPES).is_ok() {
        return Finding::ok("kernel.btf", format!("BTF at {KERNEL_TYPES}"));
    }
    let message = format!("no BTF: {KERNEL_TYPES} is missing; use a kernel with CONFIG_DEBUG_INFO_BTF=y");
    Finding::error("kernel.btf", message)
}

fn ring_buffers() -> Finding {
    match is_map_supported(MapType::RingBuf) {
        Ok(true) => Finding::ok("kernel.ring_buffer", "BPF ring buffers are supported"),
        Ok(false) => Finding::error("kernel.ring_buffer", "no BPF ring buffers; use Linux 5.10 or newer"),
        Err(error) => Finding::unknown("kernel.ring_buffer", format!("cannot try a BPF ring buffer: {error}")),
    }
}

fn tcx(release: &KernelRelease) -> Finding {
    if release.is_before(TCX) {
        let message =
            "no tcx before Linux 6.6: tc programs are filters of a clsact qdisc, which `tc qdisc del` removes";
        return Finding::warning("kernel.tcx", message, "use Linux 6.6 or newer");
    }
    Finding::ok("kernel.tcx", "tc programs attach by tcx")
}

fn jit() -> Finding {
    let path = "/proc/sys/net/core/bpf_jit_enable";
    match read(path).as_deref() {
        None if !fs::exists(path).unwrap_or(true) => {
            Finding::unknown("kernel.jit", format!("{path} exists in the initial network namespace only"))
        }
        Some("0") => Finding::warning(
            "kernel.jit",
            "the BPF JIT compiler is off: programs take several times the CPU time",
            "sysctl -w net.core.bpf_jit_enable=1",
        ),
        Some(_) => Finding::ok("kernel.jit", "the BPF JIT compiler is on"),
        None => Finding::unknown("kernel.jit", format!("cannot read {path}, which only root can")),
    }
}

/// Lockdown forbids BPF programs to read or write kernel memory by helpers. These programs read packets and maps only.
fn lockdown() -> Finding {
    let modes = read("/sys/kernel/security/lockdown").unwrap_or_default();
    let mode = modes.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("none", |(mode, _)| mode);
    Finding::ok("kernel.lockdown", format!("lockdown mode {mode} does not restrict these programs"))
}

fn clock() -> Finding {
    let folder = "/sys/devices/system/clocksource/clocksource0";
    let Some(current) = read(&format!("{folder}/current_clocksource")) else {
        return Finding::unknown("kernel.clock", format!("cannot read {folder}/current_clocksource"));
    };
    if !SLOW_CLOCKS.contains(&current.as_str()) {
        return Finding::ok("kernel.clock", format!("clock source {current}"));
    }
    let available = read(&format!("{folder}/available_clocksource")).unwrap_or_default();
    let better = available.split(' ').find(|name| !SLOW_CLOCKS.contains(name));
    let fix = match better {
        Some(name) => format!("echo {name} > {folder}/current_clocksource"),
        None => "boot with tsc=reliable, if the CPUs have a constant TSC".to_owned(),
    };
    let message = format!("clock source {current} is slow: reading the time takes microseconds");
    Finding::warning("kernel.clock", message, fix)
}

/// Before Linux 5.11, maps and programs count as locked memory.
fn locked_memory(release: &KernelRelease) -> Option<Finding> {
    if !release.is_before(CGROUP_MEMORY) {
        return None;
    }
    let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
    Some(if limit >= LOCKED {
        Finding::ok("kernel.memlock", "RLIMIT_MEMLOCK is large enough")
    } else {
        let message = format!("RLIMIT_MEMLOCK is {} KiB, and maps count for it before Linux 5.11", limit >> 10);
        Finding::warning("kernel.memlock", message, "ulimit -l unlimited (LimitMEMLOCK=infinity of systemd)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        let is_before = |text: &str, version| KernelRelease::parse(text).is_before(version);
        assert!(is_before("5.10.0-30-amd64", CGROUP_MEMORY) && is_before("6.1.0", TCX));
        assert!(!is_before("5.18.0", MULTI_BUFFER_XDP) && !is_before("6.18.44-fc-v857", TCX));
        assert!(!is_before("next", TCX));
    }
}
