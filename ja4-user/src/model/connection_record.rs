//! The record of a connection: what rules evaluate, and what is stored and shown.

use std::sync::Arc;

use arcstr::ArcStr;
use thin_vec::ThinVec;

use crate::model::os::System;
use crate::model::path::{NetworkPath, Tunnel};
use crate::model::{EndReason, FlowIdentity, Latency, Method, PerSide, SharedAttributes, Side, Time};

/// Most fingerprints of a method in a record: the first one and the newest ones. A long connection has any number of
/// JA4SSH windows and HTTP requests.
pub(crate) const MAX_VALUES: usize = 16;

/// Most descriptions of alerts in a record.
pub(crate) const MAX_FIRED: usize = 16;

/// Nanoseconds.
const HALF_MINUTE: u64 = 30_000_000_000;

/// The application or operating system that shows a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// Name, or the names of all owners of the value, joined with ` / `.
    pub name: Arc<str>,
    /// Database: `builtin`, `ja4plus-mapping`, the name of a file, or `ja4db`.
    pub source: Arc<str>,
    /// Category such as `browser` or `library`.
    pub category: Option<Arc<str>>,
    /// Confidence, 0 to 100.
    pub confidence: Option<u8>,
}

/// A match of a known-bad pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KnownBad {
    /// The pattern that matched.
    pub pattern: Arc<str>,
    /// Category such as `c2`, `malware` or `tunnel`.
    pub category: Arc<str>,
    /// Confidence, 0 to 100. It is low if ordinary software has the value too.
    pub confidence: u8,
    /// Description, and other software with the value.
    pub note: Arc<str>,
}

/// A value of a fingerprint, and what is known of the value. Connections with the same value share one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FingerprintValue {
    /// The value.
    pub text: ArcStr,
    /// Raw form, if raw forms are requested.
    pub raw: Option<ArcStr>,
    /// Label.
    pub label: Option<Arc<Label>>,
    /// Known-bad pattern that matched.
    pub known_bad: Option<Arc<KnownBad>>,
}

/// A value of which nothing else is known.
impl From<&str> for FingerprintValue {
    fn from(text: &str) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// A fingerprint in the record of its connection. A record has several, and there are a million records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FingerprintRecord {
    /// The value.
    pub value: Arc<FingerprintValue>,
    /// Number in the upper 14 bits, then [`OF_SERVER`] and [`FIRST_SEEN`].
    count_and_flags: u16,
    /// Method.
    pub method: Method,
    /// Time since the start of the connection, little-endian, see [`Self::time`].
    after: [u8; 5],
}

/// Flags of a [`FingerprintRecord`], below its number.
const OF_SERVER: u16 = 1;
const FIRST_SEEN: u16 = 2;
const FLAG_BITS: u32 = 2;

/// Flag of a [`FingerprintRecord::after`] in microseconds; the others are in nanoseconds.
const MICROSECONDS: u64 = 1 << 39;

const _: () = assert!(size_of::<FingerprintRecord>() == 16);

impl FingerprintRecord {
    /// Creates the record of a fingerprint that was seen at `time` in a connection that began at `start`, as not seen first.
    /// `count` is its number among those of the same method and connection, from 1.
    #[must_use]
    pub fn new(
        method: Method,
        side: Side,
        count: u32,
        value: Arc<FingerprintValue>,
        (start, time): (Time, Time),
    ) -> Self {
        let after = time.0.saturating_sub(start.0);
        let after = if after < MICROSECONDS { after } else { (after / 1000).min(MICROSECONDS - 1) | MICROSECONDS };
        let [a, b, c, d, e, ..] = after.to_le_bytes();
        let count = count.min((u16::MAX >> FLAG_BITS).into()) as u16;
        let side = if side == Side::Server { OF_SERVER } else { 0 };
        Self { value, count_and_flags: count << FLAG_BITS | side, method, after: [a, b, c, d, e] }
    }

    /// Endpoint that it describes.
    #[must_use]
    pub const fn side(&self) -> Side {
        if self.count_and_flags & OF_SERVER != 0 { Side::Server } else { Side::Client }
    }

    /// Its number among those of this method and connection, from 1; at most 16,383.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count_and_flags >> FLAG_BITS
    }

    const fn after(&self) -> u64 {
        let [a, b, c, d, e] = self.after;
        u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])
    }

    /// Its time; later than nine minutes after the start of the connection, in whole microseconds after it, and at most six
    /// days.
    #[must_use]
    pub const fn time(&self, start: Time) -> Time {
        let unit = if self.after() & MICROSECONDS != 0 { 1000 } else { 1 };
        Time(start.0 + (self.after() & !MICROSECONDS) * unit)
    }

    /// Whether the value was never seen on this network before.
    #[must_use]
    pub const fn is_first_seen(&self) -> bool {
        self.count_and_flags & FIRST_SEEN != 0
    }

    /// Sets [`Self::is_first_seen`].
    pub const fn set_first_seen(&mut self, is_first: bool) {
        self.count_and_flags = self.count_and_flags & !FIRST_SEEN | if is_first { FIRST_SEEN } else { 0 };
    }

    /// What distinguishes it from the others of its connection.
    pub(crate) const fn key(&self) -> (Method, u16, u64) {
        (self.method, self.count(), self.after())
    }
}

