//! The content of the files that a configuration names.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sections::Config;
use crate::detect::builtin::{BuiltinRule, BuiltinSettings};
use crate::detect::profile::{self, ProfileSettings};
use crate::detect::rules::RuleDefinition;
use crate::detect::{Allowlist, DetectionContent, RuleSet};
use crate::document::{Diagnostic, Diagnostics, KeyPositions};
use crate::enrich::known_bad::MAX_GLOBS;
use crate::enrich::{KnownBadList, LabelDatabase, LabelDatabaseBuilder};
use crate::model::field::Field;
use crate::output::alert::{Sink, SinkError, check_sinks};

/// The start of the message about a file that cannot be opened or read.
const UNREADABLE: &str = "cannot ";

/// Fields that are unknown without `output.ja3`.
const OF_JA3: [Field; 4] = [Field::TlsJa3Hash, Field::TlsJa3String, Field::TlsJa3sHash, Field::TlsJa3sString];

/// The content of all files.
#[derive(Debug)]
pub struct LoadedFiles {
    /// The content for enrichment and detection.
    pub content: DetectionContent,
    /// The alert sinks.
    pub sinks: Vec<Sink>,
    /// The sources of the known-bad patterns.
    pub known_bad: KnownBadSources,
}

/// The sources of the known-bad patterns, displayed as `35 known-bad patterns (32 built-in, 3 in extra.toml)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownBadSources {
    /// Patterns in force.
    pub in_force: usize,
    /// Each list with the number of its patterns; the built-in one has no path.
    pub lists: Vec<(Option<PathBuf>, usize)>,
}

impl fmt::Display for KnownBadSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} known-bad patterns (", self.in_force)?;
        for (number, (path, patterns)) in self.lists.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            match path {
                None => write!(f, "{separator}{patterns} built-in")?,
                Some(path) => write!(f, "{separator}{patterns} in {}", path.display())?,
            }
        }
        f.write_str(")")
    }
}

impl LoadedFiles {
    /// Reads every file that a configuration names; `None`: a file has errors.
    pub(super) fn read(
        config: &Config,
        positions: &KeyPositions,
        errors: &mut Vec<Diagnostic>,
        warnings: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let labels = labels(config, positions, errors, warnings);
        let known_bad = known_bad(config, positions, errors);
        let mut checked =
            |key, paths: &[PathBuf], found: Diagnostics| errors.extend(at_key(positions, key, paths, found));
        let paths = &config.allowlist.files;
        let allowlist = Allowlist::load(paths).map_err(|found| checked("allowlist.files", paths, found)).ok();
        let paths = &config.rules.files;
        let rules = RuleSet::load(config.rules.builtin, paths);
        let rules = rules.map_err(|found| checked("rules.files", paths, found)).ok();
        let sinks = sinks(config, positions, errors);
        if let Err(error) = config.lookup.remote.roots() {
            let key = "lookup.remote.tls.ca";
            errors.push(positions.diagnostic(key, format!("{key}: {error}")));
        }
        let (allowlist, (rules, replaced)) = (allowlist?, rules?);
        warnings.extend(replaced);
        let (mut builtin, mut profiles) = (config.builtin.clone(), config.profiles.clone());
        warnings.extend(override_builtin(&allowlist, &rules, &mut builtin, &mut profiles));
        let others: Vec<_> = BuiltinRule::ALL.into_iter().map(BuiltinRule::name).chain([profile::RULE]).collect();
        let (rules, unknown) = rules.overridden(&allowlist, &others);
        warnings.extend(unknown);
        let (labels, (known_bad, sources), allowlist) = (labels?, known_bad?, Arc::new(allowlist));
        if !config.output.ja3 {
            warnings.extend(rules_of_ja3(&rules, positions));
        }
        let content = DetectionContent { labels, known_bad, rules, builtin, profiles, allowlist };
        Some(Self { content, sinks: sinks?, known_bad: sources })
    }
}

/// Moves the error about a file that cannot be read to the key that names the file.
fn at_key(positions: &KeyPositions, key: &str, paths: &[PathBuf], found: Diagnostics) -> Vec<Diagnostic> {
    let at_key = |error: Diagnostic| {
        let number = paths.iter().position(|path| **path == *error.path);
        let Some(number) = number.filter(|_| error.position.is_none() && error.message.starts_with(UNREADABLE)) else {
            return error;
        };
        let element = format!("{key} {}", number + 1);
        let name = if positions.has(&element) { &*element } else { key };
        if !positions.has(name) {
            return error;
        }
        positions.diagnostic(name, format!("{key}: {}: {}", error.path.display(), error.message))
    };
    found.0.into_iter().map(at_key).collect()
}

