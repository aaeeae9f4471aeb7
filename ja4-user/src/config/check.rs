//! What no type can say of a configuration: ranges, and what its parts check themselves.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::places::Places;
use super::schema::{FLUSH_AFTER, IDLE_TIMEOUT, LEAST_AGE, LEAST_SIZE, MAX_CONNECTIONS, RING_SIZE, SHARDS};
use super::{Config, Listen};
use crate::document::{Issue, Warning};
use crate::model::method_set::COOLDOWN;
use crate::units::Size;

/// Entries of a table that is held in memory: 64 million are some 20 GB.
const ENTRIES: RangeInclusive<usize> = 1..=1 << 26;

/// Bytes of a path that a socket can have (unix(7), `sun_path` without its end).
const SOCKET: usize = 107;

impl Config {
    /// Everything that is out of range.
    pub(super) fn faults(&self, places: &Places) -> Vec<Issue> {
        let mut check = Check { places, issues: Vec::new() };
        let Self { capture, first_seen, profiles, storage, .. } = self;
        if let Some(shards) = &capture.shards {
            check.within("capture.shards", shards, &SHARDS);
        }
        check.within("capture.ring_size", &capture.ring_size, &RING_SIZE);
        check.within("capture.max_connections", &capture.max_connections, &MAX_CONNECTIONS);
        check.within("capture.idle_timeout", &capture.idle_timeout, &IDLE_TIMEOUT);
        check.within("first_seen.max_values", &first_seen.max_values, &ENTRIES);
        check.within("first_seen.max_host_values", &first_seen.max_host_values, &ENTRIES);
        check.at_least("first_seen.forget_after", &first_seen.forget_after, &LEAST_AGE);
        check.at_least("first_seen.max_bytes", &first_seen.max_bytes, &Size(64 << 10));
        check.at_least("profiles.observations", &profiles.observations, &1);
        check.within("profiles.cooldown", &profiles.cooldown, &(COOLDOWN.0..=COOLDOWN.1));
        check.within("profiles.max_anchors", &profiles.max_anchors, &ENTRIES);
        check.within("profiles.max_companions", &profiles.max_companions, &(1..=1 << 16));
        check.within("storage.flush_after", &storage.flush_after, &FLUSH_AFTER);
        if let Some(age) = &storage.max_age {
            check.at_least("storage.max_age", age, &LEAST_AGE);
        }
        if let Some(size) = &storage.max_size {
            check.at_least("storage.max_size", size, &LEAST_SIZE);
        }
        for (key, path) in [("storage.path", &storage.path), ("attach.socket", &self.attach.socket)] {
            if path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
                check.wrong(key, format!("{key} is empty; name a file, or leave it out"));
            }
        }
        if let Some(length) = self.attach.socket.as_ref().map(|path| path.as_os_str().len())
            && length > SOCKET
        {
            let message = format!("attach.socket has {length} bytes; a socket's path has at most {SOCKET}");
            check.wrong("attach.socket", message);
        }
        for (number, host) in (1..).zip(&self.http.hosts) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if host.is_empty() || !host.bytes().all(plain) {
                let host = host.escape_debug();
                let message = format!("http.hosts: '{host}' is no host name; write it without port, as sensor.example");
                check.wrong(&format!("http.hosts {number}"), message);
            }
        }
        for message in self.builtin.faults() {
            check.part(message);
        }
        for fault in self.lookup.remote.faults() {
            check.part(fault.to_string());
        }
        check.issues
    }

    /// What is odd, but can be.
    pub(super) fn oddities(&self, places: &Places) -> Vec<Warning> {
        match self.http.listen {
            Listen::At(address) if !address.ip().is_loopback() => {
                let message = format!(
                    "http.listen is {address}: whoever reaches it may read what the sensor knows; a proxy with a \
                     password can stand before 127.0.0.1"
                );
                vec![places.issue("http.listen", message)]
            }
            _ => Vec::new(),
        }
    }
}

struct Check<'p> {
    places: &'p Places,
    issues: Vec<Issue>,
}

impl Check<'_> {
    fn within<T: PartialOrd + Display>(&mut self, key: &str, value: &T, range: &RangeInclusive<T>) {
        if !range.contains(value) {
            let (least, most) = (range.start(), range.end());
            self.wrong(key, format!("{key} is {value}; it must be from {least} to {most}"));
        }
    }

    fn at_least<T: PartialOrd + Display>(&mut self, key: &str, value: &T, least: &T) {
        if value < least {
            self.wrong(key, format!("{key} is {value}; it must be at least {least}"));
        }
    }

    /// A part's own words, which begin with the key.
    fn part(&mut self, message: String) {
        let key = message.split(' ').next().unwrap_or_default().to_owned();
        self.wrong(&key, message);
    }

    fn wrong(&mut self, key: &str, message: String) {
        self.issues.push(self.places.issue(key, message));
    }
}
