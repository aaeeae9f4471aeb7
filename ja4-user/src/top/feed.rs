//! Where the rows are from: a connection to a sensor, which is made again whenever it ends, or a capture file.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use crossbeam_channel::{Sender, unbounded};

use super::file_views::FileViews;
use super::request::{MAX_ANSWER, TopAnswer, TopRequest, TopSnapshot};
use super::state::top_state::{FeedKind, TopEvent};

/// Time between two attempts to connect.
const RETRY: Duration = Duration::from_millis(500);

/// Longest time that a request waits for room in the socket.
const WRITE_LIMIT: Duration = Duration::from_secs(1);

/// Longest wait for an answer to a single request.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Where the rows are from.
#[derive(Clone, Debug)]
pub(super) enum RowSource {
    /// The socket of a sensor.
    Sensor(PathBuf),
    File(Arc<FileViews>),
}

/// A request. Its answers arrive as events.
#[derive(Debug)]
pub(super) enum RowFeed {
    Sensor(SensorFeed),
    /// Sends requests to a thread that answers each one once: a file does not change.
    File(Sender<TopRequest>),
}

impl RowSource {
    /// Starts the thread of a feed.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn feed(&self, kind: FeedKind, request: TopRequest, events: Sender<TopEvent>) -> io::Result<RowFeed> {
        match self {
            Self::Sensor(socket) => SensorFeed::start(kind, socket.clone(), request, events).map(RowFeed::Sensor),
            Self::File(views) => {
                let views = Arc::clone(views);
                let (requests, received) = unbounded();
                let _queued = requests.send(request);
                thread::Builder::new().name("file".to_owned()).spawn(move || {
                    let _sent = events.send(TopEvent::Attached(kind));
                    let mut last = None;
                    while let Ok(request) = received.recv() {
                        // Of several requests that wait, the last one is of interest.
                        let request = received.try_iter().last().unwrap_or(request);
                        if last.as_ref() == Some(&request) {
                            continue;
                        }
                        if events.send(TopEvent::Answer(kind, views.answer(&request))).is_err() {
                            return;
                        }
                        last = Some(request);
                    }
                })?;
                Ok(RowFeed::File(requests))
            }
        }
    }

    /// Returns the number of rows that there are, and the rows of one request.
    ///
    /// # Errors
    /// If the sensor does not answer, or refuses the request.
    pub(super) fn ask(&self, request: &TopRequest) -> anyhow::Result<TopSnapshot> {
        let answer = match self {
            Self::Sensor(socket) => ask(socket, request)?,
            Self::File(views) => views.answer(request),
        };
        match answer {
            TopAnswer::Rows(snapshot) => Ok(snapshot),
            TopAnswer::Refused(reason) => bail!("refused: {reason}"),
        }
    }
}

impl RowFeed {
    /// Asks for other rows, unless they are those that were asked for last.
    pub(super) fn request(&self, request: TopRequest) {
        match self {
            Self::Sensor(feed) => feed.request(request),
            // The thread lives as long as the program.
            Self::File(requests) => drop(requests.send(request)),
        }
    }
}

/// Sends a request on a connection of its own, and returns the first answer.
fn ask(socket: &Path, request: &TopRequest) -> anyhow::Result<TopAnswer> {
    let mut stream = UnixStream::connect(socket).context("cannot connect to the sensor")?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(request.line().as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(MAX_ANSWER).read_until(b'\n', &mut line).context("no answer of the sensor")? == 0 {
            bail!("the sensor has ended");
        }
        if let Some(answer) = TopAnswer::parse(&line) {
            return Ok(answer);
        }
    }
}

/// What the thread of a feed shares with the one that sends requests.
#[derive(Debug, Default)]
struct FeedState {
    request: TopRequest,
    /// The connection, while there is one.
    stream: Option<UnixStream>,
}

/// A connection to the sensor. Answers arrive as events.
#[derive(Clone, Debug)]
pub(super) struct SensorFeed {
    shared: Arc<Mutex<FeedState>>,
}

impl SensorFeed {
    /// Starts the thread of the feed, which connects to `path` until the process ends.
    ///
    /// # Errors
    /// If the thread cannot be started.
    fn start(kind: FeedKind, path: PathBuf, request: TopRequest, events: Sender<TopEvent>) -> io::Result<Self> {
        let feed = Self { shared: Arc::new(Mutex::new(FeedState { request, stream: None })) };
        let reader = feed.clone();
        thread::Builder::new().name("feed".to_owned()).spawn(move || {
            loop {
                let ended = reader.read(kind, &path, &events);
                reader.lock().stream = None;
                let reason = ended.map_or_else(|error| describe(&error), |()| "the sensor has ended".to_owned());
                if events.send(TopEvent::Detached(kind, reason)).is_err() {
                    return;
                }
                thread::sleep(RETRY);
            }
        })?;
        Ok(feed)
    }

    fn request(&self, request: TopRequest) {
        let mut state = self.lock();
        if state.request == request {
            return;
        }
        let line = request.line();
        state.request = request;
        let failed = state.stream.take_if(|stream| stream.write_all(line.as_bytes()).is_err());
        // The next connection sends the request again.
        failed.into_iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    /// Connects, sends the request, and reads answers until the sensor ends.
    fn read(&self, kind: FeedKind, path: &Path, events: &Sender<TopEvent>) -> io::Result<()> {
        let stream = UnixStream::connect(path)?;
        stream.set_write_timeout(Some(WRITE_LIMIT))?;
        {
            let mut state = self.lock();
            let mut writer = stream.try_clone()?;
            writer.write_all(state.request.line().as_bytes())?;
            state.stream = Some(writer);
        }
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        let mut is_attached = false;
        loop {
            line.clear();
            if (&mut reader).take(MAX_ANSWER).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let Some(answer) = TopAnswer::parse(&line) else { continue };
            // The first answer shows that the sensor serves this reader.
            if !is_attached {
                is_attached = true;
                let _sent = events.send(TopEvent::Attached(kind));
            }
            if events.send(TopEvent::Answer(kind, answer)).is_err() {
                return Ok(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, FeedState> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Describes an error in few words, for the status bar.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "no sensor serves the socket".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to open the socket".to_owned(),
        _ => error.to_string(),
    }
}
