//! What systemd is told: ready, stopping, still alive (sd_notify(3)).
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is said.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells the service manager how the sensor is.
#[derive(Clone, Copy, Debug)]
pub struct Notifier {
    listens: bool,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    #[must_use]
    pub fn from_environment() -> Self {
        let listens = std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty());
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| listens && !limit.is_zero());
        Self { listens, watchdog }
    }

    /// Time between two signs of life: half of what the manager waits for one. `None`: it waits for none.
    #[must_use]
    pub fn interval(self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// It sees packets.
    pub fn ready(self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// It is about to end.
    pub fn stopping(self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// It is alive.
    pub fn alive(self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// A line for `systemctl status`; it may not hold text from the wire.
    pub fn status(self, text: &str) {
        // A line end would begin another variable.
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        self.tell(&[NotifyState::Status(&text)]);
    }

    fn tell(self, states: &[NotifyState<'_>]) {
        if self.listens {
            // A manager that does not listen is none of the sensor's problems.
            let _told = sd_notify::notify(states);
        }
    }
}
