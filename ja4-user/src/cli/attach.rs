//! `ja4sensor attach`.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::{Args, ValueEnum as _};
use serde_json::{Map, Value};

use super::attach_socket;
use super::failure::Failure;
use crate::encode::{Filter, Format};
use crate::model::DisplayFilter;
use crate::output::attach::ACCEPTED;
use crate::output::stdout::{is_closed, stdout};
use crate::units::HumanDuration;

/// Time between two attempts to connect.
const RETRY: Duration = Duration::from_millis(500);

/// Longest time without a line after which the end of the run is checked.
const WAIT: Duration = Duration::from_millis(200);

/// Print the events of a running sensor, as `run` prints them, until SIGINT or SIGTERM.
#[derive(Debug, Args)]
pub(super) struct AttachCommand {
    /// Name of a running sensor, or its socket [default: the running sensor]
    #[arg(value_name = "SENSOR")]
    sensor: Option<PathBuf>,

    /// Format of the lines
    #[arg(long, help_heading = "Output", value_enum, default_value = "json")]
    format: Format,

    /// Event types and methods to print, separated by commas: fingerprint, connection, alert, stats, ja4, ja4s, ...
    /// [default: all]
    #[arg(long, help_heading = "Output", value_name = "LIST")]
    types: Option<String>,

    /// Only events of connections that an expression selects, such as 'app:curl and not dport:443'
    #[arg(long, help_heading = "Output", value_name = "EXPR")]
    filter: Option<String>,

    /// End after N lines
    #[arg(long, help_heading = "End of the run", value_name = "N")]
    count: Option<u64>,

    /// End after a time, such as 90s or 10m
    #[arg(long, help_heading = "End of the run", value_name = "TIME")]
    duration: Option<HumanDuration>,

    /// End when the sensor ends, instead of waiting for its next start
    #[arg(long, help_heading = "End of the run")]
    no_reconnect: bool,
}

/// Why nothing more is printed of one connection to the sensor.
enum AttachmentEnd {
    /// It ended, or could not be made.
    Detached(io::Error),
    /// The sensor refused the request.
    Refused(String),
    /// Everything is printed, or the reader of standard output is gone.
    Done,
    /// Standard output cannot be written.
    Failed(io::Error),
}

impl AttachCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let request = self.request()?;
        let socket = attach_socket::find(self.sensor.as_deref())?;
        let mut printer = LinePrinter {
            out: stdout().map_err(Failure::run)?,
            left: self.count,
            end: self.duration.map(|duration| Instant::now() + duration.0),
            has_header: matches!(self.format, Format::Csv | Format::Table),
            header_is_printed: false,
            has_attached: false,
        };
        let mut is_waiting = false;
        loop {
            let before = printer.has_attached;
            let error = match printer.print(&socket, &request) {
                AttachmentEnd::Done => return Ok(()),
                AttachmentEnd::Failed(error) => {
                    return Err(Failure::run(anyhow!(error).context("cannot write the output")));
                }
                AttachmentEnd::Refused(reason) => {
                    return Err(Failure::run(anyhow!("the sensor refused the request: {reason}")));
                }
                AttachmentEnd::Detached(error) => error,
            };
            if !printer.has_attached {
                return Err(failure(&socket, &error));
            }
            if self.no_reconnect || printer.is_over() {
                return Ok(());
            }
            is_waiting &= before;
            if !std::mem::replace(&mut is_waiting, true) {
                tracing::warn!("the sensor has ended; waiting for its next start");
            }
            thread::sleep(RETRY);
        }
    }

    /// The request, one line.
    fn request(&self) -> Result<String, Failure> {
        let format = self.format.to_possible_value().map(|value| value.get_name().to_owned());
        let mut members = Map::from_iter([("view".to_owned(), "events".into()), ("format".to_owned(), format.into())]);
        if let Some(list) = &self.types {
            list.parse::<Filter>().map_err(|error| Failure::usage(anyhow!("--types: {error}")))?;
            members.insert("types".to_owned(), list.split(',').map(str::trim).collect());
        }
        if let Some(text) = &self.filter {
            DisplayFilter::parse(text).map_err(|error| Failure::usage(anyhow!("--filter: {error}")))?;
            members.insert("filter".to_owned(), text.as_str().into());
        }
        Ok(Value::Object(members).to_string() + "\n")
    }
}

fn failure(socket: &Path, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "; run as the sensor's user or root, or see attach.group",
        io::ErrorKind::ConnectionRefused => "; the sensor of this socket has ended",
        _ => "",
    };
    Failure::run(anyhow!("cannot attach to {}: {error}{hint}", socket.display()))
}

/// Prints lines to standard output.
struct LinePrinter {
    out: File,
    /// Lines that are left to print.
    left: Option<u64>,
    end: Option<Instant>,
    /// Whether the format has a header, and whether it was printed.
    has_header: bool,
    header_is_printed: bool,
    /// Whether a sensor was attached to.
    has_attached: bool,
}

impl LinePrinter {
    /// Connects, requests events, and prints them.
    fn print(&mut self, socket: &Path, request: &str) -> AttachmentEnd {
        let connect = || {
            let mut stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(WAIT))?;
            stream.write_all(request.as_bytes())?;
            Ok(BufReader::new(stream))
        };
        let mut reader = match connect() {
            Ok(reader) => reader,
            Err(error) => return AttachmentEnd::Detached(error),
        };
        let (mut line, mut is_accepted, mut expects_header) = (Vec::new(), false, self.has_header);
        while !self.is_over() {
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => return AttachmentEnd::Detached(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) if line.ends_with(b"\n") => {}
                Ok(_) => continue,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    self.has_attached = true;
                    continue;
                }
                Err(error) => return AttachmentEnd::Detached(error),
            }
            self.has_attached = true;
            let taken = std::mem::take(&mut line);
            match SensorNote::read(&taken) {
                Some(SensorNote::Lost(lost)) => tracing::warn!("{lost} lines were lost: this reader is too slow"),
                Some(SensorNote::Refused(reason)) => return AttachmentEnd::Refused(reason),
                // Lines that were sent before the request arrived are not the requested ones.
                None if !is_accepted => is_accepted = taken == ACCEPTED,
                None => {
                    let is_header = std::mem::replace(&mut expects_header, false);
                    if is_header && std::mem::replace(&mut self.header_is_printed, true) {
                        continue;
                    }
                    match self.out.write_all(&taken) {
                        Ok(()) => {}
                        Err(error) if is_closed(&error) => return AttachmentEnd::Done,
                        Err(error) => return AttachmentEnd::Failed(error),
                    }
                    self.left = self.left.map(|left| left.saturating_sub(u64::from(!is_header)));
                }
            }
        }
        AttachmentEnd::Done
    }

    fn is_over(&self) -> bool {
        self.left == Some(0) || self.end.is_some_and(|end| Instant::now() >= end)
    }
}

/// A line of the sensor that is no event.
enum SensorNote {
    Lost(u64),
    Refused(String),
}

impl SensorNote {
    fn read(line: &[u8]) -> Option<Self> {
        let is_note = line.starts_with(b"{\"event_type\":\"lost\"") || line.starts_with(b"{\"event_type\":\"refused\"");
        let value: Value = is_note.then(|| serde_json::from_slice(line).ok()).flatten()?;
        match value.get("lost") {
            Some(lost) => lost.as_u64().map(Self::Lost),
            None => Some(Self::Refused(value.get("reason")?.as_str()?.to_owned())),
        }
    }
}
