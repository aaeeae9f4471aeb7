//! The retransmissions of a SYN-ACK, which JA4TS reads.

use core::time::Duration;

/// Most delays that are listed.
const MAX_DELAYS: usize = 10;

/// A SYN-ACK that follows the previous one by more than this belongs to no retransmission schedule.
const MAX_DELAY: Duration = Duration::from_secs(120);

/// The delays between a server's SYN-ACKs, and whether the server ended its attempts with a RST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retransmissions {
    delays: [u8; MAX_DELAYS],
    count: u8,
    reset: Option<u8>,
    answered: bool,
    over: bool,
}

impl Retransmissions {
    /// Records a further SYN-ACK, the given time after the previous one. Returns whether it is listed: the first ten
    /// are, up to the first delay over 120 s or a RST.
    ///
    /// A SYN-ACK that crosses the client's ACK is listed: the server had not received the ACK.
    pub fn push(&mut self, since_last: Duration) -> bool {
        let (Some(delay), false) = (seconds(since_last), self.over) else {
            self.over = true;
            return false;
        };
        let Some(entry) = self.delays.get_mut(usize::from(self.count)) else {
            return false;
        };
        *entry = delay;
        self.count += 1;
        true
    }

    /// Records the server's RST, the given time after the last SYN-ACK. Returns whether it is listed: only after a
    /// retransmission, and only if the client has not acknowledged the SYN-ACK.
    pub fn reset(&mut self, since_last: Duration) -> bool {
        if !self.over && !self.answered && self.count > 0 {
            self.reset = seconds(since_last);
        }
        self.over = true;
        self.reset.is_some()
    }

    /// Records that the client has acknowledged the SYN-ACK: a later RST ends the connection, not the attempt.
    pub const fn answered(&mut self) {
        self.answered = true;
    }

    /// Seconds between each SYN-ACK and the next, rounded to nearest.
    #[must_use]
    pub fn delays(&self) -> &[u8] {
        self.delays.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// Seconds between the last SYN-ACK and the server's RST, rounded to nearest.
    #[must_use]
    pub const fn reset_delay(&self) -> Option<u8> {
        self.reset
    }
}

/// Whole seconds, rounded to nearest; `None` above [`MAX_DELAY`].
fn seconds(delay: Duration) -> Option<u8> {
    if delay > MAX_DELAY {
        return None;
    }
    u8::try_from((delay + Duration::from_millis(500)).as_secs()).ok()
}
