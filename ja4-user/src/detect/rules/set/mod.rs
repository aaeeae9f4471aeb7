//! The rules of several files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Definition;
use super::parse::{self, RuleFile};
use crate::detect::allow::{Allow, KNOWN_BAD, Named};
use crate::detect::{builtin, profile};
use crate::document::{Document, Issue, Report, Warning, suggestion};
use crate::model::STORAGE_FAILURE;

/// The shipped rules.
const SHIPPED: &str = include_str!("../../shipped.toml");

/// The name that the shipped rules have in reports.
const SHIPPED_NAME: &str = "shipped rules";

/// Most rules in force: each costs memory and time for every connection.
pub const MAX_RULES: usize = 256;

/// Rules that passed every check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    pub(super) rules: Vec<Arc<Definition>>,
}

impl RuleSet {
    /// The shipped rules, where asked for, and those of files. A rule of a file takes the place of a shipped one of
    /// the same name; that is a warning, and so is the name of a built-in rule, which whoever evaluates those has to
    /// [take for shadowed](Self::shadows).
    ///
    /// # Errors
    ///
    /// All that is wrong in all files.
    pub fn load(shipped: bool, files: &[PathBuf]) -> Result<(Self, Vec<Warning>), Report> {
        let mut issues = Vec::new();
        let mut texts = Vec::new();
        for file in files {
            match Document::read(file) {
                Ok(text) => texts.push((file.as_path(), text)),
                Err(issue) => issues.push(issue),
            }
        }
        let texts: Vec<_> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
        Self::read(if shipped { SHIPPED } else { "" }, &texts, issues)
    }

    /// The rules of one text, as [`load`](Self::load) reads a file's.
    ///
    /// # Errors
    ///
    /// All that is wrong in it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Report> {
        Self::read("", &[(path, text)], Vec::new()).map(|(set, _)| set)
    }

    fn read(shipped: &str, texts: &[(&Path, &str)], mut issues: Vec<Issue>) -> Result<(Self, Vec<Warning>), Report> {
        let mut set = Self::default();
        let mut warnings = Vec::new();
        // Where each name stands.
        let mut places: HashMap<Arc<str>, Option<String>> = HashMap::new();
        let files: Vec<_> = texts.iter().map(|(path, text)| (*path, RuleFile::parse(path, text), false)).collect();
        let too_many = |rules: usize| {
            let path = texts.last().map_or(Path::new(SHIPPED_NAME), |(path, _)| path).into();
            Issue { path, place: None, message: format!("{rules} rules; there may be {MAX_RULES}") }
        };
        // Compiling takes milliseconds for each rule, so the number is checked first. Own rules replace shipped ones
        // but not each other: their number counts whatever their names.
        let own = files.iter().map(|(_, file, _)| file.len()).sum();
        if own > MAX_RULES {
            issues.extend(files.into_iter().flat_map(|(_, file, _)| file.into_issues()));
            issues.push(too_many(own));
            return Err(Report { issues });
        }
        let shipped_name = Path::new(SHIPPED_NAME);
        let shipped = (shipped_name, RuleFile::parse(shipped_name, shipped), true);
        for (path, file, ships) in std::iter::once(shipped).chain(files) {
            let (rules, wrong) = file.compile();
            issues.extend(wrong);
            for parse::Parsed { rule, name, place } in rules {
                let issue = |message| Issue { path: path.into(), place: Some(place), message };
                let here = format!("{}:{}:{}", path.display(), place.0, place.1);
                match places.insert(Arc::clone(&name), (!ships).then_some(here)) {
                    Some(Some(first)) => {
                        issues.push(issue(format!("rule \"{name}\": there is one of this name already, at {first}")));
                        places.insert(name, Some(first));
                        continue;
                    }
                    Some(None) => {
                        warnings
                            .push(issue(format!("rule \"{name}\" takes the place of the shipped rule of that name")));
                        set.rules.retain(|rule| rule.name != name);
                    }
                    None if *name == *STORAGE_FAILURE => {
                        issues.push(issue(format!(
                            "rule \"{name}\": alerts about the history have this name, and no rule can take their \
                             place; choose another"
                        )));
                        continue;
                    }
                    None if is_builtin(&name) => {
                        warnings.push(issue(format!(
                            "rule \"{name}\" takes the place of the built-in rule of that name, which is off"
                        )));
                    }
                    None => {}
                }
                set.rules.extend(rule);
            }
        }
        if set.rules.len() > MAX_RULES {
            issues.push(too_many(set.rules.len()));
        }
        if issues.is_empty() { Ok((set, warnings)) } else { Err(Report { issues }) }
    }

    /// Applies the overrides of an allowlist: what is disabled goes, severities and thresholds change. `others` are
    /// the names of rules that are not in a set, as they are built in; `known_bad` is one in any case.
    ///
    /// Names of rules that there are not are warnings, and so are thresholds that a rule can't have.
    #[must_use]
    pub fn overridden(mut self, allow: &Allow, others: &[&str]) -> (Self, Vec<Warning>) {
        let others: Vec<_> = others.iter().copied().chain([KNOWN_BAD]).collect();
        let unknown = |rules: &[Arc<Definition>], name: &str| {
            let names = || rules.iter().map(|rule| &*rule.name).chain(others.iter().copied());
            (!names().any(|known| known == name))
                .then(|| format!("there is no rule {name:?}{}", suggestion(name, names())))
        };
        let mut warnings = Vec::new();
        for Named { rule, path, place } in allow.named() {
            if let Some(message) = unknown(&self.rules, rule) {
                warnings.push(Issue { path: Arc::clone(path), place: Some(*place), message });
            }
        }
        for change in allow.overrides() {
            let warning = |message| Issue { path: Arc::clone(&change.path), place: Some(change.place), message };
            let Some(at) = self.rules.iter().position(|rule| *rule.name == *change.rule) else {
                warnings
                    .extend(unknown(&self.rules, &change.rule).map(|message| warning(format!("override: {message}"))));
                continue;
            };
            if change.enabled == Some(false) {
                self.rules.remove(at);
                continue;
            }
            let Some(rule) = self.rules.get_mut(at).map(Arc::make_mut) else {
                continue;
            };
            rule.severity = change.severity.unwrap_or(rule.severity);
            if let Some(number) = change.threshold {
                let threshold = rule.threshold.with(number);
                let limit = Definition::limit(rule.measure);
                if (1..=limit).contains(&threshold.needed()) {
                    rule.threshold = threshold;
                } else {
                    warnings.push(warning(format!(
                        "override: rule \"{}\" can't have the threshold {number}: it counts from 1 to {limit}",
                        change.rule
                    )));
                }
            }
        }
        (self, warnings)
    }

    /// Whether a rule here has the name of a built-in one, and is evaluated in its place.
    #[must_use]
    pub fn shadows(&self, builtin: &str) -> bool {
        self.rules.iter().any(|rule| *rule.name == *builtin)
    }

    /// The rules, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.rules.iter().map(|rule| &**rule)
    }

    /// Number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Whether a rule that is in no set has this name.
fn is_builtin(name: &str) -> bool {
    builtin::Rule::named(name).is_some() || name == profile::RULE
}

#[cfg(test)]
mod tests;
