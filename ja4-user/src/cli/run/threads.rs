//! What the threads of a run do that are no shards, and where they run.

use std::io::{self, Write};

use bytes::Bytes;
use crossbeam_channel::Receiver;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Writes chunks of lines until all their senders are gone.
pub(super) fn write_lines(
    header: &[u8],
    queue: &Receiver<Bytes>,
    gone: tokio::sync::oneshot::Sender<()>,
) -> io::Result<()> {
    let write = || {
        let mut out = crate::cli::output::stdout()?;
        out.write_all(header)?;
        out.flush()?;
        for chunk in queue {
            out.write_all(&chunk)?;
            if queue.is_empty() {
                out.flush()?;
            }
        }
        out.flush()
    };
    let written: io::Result<()> = write();
    if written.is_err() {
        // Nobody may be listening any more: then the run is ending anyway.
        let _told = gone.send(());
    }
    written
}

/// Pins the calling thread to a CPU that it may use; where it may not, it runs anywhere.
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
