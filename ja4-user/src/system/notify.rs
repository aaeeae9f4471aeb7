//! Notifications to systemd: ready, stopping, watchdog, status (sd_notify(3)).
//!
//! Without `NOTIFY_SOCKET` in the environment, no notification is sent.

use std::time::Duration;

use sd_notify::NotifyState;

/// Sends notifications to the service manager.
#[derive(Clone, Copy, Debug)]
pub struct Notifier {
    is_enabled: bool,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` from the environment.
    #[must_use]
    pub fn from_environment() -> Self {
        let is_enabled = std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty());
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| is_enabled && !limit.is_zero());
        Self { is_enabled, watchdog }
    }

    /// Interval of watchdog pings: half of the service manager's timeout. `None`: the watchdog is disabled.
    #[must_use]
    pub fn interval(self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// Reports that the sensor captures packets.
    pub fn ready(self) {
        self.send(&[NotifyState::Ready]);
    }

    /// Reports that the sensor is stopping.
    pub fn stopping(self) {
        self.send(&[NotifyState::Stopping]);
    }

    /// Pings the watchdog.
    pub fn alive(self) {
        self.send(&[NotifyState::Watchdog]);
    }

    /// Sets the line of `systemctl status`. The text must not come from the wire.
    pub fn status(self, text: &str) {
        // A line feed would start another variable.
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        self.send(&[NotifyState::Status(&text)]);
    }

    fn send(self, states: &[NotifyState<'_>]) {
        if self.is_enabled {
            // A failure of the service manager does not concern the sensor.
            let _sent = sd_notify::notify(states);
        }
    }
}
