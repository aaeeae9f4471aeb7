//! From TOML to an allowlist: all that is wrong at once.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::entry::{Entry, Side, What};
use super::{Allow, MAX_ENTRIES, Named, Override};
use crate::document::{Document, Issue, Report};
use crate::model::{Method, Severity};

/// Longest value or pattern, bytes: longer than any fingerprint that is no raw form.
const MAX_PATTERN: usize = 512;

type Value<'a> = Spanned<DeValue<'a>>;

pub(super) fn read(texts: &[(&Path, &str)], mut issues: Vec<Issue>) -> Result<Allow, Report> {
    let mut allow = Allow::default();
    for (path, text) in texts {
        issues.extend(file(path, text, &mut allow));
    }
    if let Some((path, _)) = texts.last()
        && allow.entries.len() > MAX_ENTRIES
    {
        let message = format!("{} entries; there may be {MAX_ENTRIES}", allow.entries.len());
        issues.push(Issue { path: (*path).into(), place: None, message });
    }
    if issues.is_empty() { Ok(allow.index()) } else { Err(Report { issues }) }
}

fn file(path: &Path, text: &str, allow: &mut Allow) -> Vec<Issue> {
    let (mut document, table) = Document::parse(path, text);
    if let Some(table) = table {
        let table = table.get_ref();
        document.only(table, &["fingerprint", "network", "override"], "an allowlist");
        let document = &mut document;
        for (table, span) in tables(document, table, "fingerprint") {
            let entry = fingerprint(document, table, &span);
            add(document, table, entry, allow);
        }
        for (table, span) in tables(document, table, "network") {
            let entry = network(document, table, &span);
            add(document, table, entry, allow);
        }
        for (table, span) in tables(document, table, "override") {
            let Some(change) = change(document, table, &span, path) else {
                continue;
            };
            match allow.override_of(&change.rule) {
                Some(Override { path, place: (line, column), .. }) => {
                    let first = format!("{}:{line}:{column}", path.display());
                    document.issue(span, format!("override: there is one of \"{}\" already, at {first}", change.rule));
                }
                None => allow.overrides.push(change),
            }
        }
    }
    document.finish()
}

/// Takes an entry in, and notes where it names rules.
fn add<'a>(document: &Document<'a>, table: &DeTable<'a>, entry: Option<Entry>, allow: &mut Allow) {
    let Some(entry) = entry else {
        return;
    };
    let named = table.get("rules").and_then(|value| value.get_ref().as_array());
    for value in named.into_iter().flatten() {
        if let Some(rule) = value.get_ref().as_str() {
            let place = document.place(value.span().start);
            allow.named.push(Named { rule: rule.into(), path: document.path(), place });
        }
    }
    allow.entries.push(entry);
}

/// The tables of `[[name]]`.
fn tables<'t, 'a>(
    document: &mut Document<'a>,
    table: &'t DeTable<'a>,
    name: &str,
) -> Vec<(&'t DeTable<'a>, Range<usize>)> {
    let Some(value) = table.get(name) else {
        return Vec::new();
    };
    let Some(list) = value.get_ref().as_array() else {
        document.issue(value.span(), format!("entries are written as [[{name}]], with two brackets"));
        return Vec::new();
    };
    let mut tables = Vec::new();
    for value in list.iter() {
        if let Some(table) = document.table(value, name) {
            tables.push((table, value.span()));
        }
    }
    tables
}

fn fingerprint<'a>(document: &mut Document<'a>, table: &DeTable<'a>, span: &Range<usize>) -> Option<Entry> {
    let what = "fingerprint";
    document.only(table, &["type", "match", "note", "rules"], what);
    note(document, table, what);
    let method = document.required(table, span, "type", what).and_then(|value| {
        let names: Vec<_> = Method::ALL.into_iter().map(Method::name).chain(["*"]).collect();
        let word = document.word(value, "fingerprint: type", &names)?;
        Some(Method::ALL.into_iter().find(|method| method.name() == word))
    });
    let pattern = document.required(table, span, "match", what).and_then(|value| {
        let text = document.text(value, "fingerprint: match")?;
        if text.is_empty() || text.len() > MAX_PATTERN {
            document.issue(value.span(), format!("fingerprint: match must have 1 to {MAX_PATTERN} bytes"));
            return None;
        }
        Some(Box::from(text))
    });
    let rules = rules(document, table, what);
    Some(Entry::new(What::Fingerprint { method: method?, pattern: pattern? }, rules?))
}

