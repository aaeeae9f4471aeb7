//! Formats of rows.

use clap::ValueEnum;

use crate::encode::Format;

/// Format of the rows of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RowFormat {
    /// One JSON object a line
    Json,
    /// A header line, and one line a row
    Csv,
    /// Aligned columns
    Table,
}

impl From<RowFormat> for Format {
    fn from(format: RowFormat) -> Self {
        match format {
            RowFormat::Json => Self::Json,
            RowFormat::Csv => Self::Csv,
            RowFormat::Table => Self::Table,
        }
    }
}
