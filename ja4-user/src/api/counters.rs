//! The counters of the HTTP server.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::StatusCode;

use crate::model::CounterGroup;

/// Status codes with a counter.
const CODES: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// Names of the status codes, in the same order.
const NAMES: [&str; CODES.len()] = ["200", "400", "404", "405", "421", "503"];

/// Current counters of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpStats {
    /// Open connections.
    pub open: u64,
    /// Accepted connections.
    pub accepted: u64,
    /// Connections closed because they exceeded a time limit.
    pub timed_out: u64,
    /// Slow connections evicted for new ones.
    pub evicted: u64,
    /// Connections that failed or did not carry HTTP.
    pub broken: u64,
    /// Responses by status code: 200, 400, 404, 405, 421, 503.
    pub answered: [u64; CODES.len()],
}

impl HttpStats {
    /// Returns the counters for a `stats` event.
    #[must_use]
    pub fn group(&self) -> CounterGroup {
        let Self { open, accepted, timed_out, evicted, broken, answered } = *self;
        let mut codes = CounterGroup::default();
        for (name, count) in NAMES.into_iter().zip(answered) {
            codes.count(name, count);
        }
        let mut group = CounterGroup::default();
        group
            .count("open", open)
            .count("accepted", accepted)
            .count("timed_out", timed_out)
            .count("evicted", evicted)
            .count("broken", broken)
            .group("answered", codes);
        group
    }
}

/// The counters, shared by the tasks of the server.
#[derive(Debug, Default)]
pub(super) struct HttpCounters {
    open: AtomicU64,
    accepted: AtomicU64,
    timed_out: AtomicU64,
    evicted: AtomicU64,
    broken: AtomicU64,
    answered: [AtomicU64; CODES.len()],
}

impl HttpCounters {
    pub(super) fn accepted(&self, open: usize) {
        self.accepted.fetch_add(1, Relaxed);
        self.set_open(open);
    }

    pub(super) fn set_open(&self, open: usize) {
        self.open.store(open as u64, Relaxed);
    }

    pub(super) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Relaxed);
    }

    pub(super) fn evicted(&self) {
        self.evicted.fetch_add(1, Relaxed);
    }

    pub(super) fn broken(&self) {
        self.broken.fetch_add(1, Relaxed);
    }

    pub(super) fn count_response(&self, status: StatusCode) {
        let known = CODES.into_iter().zip(&self.answered).find(|(code, _)| *code == status);
        if let Some((_, counter)) = known {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn stats(&self) -> HttpStats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        HttpStats {
            open: read(&self.open),
            accepted: read(&self.accepted),
            timed_out: read(&self.timed_out),
            evicted: read(&self.evicted),
            broken: read(&self.broken),
            answered: self.answered.each_ref().map(read),
        }
    }
}
