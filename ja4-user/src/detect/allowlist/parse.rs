//! Allowlist files: TOML to entries and overrides, all errors at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

use super::entry::{AllowlistEntry, EntryTarget, NetworkSide};
use crate::document::{Diagnostic, Diagnostics, Document, Located, Position, TableHeader, TomlTable, shown};
use crate::model::method_set::MethodName;
use crate::model::{Method, Severity};

/// Entries of all files.
const MAX_ENTRIES: usize = 16_384;

/// Longest file, bytes.
const MAX_FILE: u64 = 1 << 20;

/// Longest value or pattern, bytes: longer than any fingerprint that is not a raw form.
const MAX_PATTERN: usize = 512;

/// A rule that an entry names.
#[derive(Debug)]
pub(in crate::detect) struct RuleReference {
    pub(in crate::detect) rule: Box<str>,
    pub(in crate::detect) path: Arc<Path>,
    pub(in crate::detect) position: Position,
}

/// Changes to a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOverride {
    /// The name of the rule.
    pub rule: Box<str>,
    /// Whether the rule is enabled; `None`: unchanged.
    pub enabled: Option<bool>,
    /// Another severity.
    pub severity: Option<Severity>,
    /// Another threshold.
    pub threshold: Option<u32>,
    /// The file of the override.
    pub path: Arc<Path>,
    /// Where the override is.
    pub position: Position,
}

impl RuleOverride {
    /// Returns a diagnostic at the override.
    pub(crate) fn diagnostic(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic { path: Arc::clone(&self.path), position: Some(self.position), message: message.into() }
    }
}

/// The content of all allowlist files.
#[derive(Debug, Default)]
pub(super) struct ParsedAllowlist {
    pub(super) entries: Vec<AllowlistEntry>,
    pub(super) overrides: Vec<RuleOverride>,
    pub(super) references: Vec<RuleReference>,
}

/// A table `[[fingerprint]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FingerprintTable {
    #[serde(rename = "type")]
    method: Option<MethodOrAny>,
    #[serde(rename = "match")]
    pattern: Option<Pattern>,
    #[expect(dead_code, reason = "for readers of the file")]
    note: Option<String>,
    rules: Option<RuleNames>,
}

/// A table `[[network]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkTable {
    cidr: Option<Cidr>,
    #[serde(default)]
    side: Sides,
    #[expect(dead_code, reason = "for readers of the file")]
    note: Option<String>,
    rules: Option<RuleNames>,
}

/// A table `[[override]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideTable {
    rule: Option<String>,
    enabled: Option<bool>,
    severity: Option<Severity>,
    threshold: Option<u32>,
    #[expect(dead_code, reason = "for readers of the file")]
    note: Option<String>,
}

/// A method, or `*`.
struct MethodOrAny(Option<Method>);

impl<'de> Deserialize<'de> for MethodOrAny {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        match &*name {
            "*" => Ok(Self(None)),
            name => MethodName::parse(name).map(|method| Self(Some(method.0))),
        }
    }
}

/// A value, or a pattern with `*`.
struct Pattern(Box<str>);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() || text.len() > MAX_PATTERN {
            let message = format_args!("expected 1 to {MAX_PATTERN} bytes, found {}", text.len());
            return Err(de::Error::custom(message));
        }
        Ok(Self(text.into()))
    }
}

/// A network, or an address.
struct Cidr(IpNet);

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        match net {
            Some(net) if net.trunc() == net => Ok(Self(net)),
            Some(net) => {
                Err(de::Error::custom(format_args!("'{text}' is an address in a network; write '{}'", net.trunc())))
            }
            None => {
                let shown = shown(&text);
                Err(de::Error::custom(format_args!("'{shown}' is not a network; write it as '10.0.0.0/8'")))
            }
        }
    }
}

/// The ends of a connection that an entry covers.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sides {
    #[default]
    Source,
    Destination,
    Either,
}

/// The rules that an entry is for.
struct RuleNames(Vec<Located<String>>);

impl<'de> Deserialize<'de> for RuleNames {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let names = Vec::deserialize(from)?;
        if names.is_empty() {
            return Err(de::Error::custom("is empty; remove the key for every rule but known_bad"));
        }
        Ok(Self(names))
    }
}

