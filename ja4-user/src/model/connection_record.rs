//! What is known of one connection: what rules look at, what is stored and what is shown.

use std::num::NonZeroU64;
use std::sync::Arc;

use arcstr::ArcStr;
use thin_vec::ThinVec;

use crate::model::os::System;
use crate::model::path::{Path, Tunnel};
use crate::model::{EndReason, FlowIdentity, Latency, Method, SharedAttributes, Side, Time};

/// Values kept of one method and connection: the first and the newest ones. A connection whose windows of
/// JA4SSH or requests never end keeps this many.
pub const MAX_VALUES: usize = 16;

/// Descriptions of what fired that a connection keeps.
pub const MAX_FIRED: usize = 16;

/// Nanoseconds.
const HALF_MINUTE: u64 = 30_000_000_000;

/// Whose a value is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// Application, or the names of all that own the value, joined with ` / `.
    pub name: Arc<str>,
    /// Which database said so: `builtin`, `ja4plus-mapping`, the name of a file, `ja4db`.
    pub source: Arc<str>,
    /// A word such as `browser` or `library`.
    pub category: Option<Arc<str>>,
    /// How sure it is, 0 to 100.
    pub confidence: Option<u8>,
}

/// What is known to be bad about a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KnownBad {
    /// The pattern that matched.
    pub pattern: Arc<str>,
    /// A word such as `c2`, `malware` or `tunnel`.
    pub category: Arc<str>,
    /// How sure it is, 0 to 100: low where ordinary software shares the value.
    pub confidence: u8,
    /// What it is, and what else has the value.
    pub note: Arc<str>,
}

/// One fingerprint of a connection, as its history keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FingerprintRecord {
    /// Method.
    pub method: Method,
    /// Whom it describes.
    pub side: Side,
    /// Its number among those of this method and connection, from 1.
    pub count: u32,
    /// The value.
    pub value: ArcStr,
    /// The raw form, where raw forms are asked for.
    pub raw: Option<ArcStr>,
    /// When.
    pub time: Time,
    /// In a replay, the number of the packet.
    pub packet: Option<NonZeroU64>,
    /// Whether nobody on this network had it before.
    pub first_seen: bool,
    /// Whose it is.
    pub label: Option<Arc<Label>>,
    /// What is bad about it.
    pub known_bad: Option<Arc<KnownBad>>,
}

impl FingerprintRecord {
    /// In a replay, the number of the packet.
    #[must_use]
    pub fn packet(&self) -> Option<u64> {
        self.packet.map(NonZeroU64::get)
    }
}

#[cfg(test)]
impl FingerprintRecord {
    /// A client's first value of a method, for tests.
    pub(crate) fn example(method: Method, value: &str) -> Self {
        Self {
            method,
            side: Side::Client,
            count: 1,
            value: value.into(),
            raw: None,
            time: Time(0),
            packet: None,
            first_seen: false,
            label: None,
            known_bad: None,
        }
    }
}

/// What an SSH connection is used for (specification, section 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshSession {
    /// Somebody types.
    Interactive,
    /// Somebody types at the server's end: a shell that goes the other way.
    Reverse,
    /// The client fetches.
    Download,
    /// The client sends.
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

/// One connection. Client first, in every pair.
#[derive(Clone, Debug)]
pub struct ConnectionRecord {
    /// How every line names it.
    pub identity: FlowIdentity,
    /// Index into the run's list of interface names.
    pub interface: u32,
    /// First packet.
    pub start: Time,
    /// Last packet that is known of.
    pub last: Time,
    /// Packets.
    pub packets: [u64; 2],
    /// Bytes on the wire.
    pub bytes: [u64; 2],
    /// How it ended; `None` while it goes on.
    pub ended: Option<EndReason>,
    /// Latencies, where any is known; it is when the connection ends.
    pub latency: Option<Box<Latency>>,
    /// What its handshakes said.
    pub attributes: SharedAttributes,
    /// Fingerprints in the order they came, at most [`MAX_VALUES`] of a method.
    pub history: ThinVec<FingerprintRecord>,
    /// Hops to either end, told by TTLs.
    pub hops: [Option<u8>; 2],
    /// MSS of the client's SYN.
    pub mss: Option<u16>,
    /// Operating system of the client, as TTL, window and options hint.
    pub os: Option<System>,
    /// What SSH is used for.
    pub ssh: Option<SshSession>,
    /// Application of the client: of its fingerprints that name one, the label of the first in the order of
    /// [`primary`](Self::primary). What describes the server, or names an operating system, names none.
    pub app: Option<Arc<Label>>,
    /// The worst that is known of its values.
    pub known_bad: Option<Arc<KnownBad>>,
    /// Whether one of its values was never seen before.
    pub is_new: bool,
    /// What fired, in words, at most [`MAX_FIRED`].
    pub fired: ThinVec<ArcStr>,
    /// Age at which the history was told of it last, half minutes; 0: of its fingerprints alone.
    pub stored_at: u16,
}

