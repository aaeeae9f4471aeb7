//! Event files: files and sockets that events are written to, each with a format and event types of its own.
//!
//! Each has a queue and a thread, so that a full disk or a slow reader delays nothing else. Lines that it cannot write are
//! dropped and counted; the next ones are tried again.

mod settings;
mod stats;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, thread};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

pub use self::settings::{EventFileSettings, EventFileType};
pub use self::stats::EventFileStats;
use self::target::EventTarget;
use crate::encode::{EncodeContext, Format, Formatter};
use crate::output::append_file::AppendError;
use crate::output::file_counters::FileCounters;
use crate::output::line_queue::{LineQueue, count_lines};
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Chunks of lines in the queue of a file. A shard sends one each 20 ms.
const CHUNKS: usize = 256;

/// The running event files, in the order of the configuration.
#[derive(Debug, Default)]
pub struct EventFiles {
    files: Vec<EventFile>,
}

/// An event file.
#[derive(Debug)]
struct EventFile {
    path: String,
    format: Format,
    context: Arc<EncodeContext>,
    queue: LineQueue,
    /// The ends of the queue: an empty chunk ends the thread, and what waits at the end is counted.
    end: Sender<Bytes>,
    waiting: Receiver<Bytes>,
    counters: Arc<FileCounters>,
    reopen: Arc<AtomicBool>,
    /// Carries no messages; disconnected when the thread has ended.
    ended: Receiver<()>,
}

/// The thread of an event file.
struct EventFileWriter {
    target: EventTarget,
    counters: Arc<FileCounters>,
    reopen: Arc<AtomicBool>,
    _alive: Sender<()>,
}

impl EventFiles {
    /// Opens the files and starts their threads.
    ///
    /// # Errors
    /// If a file cannot be opened, or a thread not be started.
    pub(crate) fn start(
        files: &[EventFileSettings],
        context: &EncodeContext,
        deadline: &ShutdownDeadline,
    ) -> io::Result<Self> {
        let files = files.iter().map(|settings| EventFile::start(settings, context, deadline));
        Ok(Self { files: files.collect::<io::Result<_>>()? })
    }

    /// Their number.
    pub(crate) const fn len(&self) -> usize {
        self.files.len()
    }

    /// An encoder for each.
    pub(crate) fn formatters(&self) -> Vec<Formatter> {
        self.files.iter().map(|file| Formatter::new(file.format, Arc::clone(&file.context))).collect()
    }

    /// Sends the lines of each file without waiting. What a queue has no room for stays in its buffer, up to a bound.
    pub(crate) fn send(&self, lines: &mut [Vec<u8>]) {
        for (file, lines) in self.files.iter().zip(lines) {
            file.queue.send(lines);
        }
    }

    /// Sends the lines of each file, and waits for room until a phase of the shutdown is over.
    pub(crate) fn send_waiting(&self, phase: ShutdownPhase, lines: &mut [Vec<u8>]) {
        for (file, lines) in self.files.iter().zip(lines) {
            file.queue.send_waiting(phase, lines);
        }
    }

    /// Opens the files again after log rotation. A file that was moved away is also noticed without this.
    pub(crate) fn reopen(&self) {
        for file in &self.files {
            file.reopen.store(true, Ordering::Release);
        }
    }

    /// The counters.
    pub(crate) fn stats(&self) -> Vec<EventFileStats> {
        self.files.iter().map(EventFile::stats).collect()
    }

    /// Ends the threads once their queues are written, or when the last phase of the output is over. No lines are sent after
    /// this. Returns the last counters.
    pub(crate) fn finish(&self, deadline: &ShutdownDeadline) -> Vec<EventFileStats> {
        for file in &self.files {
            // A thread that has no room for this by then is not waited for.
            let _end = deadline.send(ShutdownPhase::LastLine, &file.end, Bytes::new());
        }
        let finish = |file: &EventFile| {
            if !deadline.wait_closed(ShutdownPhase::LastLine, &file.ended) {
                file.counters.abandon(file.waiting.try_iter().map(|chunk| count_lines(&chunk)).sum());
            }
            file.stats()
        };
        self.files.iter().map(finish).collect()
    }
}

impl EventFile {
    fn start(settings: &EventFileSettings, context: &EncodeContext, deadline: &ShutdownDeadline) -> io::Result<Self> {
        let EventFileSettings { filetype, format, by, types, .. } = *settings;
        let path = settings.path().unwrap_or_default();
        let context = Arc::new(EncodeContext { filter: types, by, ..context.clone() });
        let mut header = Vec::new();
        Formatter::new(format, Arc::clone(&context)).header(&mut header);
        let counters = Arc::<FileCounters>::default();
        let name = path.display().to_string();
        let mut target = EventTarget::new(path, filetype, header);
        target.open().map_err(|error| io::Error::new(error.source.kind(), text(&error)))?;
        let (sender, queue) = bounded(CHUNKS);
        let (alive, ended) = bounded(0);
        let reopen = Arc::new(AtomicBool::new(false));
        let writer =
            EventFileWriter { target, counters: Arc::clone(&counters), reopen: Arc::clone(&reopen), _alive: alive };
        let waiting = queue.clone();
        thread::Builder::new().name("event-file".to_owned()).spawn(move || writer.run(&queue))?;
        let queue = LineQueue::new(sender.clone(), counters.dropped(), deadline.clone());
        Ok(Self { path: name, format, context, queue, end: sender, waiting, counters, reopen, ended })
    }

    fn stats(&self) -> EventFileStats {
        EventFileStats::new(self.path.clone(), self.counters.counts())
    }
}

impl EventFileWriter {
    /// Writes the chunks of the queue up to an empty one.
    fn run(mut self, queue: &Receiver<Bytes>) {
        for chunk in queue.iter().take_while(|chunk| !chunk.is_empty()) {
            if self.reopen.swap(false, Ordering::AcqRel) {
                self.target.reopen();
            }
            let lines = count_lines(&chunk);
            self.counters.begin(lines);
            match self.target.write(&chunk) {
                Ok(()) => self.counters.end(lines, None),
                Err(error) => {
                    let written = count_lines(chunk.get(..error.written).unwrap_or_default());
                    self.counters.end(written, Some(text(&error)));
                }
            }
        }
    }
}

fn text(error: &AppendError) -> String {
    match error.source.kind() {
        // The system's text for a socket timeout is unclear.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("{}: its reader is too slow", error.reason),
        _ => format!("{}: {}", error.reason, error.source),
    }
}
