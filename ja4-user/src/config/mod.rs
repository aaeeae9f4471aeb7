//! The configuration file: what the sensor does unless a flag says otherwise.
//!
//! | file | content |
//! |---|---|
//! | `sections` | [`Config`]: all sections; each layer declares its own |
//! | `config_file` | Reads a file into a [`Config`] with its diagnostics |
//! | `check` | Checks that need more than the type and range of a key |
//! | `system` | Checks of interfaces and directories |
//! | `loaded` | [`LoadedFiles`]: the content of the files that a configuration names |
//!
//! [`open`] does all of it, at start and at every reload: all errors of all files are reported at once, and then nothing is
//! changed. `packaging/ja4sensor.toml` has every key with its default.

mod check;
mod config_file;
mod loaded;
mod sections;
mod system;
#[cfg(test)]
mod tests;

pub(crate) use self::config_file::examine;
pub use self::config_file::{OpenedConfig, open};
pub use self::loaded::{KnownBadSources, LoadedFiles};
pub use self::sections::Config;
use crate::document::{KeyReference, SettingType as _};

/// Returns every key of the configuration with its help, type, default and range.
#[must_use]
pub fn reference() -> Vec<KeyReference> {
    Config::default().keys("").unwrap_or_default()
}
