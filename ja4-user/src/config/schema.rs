//! What a configuration file may hold, key by key.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, de};

use crate::capture::attach::{DirectionChoice, HookChoice};
use crate::capture::ebpf::MAX_SHARDS;
use crate::detect::local::Locals;
use crate::detect::{builtin, first_seen, profile};
use crate::encode::{Context, Filter, Format};
use crate::enrich::remote;
use crate::output::alert::SinkConfig;
use crate::output::storage::{Retention, WriterOptions};
use crate::shard::Limits;
use crate::units::{Size, Span};
use ja4::fingerprint::Forms;

/// Shards of a live sensor.
pub const SHARDS: RangeInclusive<u32> = 1..=MAX_SHARDS;

/// Size of a ring.
pub const RING_SIZE: RangeInclusive<Size> = Size(64 << 10)..=Size(1 << 30);

/// Connections known at once.
pub const MAX_CONNECTIONS: RangeInclusive<u32> = 1..=1 << 24;

/// Silence after which a connection has ended.
pub const IDLE_TIMEOUT: RangeInclusive<Span> = Span::seconds(1)..=Span::seconds(86_400);

/// Between two writes to the database.
pub const FLUSH_AFTER: RangeInclusive<Span> = Span::milliseconds(1)..=Span::seconds(60);

/// The least that history may be limited to: less would be gone before anybody reads it.
pub const LEAST_AGE: Span = Span::seconds(60);

/// The least that history may be limited to; an empty database has some 100 KiB.
pub const LEAST_SIZE: Size = Size(1 << 20);

/// The address of metrics and API where none is named.
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9418);

/// A whole configuration. Every key has a default, so that an empty file is one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[capture]`
    pub capture: Capture,
    /// `[output]`
    pub output: Output,
    /// `[network]`
    pub network: Network,
    /// `[lookup]`
    pub lookup: Lookup,
    /// `[first_seen]`
    pub first_seen: first_seen::Settings,
    /// `[profiles]`
    pub profiles: profile::Settings,
    /// `[builtin.NAME]`
    pub builtin: builtin::Settings,
    /// `[rules]`
    pub rules: Rules,
    /// `[allowlist]`
    pub allowlist: Allowlist,
    /// `[alerts]`
    pub alerts: Alerts,
    /// `[storage]`
    pub storage: Storage,
    /// `[http]`
    pub http: Http,
    /// `[attach]`
    pub attach: Attach,
}

/// Section `[capture]`: how live traffic is seen. A replay does not look at it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Interfaces to watch.
    pub interfaces: Vec<String>,
    /// How to see packets that come in.
    pub hook: HookChoice,
    /// Which packets to see.
    pub direction: DirectionChoice,
    /// Shards, each with a thread and a ring, [`SHARDS`]. `None`: as many as CPUs.
    pub shards: Option<u32>,
    /// Size of each shard's ring, [`RING_SIZE`]; rounded up to a power of two.
    pub ring_size: Size,
    /// Most connections known at once, [`MAX_CONNECTIONS`].
    pub max_connections: u32,
    /// Silence after which a connection has ended, [`IDLE_TIMEOUT`].
    pub idle_timeout: Span,
    /// Most records of each class per second and CPU; 0: no limit. `None`: a limit of its own for each class.
    pub rate_limit: Option<u32>,
    /// Whether all packets and bytes of connections are counted; without, those of interest alone, and bulk packets cost
    /// less.
    pub accounting: bool,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            hook: HookChoice::default(),
            direction: DirectionChoice::default(),
            shards: None,
            ring_size: Size(8 << 20),
            max_connections: 262_144,
            idle_timeout: Span::seconds(120),
            rate_limit: None,
            accounting: true,
        }
    }
}

/// Section `[output]`: what is printed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// Format of the lines.
    pub format: Format,
    /// Event types and methods that are printed.
    pub types: Filter,
    /// Whether raw and original-order forms are printed too.
    pub raw: bool,
    /// SSH packets of one ja4ssh.
    pub ssh_window: NonZeroU16,
    /// Name of this sensor, for the `sensor` field.
    pub sensor: Option<String>,
    /// Between two stats events of a live sensor; 0: only the last.
    pub stats_interval: Span,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            format: Format::default(),
            types: Filter::default(),
            raw: false,
            ssh_window: Limits::SSH_WINDOW,
            sensor: None,
            stats_interval: Span::seconds(60),
        }
    }
}

impl Output {
    /// Forms of the fingerprints.
    #[must_use]
    pub fn forms(&self) -> Forms {
        if self.raw { Forms::All } else { Forms::Value }
    }

    /// What all lines share.
    #[must_use]
    pub fn context(&self, interfaces: Vec<String>) -> Context {
        Context { sensor: self.sensor.clone(), interfaces, filter: self.types }
    }
}

/// Section `[network]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Networks whose hosts are this network's own.
    pub local: Locals,
}

