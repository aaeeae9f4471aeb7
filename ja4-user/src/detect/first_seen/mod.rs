//! First-seen: values that the network, or a local host, never showed before.
//!
//! Values are stored as text, not as a hash of it. Storage and lists need the text, and with a hash that is fast enough an
//! attacker could construct a value that collides with a known one. Comparing the text costs a few nanoseconds. The table
//! is bounded in entries and in bytes of text.

mod fact;
mod first_seen_table;
mod learning;

use std::net::IpAddr;
use std::sync::Arc;

use arcstr::ArcStr;

pub use self::fact::FirstSeenFact;
use self::first_seen_table::{FirstSeenKeyRef, FirstSeenTable};
pub use self::learning::LearningPeriod;
use super::local_networks::LocalNetworks;
use crate::document::settings;
use crate::model::method_set::Methods;
use crate::model::{Method, Time, counter_set};
use crate::units::{ByteSize, HumanDuration};

/// Rows of evicted entries that storage does not have yet: one second of a flood of 50,000 new values a second. Further
/// rows are counted as lost.
const MAX_EVICTED_ROWS: usize = 50_000;

/// Entries that one [`FirstSeen::tick`] expires: some 10 ms of work.
const MAX_EXPIRED: usize = 50_000;

/// Largest table in memory: 64 million entries are some 20 GB.
const MAX_ENTRIES: usize = 1 << 26;

settings! {
    /// Section `[first_seen]`: which values are first-seen facts, and for how long.
    pub struct FirstSeenSettings {
        /// Methods with values tracked network-wide: those that identify software. `ja4l` and `ja4ls` measure
        /// distances and `ja4ssh` measures sessions, so that most of their values are new.
        pub methods: Methods = {
            use Method::{Ja4, Ja4d, Ja4d6, Ja4h, Ja4s, Ja4t, Ja4ts, Ja4x};
            Methods::of(&[Ja4, Ja4s, Ja4t, Ja4ts, Ja4h, Ja4x, Ja4d, Ja4d6])
        };
        /// Methods with values tracked per local host.
        pub host_methods: Methods = Methods::of(&[Method::Ja4, Method::Ja4t]);
        /// Learning period, in packet time: every value is known from then on and raises no alert; `"0"`: none. A live
        /// sensor learns from its first packet; the database stores when that was. A replay learns from the first packet
        /// of its capture, or from the earliest value in its database; it does not store a learning period, so that it
        /// does not shorten that of a live sensor.
        pub learning: HumanDuration = HumanDuration::seconds(7 * 86_400);
        /// A value that is not seen for this long is deleted, and is first-seen again.
        pub forget_after: HumanDuration = HumanDuration::seconds(90 * 86_400), in HumanDuration::seconds(60)..;
        /// Values tracked network-wide, some 200 bytes each.
        pub max_values: usize = 200_000, in 1..=MAX_ENTRIES;
        /// Pairs of a local host and a value, some 200 bytes each.
        pub max_host_values: usize = 400_000, in 1..=MAX_ENTRIES;
        /// Text of the values in either table; values of JA4D and JA4T may be long.
        pub max_bytes: ByteSize = ByteSize(64 << 20), in ByteSize(64 << 10)..;
    }
}

/// What was known of a value at a sighting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    /// The value is new to the network, and the learning period is over.
    pub first: bool,
    /// The value is new to the local host, and the learning period is over.
    pub first_for_host: bool,
    /// The learning period is not over.
    pub learning: bool,
    /// An entry of the network was inserted, learning or not.
    pub entered: bool,
    /// An entry of the local host was inserted, learning or not.
    pub entered_for_host: bool,
    /// The time at which the network first saw the value; `None`: in the learning period, or the method is not tracked.
    pub new_since: Option<Time>,
}

counter_set! {
    /// Counters of [`FirstSeen`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FirstSeenStats as first_seen: AddCounters {
        /// Remaining learning period.
        gauge learning_left_s,
        /// First-seen values in memory.
        gauge values,
        /// First-seen pairs of host and value in memory.
        gauge host_values,
        /// Bytes of first-seen values.
        gauge bytes,
        /// First-seen values evicted.
        ///
        /// A later sighting is first-seen again.
        counter evicted,
        /// First-seen values expired.
        ///
        /// They were not sighted for `forget_after`.
        counter expired,
        /// First-seen values evicted before they were stored.
        counter persist_lost,
        /// Observations of a new value.
        ///
        /// After the learning period.
        counter first as first_seen,
        /// Observations of a value that is new for a host.
        ///
        /// After the learning period.
        counter first_for_host as first_seen_for_host,
    }
}

