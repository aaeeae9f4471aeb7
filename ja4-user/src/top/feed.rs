//! A connection to the sensor that is made again whenever it ends.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::request::{MAX_ANSWER, TopAnswer, TopRequest};
use super::state::top_state::{FeedKind, TopEvent};

/// Time between two attempts to connect.
const RETRY: Duration = Duration::from_millis(500);

/// Longest time that a request waits for room in the socket.
const WRITE_LIMIT: Duration = Duration::from_secs(1);

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
    pub(super) fn start(
        kind: FeedKind,
        path: PathBuf,
        request: TopRequest,
        events: Sender<TopEvent>,
    ) -> io::Result<Self> {
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

    /// Asks for other rows, unless they are those that were asked for last.
    pub(super) fn request(&self, request: TopRequest) {
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
