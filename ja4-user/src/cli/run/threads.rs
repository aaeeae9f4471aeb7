//! CPU affinity of the shards.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Pins the calling thread to one of the CPUs that it may use. If that fails, the thread is not pinned.
pub(super) fn pin(index: usize) {
    let Ok(allowed) = nix::sched::sched_getaffinity(Pid::from_raw(0)) else {
        return;
    };
    let cpus: Vec<usize> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    let Some(cpu) = cpus.get(index % cpus.len().max(1)) else {
        return;
    };
    let mut one = CpuSet::new();
    if one.set(*cpu).is_ok() {
        let _pinned = sched_setaffinity(Pid::from_raw(0), &one);
    }
}
