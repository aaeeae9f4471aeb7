//! `ja4sensor lookup`: label, known-bad match and inference of a fingerprint.

use std::fmt::Write as _;
use std::io::Write as _;
use std::iter;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::Failure;
use super::settings::{refused, warn};
use crate::enrich::{KnownBadList, LabelDatabaseBuilder, ssh_session};
use crate::model::path::{self, Syn};
use crate::model::{KnownBad, Label, Method, os};
use crate::output::stdout::{is_closed, stdout};

#[derive(Debug, Args)]
pub(super) struct LookupCommand {
    /// Fingerprint, for example t13d3112h2_e8f1e7e78f70_b26ce05bbdd6
    value: String,

    /// Fingerprint type, for example ja4 [default: all types that match its syntax]
    #[arg(long = "type", value_name = "TYPE")]
    method: Option<Method>,

    /// Label database in addition to the built-in one: ja4plus-mapping.csv or TOML (repeatable)
    #[arg(long, value_name = "FILE")]
    database: Vec<PathBuf>,

    /// Known-bad list in place of the built-in one
    #[arg(long, value_name = "FILE")]
    known_bad: Option<PathBuf>,

    /// Known-bad list in addition to the list in use (repeatable)
    #[arg(long, value_name = "FILE")]
    known_bad_extra: Vec<PathBuf>,

    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: LookupFormat,
}

/// Output format of `lookup` and `labels`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LookupFormat {
    /// Aligned text
    #[default]
    Table,
    /// One JSON object per line
    Json,
}

impl LookupCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut builder = LabelDatabaseBuilder::with_builtin();
        for path in &self.database {
            let imported = builder.add(path).map_err(refused)?;
            warn(&imported.warnings);
        }
        let database = builder.build();
        let known_bad = self.known_bad.as_deref().map_or_else(|| Ok(KnownBadList::builtin()), KnownBadList::load);
        let mut known_bad = known_bad.map_err(refused)?;
        for path in &self.known_bad_extra {
            let extra = KnownBadList::load(path).map_err(refused)?;
            known_bad = known_bad.extended(extra).map_err(|method| {
                let method = method.name();
                Failure::usage(anyhow!("{}: too many {method} patterns with a * before the end", path.display()))
            })?;
        }

        let value = self.value.trim();
        let fits = |method: &Method| self.method.is_none_or(|wanted| wanted == *method);
        let methods: Vec<Method> = Method::of_value(value).filter(fits).collect();
        if methods.is_empty() {
            let kind = self.method.map_or("fingerprint of any type", Method::name);
            return Err(Failure::usage(anyhow!("'{}' is not a {kind}", value.escape_debug())));
        }
        let mut out = String::new();
        for (place, method) in methods.into_iter().enumerate() {
            let label = database.lookup(method, value);
            let bad = known_bad.check(method, value);
            let searched = if label.is_none() && bad.is_none() { self.databases() } else { Vec::new() };
            let answer = LookupResult::new(method, value, label.as_deref(), bad.as_deref(), searched);
            match self.format {
                LookupFormat::Json => out += &answer.json().map_err(Failure::run)?,
                LookupFormat::Table => {
                    out += if place > 0 { "\n" } else { "" };
                    out += &answer.table();
                }
            }
        }
        print(&out)
    }
}

impl LookupCommand {
    /// The databases that are searched, in their order: labels, then known-bad lists.
    fn databases(&self) -> Vec<String> {
        let name = |path: &PathBuf| path.display().to_string();
        let labels = iter::once("built-in labels".to_owned()).chain(self.database.iter().map(name));
        let known_bad = self.known_bad.as_ref().map_or_else(|| "built-in known-bad list".to_owned(), name);
        labels.chain(iter::once(known_bad)).chain(self.known_bad_extra.iter().map(name)).collect()
    }
}

/// Writes to standard output. A closed pipe is not an error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let written = stdout().and_then(|mut out| out.write_all(text.as_bytes()));
    match written {
        Err(error) if !is_closed(&error) => Err(Failure::run(anyhow!(error).context("cannot write the output"))),
        _ => Ok(()),
    }
}

/// The result of a lookup for one method.
#[derive(Serialize)]
struct LookupResult<'a> {
    #[serde(rename = "type")]
    method: &'static str,
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<LookupLabel<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known_bad: Option<LookupKnownBad<'a>>,
    /// The databases without a match, if no database has one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    searched: Vec<String>,
    #[serde(skip_serializing_if = "LookupInference::is_empty")]
    hints: LookupInference,
}

