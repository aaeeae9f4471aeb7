//! What the files of a configuration hold.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::places::Places;
use crate::detect::builtin::{self, Rule};
use crate::detect::{Allow, DetectionContent, RuleSet, profile};
use crate::document::{Issue, Warning};
use crate::enrich::known_bad::MAX_GLOBS;
use crate::enrich::{Builder, Database, DatabaseError, Fault, Faults, Imported, KnownBadError, KnownBadList};
use crate::output::alert::{Sink, SinkConfig, SinkError};

/// What the message about a file begins with that can't be opened or read.
const UNREADABLE: &str = "can't be ";

/// All that was read, and found to be in order.
#[derive(Debug)]
pub struct Loaded {
    /// What the engine knows.
    pub knowledge: DetectionContent,
    /// Sinks of alerts.
    pub sinks: Vec<Sink>,
    /// Where the known-bad patterns in force come from.
    pub known_bad: KnownBadSources,
}

/// Where the known-bad patterns in force come from, displayed as `35 known-bad patterns (32 shipped, 3 in extra.toml)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownBadSources {
    /// Patterns in force.
    pub in_force: usize,
    /// Each list with the number of its patterns; the shipped one has no path.
    pub lists: Vec<(Option<PathBuf>, usize)>,
}

impl fmt::Display for KnownBadSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} known-bad patterns (", self.in_force)?;
        for (number, (path, patterns)) in self.lists.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            match path {
                None => write!(f, "{separator}{patterns} shipped")?,
                Some(path) => write!(f, "{separator}{patterns} in {}", path.display())?,
            }
        }
        f.write_str(")")
    }
}

impl Loaded {
    /// Reads every file that a configuration names; `None` if anything is wrong in one of them.
    pub(super) fn read(
        config: &Config,
        places: &Places,
        issues: &mut Vec<Issue>,
        warnings: &mut Vec<Warning>,
    ) -> Option<Self> {
        let files = |key, paths: &[PathBuf], found| at_keys(places, key, paths, found);
        let mut found = Vec::new();
        let database = database(config, &mut found, warnings);
        issues.extend(files("lookup.databases", &config.lookup.databases, found));
        let known_bad = known_bad(config, places, issues);
        let paths = &config.allowlist.files;
        let allow = Allow::load(paths);
        let allow = allow.map_err(|report| issues.extend(files("allowlist.files", paths, report.issues))).ok();
        let paths = &config.rules.files;
        let rules = RuleSet::load(config.rules.shipped, paths);
        let rules = rules.map_err(|report| issues.extend(files("rules.files", paths, report.issues))).ok();
        let sinks = sinks(config, places, issues);
        let (allow, (rules, shadows)) = (allow?, rules?);
        warnings.extend(shadows);
        let (mut builtin, mut profiles) = (config.builtin.clone(), config.profiles.clone());
        warnings.extend(override_builtin(&allow, &rules, &mut builtin, &mut profiles));
        let others: Vec<_> = Rule::ALL.into_iter().map(Rule::name).chain([profile::RULE]).collect();
        let (rules, unknown) = rules.overridden(&allow, &others);
        warnings.extend(unknown);
        let (database, known_bad, allow) = (database?, known_bad?, Arc::new(allow));
        let (known_bad, sources) = known_bad;
        let knowledge = DetectionContent { database, known_bad, rules, builtin, profiles, allow };
        Some(Self { knowledge, sinks: sinks?, known_bad: sources })
    }
}

/// What was found in the files that a key names. Where a file can't be had at all, the mend is at the key.
fn at_keys(places: &Places, key: &str, paths: &[PathBuf], found: Vec<Issue>) -> Vec<Issue> {
    let at_key = |issue: Issue| {
        let number = paths.iter().position(|path| **path == *issue.path);
        let Some(number) = number.filter(|_| issue.place.is_none() && issue.message.starts_with(UNREADABLE)) else {
            return issue;
        };
        let element = format!("{key} {}", number + 1);
        let name = if places.has(&element) { &*element } else { key };
        if !places.has(name) {
            return issue;
        }
        places.issue(name, format!("{key}: {}: {}", issue.path.display(), issue.message))
    };
    found.into_iter().map(at_key).collect()
}

fn sinks(config: &Config, places: &Places, issues: &mut Vec<Issue>) -> Option<Vec<Sink>> {
    let sinks = &config.alerts.sink;
    // One that is not even of a kind was left out, and told.
    let numbers: Vec<_> = places.elements("alerts.sink").collect();
    let place = |mut error: SinkError| {
        error.number = numbers.get(error.number.wrapping_sub(1)).copied().unwrap_or(error.number);
        let key = format!("alerts.sink {}: {}", error.number, error.key);
        places.issue(&key, error.to_string())
    };
    SinkConfig::check(sinks)
        .map_err(|errors| {
            let mut found: Vec<_> = errors.into_iter().map(place).collect();
            found.sort_by_key(|issue| issue.place);
            issues.append(&mut found);
        })
        .ok()
}

fn database(config: &Config, issues: &mut Vec<Issue>, warnings: &mut Vec<Warning>) -> Option<Database> {
    let mut builder = Builder::with_builtin();
    let before = issues.len();
    for path in &config.lookup.databases {
        match builder.add(path) {
            Ok(imported) => warnings.extend(bad_rows(path, &imported)),
            Err(error) => issues.extend(wrong_database(path, &error)),
        }
    }
    (issues.len() == before).then(|| builder.build())
}

