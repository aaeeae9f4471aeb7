//! Accepted readers of the socket.

use std::io::{ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;

use super::reader::{self, AttachedReader};
use super::registry::{MAX_READERS, ReaderRegistry};

/// Time in which readers receive their queues when the server ends.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Interval at which the server checks whether it should stop, milliseconds.
const STOP_CHECK: u16 = 200;
/// Pause after a failed accept: no file descriptor may be left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The line for a rejected reader.
const TOO_MANY: &[u8] = b"{\"event_type\":\"refused\",\"reason\":\"64 readers are already attached\"}\n";

/// Accepts readers until the server stops, then waits for the attached readers.
pub(super) fn accept(listener: &UnixListener, shared: &Arc<ReaderRegistry>) {
    while !shared.stop.load(Ordering::Acquire) {
        let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::from(STOP_CHECK)) {
            Ok(0) => continue,
            Ok(_) => {}
            Err(_) => thread::sleep(ACCEPT_PAUSE),
        }
        match listener.accept() {
            Ok((stream, _)) => admit(stream, shared),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => thread::sleep(ACCEPT_PAUSE),
        }
    }
    let deadline = Instant::now() + SHUTDOWN_GRACE;
    for reader in shared.readers.load().iter() {
        reader.end(deadline);
    }
    while !shared.readers.load().is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
}

fn admit(stream: UnixStream, shared: &Arc<ReaderRegistry>) {
    let is_permitted = shared.has_group
        || getsockopt(&stream, sockopt::PeerCredentials)
            .is_ok_and(|peer| peer.uid() == geteuid().as_raw() || peer.uid() == 0);
    if !is_permitted {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let _locked = shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
    let readers = shared.readers.load_full();
    if readers.len() >= MAX_READERS {
        shared.refused.fetch_add(1, Ordering::Relaxed);
        let _sent = stream.set_nonblocking(true).and_then(|()| (&stream).write_all(TOO_MANY));
        return;
    }
    let Ok((reader, connection)) = AttachedReader::new(stream) else {
        return;
    };
    let reader = Arc::new(reader);
    let mut more = readers.to_vec();
    more.push(Arc::clone(&reader));
    // Listed before its thread starts: the thread removes it.
    shared.readers.store(Arc::new(more));
    shared.attached.fetch_add(1, Ordering::Relaxed);
    let (leaving, of) = (Arc::clone(&reader), Arc::clone(shared));
    let started = thread::Builder::new().name("reader".to_owned()).spawn(move || {
        reader::serve(&leaving, connection, &of.views, &of.lost_snapshots, &of.changes);
        let _locked = of.changing.lock().unwrap_or_else(PoisonError::into_inner);
        remove(&leaving, &of);
    });
    if started.is_err() {
        remove(&reader, shared);
    }
}

/// Removes a reader from the list; the caller holds `changing`.
fn remove(reader: &Arc<AttachedReader>, shared: &ReaderRegistry) {
    let rest = shared.readers.load().iter().filter(|other| !Arc::ptr_eq(other, reader)).cloned().collect();
    shared.readers.store(Arc::new(rest));
}