/// Reads allowlist files.
pub(super) fn load(files: &[PathBuf]) -> Result<ParsedAllowlist, Diagnostics> {
    let (mut parsed, mut diagnostics) = (ParsedAllowlist::default(), Vec::new());
    for path in files {
        match Document::read_text(path, MAX_FILE) {
            Ok(text) => diagnostics.extend(file(path, &text, &mut parsed)),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    if let Some(path) = files.last()
        && parsed.entries.len() > MAX_ENTRIES
    {
        let message = format!("{} entries are too many; at most {MAX_ENTRIES} are supported", parsed.entries.len());
        diagnostics.push(Diagnostic::of_file(path, message));
    }
    if diagnostics.is_empty() { Ok(parsed) } else { Err(Diagnostics(diagnostics)) }
}

/// Reads the text of one allowlist.
pub(super) fn parse(path: &Path, text: &str) -> Result<ParsedAllowlist, Diagnostics> {
    let mut parsed = ParsedAllowlist::default();
    let diagnostics = file(path, text, &mut parsed);
    if diagnostics.is_empty() { Ok(parsed) } else { Err(Diagnostics(diagnostics)) }
}

fn file(path: &Path, text: &str, parsed: &mut ParsedAllowlist) -> Vec<Diagnostic> {
    let (mut document, root) = Document::parse(path, text);
    if let Some(root) = root {
        let root = root.get_ref();
        document.only_lists(root, &["fingerprint", "network", "override"]);
        let label = |list: &'static str| move |_: &TomlTable<'_>, number| format!("{list} {number}");
        document.for_each_table(root, "fingerprint", label("fingerprint"), |document, header, table| {
            let FingerprintTable { method, pattern, rules, .. } = table;
            let method = document.required(method, "type", &header);
            let pattern = document.required(pattern, "match", &header);
            if let (Some(MethodOrAny(method)), Some(Pattern(pattern))) = (method, pattern) {
                parsed.add(document, EntryTarget::Fingerprint { method, pattern }, rules);
            }
        });
        document.for_each_table(root, "network", label("network"), |document, header, table: NetworkTable| {
            if let Some(Cidr(net)) = document.required(table.cidr, "cidr", &header) {
                let side = match table.side {
                    Sides::Source => Some(NetworkSide::Source),
                    Sides::Destination => Some(NetworkSide::Destination),
                    Sides::Either => None,
                };
                parsed.add(document, EntryTarget::Network { net, side }, table.rules);
            }
        });
        document.for_each_table(root, "override", label("override"), |document, header, table| {
            parsed.add_override(document, &header, table);
        });
    }
    document.finish()
}

impl ParsedAllowlist {
    fn add(&mut self, document: &Document<'_>, target: EntryTarget, rules: Option<RuleNames>) {
        let names = rules.map(|RuleNames(names)| {
            let reference = |name: Located<String>| {
                let rule: Box<str> = name.value.into();
                let (path, position) = (document.path(), document.position(name.at));
                self.references.push(RuleReference { rule: rule.clone(), path, position });
                rule
            };
            names.into_iter().map(reference).collect()
        });
        self.entries.push(AllowlistEntry::new(target, names));
    }

    fn add_override(&mut self, document: &mut Document<'_>, header: &TableHeader, table: OverrideTable) {
        let OverrideTable { rule, enabled, severity, threshold, .. } = table;
        let Some(rule) = document.required(rule, "rule", header) else {
            return;
        };
        let label = &header.label;
        if enabled.is_none() && severity.is_none() && threshold.is_none() && !header.has_errors() {
            document.error(header.at, format!("{label}: changes nothing; add enabled, severity or threshold"));
        }
        if let Some(first) = self.overrides.iter().find(|other| *other.rule == *rule) {
            let message = format!(
                "{label}: rule '{}' has an override already, at {}:{}",
                shown(&rule),
                first.path.display(),
                first.position
            );
            return document.error(header.at, message);
        }
        let (path, position) = (document.path(), document.position(header.at));
        self.overrides.push(RuleOverride { rule: rule.into(), enabled, severity, threshold, path, position });
    }
}
