//! Reads a configuration file.

use std::path::Path;

use super::loaded::LoadedFiles;
use super::sections::Config;
use super::{check, system};
use crate::document::{Diagnostic, Diagnostics, Document, KeyPositions};

/// Longest file, bytes.
const MAX_FILE: u64 = 1 << 20;

/// A configuration with the content of all files that it names.
#[derive(Debug)]
pub struct OpenedConfig {
    /// The configuration, with the changes of flags.
    pub config: Config,
    /// The content of the files that it names.
    pub loaded: LoadedFiles,
    /// Warnings about all files.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a configuration file, if there is one, applies `flags`, and reads the files that it names.
///
/// # Errors
/// All errors of all files.
pub fn open(path: Option<&Path>, flags: impl FnOnce(&mut Config)) -> Result<OpenedConfig, Diagnostics> {
    let mut file = path.map_or_else(ConfigFile::default, ConfigFile::read);
    flags(&mut file.config);
    file.open()
}

/// Reads a configuration as [`open`] does, and checks that the interfaces and directories that it names exist.
///
/// # Errors
/// All errors.
pub(crate) fn examine(path: Option<&Path>, flags: impl FnOnce(&mut Config)) -> Result<OpenedConfig, Diagnostics> {
    let mut file = path.map_or_else(ConfigFile::default, ConfigFile::read);
    flags(&mut file.config);
    file.errors.extend(system::errors(&file.config, &file.positions));
    file.errors.sort_by_key(|error| error.position);
    file.open()
}

impl Config {
    /// Reads a configuration file without the files that it names. Its paths are relative to its folder.
    ///
    /// # Errors
    /// All errors of the file.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        ConfigFile::read(path).finish()
    }

    /// Reads a configuration from a text, as [`load`](Self::load) does from a file.
    ///
    /// # Errors
    /// All errors of the text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Diagnostics> {
        ConfigFile::parse(path, text).finish()
    }
}

/// The valid part of a configuration file, and its errors.
#[derive(Debug)]
struct ConfigFile {
    config: Config,
    positions: KeyPositions,
    errors: Vec<Diagnostic>,
}

/// No file.
impl Default for ConfigFile {
    fn default() -> Self {
        let positions = KeyPositions::none(Path::new("command line"));
        Self { config: Config::default(), positions, errors: Vec::new() }
    }
}

impl ConfigFile {
    fn read(path: &Path) -> Self {
        match Document::read_text(path, MAX_FILE) {
            Ok(text) => Self::parse(path, &text),
            Err(error) => Self { positions: KeyPositions::none(path), errors: vec![error], ..Self::default() },
        }
    }

    fn parse(path: &Path, text: &str) -> Self {
        let (mut document, root) = Document::parse(path, text);
        let Some(root) = root else {
            return Self { positions: KeyPositions::none(path), errors: document.finish(), ..Self::default() };
        };
        let mut config = document.read::<Config>(root.get_ref(), "").unwrap_or_default();
        let positions = KeyPositions::of(&document, root.get_ref(), document.skipped());
        config.resolve(path.parent().unwrap_or(Path::new("")));
        let mut errors = document.finish();
        errors.extend(check::errors(&config, &positions));
        errors.sort_by_key(|error| error.position);
        Self { config, positions, errors }
    }

    fn finish(self) -> Result<Config, Diagnostics> {
        if self.errors.is_empty() { Ok(self.config) } else { Err(Diagnostics(self.errors)) }
    }

    fn open(self) -> Result<OpenedConfig, Diagnostics> {
        let Self { config, positions, mut errors } = self;
        let mut warnings = check::warnings(&config, &positions);
        match LoadedFiles::read(&config, &positions, &mut errors, &mut warnings) {
            Some(loaded) if errors.is_empty() => Ok(OpenedConfig { config, loaded, warnings }),
            _ => Err(Diagnostics(errors)),
        }
    }
}
