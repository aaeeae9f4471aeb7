//! TUN and TAP devices, and the thread that forwards their packets.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Buffer size, bytes. Larger than any frame, because the devices have no offloads.
pub(crate) const FRAME: usize = 65_536;
/// Poll timeout, milliseconds. Bounds the time that dropping a device takes.
const TICK_MILLIS: u16 = 100;

/// Type of device, by the packets that it exchanges with the host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DeviceKind {
    /// Ethernet frames.
    Tap,
    /// IP packets.
    Tun,
}

/// Creates a device without packet information headers in the network namespace of the calling thread. The device
/// exists until the file is closed.
pub(crate) fn open(name: &str, kind: DeviceKind) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: all-zero is a valid ifreq, a structure of integers and byte arrays.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *place = byte as libc::c_char;
    }
    let kind = match kind {
        DeviceKind::Tap => libc::IFF_TAP,
        DeviceKind::Tun => libc::IFF_TUN,
    };
    request.ifr_ifru.ifru_flags = (kind | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which outlives the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(file)
}

/// Waits until a descriptor is readable, at most one tick. Returns which ones are readable.
pub(crate) fn wait<const N: usize>(ends: [BorrowedFd<'_>; N]) -> io::Result<[bool; N]> {
    let mut ends = ends.map(|end| PollFd::new(end, PollFlags::POLLIN));
    poll(&mut ends, PollTimeout::from(TICK_MILLIS))?;
    Ok(ends.map(|end| end.any().unwrap_or(false)))
}

pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A thread that forwards packets. It is stopped on drop.
#[derive(Debug)]
pub(crate) struct Pump {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Starts a thread that calls `pass` in a loop. `pass` must return within about one tick.
    pub(crate) fn start(mut pass: impl FnMut() -> io::Result<()> + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if pass().is_err() {
                    // The device is down, as at the start, or has been deleted. Retry until the thread is stopped.
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
