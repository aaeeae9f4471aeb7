//! Output formats.

use std::str::FromStr;

use thiserror::Error;

/// The format of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line, with the field names of Suricata's EVE. Control characters of any
    /// string are escaped, those that JSON would let through (DEL, C1) too.
    #[default]
    Json,
    /// One JSON object a line, in the event types and shapes of Suricata's EVE. What Suricata has no field for is in
    /// the object `ja4plus`.
    Eve,
    /// RFC 4180 with a header line, ended by a bare line feed. Text that a spreadsheet would take
    /// for a formula gets a `'` in front, and so does text that starts with `'`: a reader that takes
    /// one leading `'` off has the text of the wire. Statistics are left out.
    Csv,
    /// Aligned columns for people. Control, format and other invisible characters show as `\u{1b}`.
    Table,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Json, Self::Eve, Self::Csv, Self::Table];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Eve => "eve",
            Self::Csv => "csv",
            Self::Table => "table",
        }
    }
}

/// What a line is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineUnit {
    /// An event: a fingerprint, the end of a connection, an alert, statistics.
    #[default]
    Event,
    /// A connection, when it has ended. Its fingerprints have no lines of their own.
    Connection,
}

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is no output format; there are json, eve, csv and table")]
pub struct FormatError(String);

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(word: &str) -> Result<Self, FormatError> {
        Self::ALL.into_iter().find(|format| format.name() == word).ok_or_else(|| FormatError(word.to_owned()))
    }
}
