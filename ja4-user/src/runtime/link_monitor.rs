//! The thread that reads the kernel's reports of changed interfaces.
//!
//! It reads them at once, so that they do not wait while programs are attached: the kernel drops reports if too many are
//! waiting.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use tokio::sync::Notify;

use crate::capture::interface::InterfaceError;
use crate::capture::interface_table::InterfaceTable;
use crate::capture::link_socket::LinkSocket;

/// Follows the interfaces of the network namespace.
#[derive(Debug)]
pub struct LinkMonitor {
    state: Arc<LinkState>,
}

#[derive(Debug)]
struct LinkState {
    links: Mutex<Links>,
    changed: Notify,
}

#[derive(Debug)]
struct Links {
    table: InterfaceTable,
    overruns: u64,
    /// The error that ended the thread.
    error: Option<InterfaceError>,
}

impl LinkMonitor {
    /// Starts the thread. It ends at the first report after this is dropped.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(socket: LinkSocket, table: InterfaceTable) -> io::Result<Self> {
        let links = Mutex::new(Links { table, overruns: 0, error: None });
        let state = Arc::new(LinkState { links, changed: Notify::new() });
        let weak = Arc::downgrade(&state);
        thread::Builder::new().name("interfaces".to_owned()).spawn(move || follow(socket, &weak))?;
        Ok(Self { state })
    }

    /// Waits until interfaces have changed since the last snapshot.
    pub async fn changed(&self) {
        self.state.changed.notified().await;
    }

    /// Returns the current interfaces.
    ///
    /// # Errors
    /// If the socket could not be read.
    pub fn snapshot(&self) -> Result<InterfaceTable, InterfaceError> {
        let mut links = self.state.links();
        match links.error.take() {
            Some(error) => Err(error),
            None => Ok(links.table.take_snapshot()),
        }
    }

    /// Returns how often the kernel dropped reports.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.state.links().overruns
    }
}

impl LinkState {
    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Applies reports to the table until the monitor is dropped.
fn follow(mut socket: LinkSocket, state: &Weak<LinkState>) {
    loop {
        let messages = socket.receive();
        let Some(state) = state.upgrade() else { return };
        let mut links = state.links();
        let received = messages.and_then(|received| socket.apply(received, &mut links.table));
        links.overruns = socket.overruns();
        let has_failed = received.is_err();
        links.error = received.err();
        drop(links);
        state.changed.notify_one();
        if has_failed {
            return;
        }
    }
}
