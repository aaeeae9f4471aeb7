//! One attached reader.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

/// Chunks of lines that may wait for a reader, and their bytes: about a second of a busy sensor's.
const QUEUE: usize = 1024;
const QUEUE_BYTES: usize = 1 << 20;

/// Between two looks at whether the reader is still there, or the server ends.
const PAUSE: Duration = Duration::from_millis(200);

/// What the thread that broadcasts knows of a reader.
#[derive(Debug)]
pub(super) struct AttachedReader {
    queue: Sender<QueuedLines>,
    /// Bytes that wait.
    waiting: Arc<AtomicUsize>,
    /// Lines lost since the last chunk that went into the queue.
    lost: Arc<AtomicU64>,
    /// When the thread has to be done, once the server ends.
    deadline: Arc<OnceLock<Instant>>,
}

#[derive(Debug)]
struct QueuedLines {
    /// Lines lost before these.
    lost: u64,
    lines: Bytes,
}

/// What the reader's own thread has.
#[derive(Debug)]
pub(super) struct ReaderConnection {
    stream: UnixStream,
    queue: Receiver<QueuedLines>,
}

impl AttachedReader {
    pub(super) fn new(stream: UnixStream) -> io::Result<(Self, ReaderConnection)> {
        // So that a reader that takes nothing does not keep its thread from ending.
        stream.set_write_timeout(Some(PAUSE))?;
        let (sender, queue) = bounded(QUEUE);
        let reader = Self { queue: sender, waiting: Arc::default(), lost: Arc::default(), deadline: Arc::default() };
        Ok((reader, ReaderConnection { stream, queue }))
    }

    /// Puts lines into the queue, or counts them as lost: how many were lost.
    pub(super) fn offer(&self, lines: &Bytes) -> u64 {
        let count = || memchr::memchr_iter(b'\n', lines).count() as u64;
        let waiting = self.waiting.load(Ordering::Acquire);
        // Any chunk fits where nothing waits.
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

    /// Has the thread end once its queue is empty, at `deadline` at the latest.
    pub(super) fn end(&self, deadline: Instant) {
        let _first = self.deadline.set(deadline);
    }
}

/// Writes to a reader what it is to have, until it goes or the server ends.
pub(super) fn serve(reader: &AttachedReader, mut work: ReaderConnection) {
    loop {
        match work.queue.recv_timeout(PAUSE) {
            Ok(QueuedLines { lost, lines }) => {
                let written = work.tell(lost, reader).and_then(|()| work.write(&lines, reader));
                reader.waiting.fetch_sub(lines.len(), Ordering::AcqRel);
                if written.is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                // Nothing came after the loss that could tell of it.
                let lost = reader.lost.swap(0, Ordering::AcqRel);
                if work.tell(lost, reader).is_err() || work.is_gone() || reader.deadline.get().is_some() {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl ReaderConnection {
    fn tell(&mut self, lost: u64, reader: &AttachedReader) -> io::Result<()> {
        if lost == 0 {
            return Ok(());
        }
        let line = format!("{{\"event_type\":\"lost\",\"lost\":{lost}}}\n");
        self.write(line.as_bytes(), reader)
    }

    /// Writes all of it, however slowly it is taken.
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

    /// Whether the reader has closed its end. What it says is thrown away.
    fn is_gone(&mut self) -> bool {
        if self.stream.set_nonblocking(true).is_err() {
            return true;
        }
        let gone = match self.stream.read(&mut [0; 512]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        gone || self.stream.set_nonblocking(false).is_err()
    }
}