#[derive(Serialize)]
struct LookupLabel<'a> {
    name: &'a str,
    source: &'a str,
    category: Option<&'a str>,
    confidence: Option<u8>,
}

#[derive(Serialize)]
struct LookupKnownBad<'a> {
    pattern: &'a str,
    category: &'a str,
    confidence: u8,
    note: &'a str,
}

/// Inference from the value itself.
#[derive(Default, PartialEq, Serialize)]
struct LookupInference {
    #[serde(skip_serializing_if = "Option::is_none")]
    os: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<LookupMtu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6: Option<LookupMtu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hops: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'static str>,
}

/// Inference from the MSS, if the packet was of this address family.
#[derive(PartialEq, Serialize)]
struct LookupMtu {
    mtu: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'static str>,
    confidence: u8,
    tunnel: bool,
}

impl LookupInference {
    fn of(method: Method, value: &str) -> Self {
        let mut hints = Self::default();
        match method {
            Method::Ja4t | Method::Ja4ts => {
                let syn = Syn::parse(value);
                let mtu = |is_ipv6| {
                    let path = path::NetworkPath::of(syn?.mss?, is_ipv6);
                    let tunnel = path.tunnel().is_some();
                    Some(LookupMtu { mtu: path.mtu, path: path.name, confidence: path.confidence, tunnel })
                };
                (hints.ipv4, hints.ipv6) = (mtu(false), mtu(true));
                // The options of a server depend on those of its client.
                hints.os =
                    syn.filter(|_| method == Method::Ja4t).and_then(|syn| os::hint(&syn, None)).map(os::System::name);
            }
            Method::Ja4l | Method::Ja4ls => hints.hops = path::ttl(value).and_then(path::hops),
            Method::Ja4ssh => hints.session = ssh_session::of(value).map(|session| session.name()),
            _ => {}
        }
        hints
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<'a> LookupResult<'a> {
    fn new(
        method: Method,
        value: &'a str,
        label: Option<&'a Label>,
        bad: Option<&'a KnownBad>,
        searched: Vec<String>,
    ) -> Self {
        let label = label.map(|label| LookupLabel {
            name: &label.name,
            source: &label.source,
            category: label.category.as_deref(),
            confidence: label.confidence,
        });
        let known_bad = bad.map(|bad| LookupKnownBad {
            pattern: &bad.pattern,
            category: &bad.category,
            confidence: bad.confidence,
            note: &bad.note,
        });
        Self { method: method.name(), value, label, known_bad, searched, hints: LookupInference::of(method, value) }
    }

    fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self).map(|line| line + "\n")
    }

    fn table(&self) -> String {
        let mut out = String::new();
        // Writing to a String does not fail.
        let mut row = |name: &str, text: &str| {
            let _ = writeln!(out, "{name:<12}{text}");
        };
        row("type", self.method);
        row("value", self.value);
        match &self.label {
            None => row("name", "unknown"),
            Some(LookupLabel { name, source, category, confidence }) => {
                row("name", name);
                row("source", source);
                category.iter().for_each(|category| row("category", category));
                confidence.iter().for_each(|confidence| row("confidence", &confidence.to_string()));
            }
        }
        if let Some(LookupKnownBad { pattern, category, confidence, note }) = &self.known_bad {
            row("known bad", &format!("{category}, confidence {confidence}: {note} ({pattern})"));
        }
        if !self.searched.is_empty() {
            row("searched", &self.searched.join(", "));
        }
        let LookupInference { os, ipv4, ipv6, hops, session } = &self.hints;
        os.iter().for_each(|os| row("os", os));
        for (family, mtu) in [("ipv4", ipv4), ("ipv6", ipv6)] {
            let Some(LookupMtu { mtu, path, confidence, tunnel }) = mtu else { continue };
            let kind = if *tunnel { "tunnel " } else { "" };
            let path = path.map(|path| format!(", {kind}{path}, confidence {confidence}")).unwrap_or_default();
            row(family, &format!("MTU {mtu}{path}"));
        }
        hops.iter().for_each(|hops| row("hops", &hops.to_string()));
        session.iter().for_each(|session| row("session", session));
        out
    }
}