/// Section `[lookup]`: whose a value is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lookup {
    /// Databases beside the shipped one: ja4plus-mapping.csv, or own TOML.
    pub databases: Vec<PathBuf>,
    /// Known-bad patterns in place of the shipped ones.
    pub known_bad: Option<PathBuf>,
    /// Files of known-bad patterns that add to the list in force: one file, or a list.
    #[serde(deserialize_with = "one_or_more")]
    pub known_bad_extra: Vec<PathBuf>,
    /// `[lookup.remote]`
    pub remote: remote::Settings,
}

/// A file, or a list of files.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    struct FilesVisitor;

    impl<'de> Visitor<'de> for FilesVisitor {
        type Value = Vec<PathBuf>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a file or a list of files")
        }

        fn visit_str<E: de::Error>(self, file: &str) -> Result<Self::Value, E> {
            Ok(vec![file.into()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            std::iter::from_fn(|| list.next_element().transpose()).collect()
        }
    }

    deserializer.deserialize_any(FilesVisitor)
}

/// Section `[rules]`: threshold rules.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Whether the shipped rules are in force.
    pub shipped: bool,
    /// Files of further rules. A rule takes the place of a shipped one of its name.
    pub files: Vec<PathBuf>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { shipped: true, files: Vec::new() }
    }
}

/// Section `[allowlist]`: what rules leave in peace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Allowlist {
    /// The files.
    pub files: Vec<PathBuf>,
}

/// Section `[alerts]`: where alerts go beside the output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// `[[alerts.sink]]`, one for each.
    pub sink: Vec<SinkConfig>,
}

/// Section `[storage]`: history.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// The database. `None`: nothing is stored.
    pub path: Option<PathBuf>,
    /// How long connections and alerts are kept. `None`: for ever.
    pub max_age: Option<Span>,
    /// Size that the database is kept below. `None`: it may grow.
    pub max_size: Option<Size>,
    /// What comes within this time is one transaction, [`FLUSH_AFTER`].
    pub flush_after: Span,
}

impl Default for Storage {
    fn default() -> Self {
        Self { path: None, max_age: None, max_size: None, flush_after: Span(WriterOptions::default().flush_after) }
    }
}

impl Storage {
    /// As a writer takes them.
    #[must_use]
    pub fn options(&self) -> WriterOptions {
        let retention =
            Retention { max_age: self.max_age.map(|age| age.0), max_bytes: self.max_size.map(|size| size.0) };
        WriterOptions { flush_after: self.flush_after.0, retention, ..WriterOptions::default() }
    }
}

/// Section `[http]`: metrics, health and a read-only API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Where it listens.
    pub listen: Listen,
    /// Names that it may be asked for, beside addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// Where metrics and API are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// At 127.0.0.1:9418, where nobody has it yet.
    #[default]
    Loopback,
    /// Nowhere: `listen = "off"`, or an empty text.
    Off,
    /// At an address that was asked for, on loopback or not.
    At(SocketAddr),
}

impl Listen {
    /// The address; `None`: nothing is served.
    #[must_use]
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Loopback => Some(LOOPBACK),
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }

    /// Whether the address was asked for: then the sensor does not run without it. Where it was not, an address that
    /// is taken is worth a warning.
    #[must_use]
    pub const fn is_asked_for(self) -> bool {
        matches!(self, Self::At(_))
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Listen;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an address such as \"{LOOPBACK}\", or \"off\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Listen, E> {
                if matches!(text, "" | "off") {
                    return Ok(Listen::Off);
                }
                text.parse().map(Listen::At).map_err(|_| {
                    let text = text.escape_debug();
                    E::custom(format_args!("'{text}' is no address with a port; write \"{LOOPBACK}\", or \"off\""))
                })
            }
        }

        from.deserialize_str(Visitor)
    }
}

/// Section `[attach]`: a Unix socket that streams events to local readers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attach {
    /// The socket. `None`: there is none.
    pub socket: Option<PathBuf>,
}

impl Config {
    /// Names of sections that differ in what only a start can change.
    #[must_use]
    pub fn fixed_sections(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("capture", self.capture != other.capture),
            ("output", self.output != other.output),
            ("network", self.network != other.network),
            ("lookup.remote", self.lookup.remote != other.lookup.remote),
            ("first_seen", self.first_seen != other.first_seen),
            ("storage", self.storage != other.storage),
            ("http", self.http != other.http),
            ("attach", self.attach != other.attach),
        ];
        differs.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }

    /// Takes every path as one that begins at `folder`.
    pub(super) fn resolve(&mut self, folder: &Path) {
        let Lookup { databases, known_bad, known_bad_extra, .. } = &mut self.lookup;
        let lists = [databases, known_bad_extra, &mut self.rules.files, &mut self.allowlist.files];
        let one = [known_bad, &mut self.storage.path, &mut self.attach.socket];
        let sinks = self.alerts.sink.iter_mut();
        let sinks = sinks.flat_map(|sink| [&mut sink.hmac_key_file, &mut sink.ca_file, &mut sink.path]);
        for path in one.into_iter().chain(sinks).flatten().chain(lists.into_iter().flatten()) {
            // An absolute path stays what it is, and one that is empty is not to become the folder.
            if !path.as_os_str().is_empty() {
                *path = folder.join(&*path);
            }
        }
    }
}
