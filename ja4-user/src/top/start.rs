//! Where the rows are from: a running sensor, or one that is started.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::cell::{Tone, ToneText};
use super::error::TopError;
use super::feed::RowSource;
use super::file_rows::{FileRows, MAX_CONNECTIONS};
use super::file_views::FileViews;
use super::private_folder::PrivateFolder;
use super::program::{self, ProgramEnd};
use super::row;
use super::started_sensor::StartedSensor;
use super::state::top_state::{StartRanges, TopEvent};
use anyhow::anyhow;
use crossbeam_channel::bounded;

/// Events that wait for the state. Their senders wait when it is full.
const QUEUE: usize = 1024;

/// What is viewed.
#[derive(Debug)]
pub(crate) enum TopSource {
    /// A running sensor.
    Running { name: String, socket: PathBuf },
    /// A sensor that is started with these arguments and ends with the program. Its socket is in the folder.
    Started { name: String, arguments: Vec<OsString>, folder: PrivateFolder },
    /// A capture file.
    File { path: PathBuf, config: Option<PathBuf> },
}

/// Runs until the user quits.
///
/// # Errors
/// See [`TopError`].
pub(crate) fn run(source: TopSource) -> Result<(), TopError> {
    let (events, received) = bounded(QUEUE);
    let mut ranges = StartRanges::default();
    let (name, rows, started) = match source {
        TopSource::Running { name, socket } => (name, RowSource::Sensor(socket), None),
        TopSource::Started { name, arguments, folder } => {
            let rows = RowSource::Sensor(folder.socket());
            (name, rows, Some(StartedSensor::start(&arguments, folder, &events)?))
        }
        TopSource::File { path, config } => {
            let rows = FileRows::replay(&path, config.as_deref())?;
            if rows.has_more {
                let notice = format!("only the latest {MAX_CONNECTIONS} connections of the file are shown");
                let _queued = events.send(TopEvent::Notice(ToneText::new(notice, Tone::Warning)));
            }
            let views = FileViews::new(rows);
            ranges = views.ranges();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (row::visible(&name), RowSource::File(Arc::new(views)), None)
        }
    };
    let end = program::run(&name, &rows, &ranges, (events, received))?;
    let status = started.and_then(|mut sensor| sensor.end());
    match end {
        ProgramEnd::Quit => Ok(()),
        ProgramEnd::NotStarted(reason) if reason.is_empty() => Err(anyhow!("the sensor has ended").into()),
        ProgramEnd::NotStarted(reason) => {
            Err(TopError::NotStarted { reason: format!("the sensor did not start: {reason}"), status })
        }
    }
}
