//! The attach socket: a Unix socket that sends JSON lines to attached readers.
//!
//! A reader gets alerts and connections as they change, or, if it has sent a request, events in a format, or the rows of a
//! view at an interval. Readers must run as the sensor's user or as root, unless there is a group. Each reader has a thread and a bounded queue.
//! `AttachServer::broadcast` never waits: lines for a slow reader are dropped, and the reader receives their number at
//! that position: `{"event_type":"lost","lost":12}`.

mod listen;
mod reader;
mod registry;
mod settings;
#[cfg(test)]
mod tests;
mod view;

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use nix::unistd::Gid;

use self::listen::accept;
pub(crate) use self::reader::{ACCEPTED, AttachedReader};
pub use self::registry::AttachStats;
use self::registry::ReaderRegistry;
pub use self::settings::AttachSettings;
pub(crate) use self::view::{EventStream, ViewError, ViewQuery, ViewSource};
use crate::system::unix_socket::{self, BoundSocket, UnixSocketError};

/// A running server. Dropping it ends the server and removes the socket.
#[derive(Debug)]
pub struct AttachServer {
    shared: Arc<ReaderRegistry>,
    thread: Option<JoinHandle<()>>,
}

impl AttachServer {
    /// Serves a socket at `path`, for the sensor's user and for `group`. A stale socket is replaced.
    ///
    /// # Errors
    /// See [`UnixSocketError`].
    pub fn start(path: &Path, group: Option<Gid>) -> Result<Self, UnixSocketError> {
        let failed = |source| UnixSocketError::Io { path: path.to_owned(), source };
        let (listener, bound): (UnixListener, BoundSocket) = unix_socket::bind(path, group)?;
        let shared = Arc::new(ReaderRegistry { has_group: group.is_some(), ..ReaderRegistry::default() });
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("attach".to_owned()).spawn(move || {
            accept(&listener, &for_thread);
            drop(bound);
        });
        Ok(Self { shared, thread: Some(thread.map_err(failed)?) })
    }

    /// Enqueues complete lines for every reader, without waiting.
    pub(crate) fn broadcast(&self, lines: &Bytes) {
        let readers = self.shared.readers.load();
        for reader in readers.iter().filter(|reader| reader.gets_events()) {
            self.send(reader, lines);
        }
    }

    /// Number of changes of the events that readers ask for.
    pub(crate) fn changes(&self) -> u64 {
        self.shared.changes.load(Ordering::Acquire)
    }

    /// The readers that have asked for events, each with what it asks for.
    pub(crate) fn streams(&self) -> Vec<(Arc<AttachedReader>, Arc<EventStream>)> {
        let readers = self.shared.readers.load();
        readers.iter().filter_map(|reader| Some((Arc::clone(reader), reader.stream()?))).collect()
    }

    /// Enqueues complete lines for one reader, without waiting.
    pub(crate) fn send(&self, reader: &AttachedReader, lines: &Bytes) {
        let lost = reader.offer(lines);
        if lost > 0 {
            self.shared.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }

    /// Whether a reader gets events. If not, no lines need to be encoded.
    #[must_use]
    pub(crate) fn has_readers(&self) -> bool {
        self.shared.readers.load().iter().any(|reader| reader.gets_events())
    }

    /// Sets what answers the queries of views, once.
    pub(crate) fn serve_views(&self, source: ViewSource) {
        self.shared.views.set(source);
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> AttachStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let readers = self.shared.readers.load();
        AttachStats {
            readers: readers.len() as u64,
            event_readers: readers.iter().filter(|reader| reader.stream().is_some()).count() as u64,
            attached: read(&self.shared.attached),
            refused: read(&self.shared.refused),
            lost: read(&self.shared.lost),
            lost_snapshots: read(&self.shared.lost_snapshots),
        }
    }
}

impl AttachServer {
    /// Ends the server without waiting for it. Readers have one second to read their queues.
    pub fn end(&self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Drop for AttachServer {
    /// Ends the server after at most one second, and removes the socket.
    fn drop(&mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            let _joined = thread.join();
        }
    }
}
