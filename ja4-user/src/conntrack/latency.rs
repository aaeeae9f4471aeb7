//! The points in time that a connection's latencies are made of.

use std::time::Duration;

use crate::model::{Latency, OptTime, Time};

/// Points D and E of a TLS connection and the latencies that are known (specification, section 6).
/// Microseconds of 32 bits last 71 minutes; what is longer is cut to that.
#[derive(Clone, Copy, Debug)]
pub struct Latencies {
    /// D, then E: the client's first payload, and the server's first payload after it.
    asked: OptTime,
    /// E.
    answered: OptTime,
    client: u32,
    server: u32,
    client_application: u32,
    server_application: u32,
}

/// Not known.
const NONE: u32 = u32::MAX;

impl Default for Latencies {
    fn default() -> Self {
        Self {
            asked: OptTime::UNKNOWN,
            answered: OptTime::UNKNOWN,
            client: NONE,
            server: NONE,
            client_application: NONE,
            server_application: NONE,
        }
    }
}

/// Half of a time in microseconds, truncated.
fn half(between: Duration) -> u32 {
    u32::try_from(between.as_micros() / 2).unwrap_or(NONE - 1).min(NONE - 1)
}

/// From one time to a later one; nothing where the capture's clock went back.
pub fn between(from: Time, to: Time) -> Duration {
    Duration::from_nanos(to.0.saturating_sub(from.0))
}

fn known(micros: u32) -> Option<u64> {
    (micros != NONE).then_some(micros.into())
}

impl Latencies {
    /// The way to the client and back is known.
    pub fn on_client(&mut self, both_ways: Duration) {
        self.client = half(both_ways);
    }

    /// The way to the server and back is known.
    pub fn on_server(&mut self, both_ways: Duration) {
        self.server = half(both_ways);
    }

    /// D: the client's first payload.
    pub fn on_asked(&mut self, time: Time) {
        self.asked.set_first(time);
    }

    /// E: the server's first payload after D.
    pub fn on_answered(&mut self, time: Time) {
        if let (Some(asked), None) = (self.asked.get(), self.answered.get()) {
            self.answered = time.into();
            self.server_application = half(between(asked, time));
        }
    }

    /// F: the client's first payload after E.
    pub fn on_acted(&mut self, time: Time) {
        if let Some(answered) = self.answered.get()
            && self.client_application == NONE
        {
            self.client_application = half(between(answered, time));
        }
    }

    /// What is known. `application`: whether the time that an application took means anything, as in TLS;
    /// in clear text it does not.
    pub fn known(&self, application: bool) -> Latency {
        let taken = |micros| if application { known(micros) } else { None };
        Latency {
            client: known(self.client),
            server: known(self.server),
            client_application: taken(self.client_application),
            server_application: taken(self.server_application),
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
        latencies.on_answered(Time(1_000));
        latencies.on_asked(Time(10_000));
        latencies.on_answered(Time(13_999));
        latencies.on_answered(Time(99_999));
        latencies.on_acted(Time(2_000_014_999));
        let known = latencies.known(true);
        assert_eq!((known.client, known.server), (Some(62), None));
        assert_eq!((known.server_application, known.client_application), (Some(1), Some(1_000_000)));
        assert_eq!(latencies.known(false).client_application, None);
        latencies.on_server(Duration::MAX);
        assert_eq!(latencies.known(true).server, Some(u64::from(u32::MAX - 1)));
    }
}
