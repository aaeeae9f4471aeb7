//! `[[output.files]]`: the settings of an event file.

use std::path::PathBuf;

use serde::Deserialize;

use crate::document::{documented_type, settings};
use crate::encode::{Filter, Format, LineUnit};

settings! {
    /// One `[[output.files]]`: a file or socket that events are written to, besides standard output.
    #[derive(Eq)]
    pub struct EventFileSettings {
        /// File that lines are appended to, required; reopened after it was moved away. Or the Unix socket to connect to.
        pub path: Option<PathBuf> = None;
        /// What the path is.
        pub filetype: EventFileType = EventFileType::Regular;
        /// Format of the lines.
        pub format: Format = Format::default();
        /// Lines of events or of connections. A table of connections has no other lines.
        pub by: LineUnit = LineUnit::default();
        /// Event types and methods that are written.
        pub types: Filter = Filter::default();
    }
}

/// What the path of an event file is, by the names of Suricata's `filetype`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventFileType {
    /// A file.
    #[default]
    Regular,
    /// A Unix socket of the type SOCK_STREAM, which gets lines.
    UnixStream,
    /// A Unix socket of the type SOCK_DGRAM, which gets a datagram for each line.
    UnixDgram,
    /// The socket of a syslog daemon, `/dev/log` by default: a message for each line.
    Syslog,
}

/// The socket of the syslog daemon.
const SYSLOG: &str = "/dev/log";

impl EventFileType {
    const fn name(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::UnixStream => "unix_stream",
            Self::UnixDgram => "unix_dgram",
            Self::Syslog => "syslog",
        }
    }
}

impl EventFileSettings {
    /// The path, if it has one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let default = || (self.filetype == EventFileType::Syslog).then(|| PathBuf::from(SYSLOG));
        self.path.clone().or_else(default)
    }
}

documented_type! {
    EventFileType: "regular, unix_stream, unix_dgram or syslog", |value| Some(format!("\"{}\"", value.name()));
}
