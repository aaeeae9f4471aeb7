//! The rules of several files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::definition::RuleDefinition;
use super::parse::{ParsedRule, RuleFile};
use crate::detect::allowlist::{Allowlist, KNOWN_BAD, RuleReference};
use crate::detect::builtin::BuiltinRule;
use crate::detect::profile;
use crate::document::{Diagnostic, Diagnostics, Document, Position, check_range, shown, suggestion};
use crate::model::STORAGE_FAILURE;

/// The built-in threshold rules.
const BUILTIN: &str = include_str!("../../builtin_rules.toml");

/// The file name of the built-in rules in diagnostics.
const BUILTIN_NAME: &str = "built-in rules";

/// Rules in force: each costs memory and time for every connection.
pub(crate) const MAX_RULES: usize = 256;

/// Longest file, bytes.
const MAX_FILE: u64 = 1 << 20;

/// Rules that passed every check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet {
    pub(super) rules: Vec<Arc<RuleDefinition>>,
}

/// Where a rule of a name was defined.
enum Origin {
    Builtin,
    /// A file and a position.
    File(String),
}

impl RuleSet {
    /// Reads the built-in threshold rules, if `builtin`, and those of files. A rule of a file replaces a built-in rule of
    /// the same name, with a warning; whether it replaces one of [`builtin`](crate::detect::builtin) is for the caller to
    /// [check](Self::replaces).
    ///
    /// # Errors
    ///
    /// All errors of all files.
    pub fn load(builtin: bool, files: &[PathBuf]) -> Result<(Self, Vec<Diagnostic>), Diagnostics> {
        let mut errors = Vec::new();
        let mut texts = Vec::new();
        for path in files {
            match Document::read_text(path, MAX_FILE) {
                Ok(text) => texts.push((path.as_path(), text)),
                Err(error) => errors.push(error),
            }
        }
        let texts: Vec<_> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
        Self::read(if builtin { BUILTIN } else { "" }, &texts, errors)
    }