#[cfg(test)]
impl FingerprintRecord {
    /// A client's first value of a method, for tests.
    pub(crate) fn example(method: Method, value: &str) -> Self {
        Self::numbered_example(method, value, 1)
    }

    /// A client's value with this number, for tests.
    pub(crate) fn numbered_example(method: Method, value: &str, count: u32) -> Self {
        Self::new(method, Side::Client, count, Arc::new(value.into()), (Time(0), Time(0)))
    }

    /// The same of one side, for tests.
    pub(crate) const fn of_side(mut self, side: Side) -> Self {
        self.count_and_flags &= !OF_SERVER;
        if matches!(side, Side::Server) {
            self.count_and_flags |= OF_SERVER;
        }
        self
    }

    /// The same as first seen or not, for tests.
    pub(crate) const fn sighted(mut self, is_first: bool) -> Self {
        self.set_first_seen(is_first);
        self
    }

    /// The same with a label, for tests.
    pub(crate) fn labelled(mut self, label: Option<Arc<Label>>) -> Self {
        Arc::make_mut(&mut self.value).label = label;
        self
    }

    /// The same with a known-bad match, for tests.
    pub(crate) fn matching(mut self, known_bad: Option<Arc<KnownBad>>) -> Self {
        Arc::make_mut(&mut self.value).known_bad = known_bad;
        self
    }
}

/// The use of an SSH connection, inferred from JA4SSH (see docs/methods.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshSession {
    /// The client's user types.
    Interactive,
    /// The server's user types: a reverse shell.
    Reverse,
    /// The client receives a file.
    Download,
    /// The client sends a file.
    Upload,
}

impl SshSession {
    /// The name in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Reverse => "reverse",
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }
}

/// A connection.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// Flow.
    pub identity: FlowIdentity,
    /// Index into the run's list of interface names.
    pub interface: u32,
    /// Time of the first packet.
    pub start: Time,
    /// Time of the last known packet.
    pub last: Time,
    /// Packets.
    pub packets: PerSide<u64>,
    /// Bytes on the wire.
    pub bytes: PerSide<u64>,
    /// Why it ended; `None`: it is open.
    pub ended: Option<EndReason>,
    /// Latencies, known at the end of the connection.
    pub latency: Option<Box<Latency>>,
    /// Attributes of its messages.
    pub attributes: SharedAttributes,
    /// Fingerprints in the order of their packets, at most `MAX_VALUES` of a method.
    pub history: ThinVec<FingerprintRecord>,
    /// Hops between sensor and endpoint, inferred from TTLs.
    pub hops: PerSide<Option<u8>>,
    /// MSS of the client's SYN.
    pub mss: Option<u16>,
    /// Operating system of the client, inferred from TTL, window and TCP options.
    pub os: Option<System>,
    /// Use of SSH.
    pub ssh: Option<SshSession>,
    /// Application of the client: the label of the first of its fingerprints, in the order of [`primary`](Self::primary),
    /// that names an application.
    pub app: Option<Arc<Label>>,
    /// Known-bad match with the highest confidence.
    pub known_bad: Option<Arc<KnownBad>>,
    /// Whether one of its values was never seen on this network before.
    pub is_new: bool,
    /// Descriptions of its alerts, at most `MAX_FIRED`.
    pub fired: ThinVec<ArcStr>,
    /// Age when it was last stored, in units of 30 s; 0: only its fingerprints are stored.
    pub stored_at: u16,
    /// Whether an event of it was handled.
    pub is_known: bool,
}

/// Adds the description of an alert to those of a connection.
pub(crate) fn note_fired(fired: &mut ThinVec<ArcStr>, description: &ArcStr) {
    if fired.len() < MAX_FIRED && !fired.contains(description) {
        fired.push(ArcStr::clone(description));
    }
}

impl ConnectionRecord {
    /// Creates the record of a new connection.
    #[must_use]
    pub fn new(flow: &FlowIdentity, interface: u32, now: Time) -> Self {
        Self {
            is_known: false,
            identity: *flow,
            interface,
            start: now,
            last: now,
            packets: PerSide::default(),
            bytes: PerSide::default(),
            ended: None,
            latency: None,
            attributes: SharedAttributes::default(),
            history: ThinVec::new(),
            hops: PerSide::default(),
            mss: None,
            os: None,
            ssh: None,
            app: None,
            known_bad: None,
            is_new: false,
            fired: ThinVec::new(),
            stored_at: 0,
        }
    }

