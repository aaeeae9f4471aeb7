//! Which values were never seen before: on this network, and from a local host.
//!
//! Values are kept as text, not as a hash of it. Storage and lists need the text, and with a hash that is cheap
//! enough an attacker could look for a value that passes as one already known; comparing the text costs a few
//! nanoseconds. The table is bounded in entries and in bytes of text.

mod entries;

use std::mem;
use std::net::IpAddr;

use arcstr::ArcStr;
use serde::{Deserialize, Serialize};

use self::entries::{Entries, KeyRef};
use super::local::Locals;
use crate::model::method_set::Methods;
use crate::model::{Method, Time};
use crate::units::{Size, Span};

/// Rows of entries that had to go before they were stored; they wait for the next [`FirstSeen::drain_dirty`]. Room
/// for a flood of a second at 50,000 new values; past it they are counted as lost.
const MAX_WAITING: usize = 50_000;

/// Entries that one [`FirstSeen::tick`] lets grow old: some 10 ms of work.
const MAX_AGED: usize = 50_000;

/// What takes part, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Methods whose values are looked at network-wide. Those of the specification that identify software:
    /// `ja4l` and `ja4ls` measure distances and `ja4ssh` what a session is used for, so that each of them is new
    /// all the time.
    pub methods: Methods,
    /// Methods whose values are looked at per local host.
    pub host_methods: Methods,
    /// For this long everything is approved. 0: nothing is. The time is that of packets.
    ///
    /// A live sensor learns from its first packet on; its database keeps when that was, for the next start. A replay
    /// learns from the first packet of its capture, or from what its database has seen first or learnt, if that is
    /// earlier; it leaves the values that it has seen in the database, but no word on the learning period: what a
    /// replay has learnt takes nothing from a live sensor's time.
    pub learning: Span,
    /// A value that nobody showed for longer than this is forgotten, and first seen again.
    pub forget_after: Span,
    /// Most values kept network-wide, some 200 bytes each.
    pub max_values: usize,
    /// Most pairs of a local host and a value, some 200 bytes each.
    pub max_host_values: usize,
    /// Most bytes of text in either table; values of JA4D and JA4T may be long.
    pub max_bytes: Size,
}

impl Default for Settings {
    fn default() -> Self {
        use Method::{Ja4, Ja4d, Ja4d6, Ja4h, Ja4s, Ja4t, Ja4ts, Ja4x};
        Self {
            methods: Methods::of(&[Ja4, Ja4s, Ja4t, Ja4ts, Ja4h, Ja4x, Ja4d, Ja4d6]),
            host_methods: Methods::of(&[Ja4, Ja4t]),
            learning: Span::seconds(7 * 24 * 3600),
            forget_after: Span::seconds(90 * 24 * 3600),
            max_values: 200_000,
            max_host_values: 400_000,
            max_bytes: Size(64 << 20),
        }
    }
}

/// What is known of a value, as it is stored. A row replaces the one of the same method, value and host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Method.
    pub method: Method,
    /// The value.
    pub value: ArcStr,
    /// The local host; `None`: the whole network.
    pub host: Option<IpAddr>,
    /// When it was seen first.
    pub first: Time,
    /// When it was seen last.
    pub last: Time,
    /// How often it was seen.
    pub count: u64,
}

/// What was known of a value when it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Nobody on this network had it before, and the learning period is over.
    pub first: bool,
    /// This local host did not have it before, and the learning period is over.
    pub first_for_host: bool,
    /// The learning period lasts.
    pub learning: bool,
    /// The value has an entry of the network that it did not have before, learning or not.
    pub entered: bool,
    /// The same of the local host.
    pub entered_for_host: bool,
    /// When this network saw it first, unless that was while it learned, or was not asked for the method.
    pub new_since: Option<Time>,
}

/// Counters of [`FirstSeen`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstSeenStats {
    /// Values held network-wide.
    pub values: u64,
    /// Pairs of host and value held.
    pub host_values: u64,
    /// Bytes of their texts, both tables together.
    pub bytes: u64,
    /// Entries that had to go for others. Seen again, they are first seen again.
    pub evicted: u64,
    /// Entries that were not seen for too long.
    pub forgotten: u64,
    /// Rows that went before storage took them.
    pub unsaved: u64,
    /// Sightings told as first.
    pub first: u64,
    /// Sightings told as first of a host.
    pub first_for_host: u64,
}

