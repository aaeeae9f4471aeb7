//! The rows of a capture file: it is replayed into a database of its own, and read from there.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use serde_json::Value;

use super::error::TopError;
use super::private_folder::PrivateFolder;
use super::started_sensor::this_program;
use crate::encode::{Format, Formatter};
use crate::output::storage::reader::{FingerprintWithConnection, StoredConnection};
use crate::output::storage::{DatabaseReader, HistoryFilter};

/// Most connections that are read: they are kept in memory.
pub(super) const MAX_CONNECTIONS: u64 = 200_000;

/// A connection with its fingerprints.
#[derive(Clone, Debug)]
pub(super) struct FileConnection {
    /// What a filter is evaluated on.
    pub(super) stored: StoredConnection,
    pub(super) row: Value,
}

/// What a replay found.
#[derive(Debug, Default)]
pub(super) struct FileRows {
    /// The latest first.
    pub(super) connections: Vec<FileConnection>,
    /// The newest first.
    pub(super) alerts: Vec<Value>,
    pub(super) stats: Value,
    /// Whether there are more connections than are read.
    pub(super) has_more: bool,
    /// The folder of the database; `None` in tests.
    pub(super) folder: Option<PrivateFolder>,
}

impl FileRows {
    /// Replays a file. Messages and progress of the replay are written to standard error.
    ///
    /// # Errors
    /// If the replay fails, or its database cannot be read.
    pub(super) fn replay(path: &Path, config: Option<&Path>) -> Result<Self, TopError> {
        let folder = PrivateFolder::new()?;
        let database = folder.database();
        let mut arguments: Vec<OsString> =
            vec!["replay".into(), "--types".into(), "alert,stats".into(), "--raw".into()];
        arguments.extend(["--db".into(), database.clone().into()]);
        arguments.extend(config.into_iter().flat_map(|config| ["--config".into(), config.into()]));
        arguments.extend(["--".into(), path.into()]);
        let mut command = Command::new(this_program());
        command.args(arguments).stdin(Stdio::inherit()).stderr(Stdio::inherit());
        let output = command.output().context("cannot start the replay")?;
        let mut rows = Self { folder: Some(folder), ..Self::default() };
        for line in output.stdout.split(|byte| *byte == b'\n') {
            rows.add_event(serde_json::from_slice(line).unwrap_or_default());
        }
        rows.alerts.reverse();
        if database.exists() {
            rows.read(&database)?;
        }
        // A file that ends early has connections too.
        if !output.status.success() && rows.connections.is_empty() {
            let reason = format!("{}: the replay failed", path.display());
            return Err(TopError::NotStarted { reason, status: output.status.code() });
        }
        Ok(rows)
    }

    fn add_event(&mut self, event: Value) {
        match event.get("event_type").and_then(Value::as_str) {
            Some("alert") => self.alerts.push(event),
            Some("stats") => self.stats = event.get("stats").cloned().unwrap_or_default(),
            _ => {}
        }
    }

    fn read(&mut self, database: &Path) -> anyhow::Result<()> {
        let reader = DatabaseReader::open(database, None)?;
        let mut formatter = Formatter::new(Format::Json, Arc::default());
        let filter = HistoryFilter { limit: Some(MAX_CONNECTIONS), ..HistoryFilter::default() };
        let mut line = Vec::new();
        let mut damaged = None;
        let outcome = reader.timelines(&filter, |connection, timeline| {
            line.clear();
            let rows =
                timeline.iter().map(|fingerprint| FingerprintWithConnection { connection: &connection, fingerprint });
            let rows = rows.map(|row| (row.fingerprint.time, row));
            formatter.row_with_fingerprints(connection.last, &connection, rows, &mut line);
            match serde_json::from_slice(&line) {
                Ok(row) => {
                    self.connections.push(FileConnection { stored: connection, row });
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    damaged = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        self.has_more = outcome.more;
        damaged.map_or(Ok(()), |error| Err(anyhow!(error).context("cannot read a stored connection")))
    }
}