    /// Returns it, and leaves one with the same flow and nothing else.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self::new(&self.identity, self.interface, self.start);
        std::mem::replace(self, empty)
    }

    /// Adds a fingerprint. If there are too many of its method, the second oldest one is removed.
    pub fn note(&mut self, seen: FingerprintRecord) {
        let of_method = |kept: &FingerprintRecord| kept.method == seen.method;
        if self.history.iter().filter(|kept| of_method(kept)).count() >= MAX_VALUES
            && let Some(second) = self.history.iter().enumerate().filter(|(_, kept)| of_method(kept)).nth(1)
        {
            let place = second.0;
            self.history.remove(place);
        }
        // Memory counts per connection: one of a scan has one value, others have a few. Capacity grows 1, 4, 7, ...
        if self.history.len() == self.history.capacity() {
            self.history.reserve_exact(if self.history.is_empty() { 1 } else { 3 });
        }
        self.history.push(seen);
    }

    /// Adds the description of an alert.
    pub(crate) fn note_fired(&mut self, description: &ArcStr) {
        note_fired(&mut self.fired, description);
    }

    /// Returns the newest fingerprint of a method.
    #[must_use]
    pub fn newest(&self, method: Method) -> Option<&FingerprintRecord> {
        self.history.iter().rev().find(|seen| seen.method == method)
    }

    /// Methods that describe the client, the most specific one first.
    pub(crate) const OF_CLIENT: [Method; 6] =
        [Method::Ja4, Method::Ja4h, Method::Ja4ssh, Method::Ja4d, Method::Ja4d6, Method::Ja4t];

    /// Whether an open connection is to be stored now: 30 s after its start, and whenever its age has doubled. Queries then
    /// see it, and a crash loses little. The caller stores it.
    pub(crate) fn is_store_due(&mut self, now: Time) -> bool {
        let age = now.0.saturating_sub(self.start.0) / HALF_MINUTE;
        let age = u16::try_from(age).unwrap_or(u16::MAX);
        let due = age > 0 && age / 2 >= self.stored_at;
        if due {
            self.stored_at = age;
        }
        due
    }

    /// Swaps client and server. A handshake over UDP may show that the first packet came from the server.
    pub(crate) fn swap_endpoints(&mut self) {
        let FlowIdentity { client, server, .. } = &mut self.identity;
        std::mem::swap(client, server);
        self.packets.swap();
        self.bytes.swap();
        self.hops.swap();
    }

    /// Fingerprints that describe the client, the most specific one first.
    pub(crate) fn of_client(&self) -> impl Iterator<Item = &FingerprintRecord> {
        let of = |method| self.history.iter().filter(move |seen| seen.method == method);
        Self::OF_CLIENT.into_iter().flat_map(of)
    }

    /// Returns the most specific fingerprint of the client: the first of JA4, JA4H, JA4SSH, JA4D, JA4D6 and JA4T.
    #[must_use]
    pub fn primary(&self) -> Option<&FingerprintRecord> {
        self.of_client().next()
    }

    /// Returns the path inferred from the client's MSS.
    #[must_use]
    pub fn path(&self) -> Option<NetworkPath> {
        self.mss.map(|mss| NetworkPath::of(mss, self.identity.client.0.is_ipv6()))
    }

    /// Returns the tunnel on its path.
    #[must_use]
    pub fn tunnel(&self) -> Option<Tunnel> {
        self.path().and_then(NetworkPath::tunnel)
    }

    /// Returns its latencies.
    #[must_use]
    pub fn latency(&self) -> Latency {
        self.latency.as_deref().copied().unwrap_or_default()
    }

    /// Returns the name of the client's operating system.
    #[must_use]
    pub fn os(&self) -> Option<&'static str> {
        self.os.map(System::name)
    }

    /// Returns the application protocol.
    #[must_use]
    pub fn protocol(&self) -> Option<&'static str> {
        self.attributes.protocol(self.identity.proto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_fingerprint_is_exact_for_nine_minutes() {
        const SECOND: u64 = 1_000_000_000;
        let start = Time(1_795_417_200_123_456_789);
        let seen =
            |time| FingerprintRecord::new(Method::Ja4ssh, Side::Server, 70_000, Arc::new("".into()), (start, time));
        for (after, unit) in [
            (0, 1),
            (1_234_567_890, 1),
            (9 * 60 * SECOND + 7, 1),
            (10 * 60 * SECOND + 7, 1_000),
            (6 * 86_400 * SECOND + 7, 1_000),
        ] {
            let error = start.0 + after - seen(Time(start.0 + after)).time(start).0;
            assert!(error < unit, "after {after} ns: {error} ns");
        }
        // A packet before the first one, and one years later.
        assert_eq!(seen(Time(0)).time(start), start);
        assert!(seen(Time(u64::MAX)).time(start).0 > start.0 + 6 * 86_400 * SECOND);
        assert_eq!(
            (seen(start).side(), seen(start).count(), seen(start).is_first_seen()),
            (Side::Server, 16_383, false)
        );
    }
}