/// Which sightings are tracked.
#[derive(Clone, Debug, Default)]
pub struct FirstSeenScope {
    methods: Methods,
    host_methods: Methods,
    locals: LocalNetworks,
}

impl FirstSeenScope {
    /// The scope of these settings.
    #[must_use]
    pub fn new(settings: &FirstSeenSettings, locals: LocalNetworks) -> Self {
        Self { methods: settings.methods, host_methods: settings.host_methods, locals }
    }

    /// Whether values of a method are tracked network-wide.
    #[must_use]
    pub fn tracks(&self, method: Method) -> bool {
        self.methods.has(method)
    }

    /// Whether values of a method are tracked for a host.
    #[must_use]
    pub fn tracks_host(&self, method: Method, host: IpAddr) -> bool {
        self.host_methods.has(method) && self.locals.contains(host)
    }
}

/// The tracked values, or a part of them.
#[derive(Debug)]
pub struct FirstSeen {
    scope: FirstSeenScope,
    learning: Arc<LearningPeriod>,
    network: FirstSeenTable,
    hosts: FirstSeenTable,
    /// Rows of evicted entries that are not stored yet.
    evicted_rows: Vec<FirstSeenFact>,
    stats: FirstSeenStats,
}

impl FirstSeen {
    /// Returns an empty table. `started` is the stored start of the learning period; `None`, or if an event is earlier:
    /// the period begins with the earliest event.
    #[must_use]
    pub fn new(settings: &FirstSeenSettings, locals: LocalNetworks, started: Option<Time>) -> Self {
        let learning = Arc::new(LearningPeriod::new(settings.learning, started));
        Self::part(settings, FirstSeenScope::new(settings, locals), learning, 1)
    }

    /// Returns an empty table for one of `parts` equal parts of all values, which share a learning period.
    pub(crate) fn part(
        settings: &FirstSeenSettings,
        scope: FirstSeenScope,
        learning: Arc<LearningPeriod>,
        parts: usize,
    ) -> Self {
        let FirstSeenSettings { max_values, max_host_values, max_bytes, .. } = *settings;
        let (bytes, keep) = (max_bytes.bytes() / parts, settings.forget_after.nanoseconds());
        Self {
            scope,
            learning,
            network: FirstSeenTable::new(max_values.div_ceil(parts), bytes, keep),
            hosts: FirstSeenTable::new(max_host_values.div_ceil(parts), bytes, keep),
            evicted_rows: Vec::new(),
            stats: FirstSeenStats::default(),
        }
    }

    /// Loads stored rows before the first event, best in the order of their last sightings: the least recent rows are
    /// evicted if there are too many.
    pub fn load(&mut self, rows: impl IntoIterator<Item = FirstSeenFact>) {
        for row in rows {
            let entries = if row.host.is_some() { &mut self.hosts } else { &mut self.network };
            entries.load(row);
        }
    }

    /// Restores stored rows after the start of the run, merging the rows of this run into them.
    pub(crate) fn restore(&mut self, rows: impl IntoIterator<Item = FirstSeenFact>) {
        let of_this_run = [self.network.take(), self.hosts.take()];
        self.load(rows);
        for (entries, of_this_run) in [&mut self.network, &mut self.hosts].into_iter().zip(of_this_run) {
            of_this_run.into_iter().for_each(|row| entries.merge(row, &mut self.evicted_rows));
        }
        self.bound_evicted_rows();
    }

    /// Records a sighting of a value. `host` is the address that sent it; it is tracked if it is local. Of any number of
    /// sightings, exactly one is the first.
    pub fn check(&mut self, method: Method, value: &str, host: Option<IpAddr>, now: Time) -> Sighting {
        let host = host.filter(|&host| self.scope.tracks_host(method, host));
        let mut sighting = Sighting::default();
        if self.scope.tracks(method) {
            self.check_network(method, value, now, &mut sighting, || value.into());
        }
        if let Some(host) = host {
            self.check_host(method, value, host, now, &mut sighting, || value.into());
        }
        sighting
    }

