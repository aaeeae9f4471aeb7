//! One attached reader.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// Queue of a reader in chunks of lines and in bytes: about one second of a busy sensor.
const QUEUE: usize = 1024;
const QUEUE_BYTES: usize = 1 << 20;

/// Interval at which the thread checks whether the reader has closed the socket or the server stops.
const STOP_CHECK: Duration = Duration::from_millis(200);

/// A reader, as seen by the broadcasting thread.
#[derive(Debug)]
pub(super) struct AttachedReader {
    queue: Sender<QueuedLines>,
    /// Bytes in the queue.
    waiting: Arc<AtomicUsize>,
    /// Lines dropped since the last enqueued chunk.
    lost: Arc<AtomicU64>,
    /// Deadline of the thread, set when the server ends.
    deadline: Arc<OnceLock<Instant>>,
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
}

impl AttachedReader {
    pub(super) fn new(stream: UnixStream) -> io::Result<(Self, ReaderConnection)> {
        // A reader that does not read must not keep its thread from ending.
        stream.set_write_timeout(Some(STOP_CHECK))?;
        let (sender, queue) = bounded(QUEUE);
        let reader = Self { queue: sender, waiting: Arc::default(), lost: Arc::default(), deadline: Arc::default() };
        Ok((reader, ReaderConnection { stream, queue }))
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

/// Writes the queue to a reader until the reader disconnects or the server ends.
pub(super) fn serve(reader: &AttachedReader, mut connection: ReaderConnection) {
    loop {
        match connection.queue.recv_timeout(STOP_CHECK) {
            Ok(QueuedLines { lost, lines }) => {
                let written = connection.report_lost(lost, reader).and_then(|()| connection.write(&lines, reader));
                reader.waiting.fetch_sub(lines.len(), Ordering::AcqRel);
                if written.is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                // Reports dropped lines that no later chunk reports.
                let lost = reader.lost.swap(0, Ordering::AcqRel);
                if connection.report_lost(lost, reader).is_err()
                    || connection.is_closed()
                    || reader.deadline.get().is_some()
                {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl ReaderConnection {
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

    /// Whether the reader has closed the socket. Received data is discarded.
    fn is_closed(&mut self) -> bool {
        if self.stream.set_nonblocking(true).is_err() {
            return true;
        }
        let closed = match self.stream.read(&mut [0; 512]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        closed || self.stream.set_nonblocking(false).is_err()
    }
}
