//! The flag that ends a replay early.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Interval at which a waiting pipe checks the flag, milliseconds: too short to notice.
const CHECK: u8 = 50;

/// A flag that asks a replay to end. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Sets the flag.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the flag is set.
    #[must_use]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A pipe, terminal or similar file, which may block for any time.
#[derive(Debug)]
pub(super) struct Stoppable {
    file: File,
    stop: StopFlag,
}

impl Stoppable {
    pub(super) fn new(file: File, stop: StopFlag) -> Self {
        Self { file, stop }
    }
}

impl Read for Stoppable {
    /// Reads; returns end of file once the flag is set.
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        while !self.stop.is_set() {
            let mut events = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut events, PollTimeout::from(CHECK)) {
                Ok(0) | Err(Errno::EINTR) => {}
                // The read reports an error or a hang-up.
                Ok(_) => return self.file.read(target),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }
}
