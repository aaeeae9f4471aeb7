//! One attached reader.

use std::io::{self, ErrorKind, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};

use super::view::{EventStream, ReaderRequest, ViewError, ViewRequest, ViewSlot};
use crate::encode::Formatter;

/// Queue of a reader in chunks of lines and in bytes: about one second of a busy sensor.
const QUEUE: usize = 1024;
const QUEUE_BYTES: usize = 1 << 20;

/// Interval at which the thread checks whether the reader has closed the socket or the server stops.
const STOP_CHECK: Duration = Duration::from_millis(200);

/// Precedes the events that a reader has asked for.
pub(crate) const ACCEPTED: &[u8] = b"{\"event_type\":\"accepted\"}\n";

/// Bytes of a request.
const MAX_REQUEST: usize = 4096;

/// A reader, as seen by the broadcasting thread.
#[derive(Debug)]
pub(crate) struct AttachedReader {
    queue: Sender<QueuedLines>,
    /// Bytes in the queue.
    waiting: Arc<AtomicUsize>,
    /// Lines dropped since the last enqueued chunk.
    lost: Arc<AtomicU64>,
    /// Deadline of the thread, set when the server ends.
    deadline: Arc<OnceLock<Instant>>,
    /// It has asked for a view or for events of its own, and gets no others.
    has_asked: AtomicBool,
    /// The events that it has asked for.
    stream: ArcSwapOption<EventStream>,
}

#[derive(Debug)]
struct QueuedLines {
    /// Lines dropped before these.
    lost: u64,
    lines: Bytes,
}

/// The state of the reader's thread.
#[derive(Debug)]
pub(super) struct ReaderConnection {
    stream: UnixStream,
    queue: Receiver<QueuedLines>,
    /// The start of a request.
    received: Vec<u8>,
}

impl AttachedReader {
    pub(super) fn new(stream: UnixStream) -> io::Result<(Self, ReaderConnection)> {
        // A reader that does not read must not keep its thread from ending.
        stream.set_write_timeout(Some(STOP_CHECK))?;
        let (sender, queue) = bounded(QUEUE);
        let reader = Self {
            queue: sender,
            waiting: Arc::default(),
            lost: Arc::default(),
            deadline: Arc::default(),
            has_asked: AtomicBool::new(false),
            stream: ArcSwapOption::empty(),
        };
        Ok((reader, ReaderConnection { stream, queue, received: Vec::new() }))
    }

    /// Whether it gets the events of those who have asked for nothing.
    pub(super) fn gets_events(&self) -> bool {
        !self.has_asked.load(Ordering::Relaxed)
    }

    /// The events that it has asked for.
    pub(crate) fn stream(&self) -> Option<Arc<EventStream>> {
        self.stream.load_full()
    }

    /// Enqueues lines, or drops and counts them. Returns the number of dropped lines.
    pub(super) fn offer(&self, lines: &Bytes) -> u64 {
        let count = || memchr::memchr_iter(b'\n', lines).count() as u64;
        let waiting = self.waiting.load(Ordering::Acquire);
        // An empty queue accepts a chunk of any size.
        if waiting > 0 && waiting.saturating_add(lines.len()) > QUEUE_BYTES {
            return self.lose(count());
        }
        let lost = self.lost.swap(0, Ordering::AcqRel);
        self.waiting.fetch_add(lines.len(), Ordering::AcqRel);
        if self.queue.try_send(QueuedLines { lost, lines: lines.clone() }).is_err() {
            self.waiting.fetch_sub(lines.len(), Ordering::AcqRel);
            self.lost.fetch_add(lost, Ordering::AcqRel);
            return self.lose(count());
        }
        0
    }

    fn lose(&self, lines: u64) -> u64 {
        self.lost.fetch_add(lines, Ordering::AcqRel);
        lines
    }

    /// Ends the thread once its queue is empty, at `deadline` at the latest.
    pub(super) fn end(&self, deadline: Instant) {
        let _first = self.deadline.set(deadline);
    }
}

/// Serves a reader until it disconnects or the server ends: with events, and with a view once it has asked for one.
/// `changes` counts what readers ask for.
pub(super) fn serve(
    reader: &AttachedReader,
    mut connection: ReaderConnection,
    views: &ViewSlot,
    lost_snapshots: &AtomicU64,
    changes: &AtomicU64,
) {
    let mut request = connection.serve_events(reader);
    while let Some(asked) = request {
        reader.has_asked.store(true, Ordering::Relaxed);
        request = match asked {
            ReaderRequest::View(view) => {
                reader.stream.store(None);
                connection.serve_view(&view, reader, views, lost_snapshots)
            }
            ReaderRequest::Events(stream) => {
                // What was enqueued before it asked is not for it. The header precedes the lines of any thread.
                for QueuedLines { lines, .. } in connection.queue.try_iter() {
                    reader.waiting.fetch_sub(lines.len(), Ordering::AcqRel);
                }
                let mut header = ACCEPTED.to_vec();
                Formatter::new(stream.format, Arc::default()).header(&mut header);
                if connection.write(&header, reader).is_err() {
                    break;
                }
                reader.stream.store(Some(stream));
                changes.fetch_add(1, Ordering::Release);
                connection.serve_events(reader)
            }
        };
    }
    reader.stream.store(None);
    changes.fetch_add(1, Ordering::Release);
}