    /// Reads the rules of a text.
    ///
    /// # Errors
    ///
    /// All errors of the text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Diagnostics> {
        Self::read("", &[(path, text)], Vec::new()).map(|(set, _)| set)
    }

    fn read(
        builtin: &str,
        texts: &[(&Path, &str)],
        mut errors: Vec<Diagnostic>,
    ) -> Result<(Self, Vec<Diagnostic>), Diagnostics> {
        let files: Vec<_> = texts.iter().map(|(path, text)| (*path, RuleFile::parse(path, text))).collect();
        let too_many = |rules: usize| {
            let path = texts.last().map_or(Path::new(BUILTIN_NAME), |(path, _)| path);
            Diagnostic::of_file(path, format!("{rules} rules are too many; at most {MAX_RULES} are supported"))
        };
        // Compiling takes milliseconds for each rule, so the number is checked first. Rules of files replace built-in
        // ones but not each other, so each of them counts.
        let of_files = files.iter().map(|(_, file)| file.len()).sum();
        if of_files > MAX_RULES {
            errors.extend(files.into_iter().flat_map(|(_, file)| file.into_diagnostics()));
            errors.push(too_many(of_files));
            return Err(Diagnostics(errors));
        }
        let (mut set, mut warnings) = (Self::default(), Vec::new());
        let mut origins: HashMap<Arc<str>, Origin> = HashMap::new();
        let builtin_name = Path::new(BUILTIN_NAME);
        let (rules, wrong) = RuleFile::parse(builtin_name, builtin).compile();
        errors.extend(wrong);
        for ParsedRule { rule, name, .. } in rules {
            origins.insert(name, Origin::Builtin);
            set.rules.extend(rule);
        }
        for (path, file) in files {
            let (rules, wrong) = file.compile();
            errors.extend(wrong);
            for ParsedRule { rule, name, position } in rules {
                set.add(path, rule, name, position, &mut origins, &mut warnings, &mut errors);
            }
        }
        if set.rules.len() > MAX_RULES {
            errors.push(too_many(set.rules.len()));
        }
        if errors.is_empty() { Ok((set, warnings)) } else { Err(Diagnostics(errors)) }
    }

    /// Adds a rule of a file.
    #[expect(clippy::too_many_arguments, reason = "the parts of a file's rule, and three results")]
    fn add(
        &mut self,
        path: &Path,
        rule: Option<Arc<RuleDefinition>>,
        name: Arc<str>,
        position: Position,
        origins: &mut HashMap<Arc<str>, Origin>,
        warnings: &mut Vec<Diagnostic>,
        errors: &mut Vec<Diagnostic>,
    ) {
        let diagnostic = |message| Diagnostic { path: path.into(), position: Some(position), message };
        match origins.get(&name) {
            Some(Origin::File(first)) => {
                return errors.push(diagnostic(format!("rule '{name}' is defined already, at {first}")));
            }
            Some(Origin::Builtin) => {
                warnings.push(diagnostic(format!("rule '{name}' replaces the built-in rule of that name")));
                self.rules.retain(|rule| rule.name != name);
            }
            None if *name == *STORAGE_FAILURE => {
                return errors.push(diagnostic(format!(
                    "rule '{name}': alerts about the database have this name; choose another name"
                )));
            }
            None if is_builtin(&name) => {
                let message = format!("rule '{name}' replaces the built-in rule of that name, which is disabled");
                warnings.push(diagnostic(message));
            }
            None => {}
        }
        if let Some(sid) = rule.as_ref().and_then(|rule| rule.sid)
            && let Some(other) = self.rules.iter().find(|other| other.sid == Some(sid))
        {
            let message = format!("rule '{name}': sid {sid} is that of rule '{}'; choose another number", other.name);
            errors.push(diagnostic(message));
        }
        origins.insert(name, Origin::File(format!("{}:{position}", path.display())));
        self.rules.extend(rule);
    }

    /// Applies the overrides of an allowlist: removes disabled rules, changes severities and thresholds. `others` are the
    /// names of rules that are in no set; `known_bad` is one of them in any case.
    ///
    /// Returns warnings about unknown rules and about thresholds out of range.
    #[must_use]
    pub(crate) fn overridden(mut self, allowlist: &Allowlist, others: &[&str]) -> (Self, Vec<Diagnostic>) {
        let others: Vec<_> = others.iter().copied().chain([KNOWN_BAD]).collect();
        let unknown = |rules: &[Arc<RuleDefinition>], name: &str| {
            let names = || rules.iter().map(|rule| &*rule.name).chain(others.iter().copied());
            let is_known = names().any(|known| known == name);
            (!is_known).then(|| format!("unknown rule '{}'{}", shown(name), suggestion(name, names())))
        };
        let mut warnings = Vec::new();
        for RuleReference { rule, path, position } in allowlist.references() {
            if let Some(message) = unknown(&self.rules, rule) {
                warnings.push(Diagnostic { path: Arc::clone(path), position: Some(*position), message });
            }
        }
        for change in allowlist.overrides() {
            let Some(at) = self.rules.iter().position(|rule| *rule.name == *change.rule) else {
                let message = unknown(&self.rules, &change.rule);
                warnings.extend(message.map(|message| change.diagnostic(format!("override: {message}"))));
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
                let limit = RuleDefinition::limit(rule.measure);
                match check_range(&threshold.needed(), &(1..=limit)) {
                    None => rule.threshold = threshold,
                    Some(_) => warnings.push(change.diagnostic(format!(
                        "override: threshold {number} of rule '{}' is out of range; it counts from 1 to {limit}",
                        change.rule
                    ))),
                }
            }
        }
        (self, warnings)
    }

    /// Whether a rule of this set has the name of a built-in rule and replaces it.
    #[must_use]
    pub fn replaces(&self, builtin: &str) -> bool {
        self.rules.iter().any(|rule| *rule.name == *builtin)
    }

    /// The rules, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &RuleDefinition> {
        self.rules.iter().map(|rule| &**rule)
    }

    /// The number of rules.
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

/// Whether a built-in rule that is in no set has this name.
fn is_builtin(name: &str) -> bool {
    BuiltinRule::named(name).is_some() || name == profile::RULE
}

#[cfg(test)]
mod tests;
