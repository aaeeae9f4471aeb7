//! The points in time from which a connection's latencies are computed.

use std::time::Duration;

use crate::model::{Latency, OptTime, Time};

/// Points D and E of a TLS connection, and the known latencies. The points are those of FoxIO's "JA4L: Light Distance
/// Fingerprinting": D is the client's first payload, E the server's first payload after it, F the client's next payload.
///
/// 32 bits of microseconds last 71 minutes; longer latencies are cut to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latencies {
    /// Point D.
    client_data: OptTime,
    /// Point E.
    server_data: OptTime,
    client: u32,
    server: u32,
    client_application: u32,
    server_application: u32,
}

/// An unknown latency.
const UNKNOWN: u32 = u32::MAX;

impl Default for Latencies {
    fn default() -> Self {
        Self {
            client_data: OptTime::UNKNOWN,
            server_data: OptTime::UNKNOWN,
            client: UNKNOWN,
            server: UNKNOWN,
            client_application: UNKNOWN,
            server_application: UNKNOWN,
        }
    }
}

/// Half of a duration in microseconds, truncated.
fn half(round_trip: Duration) -> u32 {
    u32::try_from(round_trip.as_micros() / 2).unwrap_or(UNKNOWN - 1).min(UNKNOWN - 1)
}

/// The time from one point to a later one; zero if the capture's clock was set back in between.
pub(crate) fn between(from: Time, to: Time) -> Duration {
    Duration::from_nanos(to.0.saturating_sub(from.0))
}

fn known(micros: u32) -> Option<u64> {
    (micros != UNKNOWN).then_some(micros.into())
}

impl Latencies {
    /// Sets the round-trip time between sensor and client.
    pub(crate) fn on_client(&mut self, round_trip: Duration) {
        self.client = half(round_trip);
    }

    /// Sets the round-trip time between sensor and server.
    pub(crate) fn on_server(&mut self, round_trip: Duration) {
        self.server = half(round_trip);
    }

    /// Records point D: the client's first payload.
    pub(crate) fn on_client_data(&mut self, time: Time) {
        self.client_data.set_first(time);
    }

    /// Records point E: the server's first payload after D.
    pub(crate) fn on_server_data(&mut self, time: Time) {
        if let (Some(client_data), None) = (self.client_data.get(), self.server_data.get()) {
            self.server_data = time.into();
            self.server_application = half(between(client_data, time));
        }
    }

    /// Records point F: the client's first payload after E.
    pub(crate) fn on_client_reply(&mut self, time: Time) {
        if let Some(server_data) = self.server_data.get()
            && self.client_application == UNKNOWN
        {
            self.client_application = half(between(server_data, time));
        }
    }

    /// The known latencies. `is_tls`: application latencies are defined for TLS only.
    pub(crate) fn known(&self, is_tls: bool) -> Latency {
        let application = |micros| if is_tls { known(micros) } else { None };
        Latency {
            client: known(self.client),
            server: known(self.server),
            client_application: application(self.client_application),
            server_application: application(self.server_application),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_halved_and_truncated() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.known(true), Latency::default());
        latencies.on_client(Duration::from_micros(125));
        latencies.on_server_data(Time(1_000));
        latencies.on_client_data(Time(10_000));
        latencies.on_server_data(Time(13_999));
        latencies.on_server_data(Time(99_999));
        latencies.on_client_reply(Time(2_000_014_999));
        let known = latencies.known(true);
        assert_eq!((known.client, known.server), (Some(62), None));
        assert_eq!((known.server_application, known.client_application), (Some(1), Some(1_000_000)));
        assert_eq!(latencies.known(false).client_application, None);
        latencies.on_server(Duration::MAX);
        assert_eq!(latencies.known(true).server, Some(u64::from(u32::MAX - 1)));
    }
}