/// Returns a warning for each rule with a field that is not computed.
fn rules_of_ja3(rules: &RuleSet, positions: &KeyPositions) -> Vec<Diagnostic> {
    let warning = |rule: &RuleDefinition| {
        let field = rule.fields().find(|field| OF_JA3.contains(field))?.name();
        let message = format!("rules.files: rule '{}': {field} is not computed; set output.ja3 = true", rule.name);
        Some(positions.diagnostic("rules.files", message))
    };
    rules.iter().filter_map(warning).collect()
}

fn sinks(config: &Config, positions: &KeyPositions, errors: &mut Vec<Diagnostic>) -> Option<Vec<Sink>> {
    // Sinks without a valid type were skipped, with an error.
    let numbers: Vec<_> = positions.elements("alerts.sink").collect();
    let diagnostic = |mut error: SinkError| {
        error.number = numbers.get(error.number.wrapping_sub(1)).copied().unwrap_or(error.number);
        let key = format!("alerts.sink {}: {}", error.number, error.key);
        positions.diagnostic(&key, error.to_string())
    };
    check_sinks(&config.alerts.sink)
        .map_err(|found| {
            let mut found: Vec<_> = found.into_iter().map(diagnostic).collect();
            found.sort_by_key(|error| error.position);
            errors.append(&mut found);
        })
        .ok()
}

fn labels(
    config: &Config,
    positions: &KeyPositions,
    errors: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> Option<LabelDatabase> {
    let mut builder =
        if config.lookup.builtin_labels { LabelDatabaseBuilder::with_builtin() } else { LabelDatabaseBuilder::new() };
    let before = errors.len();
    let paths = &config.lookup.databases;
    for path in paths {
        match builder.add(path) {
            Ok(imported) => warnings.extend(imported.warnings),
            Err(found) => errors.extend(at_key(positions, "lookup.databases", paths, found)),
        }
    }
    (errors.len() == before).then(|| builder.build())
}

/// Reads the built-in list or its replacement, and the lists that add to it.
fn known_bad(
    config: &Config,
    positions: &KeyPositions,
    errors: &mut Vec<Diagnostic>,
) -> Option<(KnownBadList, KnownBadSources)> {
    let before = errors.len();
    let load = |key, paths: &[PathBuf], path: &Path, errors: &mut Vec<Diagnostic>| {
        let list = KnownBadList::load(path);
        list.map_err(|found| errors.extend(at_key(positions, key, paths, found))).ok()
    };
    let replacement = config.lookup.known_bad.as_ref();
    let mut list = match replacement {
        None => KnownBadList::builtin(),
        Some(path) => load("lookup.known_bad", std::slice::from_ref(path), path, errors).unwrap_or_default(),
    };
    let mut lists = vec![(replacement.cloned(), list.len())];
    let paths = &config.lookup.known_bad_extra;
    for path in paths {
        let Some(extra) = load("lookup.known_bad_extra", paths, path, errors) else {
            continue;
        };
        lists.push((Some(path.clone()), extra.len()));
        list = list.extended(extra).unwrap_or_else(|method| {
            let method = method.name();
            let message =
                format!("all lists together have more than {MAX_GLOBS} {method} patterns with a * before their end");
            errors.push(Diagnostic::of_file(path, message));
            KnownBadList::default()
        });
    }
    let sources = KnownBadSources { in_force: list.len(), lists };
    (errors.len() == before).then_some((list, sources))
}

/// Disables built-in rules that a rule of a file replaces, and applies overrides to the others. Returns a warning for each
/// threshold out of range; the rest of its override is applied.
fn override_builtin(
    allowlist: &Allowlist,
    rules: &RuleSet,
    builtin: &mut BuiltinSettings,
    profiles: &mut ProfileSettings,
) -> Vec<Diagnostic> {
    for rule in BuiltinRule::ALL.into_iter().filter(|rule| rules.replaces(rule.name())) {
        builtin.apply(rule, Some(false), None);
    }
    profiles.enabled &= !rules.replaces(profile::RULE);
    let mut warnings = Vec::new();
    for change in allowlist.overrides().filter(|change| !rules.replaces(&change.rule)) {
        let enabled = change.enabled;
        if let Some(rule) = BuiltinRule::named(&change.rule) {
            builtin.apply(rule, enabled, change.severity);
            if let Some(threshold) = change.threshold
                && let Err(message) = builtin.set_threshold(rule, threshold)
            {
                warnings.push(change.diagnostic(format!("override: {message}")));
            }
        } else if *change.rule == *profile::RULE {
            profiles.enabled = enabled.unwrap_or(profiles.enabled);
            profiles.severity = change.severity.unwrap_or(profiles.severity);
            match change.threshold {
                Some(0) => warnings.push(
                    change.diagnostic(format!("override: threshold 0 of rule '{}' is out of range", profile::RULE)),
                ),
                Some(threshold) => profiles.observations = threshold.into(),
                None => {}
            }
        }
    }
    warnings
}
