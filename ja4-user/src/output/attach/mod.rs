//! A Unix socket that streams JSON lines to whoever attaches.
//!
//! Readers are processes of the sensor's own user, or root. Each has a thread and a bounded queue:
//! [`AttachServer::broadcast`] never waits, and a reader that is too slow loses lines and is told how
//! many, at the place where they would have been: `{"event_type":"lost","lost":12}`.

mod listen;
mod reader;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use thiserror::Error;

use self::listen::{Bound, accept};
use self::reader::Reader;
use crate::model::CounterGroup;

/// Readers at once: each has a thread, and holds lines in memory.
pub const MAX_READERS: usize = 64;

/// How long readers may take what they still have when the server ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// The socket cannot be served.
#[derive(Debug, Error)]
pub enum AttachError {
    /// There is something else in its place.
    #[error("{} is not a socket; name another path for the attach socket, or remove it", .0.display())]
    NotASocket(PathBuf),
    /// Somebody listens there.
    #[error("another process serves {}; name another path for the attach socket, or end it", .0.display())]
    InUse(PathBuf),
    /// The system refuses.
    #[error("cannot serve the attach socket {}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What has become of readers and lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttachStats {
    /// Readers that are attached.
    pub readers: u64,
    /// Readers that there ever were.
    pub attached: u64,
    /// Processes turned away: another user's, or one too many.
    pub refused: u64,
    /// Lines that readers have lost; a line that two have lost counts twice.
    pub lost: u64,
}

impl AttachStats {
    /// As a group of a `stats` event.
    #[must_use]
    pub fn group(&self) -> CounterGroup {
        let Self { readers, attached, refused, lost } = *self;
        let mut group = CounterGroup::default();
        group.count("readers", readers).count("attached", attached).count("refused", refused).count("lost", lost);
        group
    }
}

/// A server at work; ends, and removes its socket, when dropped.
#[derive(Debug)]
pub struct AttachServer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the threads of a server share.
#[derive(Debug, Default)]
struct Shared {
    readers: ArcSwap<Vec<Arc<Reader>>>,
    /// Held while the list of readers is changed.
    changing: Mutex<()>,
    stop: AtomicBool,
    attached: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
}

impl AttachServer {
    /// Serves a socket at `path`, which only the sensor's user may connect to. A socket that nobody
    /// listens at is replaced.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn start(path: &Path) -> Result<Self, AttachError> {
        let failed = |source| AttachError::Io { path: path.to_owned(), source };
        let (listener, bound): (UnixListener, Bound) = listen::bind(path)?;
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("attach".to_owned()).spawn(move || {
            accept(&listener, &for_thread);
            drop(bound);
        });
        Ok(Self { shared, thread: Some(thread.map_err(failed)?) })
    }

    /// Hands whole lines to every reader, without waiting for any.
    pub fn broadcast(&self, lines: &Bytes) {
        let readers = self.shared.readers.load();
        for reader in readers.iter() {
            let lost = reader.offer(lines);
            if lost > 0 {
                self.shared.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
    }

    /// Whether anybody is attached: if not, no line needs to be made for them.
    #[must_use]
    pub fn has_readers(&self) -> bool {
        !self.shared.readers.load().is_empty()
    }

    /// What has become of readers and lines.
    #[must_use]
    pub fn stats(&self) -> AttachStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        AttachStats {
            readers: self.shared.readers.load().len() as u64,
            attached: read(&self.shared.attached),
            refused: read(&self.shared.refused),
            lost: read(&self.shared.lost),
        }
    }
}

impl AttachServer {
    /// Has the server end, without waiting for it: readers have a second for what they have not read.
    pub fn end(&self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Drop for AttachServer {
    /// Lets readers take what they have for a second, and removes the socket.
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            let _joined = thread.join();
        }
    }
}
