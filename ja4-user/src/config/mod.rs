//! The configuration file: what the sensor does where no flag says otherwise.
//!
//! | file | what it does |
//! |---|---|
//! | `schema` | [`Config`]: every section and key, with its default |
//! | `value` | TOML through serde, with every error and its place |
//! | `check` | ranges, and what the parts check themselves |
//! | `system` | interfaces and folders |
//! | [`loaded`](Loaded) | the files that a configuration names |
//!
//! [`open`] is the whole way, at start and at every reload: all that is wrong in all files is told at once, and then
//! nothing is changed. `packaging/ja4sensor.toml` has every key with its default.

mod check;
mod loaded;
mod places;
mod schema;
mod system;
#[cfg(test)]
mod tests;
mod value;

use std::path::Path;

pub use self::loaded::{KnownBadSources, Loaded};
use self::places::Places;
pub use self::schema::{
    Alerts, Allowlist, Attach, Capture, Config, FLUSH_AFTER, Http, IDLE_TIMEOUT, LEAST_AGE, LEAST_SIZE, Listen, Lookup,
    MAX_CONNECTIONS, Network, Output, RING_SIZE, Rules, SHARDS, Storage,
};
use crate::document::{Document, Issue, Report, Warning};

/// A configuration with all that its files hold.
#[derive(Debug)]
pub struct Opened {
    /// The configuration, with what flags say.
    pub config: Config,
    /// What its files hold.
    pub loaded: Loaded,
    /// What is odd, but can be.
    pub warnings: Vec<Warning>,
}

/// Reads a configuration file, if there is one, lets `flags` change what it says, and reads the files that it names.
///
/// # Errors
/// Everything that is wrong in any of the files.
pub fn open(path: Option<&Path>, flags: impl FnOnce(&mut Config)) -> Result<Opened, Report> {
    let mut source = path.map_or_else(Source::default, Source::read);
    flags(&mut source.config);
    source.open()
}

/// As [`open`], and looks whether the system has the interfaces and folders that the configuration names.
///
/// # Errors
/// Everything that is wrong.
pub fn examine(path: Option<&Path>, flags: impl FnOnce(&mut Config)) -> Result<Opened, Report> {
    let mut source = path.map_or_else(Source::default, Source::read);
    flags(&mut source.config);
    let missing = source.config.missing(&source.places);
    source.issues.extend(missing);
    source.issues.sort_by_key(|issue| issue.place);
    source.open()
}

impl Config {
    /// Reads a configuration file alone. Paths in it begin at its folder.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Report> {
        Source::read(path).finish()
    }

    /// Reads a configuration from a text, as [`load`](Self::load) reads a file's.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Report> {
        Source::parse(path, text).finish()
    }
}

/// A file as far as it can be read, and what is wrong with it.
#[derive(Debug)]
struct Source {
    config: Config,
    places: Places,
    issues: Vec<Issue>,
}

/// No file.
impl Default for Source {
    fn default() -> Self {
        let places = Places::none(Path::new("command line"));
        Self { config: Config::default(), places, issues: Vec::new() }
    }
}

impl Source {
    fn read(path: &Path) -> Self {
        match Document::read(path) {
            Ok(text) => Self::parse(path, &text),
            Err(issue) => Self { places: Places::none(path), issues: vec![issue], ..Self::default() },
        }
    }

    fn parse(path: &Path, text: &str) -> Self {
        let (mut document, table) = Document::parse(path, text);
        let Some(table) = table else {
            return Self { places: Places::none(path), issues: document.finish(), ..Self::default() };
        };
        let mut places = Places::of(&document, table.get_ref());
        let (config, faults) = value::read::<Config>(table.get_ref());
        let mut config = config.unwrap_or_default();
        for fault in faults {
            places.leave_out(document.place(fault.left_out));
            if let Some(message) = fault.message {
                document.issue(fault.at..fault.at, message);
            }
        }
        config.resolve(path.parent().unwrap_or(Path::new("")));
        let mut issues = document.finish();
        issues.extend(config.faults(&places));
        issues.sort_by_key(|issue| issue.place);
        Self { config, places, issues }
    }

    fn finish(self) -> Result<Config, Report> {
        if self.issues.is_empty() { Ok(self.config) } else { Err(Report { issues: self.issues }) }
    }

    fn open(self) -> Result<Opened, Report> {
        let Self { config, places, mut issues } = self;
        let mut warnings = config.oddities(&places);
        let loaded = Loaded::read(&config, &places, &mut issues, &mut warnings);
        match loaded {
            Some(loaded) if issues.is_empty() => Ok(Opened { config, loaded, warnings }),
            _ => Err(Report { issues }),
        }
    }
}
