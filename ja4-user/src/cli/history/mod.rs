//! Commands on a database: `query`, `diff`, `export`, `first-seen`, `profiles`.

mod csv;
mod diff;
mod export;
mod first_seen;
mod json;
mod profiles;
mod query;
mod row_format;
mod table;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use clap::Args;
use ipnet::IpNet;

pub(super) use self::diff::Diff;
pub(super) use self::export::Export;
pub(super) use self::first_seen::FirstSeenCommand;
pub(super) use self::profiles::ProfilesCommand;
pub(super) use self::query::Query;
use self::row_format::RowFormat;
use super::failure::Failure;
use crate::model::field::{EventRef, Field, FieldSource, FieldValue, Subject};
use crate::model::{Method, Severity, Time};
use crate::output::stdout::is_closed;
use crate::output::storage::reader::times::time;
use crate::output::storage::reader::{StoredAlert, StoredConnection, StoredRun, ValueDifference};
use crate::output::storage::{Changed, DatabaseReader, HistoryFilter, StorageError};

/// The database of a command that has no other operands.
#[derive(Debug, Args)]
struct DatabaseFile {
    /// Database
    #[arg(value_name = "FILE", required_unless_present = "db")]
    file: Option<PathBuf>,

    /// Database, in place of FILE
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    db: Option<PathBuf>,
}

impl DatabaseFile {
    /// The path; clap requires one.
    fn path(&self) -> &Path {
        self.file.as_deref().or(self.db.as_deref()).unwrap_or(Path::new(""))
    }
}

/// Returns the JSON line of a changed value.
pub(super) fn difference_line(difference: &ValueDifference) -> Bytes {
    let mut line = Vec::new();
    json::difference(difference, &mut line);
    line.into()
}

/// Separates the database from the operands that follow it. The database is the first operand, or else `--db`.
fn split_database<const N: usize>(
    db: Option<PathBuf>,
    operands: [Option<OsString>; N],
) -> Result<(PathBuf, Vec<OsString>), Failure> {
    let mut operands: Vec<_> = operands.into_iter().flatten().collect();
    match db {
        Some(db) => Ok((db, operands)),
        None if operands.is_empty() => Err(Failure::usage(anyhow!("no database given; name one as FILE or with --db"))),
        None => Ok((PathBuf::from(operands.remove(0)), operands)),
    }
}

/// Parses an operand as clap does. `name` is its name in the help.
fn operand<T>(name: &str, text: &OsStr, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, Failure> {
    let text = text.to_string_lossy();
    parse(&text).map_err(|error| Failure::usage(anyhow!("invalid value '{}' for {name}: {error}", text.escape_debug())))
}

/// The time limit of a query.
#[derive(Debug, Args)]
struct TimeLimit {
    /// Time limit in seconds; 0: none [default: 30, for export 0]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

/// Default time limit of an interactive query, seconds.
const TIMEOUT: u32 = 30;

impl TimeLimit {
    fn open(&self, database: &Path) -> Result<DatabaseReader, Failure> {
        self.open_for(TIMEOUT, database)
    }

    /// Opens the database with this default time limit, seconds.
    fn open_for(&self, seconds: u32, database: &Path) -> Result<DatabaseReader, Failure> {
        DatabaseReader::open(database, self.limit(seconds)).map_err(Failure::run)
    }

    fn limit(&self, default: u32) -> Option<Duration> {
        let seconds = self.timeout.unwrap_or(default);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }
}

/// Filter of the rows.
#[derive(Debug, Args)]
struct FilterFlags {
    /// Only events since this time: 2026-11-23T07:00:00Z, 2026-11-23, 2h or -2h (two hours ago), now
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    since: Option<Time>,

    /// Only events before this time
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    until: Option<Time>,

    /// Only connections of this host or network
    #[arg(long, value_name = "IP|CIDR", value_parser = network)]
    host: Option<IpNet>,

    /// Only this fingerprint value; * matches any text
    #[arg(long, value_name = "VALUE")]
    value: Option<String>,

    /// Only this method
    #[arg(long = "type", value_name = "METHOD")]
    method: Option<Method>,

    /// Only this server name, case-insensitive; * matches any text
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,

    /// Only this application, case-insensitive; * matches any text
    #[arg(long, value_name = "NAME")]
    app: Option<String>,

    /// Lowest severity of an alert: low, medium, high or critical
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Severity>,
}

impl FilterFlags {
    fn filter(self, limit: Option<u64>, oldest_first: bool) -> Result<HistoryFilter, Failure> {
        let Self { since, until, host, value, method, sni, app, severity } = self;
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(Failure::usage(anyhow!("--since has to be before --until")));
        }
        Ok(HistoryFilter { since, until, host, value, method, sni, app, severity, limit, oldest_first })
    }
}

/// Parses an address, or a network in CIDR notation.
fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
    parsed.map_err(|_| "neither an address nor a network such as 10.0.0.0/8".to_owned())
}

/// Runs by id.
struct Runs(HashMap<i64, StoredRun>);

impl Runs {
    fn load(reader: &DatabaseReader) -> Result<Self, StorageError> {
        Ok(Self(reader.runs()?.into_iter().map(|run| (run.id, run)).collect()))
    }

    fn get(&self, run: Option<i64>) -> Option<&StoredRun> {
        self.0.get(&run?)
    }