/// The values that were seen.
#[derive(Debug)]
pub struct FirstSeen {
    methods: Methods,
    host_methods: Methods,
    learning: u64,
    locals: Locals,
    started: Option<Time>,
    network: Entries,
    hosts: Entries,
    /// Rows of entries that are gone.
    waiting: Vec<Row>,
    stats: FirstSeenStats,
}

impl FirstSeen {
    /// Nothing seen yet. `started` is when the learning period began, as stored; `None`, or later than that: it begins
    /// with the earliest event.
    #[must_use]
    pub fn new(settings: &Settings, locals: Locals, started: Option<Time>) -> Self {
        let Settings { max_values, max_host_values, max_bytes, .. } = *settings;
        let keep = settings.forget_after.nanoseconds();
        Self {
            methods: settings.methods,
            host_methods: settings.host_methods,
            learning: settings.learning.nanoseconds(),
            locals,
            started,
            network: Entries::new(max_values, max_bytes.bytes(), keep),
            hosts: Entries::new(max_host_values, max_bytes.bytes(), keep),
            waiting: Vec::new(),
            stats: FirstSeenStats::default(),
        }
    }

    /// Takes what was stored, before the first event. Rows are best given in the order of their last sighting, the
    /// newest last: where there are too many, the first ones go. What is as old as `forget_after` may be left out,
    /// see [`Self::horizon`]. A stored row is not stored again until it is seen.
    pub fn load(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            let entries = if row.host.is_some() { &mut self.hosts } else { &mut self.network };
            entries.load(row);
        }
    }

    /// Takes what was stored and could not be had before now. What has come meanwhile counts beside it.
    pub fn recall(&mut self, since: Option<Time>, rows: impl IntoIterator<Item = Row>) {
        let meanwhile = [self.network.take(), self.hosts.take()];
        self.load(rows);
        for (entries, meanwhile) in [&mut self.network, &mut self.hosts].into_iter().zip(meanwhile) {
            meanwhile.into_iter().for_each(|row| entries.merge(row, &mut self.waiting));
        }
        self.bound_waiting();
        self.started = self.started.into_iter().chain(since).min();
    }

    /// Takes note of a value. `host` is the address that showed it; it counts if it is local. Of any number of
    /// sightings exactly one is the first.
    #[inline]
    pub fn check(&mut self, method: Method, value: &str, host: Option<IpAddr>, now: Time) -> Sighting {
        let host = host.filter(|&host| self.host_methods.has(method) && self.locals.contains(host));
        let on_network = self.methods.has(method);
        if !on_network && host.is_none() {
            return Sighting::default();
        }
        // A stored time that is still to come is of another clock, or of other packets.
        let started = self.started.map_or(now, |started| started.min(now));
        self.started = Some(started);
        let learning = now.0.saturating_sub(started.0) < self.learning;
        let mut sighting = Sighting { learning, ..Sighting::default() };
        let Self { network, hosts, waiting, .. } = self;
        let shared = KeyRef { method, host: None, value };
        if on_network {
            let seen = network.see(shared, now, waiting, || ArcStr::from(value));
            sighting.first = seen.new && !learning;
            sighting.entered = seen.new;
            let learned = self.started.is_some_and(|start| seen.first.0.saturating_sub(start.0) < self.learning);
            sighting.new_since = (!learned).then_some(seen.first);
        }
        if host.is_some() {
            let text = || network.text(shared).unwrap_or_else(|| ArcStr::from(value));
            let seen = hosts.see(KeyRef { method, host, value }, now, waiting, text);
            sighting.first_for_host = seen.new && !learning;
            sighting.entered_for_host = seen.new;
        }
        if !self.waiting.is_empty() {
            self.bound_waiting();
        }
        self.stats.first += u64::from(sighting.first);
        self.stats.first_for_host += u64::from(sighting.first_for_host);
        sighting
    }

    /// Forgets what was not seen for too long. Called now and then, once a second at most. Between calls
    /// [`Self::check`] does not know such a value either.
    pub fn tick(&mut self, now: Time) {
        self.network.age(now, MAX_AGED, &mut self.waiting);
        self.hosts.age(now, MAX_AGED, &mut self.waiting);
        self.bound_waiting();
    }

    /// When the learning period began: stored, and given to [`Self::new`] at the next start.
    #[must_use]
    pub fn started(&self) -> Option<Time> {
        self.started
    }

    /// Whether the learning period lasted at this time.
    #[must_use]
    pub fn was_learning(&self, at: Time) -> bool {
        self.started.is_some_and(|start| at.0.saturating_sub(start.0) < self.learning)
    }

    /// How much of the learning period is left; 0: it is over.
    #[must_use]
    pub fn learning_left(&self, now: Time) -> Span {
        let gone = self.started.map_or(0, |start| now.0.saturating_sub(start.0));
        Span(std::time::Duration::from_nanos(self.learning.saturating_sub(gone)))
    }

    /// Rows last seen before this time are forgotten; storage may delete them.
    #[must_use]
    pub fn horizon(&self, now: Time) -> Time {
        self.network.horizon(now)
    }

    /// Takes at most `max` rows that storage does not have as they are now: one for each value however often it was
    /// seen since. Called again as long as it fills `max`.
    pub fn drain_dirty(&mut self, max: usize) -> Vec<Row> {
        let mut rows = if self.waiting.len() <= max {
            mem::take(&mut self.waiting)
        } else {
            let rest = self.waiting.split_off(max);
            mem::replace(&mut self.waiting, rest)
        };
        self.network.drain(max, &mut rows);
        self.hosts.drain(max, &mut rows);
        rows
    }

    /// The rows that a sighting has entered just now, to be stored at once: what is lost of them is first seen again.
    /// [`Self::drain_dirty`] gives them again when they have changed.
    pub fn drain_entered(
        &mut self,
        method: Method,
        value: &str,
        host: Option<IpAddr>,
        sighting: Sighting,
    ) -> impl Iterator<Item = Row> + use<> {
        let Self { network, hosts, .. } = self;
        let shared = sighting.entered.then(|| network.drain_one(KeyRef { method, host: None, value })).flatten();
        let own = sighting.entered_for_host.then(|| hosts.drain_one(KeyRef { method, host, value })).flatten();
        shared.into_iter().chain(own)
    }

    /// Storage may have lost what it was given: [`Self::drain_dirty`] gives all that is held again.
    pub fn store_again(&mut self) {
        self.network.store_again();
        self.hosts.store_again();
    }

    /// What is known of a value. Not a sighting.
    #[must_use]
    pub fn get(&self, method: Method, value: &str, host: Option<IpAddr>) -> Option<Row> {
        let entries = if host.is_some() { &self.hosts } else { &self.network };
        entries.get(KeyRef { method, host, value })
    }

    /// Forgets a value of the network or of a host, so that it will be first seen again. Whether it was known.
    pub fn forget(&mut self, method: Method, value: &str, host: Option<IpAddr>) -> bool {
        self.waiting.retain(|row| (row.method, row.host) != (method, host) || *row.value != *value);
        let entries = if host.is_some() { &mut self.hosts } else { &mut self.network };
        entries.forget(KeyRef { method, host, value })
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> FirstSeenStats {
        FirstSeenStats {
            values: self.network.len(),
            host_values: self.hosts.len(),
            bytes: self.network.bytes() + self.hosts.bytes(),
            evicted: self.network.evicted() + self.hosts.evicted(),
            forgotten: self.network.forgotten() + self.hosts.forgotten(),
            ..self.stats
        }
    }

    fn bound_waiting(&mut self) {
        let lost = self.waiting.len().saturating_sub(MAX_WAITING);
        if lost > 0 {
            self.stats.unsaved += lost as u64;
            self.waiting.truncate(MAX_WAITING);
        }
    }
}

#[cfg(test)]
mod tests;
