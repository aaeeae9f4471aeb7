//! The thread that writes standard output, so that a stalled reader blocks no other thread.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::sync::oneshot;

use crate::output::line_queue::count_lines;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};
use crate::system::shutdown_watch::Shutdown;
use crate::units::Counted;

/// Bytes of lines that a replay buffers before it sends them to the thread.
const CHUNK: usize = 1 << 18;

/// Chunks in the queue of a replay: one more is being filled, and one more is being written.
const CHUNKS: usize = 1;

/// Interval at which a waiting replay checks for a shutdown.
const CHECK: Duration = Duration::from_millis(100);

/// Why lines were not written.
#[derive(Debug)]
pub(crate) enum StdoutError {
    /// The write failed.
    Io(io::Error),
    /// Number of lines that the reader had not read when the shutdown's phase was over.
    Unread(u64),
}

impl From<StdoutError> for io::Error {
    fn from(error: StdoutError) -> Self {
        match error {
            StdoutError::Io(error) => error,
            StdoutError::Unread(lines) => {
                let lost = format!("the reader stopped reading; {} lost", Counted(lines, "line"));
                Self::new(io::ErrorKind::TimedOut, lost)
            }
        }
    }
}

/// Returns standard output without a buffer, because lines are written in large chunks.
pub(crate) fn stdout() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Whether the reader closed the pipe, which is a clean end.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// The progress of the thread.
#[derive(Debug, Default)]
struct WriterProgress {
    /// The queue, to count what waits in it; `None` once the thread has ended, so that senders notice.
    queue: Mutex<Option<Receiver<Bytes>>>,
    /// Lines of the chunk that is being written.
    writing: AtomicU64,
    /// Chunks that were written, or `None` once the thread has ended.
    written: Mutex<Option<u64>>,
    changed: Condvar,
    /// The memory of written chunks.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl WriterProgress {
    /// Keeps the memory of a chunk: to allocate and free some hundred KiB again and again is slow.
    fn recycle(&self, chunk: Bytes) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < CHUNKS {
            let mut chunk = Vec::from(chunk);
            chunk.clear();
            spare.push(chunk);
        }
    }

    /// Returns an empty buffer of some capacity.
    fn buffer(&self) -> Vec<u8> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(CHUNK))
    }

    /// Empties the queue. Returns the number of its lines, and of those being written.
    fn unread(&self) -> u64 {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: u64 = queue.iter().flat_map(Receiver::try_iter).map(|chunk| count_lines(&chunk)).sum();
        waiting + self.writing.load(Ordering::Acquire)
    }
}

/// Handle of the thread. The thread ends when all senders of its queue are dropped, or at the first error.
#[derive(Debug)]
pub(crate) struct StdoutWriter {
    progress: Arc<WriterProgress>,
    ended: Receiver<io::Result<()>>,
}

impl StdoutWriter {
    /// Starts the thread with a queue of `chunks` chunks. It writes `header` first. At an error it sends to `failed`.
    ///
    /// # Errors
    /// If standard output is closed, or the thread cannot be started.
    pub(crate) fn start(
        header: Vec<u8>,
        chunks: usize,
        failed: Option<oneshot::Sender<()>>,
    ) -> io::Result<(Sender<Bytes>, Self)> {
        let mut out = stdout()?;
        let (sender, queue) = bounded::<Bytes>(chunks);
        let (end, ended) = bounded(1);
        let progress = Arc::new(WriterProgress {
            queue: Mutex::new(Some(queue.clone())),
            written: Mutex::new(Some(0)),
            ..WriterProgress::default()
        });
        let shared = Arc::clone(&progress);
        thread::Builder::new().name("writer".to_owned()).spawn(move || {
            let write = || {
                out.write_all(&header)?;
                for chunk in queue {
                    shared.writing.store(count_lines(&chunk), Ordering::Release);
                    out.write_all(&chunk)?;
                    shared.recycle(chunk);
                    shared.writing.store(0, Ordering::Release);
                    let mut written = shared.written.lock().unwrap_or_else(PoisonError::into_inner);
                    *written = written.map(|count| count + 1);
                    shared.changed.notify_all();
                }
                out.flush()
            };
            let result = write();
            let has_failed = result.is_err();
            let _received = end.send(result);
            *shared.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
            *shared.written.lock().unwrap_or_else(PoisonError::into_inner) = None;
            shared.changed.notify_all();
            if let Some(failed) = failed.filter(|_| has_failed) {
                // The run may be ending anyway.
                let _received = failed.send(());
            }
        })?;
        Ok((sender, Self { progress, ended }))
    }

