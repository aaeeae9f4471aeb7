//! A Unix socket that streams JSON lines to whoever attaches.
//!
//! Readers are processes of the sensor's own user, or root. Each has a thread and a bounded queue:
//! [`AttachServer::broadcast`] never waits, and a reader that is too slow loses lines and is told how
//! many, at the place where they would have been: `{"event_type":"lost","lost":12}`.

mod error;
mod listen;
mod reader;
mod registry;
#[cfg(test)]
mod tests;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

pub use self::error::AttachSocketError;
use self::listen::{BoundSocket, accept};
use self::registry::ReaderRegistry;
pub use self::registry::{AttachStats, MAX_READERS};

/// A server at work; ends, and removes its socket, when dropped.
#[derive(Debug)]
pub struct AttachServer {
    shared: Arc<ReaderRegistry>,
    thread: Option<JoinHandle<()>>,
}

impl AttachServer {
    /// Serves a socket at `path`, which only the sensor's user may connect to. A socket that nobody
    /// listens at is replaced.
    ///
    /// # Errors
    /// See [`AttachSocketError`].
    pub fn start(path: &Path) -> Result<Self, AttachSocketError> {
        let failed = |source| AttachSocketError::Io { path: path.to_owned(), source };
        let (listener, bound): (UnixListener, BoundSocket) = listen::bind(path)?;
        let shared = Arc::new(ReaderRegistry::default());
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