    /// Sets the names of the sensor and of the interface.
    fn name(&self, row: &mut StoredConnection) {
        let Some(run) = self.get(row.run) else {
            return;
        };
        let interface = row.interface.and_then(|interface| run.interfaces.get(usize::try_from(interface).ok()?));
        (row.sensor, row.in_iface) = (run.sensor.clone(), interface.cloned());
    }

    /// Returns the source of the fields of an alert.
    fn alert<'a>(&'a self, row: &'a StoredAlert) -> AlertRow<'a> {
        let run = self.get(row.run);
        let sensor = run.and_then(|run| run.sensor.as_deref());
        let subject = Subject { event: EventRef::Alert(&row.alert, None), sensor, ..Subject::NONE };
        let interface = row.alert.flow.and(row.alert.interface);
        let in_iface = interface.and_then(|index| run?.interfaces.get(index as usize)).map(String::as_str);
        AlertRow { subject, flow_id: row.flow_id, in_iface }
    }
}

/// A stored alert. Its flow may be known by its id alone, and the run has the name of its interface.
struct AlertRow<'a> {
    subject: Subject<'a>,
    flow_id: Option<u64>,
    in_iface: Option<&'a str>,
}

impl FieldSource for AlertRow<'_> {
    fn value(&self, field: Field) -> Option<FieldValue<'_>> {
        match field {
            Field::FlowId => self.flow_id.map(FieldValue::number),
            Field::InIface => self.in_iface.map(FieldValue::Text),
            _ => field.value(&self.subject),
        }
    }
}

/// Bytes buffered before a write. A reader that pauses must not stop the query: the log of the database cannot shrink
/// during a query.
const MAX_BUFFERED: usize = 64 << 20;

/// Writes lines through a buffer.
struct LineWriter<W> {
    to: W,
    buffer: Vec<u8>,
    failed: Option<std::io::Error>,
}

impl<W: Write> LineWriter<W> {
    fn new(to: W) -> Self {
        Self { to, buffer: Vec::new(), failed: None }
    }

    /// Writes the buffer, if it is large. Returns false if writing failed.
    fn line(&mut self) -> bool {
        if self.buffer.len() >= MAX_BUFFERED {
            self.write();
        }
        self.failed.is_none()
    }

    fn write(&mut self) {
        if self.failed.is_none() {
            self.failed = self.to.write_all(&self.buffer).and_then(|()| self.to.flush()).err();
        }
        self.buffer.clear();
    }

    /// Writes the rest. A closed pipe is a clean end.
    fn finish(mut self) -> Result<W, Failure> {
        self.write();
        match self.failed {
            Some(error) if !is_closed(&error) => Err(Failure::run(anyhow!(error).context("cannot write the output"))),
            _ => Ok(self.to),
        }
    }
}

/// Standard output.
fn stdout() -> Result<LineWriter<std::fs::File>, Failure> {
    Ok(LineWriter::new(crate::output::stdout::stdout().map_err(Failure::run)?))
}

/// Reports a migration.
fn report_migration(path: &Path, changed: &Changed) {
    if let Some(migrated) = &changed.migrated {
        tracing::info!("{}: {migrated}", path.display());
    }
}

/// Reports that the limit excluded rows.
fn report_more(path: &Path, limit: Option<u64>) {
    if let Some(limit) = limit {
        tracing::info!("{} has more; these are {limit}, --limit shows more of them", path.display());
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct ExportArguments {
        #[command(flatten)]
        database: DatabaseFile,

        #[command(flatten)]
        limit: TimeLimit,
    }

    fn parse(arguments: &[&str]) -> Result<ExportArguments, clap::Error> {
        ExportArguments::try_parse_from([&["export"], arguments].concat())
    }

    fn limit(arguments: &[&str], default: u32) -> Option<u64> {
        let parsed = parse(&[&["a.db"], arguments].concat()).unwrap();
        parsed.limit.limit(default).map(|limit| limit.as_secs())
    }

    #[test]
    fn a_database_is_named_once() {
        assert_eq!(parse(&["a.db"]).unwrap().database.path(), Path::new("a.db"));
        assert_eq!(parse(&["--db", "a.db"]).unwrap().database.path(), Path::new("a.db"));
        assert!(parse(&[]).is_err() && parse(&["a.db", "--db", "b.db"]).is_err());
    }

    #[test]
    fn the_first_operand_is_the_database_unless_an_option_names_it() {
        let split = |db: Option<&str>, operands: [Option<&str>; 2]| {
            let split = split_database(db.map(PathBuf::from), operands.map(|operand| operand.map(OsString::from)));
            split.map(|(path, rest)| (path.display().to_string(), rest)).ok()
        };
        assert_eq!(split(None, [Some("a.db"), Some("x")]), Some(("a.db".to_owned(), vec!["x".into()])));
        assert_eq!(split(Some("a.db"), [Some("x"), None]), Some(("a.db".to_owned(), vec!["x".into()])));
        assert_eq!(split(None, [None, None]), None);
    }

    #[test]
    fn only_an_interactive_query_has_a_default_time_limit() {
        assert_eq!((limit(&[], TIMEOUT), limit(&[], 0)), (Some(30), None));
        assert_eq!((limit(&["--timeout", "0"], TIMEOUT), limit(&["--timeout", "7"], 0)), (None, Some(7)));
    }
}
