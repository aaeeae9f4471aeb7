//! Pairs of a profile key and a value, as they are stored and exported.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Time;

/// Longest line, bytes: a server name and a value have a few hundred.
const MAX_LINE: u64 = 16 * 1024;

/// The kind of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PairKind {
    /// A client's address and its JA4.
    HostJa4,
    /// A client's address and its JA4T.
    HostJa4t,
    /// A JA4 and the JA4S that answers it.
    Ja4Ja4s,
    /// A server name and the JA4X of the server's own certificate.
    SniJa4x,
}

impl PairKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::HostJa4, Self::HostJa4t, Self::Ja4Ja4s, Self::SniJa4x];

    /// The name in output and storage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostJa4 => "host_ja4",
            Self::HostJa4t => "host_ja4t",
            Self::Ja4Ja4s => "ja4_ja4s",
            Self::SniJa4x => "sni_ja4x",
        }
    }

    /// Returns the kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pair| pair.name() == name)
    }

    /// What key and value are, as messages name them.
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::HostJa4 => ("host", "JA4"),
            Self::HostJa4t => ("host", "JA4T"),
            Self::Ja4Ja4s => ("JA4", "JA4S"),
            Self::SniJa4x => ("server name", "JA4X"),
        }
    }
}

/// The sightings of a pair by one sensor: a line of `export-profiles`, and a row of storage, where it replaces the row of
/// the same source, kind, key and value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileRow {
    /// The sensor that counted: the id of its database, not of the database that stores the row.
    #[serde(with = "text")]
    pub source: Arc<str>,
    /// The kind.
    pub pair: PairKind,
    /// The profile key. It may be text from the wire.
    #[serde(with = "text")]
    pub key: Arc<str>,
    /// The value.
    #[serde(with = "text")]
    pub value: Arc<str>,
    /// The number of sightings.
    pub count: u64,
    /// The first sighting, nanoseconds since the Unix epoch.
    #[serde(with = "nanoseconds")]
    pub first: Time,
    /// The last sighting, nanoseconds since the Unix epoch.
    #[serde(with = "nanoseconds")]
    pub last: Time,
}

mod text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(from).map(Arc::from)
    }

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }
}

mod nanoseconds {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Time;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
        u64::deserialize(from).map(Time)
    }

    pub(super) fn serialize<S: Serializer>(time: &Time, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.0)
    }
}

/// Writes rows as JSON lines. Returns their number.
///
/// # Errors
/// The writer's.
pub fn export(rows: impl IntoIterator<Item = ProfileRow>, out: &mut impl Write) -> io::Result<u64> {
    let mut written = 0;
    for row in rows {
        serde_json::to_writer(&mut *out, &row)?;
        out.write_all(b"\n")?;
        written += 1;
    }
    Ok(written)
}

/// Reads JSON lines that [`export`] has written.
///
/// # Errors
/// The reader's, or a line that is not a row, with its number.
pub fn import(mut from: impl BufRead) -> io::Result<Vec<ProfileRow>> {
    let (mut rows, mut line) = (Vec::new(), Vec::new());
    for number in 1_u64.. {
        line.clear();
        if io::Read::take(&mut from, MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let wrong =
            |error| io::Error::new(io::ErrorKind::InvalidData, format!("line {number} is not a profile row: {error}"));
        rows.push(serde_json::from_slice(&line).map_err(wrong)?);
    }
    Ok(rows)
}