fn network<'a>(document: &mut Document<'a>, table: &DeTable<'a>, span: &Range<usize>) -> Option<Entry> {
    let what = "network";
    document.only(table, &["cidr", "side", "note", "rules"], what);
    note(document, table, what);
    let net = document.required(table, span, "cidr", what).and_then(|value| {
        let text = document.text(value, "network: cidr")?;
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        match net {
            Some(net) if net.trunc() == net => Some(net),
            Some(net) => {
                let message = format!("network: cidr must be a network; the one of that address is {}", net.trunc());
                document.issue(value.span(), message);
                None
            }
            None => {
                document.issue(value.span(), format!("network: cidr must be like \"10.0.0.0/8\", not {text:?}"));
                None
            }
        }
    });
    let side = match table.get("side") {
        None => Some(Some(Side::Source)),
        Some(value) => {
            document.word(value, "network: side", &["source", "destination", "either"]).map(|word| match word {
                "source" => Some(Side::Source),
                "destination" => Some(Side::Destination),
                _ => None,
            })
        }
    };
    let rules = rules(document, table, what);
    Some(Entry::new(What::Network { net: net?, side: side? }, rules?))
}

fn change<'a>(document: &mut Document<'a>, table: &DeTable<'a>, span: &Range<usize>, path: &Path) -> Option<Override> {
    let what = "override";
    document.only(table, &["rule", "enabled", "severity", "threshold", "note"], what);
    note(document, table, what);
    let rule = document.required(table, span, "rule", what);
    let rule = rule.and_then(|value| document.text(value, "override: rule").map(Box::from));
    let enabled = match table.get("enabled") {
        Some(value) => document.boolean(value, "override: enabled").map(Some),
        None => Some(None),
    };
    let severity = match table.get("severity") {
        Some(value) => {
            let word = document.word(value, "override: severity", &Severity::ALL.map(Severity::name));
            word.map(|word| word.parse::<Severity>().ok())
        }
        None => Some(None),
    };
    let threshold = match table.get("threshold") {
        Some(value) => document.integer(value, "override: threshold").and_then(|number| {
            let fits = u32::try_from(number).ok();
            if fits.is_none() {
                document.issue(value.span(), format!("override: threshold can't be {number}"));
            }
            fits.map(Some)
        }),
        None => Some(None),
    };
    if ["enabled", "severity", "threshold"].iter().all(|key| !table.contains_key(*key)) {
        document.issue(span.clone(), "override: it changes nothing; give enabled, severity or threshold");
    }
    let place = document.place(span.start);
    Some(Override {
        rule: rule?,
        enabled: enabled?,
        severity: severity?,
        threshold: threshold?,
        path: Arc::from(path),
        place,
    })
}

/// A note is for those who read the file.
fn note<'a>(document: &mut Document<'a>, table: &DeTable<'a>, what: &str) {
    if let Some(value) = table.get("note") {
        document.text(value, &format!("{what}: note"));
    }
}

/// For which rules an entry is; the inner `None`: for all but known bad. The outer one: something is wrong.
fn rules<'a>(document: &mut Document<'a>, table: &DeTable<'a>, what: &str) -> Option<Option<Vec<Box<str>>>> {
    let Some(value) = table.get("rules") else {
        return Some(None);
    };
    let list = document.list(value, &format!("{what}: rules"))?;
    if list.is_empty() {
        document.issue(value.span(), format!("{what}: rules names none; leave it out for every rule but known_bad"));
        return None;
    }
    let mut names = Some(Vec::new());
    for value in list.iter() {
        match (name(document, value, what), &mut names) {
            (Some(name), Some(names)) => names.push(name),
            _ => names = None,
        }
    }
    names.map(Some)
}

fn name<'a>(document: &mut Document<'a>, value: &Value<'a>, what: &str) -> Option<Box<str>> {
    document.text(value, &format!("{what}: rules: a name")).map(Box::from)
}
