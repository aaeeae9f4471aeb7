//! The way of datagrams from one shard to another.
//!
//! The kernel wakes a shard for what is in its ring. For what another shard sends it, that one does.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::shard::unwrap::Whole;

/// Datagrams that may wait on the way.
const ROUTE: usize = 256;

/// The sending end: every shard has one to each.
#[derive(Clone, Debug)]
pub struct Route {
    way: Sender<Whole>,
    bell: Arc<Bell>,
}

/// The receiving end.
#[derive(Debug)]
pub struct Inbox {
    way: Receiver<Whole>,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    /// Readable once it was rung.
    sound: EventFd,
    /// The receiver sleeps, or is about to.
    asleep: AtomicBool,
}

/// A way to one shard.
///
/// # Errors
/// Where no further file descriptor can be had.
pub fn route() -> Result<(Route, Inbox), Errno> {
    let sound = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let bell = Arc::new(Bell { sound, asleep: AtomicBool::new(false) });
    let (sender, receiver) = bounded(ROUTE);
    Ok((Route { way: sender, bell: Arc::clone(&bell) }, Inbox { way: receiver, bell }))
}

impl Route {
    /// Sends a datagram, and wakes the receiver if it sleeps; false where there is no room.
    pub(crate) fn send(&self, whole: Whole) -> bool {
        if self.way.try_send(whole).is_err() {
            return false;
        }
        // Either this sees that the receiver is about to sleep, or the receiver sees the datagram.
        fence(Ordering::SeqCst);
        if self.bell.asleep.swap(false, Ordering::SeqCst) {
            // If it cannot be rung the receiver wakes by its timer instead.
            let _rung = self.bell.sound.write(1);
        }
        true
    }
}

impl Inbox {
    /// The next datagram, if there is one.
    pub(crate) fn next(&self) -> Option<Whole> {
        self.way.try_recv().ok()
    }

    /// The next datagram, for which it waits so long.
    ///
    /// # Errors
    /// Where none has come, or none can come any more.
    pub(crate) fn wait(&self, patience: Duration) -> Result<Whole, RecvTimeoutError> {
        self.way.recv_timeout(patience)
    }

    /// Sleeps until a datagram comes or there is something in the ring, or for so long.
    pub(crate) fn sleep(&self, ring: Option<BorrowedFd<'_>>, patience: Duration) {
        self.bell.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.way.is_empty() {
            let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
            let bell = PollFd::new(self.bell.sound.as_fd(), PollFlags::POLLIN);
            let ring = ring.map(|ring| PollFd::new(ring, PollFlags::POLLIN));
            // Interrupted or not, the caller looks at everything anew.
            let _woken = match ring {
                Some(ring) => poll(&mut [ring, bell], timeout),
                None => poll(&mut [bell], timeout),
            };
        }
        self.bell.asleep.store(false, Ordering::SeqCst);
        // Whether or not it was rung: who has seen the sleep may ring late, which wakes the next one in vain.
        let _silenced = self.bell.sound.read();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use bytes::Bytes;
    use ja4_common::record::FrameInfo;

    use super::*;
    use crate::model::Time;

    fn whole(number: u64) -> Whole {
        let bytes = Bytes::from_static(b"datagram");
        Whole { bytes, time: Time(number), interface: 0, info: FrameInfo::default(), number: None, layers: 0 }
    }

    #[test]
    fn who_sleeps_is_woken() {
        let (route, inbox) = route().unwrap();
        let begun = Instant::now();
        let sender = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            assert!(route.send(whole(1)));
        });
        inbox.sleep(None, Duration::from_secs(60));
        assert!(inbox.next().is_some());
        sender.join().unwrap();
        // Nor does it sleep with something to do.
        let (route, inbox) = super::route().unwrap();
        assert!(route.send(whole(1)));
        inbox.sleep(None, Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }

    #[test]
    fn no_datagram_is_slept_through() {
        const MANY: u64 = 20_000;
        let (route, inbox) = route().unwrap();
        let sender = thread::spawn(move || {
            for number in 0..MANY {
                while !route.send(whole(number)) {
                    thread::yield_now();
                }
            }
        });
        let begun = Instant::now();
        let mut taken = 0;
        while taken < MANY {
            match inbox.next() {
                Some(whole) => {
                    assert_eq!(whole.time, Time(taken));
                    taken += 1;
                }
                None => inbox.sleep(None, Duration::from_secs(60)),
            }
        }
        sender.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        // The bell is silent again, but for one ring at most.
        inbox.sleep(None, Duration::from_millis(1));
        let quiet = Instant::now();
        inbox.sleep(None, Duration::from_millis(20));
        assert!(quiet.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn what_finds_no_room_is_not_sent() {
        let (route, inbox) = route().unwrap();
        let sent = (0..1000).filter(|number| route.send(whole(*number))).count();
        assert_eq!(sent, ROUTE);
        drop(route);
        assert_eq!(std::iter::from_fn(|| inbox.next()).count(), ROUTE);
        assert!(inbox.wait(Duration::from_secs(60)).is_err(), "nobody is left to send");
    }
}
