//! The end of a replay before the end of what it reads.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How often a pipe with nothing to give looks whether it is to end, milliseconds: nobody notices the wait.
const LOOK: u8 = 50;

/// Says to all that have a copy of it that they are to end.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Ends all.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether to end.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A pipe, a terminal or the like, which may have nothing to give for as long as it likes.
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
    /// Nothing, as at the end of a file, once it is to end.
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        while !self.stop.is_set() {
            let mut wanted = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
            match poll(&mut wanted, PollTimeout::from(LOOK)) {
                Ok(0) | Err(Errno::EINTR) => {}
                // An error or a hang-up is for the read to tell.
                Ok(_) => return self.file.read(target),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(0)
    }
}
