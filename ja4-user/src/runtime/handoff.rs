//! The queue of datagrams from one shard to another.
//!
//! The kernel wakes a shard when its ring has records. The sending shard wakes it when the queue has a datagram.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::shard::ReassembledDatagram;

/// Datagrams that fit in the queue.
const CAPACITY: usize = 256;

/// The sending end. Every shard has a sender to each shard.
#[derive(Clone, Debug)]
pub struct HandoffSender {
    queue: Sender<ReassembledDatagram>,
    waker: Arc<Waker>,
}

/// The receiving end.
#[derive(Debug)]
pub struct HandoffReceiver {
    queue: Receiver<ReassembledDatagram>,
    waker: Arc<Waker>,
}

/// Wakes a shard.
#[derive(Clone, Debug)]
pub struct ShardWaker(Arc<Waker>);

#[derive(Debug)]
struct Waker {
    /// Readable after a wakeup.
    event: EventFd,
    /// The receiver sleeps or is about to sleep.
    asleep: AtomicBool,
}

/// Creates the queue of one shard.
///
/// # Errors
/// If no file descriptor is left.
pub fn channel() -> Result<(HandoffSender, HandoffReceiver), Errno> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let waker = Arc::new(Waker { event, asleep: AtomicBool::new(false) });
    let (sender, receiver) = bounded(CAPACITY);
    Ok((HandoffSender { queue: sender, waker: Arc::clone(&waker) }, HandoffReceiver { queue: receiver, waker }))
}

impl HandoffSender {
    /// Sends a datagram, and wakes the receiver if it sleeps; false where there is no room.
    pub(crate) fn send(&self, whole: ReassembledDatagram) -> bool {
        let is_sent = self.queue.try_send(whole).is_ok();
        if is_sent {
            self.waker.wake();
        }
        is_sent
    }
}

impl Waker {
    /// Wakes the receiver if it sleeps. Something was sent before.
    fn wake(&self) {
        // Either the sender sees that the receiver is about to sleep, or the receiver sees what was sent.
        fence(Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            // If the write fails, the receiver wakes by its timeout.
            let _woken = self.event.write(1);
        }
    }
}

impl ShardWaker {
    /// Wakes the shard if it sleeps. Something was sent to it before.
    pub(super) fn wake(&self) {
        self.0.wake();
    }
}

impl HandoffReceiver {
    /// The next datagram, if there is one.
    pub(crate) fn next(&self) -> Option<ReassembledDatagram> {
        self.queue.try_recv().ok()
    }

    /// Waits for the next datagram.
    ///
    /// # Errors
    /// Where none has come, or none can come any more.
    pub(crate) fn wait(&self, timeout: Duration) -> Result<ReassembledDatagram, RecvTimeoutError> {
        self.queue.recv_timeout(timeout)
    }

    /// What wakes the shard for other things than datagrams.
    pub(crate) fn waker(&self) -> ShardWaker {
        ShardWaker(Arc::clone(&self.waker))
    }

    /// Sleeps until a datagram or a record arrives or the shard is woken, for at most `timeout`. `is_idle` is false if
    /// something else was sent.
    pub(crate) fn sleep(&self, ring: Option<BorrowedFd<'_>>, timeout: Duration, is_idle: impl FnOnce() -> bool) {
        self.waker.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.queue.is_empty() && is_idle() {
            let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
            let waker = PollFd::new(self.waker.event.as_fd(), PollFlags::POLLIN);
            let ring = ring.map(|ring| PollFd::new(ring, PollFlags::POLLIN));
            // The caller checks queue and ring, whatever ended the sleep.
            let _woken = match ring {
                Some(ring) => poll(&mut [ring, waker], timeout),
                None => poll(&mut [waker], timeout),
            };
        }
        self.waker.asleep.store(false, Ordering::SeqCst);
        // Clears the event in any case. A sender that saw the sleep may still wake a later one, which is harmless.
        let _cleared = self.waker.event.read();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use bytes::Bytes;
    use ja4_common::record::FrameInfo;

    use super::*;
    use crate::model::{Time, VlanTags};

    fn whole(number: u64) -> ReassembledDatagram {
        let bytes = Bytes::from_static(b"datagram");
        ReassembledDatagram {
            bytes,
            time: Time(number),
            interface: 0,
            info: FrameInfo::default(),
            tags: VlanTags::NONE,
            number: None,
            layers: 0,
        }
    }

    #[test]
    fn a_sleeping_receiver_is_woken() {
        let (sender, receiver) = channel().unwrap();
        let begun = Instant::now();
        let sender = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            assert!(sender.send(whole(1)));
        });
        receiver.sleep(None, Duration::from_secs(60), || true);
        assert!(receiver.next().is_some());
        sender.join().unwrap();
        // With a datagram in the queue it does not sleep.
        let (sender, receiver) = channel().unwrap();
        assert!(sender.send(whole(1)));
        receiver.sleep(None, Duration::from_secs(60), || true);
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }

    #[test]
    fn no_datagram_is_missed() {
        const MANY: u64 = 20_000;
        let (sender, receiver) = channel().unwrap();
        let sender = thread::spawn(move || {
            for number in 0..MANY {
                while !sender.send(whole(number)) {
                    thread::yield_now();
                }
            }
        });
        let begun = Instant::now();
        let mut taken = 0;
        while taken < MANY {
            match receiver.next() {
                Some(whole) => {
                    assert_eq!(whole.time, Time(taken));
                    taken += 1;
                }
                None => receiver.sleep(None, Duration::from_secs(60), || true),
            }
        }
        sender.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        // At most one wakeup is left over.
        receiver.sleep(None, Duration::from_millis(1), || true);
        let quiet = Instant::now();
        receiver.sleep(None, Duration::from_millis(20), || true);
        assert!(quiet.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_full_queue_rejects_datagrams() {
        let (sender, receiver) = channel().unwrap();
        let sent = (0..1000).filter(|number| sender.send(whole(*number))).count();
        assert_eq!(sent, CAPACITY);
        drop(sender);
        assert_eq!(std::iter::from_fn(|| receiver.next()).count(), CAPACITY);
        assert!(receiver.wait(Duration::from_secs(60)).is_err(), "no sender is left");
    }
}
