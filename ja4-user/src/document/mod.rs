//! TOML files: text to typed tables, with a diagnostic for every error of a file at once.
//!
//! | file | content |
//! |---|---|
//! | `diagnostic` | [`Diagnostic`]: file, line, column and message |
//! | `toml_document` | `Document`: the text of one file and its diagnostics |
//! | `deserialize` | TOML to types that derive `Deserialize`; a wrong key is skipped so that the other keys are checked |
//! | `key_path` | The names of keys in messages |
//! | `key_positions` | Line and column of every key, for checks that run on typed values |
//! | `settings` | `settings!`: declares the keys of a section once, with help, type, default and range |
//! | `suggestion` | "did you mean" |
//!
//! Every kind of file is read through it: configuration, rules, allowlists, label files and known-bad lists.

mod deserialize;
mod diagnostic;
mod key_path;
mod key_positions;
mod settings;
mod suggestion;
mod toml_document;

pub(crate) use self::deserialize::shown;
pub use self::diagnostic::{Diagnostic, Diagnostics, Position};
pub(crate) use self::key_positions::KeyPositions;
pub use self::settings::{KeyReference, SettingType};
pub(crate) use self::settings::{check_range, documented_type, help_text, range_text, settings};
pub(crate) use self::suggestion::{one_of, suggestion};
pub(crate) use self::toml_document::{Document, Located, TableHeader, TomlTable};
