//! The label database: the software that shows a value.
//!
//! It is built from rows (method, value or prefix, name, confidence) of several files, in any order. The owners of a value
//! are all rows of the value itself and of every prefix of it. The label lists every owner, the highest confidence first,
//! joined with ` / `. Its confidence is the highest one divided by the number of owners: two applications at 80 that share
//! a value have 40 each. A name in several rows is one owner with its highest confidence.

mod builder;
mod csv_reader;
mod label_database;
mod label_entry;
mod label_toml;
mod mapping_csv;
#[cfg(test)]
mod tests;

pub(crate) use self::builder::BETWEEN;
pub use self::builder::{LabelDatabaseBuilder, LabelSummary};
pub use self::label_database::LabelDatabase;
pub use self::label_entry::ImportedLabels;