    /// Records a sighting of a value on the network. `text` returns the text of a new entry.
    #[inline]
    pub(crate) fn check_network(
        &mut self,
        method: Method,
        value: &str,
        now: Time,
        sighting: &mut Sighting,
        text: impl FnOnce() -> ArcStr,
    ) {
        sighting.learning = self.learning.begin(now);
        let key = FirstSeenKeyRef { method, host: None, value };
        let seen = self.network.observe(key, now, &mut self.evicted_rows, text);
        sighting.first = seen.is_new && !sighting.learning;
        sighting.entered = seen.is_new;
        sighting.new_since = (!self.learning.contains(seen.first)).then_some(seen.first);
        self.stats.first += u64::from(sighting.first);
        self.bound_evicted_rows();
    }

    /// Records a sighting of a value of a local host. `text` returns the text of a new entry.
    #[inline]
    pub(crate) fn check_host(
        &mut self,
        method: Method,
        value: &str,
        host: IpAddr,
        now: Time,
        sighting: &mut Sighting,
        text: impl FnOnce() -> ArcStr,
    ) {
        sighting.learning = self.learning.begin(now);
        let key = FirstSeenKeyRef { method, host: Some(host), value };
        let seen = self.hosts.observe(key, now, &mut self.evicted_rows, text);
        sighting.first_for_host = seen.is_new && !sighting.learning;
        sighting.entered_for_host = seen.is_new;
        self.stats.first_for_host += u64::from(sighting.first_for_host);
        self.bound_evicted_rows();
    }

    /// Expires values that were not seen for too long. Called at most once a second. Between calls, [`Self::check`]
    /// treats such a value as new too.
    pub fn tick(&mut self, now: Time) {
        self.network.expire(now, MAX_EXPIRED, &mut self.evicted_rows);
        self.hosts.expire(now, MAX_EXPIRED, &mut self.evicted_rows);
        self.bound_evicted_rows();
    }

    /// The learning period.
    #[must_use]
    pub fn learning(&self) -> &LearningPeriod {
        &self.learning
    }

    /// The time before which last sightings are expired; storage may delete such rows.
    #[must_use]
    pub(crate) fn horizon(&self, now: Time) -> Time {
        self.network.horizon(now)
    }

    /// Returns at most `max` rows that changed since they were stored, one per value. Called again while it returns
    /// `max`.
    pub(crate) fn drain_dirty(&mut self, max: usize) -> Vec<FirstSeenFact> {
        let evicted = self.evicted_rows.len().min(max);
        let mut rows = self.evicted_rows.drain(..evicted).collect();
        self.network.drain(max, &mut rows);
        self.hosts.drain(max, &mut rows);
        rows
    }

    /// Returns the row that a sighting has just inserted, to be stored at once: a lost row would be first-seen again.
    /// [`Self::drain_dirty`] returns it again after a change.
    pub(crate) fn drain_entered(&mut self, method: Method, value: &str, host: Option<IpAddr>) -> Option<FirstSeenFact> {
        let table = if host.is_some() { &mut self.hosts } else { &mut self.network };
        table.drain_one(FirstSeenKeyRef { method, host, value })
    }

    /// Marks every row as changed, because storage may have lost rows.
    pub(crate) fn store_again(&mut self) {
        self.network.store_again();
        self.hosts.store_again();
    }

    /// Returns the history of a value. Not a sighting.
    #[must_use]
    pub fn get(&self, method: Method, value: &str, host: Option<IpAddr>) -> Option<FirstSeenFact> {
        let entries = if host.is_some() { &self.hosts } else { &self.network };
        entries.get(FirstSeenKeyRef { method, host, value })
    }

    /// Deletes a value of the network or of a host, so that it will be first-seen again. Returns whether it was known.
    pub fn delete(&mut self, method: Method, value: &str, host: Option<IpAddr>) -> bool {
        self.evicted_rows.retain(|row| (row.method, row.host) != (method, host) || *row.value != *value);
        let entries = if host.is_some() { &mut self.hosts } else { &mut self.network };
        entries.delete(FirstSeenKeyRef { method, host, value })
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self, now: Time) -> FirstSeenStats {
        FirstSeenStats {
            learning_left_s: self.learning.left(now).0.as_secs(),
            values: self.network.len(),
            host_values: self.hosts.len(),
            bytes: self.network.bytes() + self.hosts.bytes(),
            evicted: self.network.evicted() + self.hosts.evicted(),
            expired: self.network.expired() + self.hosts.expired(),
            ..self.stats
        }
    }

    fn bound_evicted_rows(&mut self) {
        let lost = self.evicted_rows.len().saturating_sub(MAX_EVICTED_ROWS);
        if lost > 0 {
            self.stats.persist_lost += lost as u64;
            self.evicted_rows.truncate(MAX_EVICTED_ROWS);
        }
    }
}

#[cfg(test)]
mod tests;