/// The shipped list or its replacement, with the patterns that add to it.
fn known_bad(config: &Config, places: &Places, issues: &mut Vec<Issue>) -> Option<(KnownBadList, KnownBadSources)> {
    let before = issues.len();
    let load = |key, paths: &[PathBuf], path: &Path, issues: &mut Vec<Issue>| {
        let list = KnownBadList::load(path);
        list.map_err(|error| issues.extend(at_keys(places, key, paths, wrong_list(path, &error)))).ok()
    };
    let replacement = config.lookup.known_bad.as_ref();
    let mut list = match replacement {
        None => KnownBadList::builtin(),
        Some(path) => load("lookup.known_bad", std::slice::from_ref(path), path, issues).unwrap_or_default(),
    };
    let mut lists = vec![(replacement.cloned(), list.len())];
    let paths = &config.lookup.known_bad_extra;
    for path in paths {
        let Some(extra) = load("lookup.known_bad_extra", paths, path, issues) else {
            continue;
        };
        lists.push((Some(path.clone()), extra.len()));
        list = list.extended(extra).unwrap_or_else(|method| {
            let method = method.name();
            let message = format!(
                "with the lists before it, {method} has more than {MAX_GLOBS} patterns with a * before their end"
            );
            issues.push(whole(path, message));
            KnownBadList::default()
        });
    }
    let sources = KnownBadSources { in_force: list.len(), lists };
    (issues.len() == before).then_some((list, sources))
}

/// Rows of a database that were left out, a warning each, and one for all that are not told.
fn bad_rows<'a>(path: &'a Path, imported: &'a Imported) -> impl Iterator<Item = Warning> + 'a {
    let told = imported.bad_rows.iter().map(|row| Issue {
        path: path.into(),
        place: Some((row.line, 1)),
        message: format!("row left out: {}", row.reason),
    });
    let more = imported.bad.saturating_sub(imported.bad_rows.len());
    let more = (more > 0).then(|| whole(path, format!("{more} more rows left out")));
    told.chain(more)
}

fn wrong_database(path: &Path, error: &DatabaseError) -> Vec<Issue> {
    match error {
        DatabaseError::Read { source, .. } => vec![whole(path, format!("can't be read: {source}"))],
        DatabaseError::Faults { faults, .. } => placed(path, faults),
        error => vec![whole(path, without(path, &error.to_string()))],
    }
}

fn wrong_list(path: &Path, error: &KnownBadError) -> Vec<Issue> {
    match error {
        KnownBadError::Read { source, .. } => vec![whole(path, format!("can't be read: {source}"))],
        KnownBadError::Faults { faults, .. } => placed(path, faults),
        error @ KnownBadError::TooLarge { .. } => vec![whole(path, without(path, &error.to_string()))],
    }
}

fn placed(path: &Path, faults: &Faults) -> Vec<Issue> {
    let one = |Fault { line, column, message }: &Fault| Issue {
        path: path.into(),
        place: Some((*line, *column)),
        message: message.clone(),
    };
    let more = (faults.more > 0).then(|| whole(path, format!("and {} more", faults.more)));
    faults.faults.iter().map(one).chain(more).collect()
}

/// A message without the path that it begins with.
fn without(path: &Path, message: &str) -> String {
    let rest = message.strip_prefix(&path.display().to_string()).unwrap_or(message);
    rest.trim_start_matches([':', ' ']).to_owned()
}

fn whole(path: &Path, message: String) -> Issue {
    Issue { path: path.into(), place: None, message }
}

/// Switches off built-in rules whose names `rules` have, and applies overrides of the others. A threshold that a rule
/// can't have is a warning, and what else the override says holds.
fn override_builtin(
    allow: &Allow,
    rules: &RuleSet,
    builtin: &mut builtin::Settings,
    profiles: &mut profile::Settings,
) -> Vec<Warning> {
    for rule in Rule::ALL.into_iter().filter(|rule| rules.shadows(rule.name())) {
        builtin.change(rule, Some(false), None);
    }
    profiles.enabled &= !rules.shadows(profile::RULE);
    let mut warnings = Vec::new();
    for change in allow.overrides().filter(|change| !rules.shadows(&change.rule)) {
        let enabled = change.enabled;
        if let Some(rule) = Rule::named(&change.rule) {
            builtin.change(rule, enabled, change.severity);
            if let Some(threshold) = change.threshold
                && let Err(message) = builtin.set_threshold(rule, threshold)
            {
                let message = format!("override: {message}");
                warnings.push(Issue { path: Arc::clone(&change.path), place: Some(change.place), message });
            }
        } else if *change.rule == *profile::RULE {
            profiles.enabled = enabled.unwrap_or(profiles.enabled);
            profiles.severity = change.severity.unwrap_or(profiles.severity);
            match change.threshold {
                Some(0) => {
                    let message = format!("override: threshold of {} is 0; it must be at least 1", profile::RULE);
                    warnings.push(Issue { path: Arc::clone(&change.path), place: Some(change.place), message });
                }
                Some(threshold) => profiles.observations = threshold.into(),
                None => {}
            }
        }
    }
    warnings
}
