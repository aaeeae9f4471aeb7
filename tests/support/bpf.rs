//! Direct bpf(2) queries of the tests, because the installed tools may be older than the kernel.
//!
//! Field offsets are those of `union bpf_attr` in the kernel's `include/uapi/linux/bpf.h`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use nix::net::if_::if_nametoindex;

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// Index of `query.prog_cnt`, in 4-byte words.
const QUERY_COUNT: usize = 6;

/// Returns whether the kernel creates a minimal map. Containers often have root but no bpf(2).
pub fn is_allowed() -> bool {
    // map_type, key_size, value_size, max_entries.
    let mut attributes = [BPF_MAP_TYPE_ARRAY, 4, 4, 1];
    descriptor(BPF_MAP_CREATE, &mut attributes).is_ok()
}

/// Returns the number of programs on the tcx hooks of an interface, in the network namespace of the calling thread.
/// The result is 0 for a kernel without tcx (before 6.6) and for an interface that no longer exists.
pub fn tcx_programs(interface: &str) -> u32 {
    let Ok(index) = if_nametoindex(interface) else {
        return 0;
    };
    [BPF_TCX_INGRESS, BPF_TCX_EGRESS]
        .into_iter()
        .map(|hook| {
            // target_ifindex, attach_type; no space for program IDs, so that the kernel fills in only the count.
            let mut attributes = [0; 16];
            attributes[..2].copy_from_slice(&[index, hook]);
            call(BPF_PROG_QUERY, &mut attributes).map_or(0, |_| attributes[QUERY_COUNT])
        })
        .sum()
}

fn descriptor(command: libc::c_long, attributes: &mut [u32]) -> io::Result<OwnedFd> {
    let descriptor = call(command, attributes)?;
    // SAFETY: the commands passed to this function return a new descriptor, which has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn call(command: libc::c_long, attributes: &mut [u32]) -> io::Result<i32> {
    let size = size_of_val(attributes);
    // SAFETY: the kernel reads and writes at most `size` bytes of a live, exclusively borrowed slice. Addresses inside
    // the attributes are set by callers in this file and point to memory that outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Wire, require_bpf, require_tools};

    const BPF_PROG_LOAD: libc::c_long = 5;
    const BPF_LINK_CREATE: libc::c_long = 28;
    const BPF_XDP: u32 = 37;
    const XDP_FLAGS_SKB_MODE: u32 = 2;
    const XDP_PASS: u64 = 2;
    const TCX_NEXT: u64 = 0xffff_ffff;

    /// Loads a program of type `kind` that returns `verdict`.
    fn program(kind: u32, verdict: u64) -> OwnedFd {
        // mov r0, verdict; exit.
        let code: [u64; 2] = [0xb7 | verdict << 32, 0x95];
        let pointer = |address: usize| [address as u32, (address as u64 >> 32) as u32];
        let mut attributes = [0; 8];
        attributes[..2].copy_from_slice(&[kind, code.len() as u32]);
        attributes[2..4].copy_from_slice(&pointer(code.as_ptr() as usize));
        attributes[4..6].copy_from_slice(&pointer(c"GPL".as_ptr() as usize));
        descriptor(BPF_PROG_LOAD, &mut attributes).expect("the verifier takes this")
    }

    fn link(program: &OwnedFd, interface: &str, hook: u32, flags: u32) -> OwnedFd {
        use std::os::fd::AsRawFd;
        let index = if_nametoindex(interface).expect("it is there");
        let mut attributes = [0; 16];
        attributes[..4].copy_from_slice(&[program.as_raw_fd() as u32, index, hook, flags]);
        descriptor(BPF_LINK_CREATE, &mut attributes).expect("the hook is free")
    }

    #[test]
    fn attached_programs_are_seen_until_their_link_is_closed() {
        const XDP: u32 = 6;
        const SCHED_CLS: u32 = 3;
        if !require_bpf() || !require_tools(&["ip", "tc", "ethtool"]) {
            return;
        }
        let wire = Wire::new();
        let host = wire.server();
        for (kind, verdict, hook, flags) in [
            (XDP, XDP_PASS, BPF_XDP, XDP_FLAGS_SKB_MODE),
            (XDP, XDP_PASS, BPF_XDP, 0),
            (SCHED_CLS, TCX_NEXT, BPF_TCX_EGRESS, 0),
            (SCHED_CLS, TCX_NEXT, BPF_TCX_INGRESS, 0),
        ] {
            assert!(!host.has_programs());
            let held = host.with(|| link(&program(kind, verdict), host.interface(), hook, flags));
            assert!(host.has_programs(), "hook {hook}, flags {flags}");
            drop(held);
        }
        assert!(!host.has_programs());
    }
}