    /// Waits for the thread to end. All senders of its queue must be dropped before.
    pub(crate) fn finish(self, deadline: &ShutdownDeadline, phase: ShutdownPhase) -> Result<(), StdoutError> {
        match deadline.receive(phase, &self.ended) {
            Some(result) => result.map_err(StdoutError::Io),
            None => Err(StdoutError::Unread(self.progress.unread())),
        }
    }

    /// Describes the lines that are not written, for the watchdog.
    pub(crate) fn on_overdue(&self) -> impl Fn() -> Option<String> + Send + 'static {
        let progress = Arc::clone(&self.progress);
        move || {
            let lines = progress.unread();
            (lines > 0).then(|| Counted(lines, "output line").to_string())
        }
    }

    /// Waits until `chunks` chunks are written. Returns false if the thread has ended, or the phase is over.
    fn wait_written(&self, chunks: u64, deadline: &ShutdownDeadline, phase: ShutdownPhase) -> bool {
        let mut written = self.progress.written.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *written {
                Some(count) if count >= chunks => return true,
                Some(_) if !deadline.has_passed(phase) => {}
                _ => return false,
            }
            let waited = self.progress.changed.wait_timeout(written, deadline.at_most(phase, CHECK));
            written = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Standard output of a replay, which waits for its reader until a shutdown begins.
#[derive(Debug)]
pub(crate) struct ReplayOutput {
    buffer: Vec<u8>,
    to: Sender<Bytes>,
    sent: u64,
    writer: StdoutWriter,
    deadline: ShutdownDeadline,
}

impl ReplayOutput {
    /// Starts the thread.
    ///
    /// # Errors
    /// As for [`StdoutWriter::start`].
    pub(crate) fn start(shutdown: &Shutdown) -> io::Result<Self> {
        let (to, writer) = StdoutWriter::start(Vec::new(), CHUNKS, None)?;
        shutdown.on_overdue(writer.on_overdue());
        Ok(Self { buffer: Vec::with_capacity(CHUNK), to, sent: 0, writer, deadline: shutdown.deadline().clone() })
    }

    /// Sends the buffer to the thread.
    fn send_buffer(&mut self, phase: ShutdownPhase) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, self.writer.progress.buffer()).into();
        match self.deadline.send(phase, &self.to, chunk) {
            Ok(()) => {
                self.sent += 1;
                Ok(())
            }
            Err(lost) => Err(self.error(count_lines(&lost))),
        }
    }

    /// Returns the reason why the thread rejected a chunk with `lost` lines.
    fn error(&self, lost: u64) -> io::Error {
        match self.writer.ended.try_recv() {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => StdoutError::Unread(lost + self.writer.progress.unread()).into(),
        }
    }

    /// Writes the rest of the buffer, and waits until everything is written.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.send_buffer(ShutdownPhase::LastLine)?;
        drop(self.to);
        Ok(self.writer.finish(&self.deadline, ShutdownPhase::LastLine)?)
    }
}

impl Write for ReplayOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.send_buffer(ShutdownPhase::Output)?;
        }
        Ok(bytes.len())
    }

    /// Waits until all lines are written.
    fn flush(&mut self) -> io::Result<()> {
        self.send_buffer(ShutdownPhase::Output)?;
        if self.writer.wait_written(self.sent, &self.deadline, ShutdownPhase::Output) {
            return Ok(());
        }
        Err(self.error(0))
    }
}