impl ReaderConnection {
    /// Writes the queue, until the reader asks for something else.
    fn serve_events(&mut self, reader: &AttachedReader) -> Option<ReaderRequest> {
        loop {
            match self.queue.recv_timeout(STOP_CHECK) {
                Ok(QueuedLines { lost, lines }) => {
                    let written = self.report_lost(lost, reader).and_then(|()| self.write(&lines, reader));
                    reader.waiting.fetch_sub(lines.len(), Ordering::AcqRel);
                    written.ok()?;
                }
                Err(RecvTimeoutError::Timeout) => {
                    // Reports dropped lines that no later chunk reports.
                    let lost = reader.lost.swap(0, Ordering::AcqRel);
                    self.report_lost(lost, reader).ok()?;
                    if reader.deadline.get().is_some() {
                        return None;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if let Some(request) = self.next_request(reader).ok()? {
                return Some(request);
            }
        }
    }

    /// Writes snapshots of a view. Returns the next request.
    fn serve_view(
        &mut self,
        request: &ViewRequest,
        reader: &AttachedReader,
        views: &ViewSlot,
        lost_snapshots: &AtomicU64,
    ) -> Option<ReaderRequest> {
        let (mut due, mut lost) = (Instant::now(), 0);
        loop {
            let mut next = request.interval();
            match views.query(request.query()) {
                Ok(answer) => {
                    self.write(&request.line(&answer, lost), reader).ok()?;
                    lost = 0;
                }
                Err(ViewError::Refused(reason)) => {
                    self.refuse(&reason, reader).ok()?;
                    next = None;
                }
                Err(ViewError::Busy) => {
                    lost += 1;
                    lost_snapshots.fetch_add(1, Ordering::Relaxed);
                }
                Err(ViewError::Ended) => return None,
            }
            if let Some(interval) = next {
                due += interval;
                while due <= Instant::now() {
                    due += interval;
                    lost += 1;
                    lost_snapshots.fetch_add(1, Ordering::Relaxed);
                }
            }
            let left = || next.map_or(Some(STOP_CHECK), |_| due.checked_duration_since(Instant::now()));
            while let Some(left) = left() {
                let timeout = PollTimeout::try_from(left.min(STOP_CHECK)).unwrap_or(PollTimeout::ZERO);
                let _ready = poll(&mut [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)], timeout);
                if let Some(request) = self.next_request(reader).ok()? {
                    return Some(request);
                }
                if reader.deadline.get().is_some() {
                    return None;
                }
            }
        }
    }

    /// Returns the request that the reader has sent, if any. An invalid one is refused.
    ///
    /// # Errors
    /// If the reader has disconnected, or sends something that is no line.
    fn next_request(&mut self, reader: &AttachedReader) -> io::Result<Option<ReaderRequest>> {
        let mut bytes = [0; 512];
        loop {
            match recv(self.stream.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.received.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                Err(error) => return Err(error.into()),
            }
            if self.received.len() > MAX_REQUEST {
                self.refuse("a request is longer than 4096 bytes", reader)?;
                return Err(ErrorKind::InvalidData.into());
            }
        }
        while let Some(end) = memchr::memchr(b'\n', &self.received) {
            let line: Vec<u8> = self.received.drain(..=end).collect();
            match ReaderRequest::parse(&line) {
                Ok(request) => return Ok(Some(request)),
                Err(reason) => self.refuse(&reason, reader)?,
            }
        }
        Ok(None)
    }

    fn refuse(&mut self, reason: &str, reader: &AttachedReader) -> io::Result<()> {
        let line = serde_json::json!({ "event_type": "refused", "reason": reason }).to_string() + "\n";
        self.write(line.as_bytes(), reader)
    }

    fn report_lost(&mut self, lost: u64, reader: &AttachedReader) -> io::Result<()> {
        if lost == 0 {
            return Ok(());
        }
        let line = format!("{{\"event_type\":\"lost\",\"lost\":{lost}}}\n");
        self.write(line.as_bytes(), reader)
    }

    /// Writes all bytes, however slow the reader is.
    fn write(&mut self, mut bytes: &[u8], reader: &AttachedReader) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if reader.deadline.get().is_some_and(|deadline| Instant::now() >= *deadline) {
                        return Err(error);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