impl ConnectionRecord {
    /// A record of which nothing is known but the flow.
    #[must_use]
    pub fn new(flow: &FlowIdentity, interface: u32, now: Time) -> Self {
        Self {
            identity: *flow,
            interface,
            start: now,
            last: now,
            packets: [0; 2],
            bytes: [0; 2],
            ended: None,
            latency: None,
            attributes: SharedAttributes::default(),
            history: ThinVec::new(),
            hops: [None; 2],
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

    /// Notes a fingerprint. Of the values of a method the first stays, and the newest.
    pub fn note(&mut self, seen: FingerprintRecord) {
        let of_method = |kept: &FingerprintRecord| kept.method == seen.method;
        if self.history.iter().filter(|kept| of_method(kept)).count() >= MAX_VALUES
            && let Some(second) = self.history.iter().enumerate().filter(|(_, kept)| of_method(kept)).nth(1)
        {
            let place = second.0;
            self.history.remove(place);
        }
        // Many connections are held. A scan's have one value, others a few: room for one, four, seven and so on.
        if self.history.len() == self.history.capacity() {
            self.history.reserve_exact(if self.history.is_empty() { 1 } else { 3 });
        }
        self.history.push(seen);
    }

    /// Notes in words what has fired.
    pub fn note_fired(&mut self, words: &ArcStr) {
        if self.fired.len() < MAX_FIRED && !self.fired.contains(words) {
            self.fired.push(ArcStr::clone(words));
        }
    }

    /// The newest value of a method.
    #[must_use]
    pub fn newest(&self, method: Method) -> Option<&FingerprintRecord> {
        self.history.iter().rev().find(|seen| seen.method == method)
    }

    /// Methods that describe the client, what says most first.
    pub(crate) const OF_CLIENT: [Method; 6] =
        [Method::Ja4, Method::Ja4h, Method::Ja4ssh, Method::Ja4d, Method::Ja4d6, Method::Ja4t];

    /// Whether the history, which has its fingerprints, is to be told of the rest while it goes on: half a minute
    /// after its start, and whenever it has become twice as old. It is told then.
    pub(crate) fn falls_due(&mut self, now: Time) -> bool {
        let age = now.0.saturating_sub(self.start.0) / HALF_MINUTE;
        let age = u16::try_from(age).unwrap_or(u16::MAX);
        let due = age > 0 && age / 2 >= self.stored_at;
        if due {
            self.stored_at = age;
        }
        due
    }

    /// The client is the server and the server the client: of datagrams, any handshake may say so.
    pub(crate) fn turn_round(&mut self) {
        let FlowIdentity { client, server, .. } = &mut self.identity;
        std::mem::swap(client, server);
        self.packets.reverse();
        self.bytes.reverse();
        self.hops.reverse();
    }

    /// The fingerprints that describe the client, what says most first.
    pub(crate) fn of_client(&self) -> impl Iterator<Item = &FingerprintRecord> {
        let of = |method| self.history.iter().filter(move |seen| seen.method == method);
        Self::OF_CLIENT.into_iter().flat_map(of)
    }

    /// The fingerprint that says most about the client: the first of JA4, JA4H, JA4SSH, JA4D, JA4D6, JA4T
    /// that it has.
    #[must_use]
    pub fn primary(&self) -> Option<&FingerprintRecord> {
        self.of_client().next()
    }

    /// What the client's MSS says of its path, a tunnel or not.
    #[must_use]
    pub fn path(&self) -> Option<Path> {
        self.mss.map(|mss| Path::of(mss, self.identity.client.0.is_ipv6()))
    }

    /// The tunnel on its path.
    #[must_use]
    pub fn tunnel(&self) -> Option<Tunnel> {
        self.path().and_then(Path::tunnel)
    }

    /// What is known of its latencies.
    #[must_use]
    pub fn latency(&self) -> Latency {
        self.latency.as_deref().copied().unwrap_or_default()
    }

    /// The name of the client's operating system.
    #[must_use]
    pub fn os(&self) -> Option<&'static str> {
        self.os.map(System::name)
    }

    /// The name of what the connection carries, as in output; `None`: not known.
    #[must_use]
    pub fn protocol(&self) -> Option<&'static str> {
        self.attributes.protocol(self.identity.proto)
    }
}
