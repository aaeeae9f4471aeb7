//! The counters of the HTTP server.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::StatusCode;

use crate::model::counter_set;

/// A status code with a counter, and its name.
#[derive(Clone, Copy, Debug)]
struct CountedStatus(StatusCode, &'static str);

impl CountedStatus {
    const ALL: [Self; 6] = [
        Self(StatusCode::OK, "200"),
        Self(StatusCode::BAD_REQUEST, "400"),
        Self(StatusCode::NOT_FOUND, "404"),
        Self(StatusCode::METHOD_NOT_ALLOWED, "405"),
        Self(StatusCode::MISDIRECTED_REQUEST, "421"),
        Self(StatusCode::SERVICE_UNAVAILABLE, "503"),
    ];

    const fn name(self) -> &'static str {
        self.1
    }
}

counter_set! {
    /// Current counters of the server.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct HttpStats as http {
        /// Open HTTP connections.
        gauge open as http_connections,
        /// HTTP connections accepted.
        counter accepted as http_connections_accepted,
        /// HTTP connections closed by a time limit.
        counter timed_out as http_connections_timed_out,
        /// Slow HTTP connections evicted for new ones.
        counter evicted as http_connections_evicted,
        /// HTTP connections that failed or did not carry HTTP.
        counter broken as http_connections_broken,
        /// HTTP responses, by status code.
        counter answered by code of CountedStatus as http_answers,
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
    answered: [AtomicU64; CountedStatus::ALL.len()],
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
        let known = CountedStatus::ALL.into_iter().zip(&self.answered).find(|(counted, _)| counted.0 == status);
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
