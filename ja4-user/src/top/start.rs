//! Where the rows are from: a running sensor, or one that is started.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::anyhow;
use crossbeam_channel::bounded;
use thiserror::Error;

use super::program::{self, ProgramEnd};
use super::started_sensor::{PrivateFolder, StartedSensor};
use super::state::top_state::StartRanges;

/// Events that wait for the state. Their senders wait when it is full.
const QUEUE: usize = 1024;

/// What is viewed.
#[derive(Debug)]
pub(crate) enum TopSource {
    /// A running sensor.
    Running { name: String, socket: PathBuf },
    /// A sensor that is started with these arguments and ends with the program. Its socket is in the folder.
    Started { name: String, arguments: Vec<OsString>, folder: PrivateFolder },
}

/// Why the program ended early.
#[derive(Debug, Error)]
pub(crate) enum TopError {
    /// The sensor did not start. It has its own exit status.
    #[error("the sensor did not start: {reason}")]
    NotStarted { reason: String, status: Option<i32> },
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// Runs until the user quits.
///
/// # Errors
/// See [`TopError`].
pub(crate) fn run(source: TopSource) -> Result<(), TopError> {
    let (events, received) = bounded(QUEUE);
    let ranges = StartRanges::default();
    let (name, socket, started) = match source {
        TopSource::Running { name, socket } => (name, socket, None),
        TopSource::Started { name, arguments, folder } => {
            let socket = folder.socket();
            (name, socket, Some(StartedSensor::start(&arguments, folder, &events)?))
        }
    };
    let end = program::run(&name, &socket, &ranges, (events, received))?;
    let status = started.and_then(|mut sensor| sensor.end());
    match end {
        ProgramEnd::Quit => Ok(()),
        ProgramEnd::NotStarted(reason) if reason.is_empty() => Err(anyhow!("the sensor has ended").into()),
        ProgramEnd::NotStarted(reason) => Err(TopError::NotStarted { reason, status }),
    }
}
