//! The thread of the writer.
//!
//! Batches arrive through a bounded queue. The batches of [`WriterOptions::flush_after`] are one transaction. A transaction
//! that fails because of a full disk, permissions or a lock is retried while the queue has room for new batches; then it is
//! dropped and counted. Committed rows are not affected. A database that cannot be opened for such a reason counts as
//! failing, and opening is retried.
//!
//! If the file is deleted or replaced, the writer creates a new file at the path and repeats the current transaction there.
//!
//! A shutdown has a deadline: rows that are not written by then are counted as lost.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::{ErrorCode, ffi};

use super::StorageError;
use super::handle::{MAX_BATCH, WriterHandle, WriterMessage};
use super::open::{DatabaseOpener, OpenDatabase};
pub use super::retention::Retention;
use super::retention::RetentionJob;
use super::rows::{RowWriter, RowsWritten};
use super::status::{WriterCounters, WriterStatus};
use super::version::Migrated;
use super::write_op::{SensorRun, WriteOp};
use crate::model::Time;
use crate::system::clock::wall_clock;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Operations of one transaction, about 200 bytes each: enough to make its fixed cost small.
const MAX_TRANSACTION: usize = 1 << 16;

/// Batches in the queue: the rows of one second with a million packets.
const QUEUE: usize = 2048;

/// Batches in the queue of a replay, with waiting senders: those of the next transaction.
const REPLAY_QUEUE: usize = MAX_TRANSACTION / MAX_BATCH;

/// Longest delay between two retries.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Interval at which a waiting writer checks its state.
const CHECK: Duration = Duration::from_millis(10);

/// Interval of attempts to open the database.
const REOPEN: Duration = Duration::from_millis(500);

/// Interval at which the writer checks that the path still leads to the file.
const CHECK_FILE: Duration = Duration::from_millis(500);

/// Time for retention between two transactions of a live run.
const RETENTION_TIME: Duration = Duration::from_millis(50);

/// Time for retention while the queue is empty.
const RETENTION_TIME_IDLE: Duration = Duration::from_secs(1);

/// Time to count the waiting rows as lost after the deadline.
const GIVE_UP: Duration = Duration::from_secs(1);

/// Interval of retention while nothing is written.
const IDLE: Duration = Duration::from_secs(1);

/// Options of the writer.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// Length of the queue in batches.
    pub queue: usize,
    /// Batches of this time are one transaction.
    pub flush_after: Duration,
    /// Whether senders wait for room, as in a replay. Then rows are dropped after `retry_limit`, not when the queue is full.
    pub senders_wait: bool,
    /// Time for which the end of a run, or a waiting sender, retries a failing database.
    pub retry_limit: Duration,
    /// Page cache, KiB.
    pub cache: u32,
    /// Limits of the history.
    pub retention: Retention,
}

impl WriterOptions {
    /// Returns the options of a replay, in which senders wait for room.
    #[must_use]
    pub const fn for_replay(self) -> Self {
        Self { queue: REPLAY_QUEUE, senders_wait: true, ..self }
    }
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            queue: QUEUE,
            flush_after: Duration::from_millis(200),
            senders_wait: false,
            retry_limit: Duration::from_secs(5),
            cache: 64 << 10,
            retention: Retention::default(),
        }
    }
}

/// A running writer.
#[derive(Debug)]
pub struct Writer {
    handle: WriterHandle,
    stop: Arc<AtomicBool>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
    deadline: ShutdownDeadline,
    /// The migration of an older file, if any.
    pub migrated: Option<Migrated>,
    /// Why the database could not be opened at the start. Opening is retried; until then, rows wait or are counted as lost.
    pub open_error: Option<StorageError>,
    /// Receives a message each time that the database is opened after the start: it could not be opened then, or its file
    /// was deleted or replaced. The writer waits for the receiver to read the saved state and drop the message, for
    /// [`WriterOptions::retry_limit`] at most.
    pub opened: Receiver<Sender<()>>,
}

impl Writer {
    /// Opens or creates the database, migrates it, ends the connections that a killed run left open, records the run, and
    /// starts the thread.
    ///
    /// # Errors
    /// If the file can never be used, or another sensor writes to it. Temporary errors (a full disk, a lock, permissions) are
    /// in [`Writer::open_error`] instead.
    pub fn start(path: &Path, options: WriterOptions, run: &SensorRun) -> Result<(WriterHandle, Self), StorageError> {
        Self::start_until(path, options, run, ShutdownDeadline::default())
    }

    /// Starts a writer with the deadline of a shutdown.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_until(
        path: &Path,
        options: WriterOptions,
        run: &SensorRun,
        deadline: ShutdownDeadline,
    ) -> Result<(WriterHandle, Self), StorageError> {
        let counters = Arc::new(WriterCounters::default());
        let opener = DatabaseOpener { path: path.to_owned(), cache: options.cache, run: run.clone() };
        let (opened, migrated, open_error) = match opener.open(false) {
            Ok((opened, migrated)) => (Some(opened), migrated, None),
            Err(error) if error.is_temporary() => {
                counters.set_failing(error.one_line());
                (None, None, Some(error))
            }
            Err(error) => return Err(error),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (opens, notified) = bounded(0);
        let (sender, queue) = bounded(options.queue.max(1));
        let handle = WriterHandle { sender, counters: Arc::clone(&counters), deadline: deadline.clone() };
        let thread_state = WriterThread {
            opener,
            failing: opened.is_none().then(Instant::now),
            opens,
            opened,
            tried: Some(Instant::now()),
            checked: Instant::now(),
            retention: RetentionJob::new(options.retention),
            queue,
            options,
            counters,
            stop: Arc::clone(&stop),
            deadline: deadline.clone(),
            failed: None,
            retained: Instant::now(),
            newest: EventClock { event: Time(0), seen: Instant::now() },
        };
        let (alive, ended) = bounded(0);
        let thread = thread::Builder::new().name("storage".to_owned()).spawn(move || {
            thread_state.run();
            drop(alive);
        });
        drop(thread.map_err(StorageError::Thread)?);
        let writer = Self { handle: handle.clone(), stop, ended, deadline, migrated, open_error, opened: notified };
        Ok((handle, writer))
    }

    /// Writes the queue and ends the writer. Send [`WriteOp::RunEnd`] before, as the last operation. Later operations are not
    /// written. Rows that are not written by the deadline of the shutdown count as lost, even if the thread is still blocked
    /// in a write.
    #[must_use]
    pub fn finish(self) -> WriterStatus {
        self.stop.store(true, Ordering::Release);
        let in_time = self.deadline.wait_closed(ShutdownPhase::Database, &self.ended)
            // The thread counts the lost rows.
            || matches!(self.ended.recv_timeout(GIVE_UP), Err(RecvTimeoutError::Disconnected));
        let mut status = self.handle.status();
        // The rows of a panicked thread are lost.
        status.rows_lost += std::mem::take(&mut status.rows_waiting);
        if !in_time && status.last_error.is_none() {
            status.last_error = Some("the database was not written in time".to_owned());
        }
        status
    }
}

/// The state of the thread.
struct WriterThread {
    opener: DatabaseOpener,
    /// `None`: the database is not open.
    opened: Option<OpenDatabase>,
    /// Notifies the reader of the saved state of a database that is opened later.
    opens: Sender<Sender<()>>,
    /// Time of the last attempt to open; `None`: open at once.
    tried: Option<Instant>,
    /// Time of the last check of the path.
    checked: Instant,
    retention: RetentionJob,
    queue: Receiver<WriterMessage>,
    options: WriterOptions,
    counters: Arc<WriterCounters>,
    stop: Arc<AtomicBool>,
    deadline: ShutdownDeadline,
    /// Time of the last failed transaction, if none has succeeded since.
    failed: Option<Instant>,
    /// Time of the last retention.
    retained: Instant,
    newest: EventClock,
    /// Since when the database fails.
    failing: Option<Instant>,
}

/// The batches of one transaction; empty if none arrived.
#[derive(Default)]
struct TransactionBatch {
    batches: Vec<Vec<WriteOp>>,
    items: usize,
    /// Barriers after the batches.
    barriers: Vec<WriterMessage>,
}

impl TransactionBatch {
    /// Adds a message. Returns whether the transaction has room for more.
    fn add(&mut self, message: WriterMessage) -> bool {
        match message {
            WriterMessage::Batch(batch) => {
                self.items += batch.len();
                self.batches.push(batch);
            }
            barrier @ WriterMessage::Barrier { .. } => self.barriers.push(barrier),
        }
        self.items < MAX_TRANSACTION && self.barriers.is_empty()
    }
}

impl WriterThread {
    fn run(mut self) {
        while let Some(TransactionBatch { batches, barriers, .. }) = self.gather() {
            if self.checked.elapsed() >= CHECK_FILE {
                self.check_file();
            }
            if batches.is_empty() {
                self.retry_open();
            } else {
                self.flush(&batches);
            }
            drop(barriers);
            if batches.is_empty() || self.retained.elapsed() >= self.options.flush_after {
                self.run_retention();
            }
        }
        if self.options.senders_wait && !self.is_overdue() {
            self.complete_retention();
        }
    }

    /// Whether the deadline of the shutdown has passed.
    fn is_overdue(&self) -> bool {
        self.deadline.has_passed(ShutdownPhase::Database)
    }

    /// Tries to open the database while there is nothing to write.
    fn retry_open(&mut self) {
        if self.opened.is_some() {
            return;
        }
        match self.open() {
            Some(Ok(())) => {
                self.failing = None;
                self.counters.set_working();
            }
            Some(Err(error)) => self.counters.set_failing(error.one_line()),
            None => {}
        }
    }

    /// Opens the database, if it is not open. Returns `None` if the next attempt is not due.
    fn open(&mut self) -> Option<Result<(), StorageError>> {
        if self.opened.is_some() {
            return Some(Ok(()));
        }
        if self.tried.is_some_and(|tried| tried.elapsed() < REOPEN) {
            return None;
        }
        let opened = self.opener.open(true);
        self.tried = Some(Instant::now());
        Some(opened.map(|(opened, _)| {
            self.opened = Some(opened);
            let (reading, read) = bounded(0);
            if self.opens.try_send(reading).is_ok() {
                let _dropped = read.recv_timeout(self.options.retry_limit);
            } else {
                self.counters.saved_state_missing();
            }
        }))
    }

    /// Closes a file that was deleted or replaced, because no path leads to its rows. Opening is tried at once.
    fn check_file(&mut self) {
        self.checked = Instant::now();
        if let Some(opened) = self.opened.take_if(|opened| !opened.is_at(&self.opener.path)) {
            opened.abandon();
            self.counters.replaced(&self.opener.path);
            self.failing.get_or_insert_with(Instant::now);
            self.tried = None;
            self.retention = RetentionJob::new(self.options.retention);
        }
    }

    /// Collects the batches of a transaction. Returns `None` at the end of the queue.
    fn gather(&self) -> Option<TransactionBatch> {
        let mut gathered = TransactionBatch::default();
        let first = match self.queue.recv_timeout(if self.stopping() { Duration::ZERO } else { self.pause() }) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) if self.stopping() => return None,
            Err(RecvTimeoutError::Timeout) => return Some(gathered),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        let deadline = Instant::now() + self.options.flush_after;
        let mut has_room = gathered.add(first);
        while has_room {
            let left = deadline.saturating_duration_since(Instant::now());
            // Short waits, so that the end of a run is noticed.
            match self.queue.recv_timeout(if self.stopping() { Duration::ZERO } else { left.min(CHECK) }) {
                Ok(more) => has_room = gathered.add(more),
                Err(RecvTimeoutError::Timeout) if !left.is_zero() && !self.stopping() => {}
                Err(_) => break,
            }
        }
        Some(gathered)
    }

    fn pause(&self) -> Duration {
        IDLE.min(self.options.flush_after.max(CHECK))
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Writes batches in one transaction, with retries, or drops them.
    fn flush(&mut self, batches: &[Vec<WriteOp>]) {
        let mut wait = CHECK;
        if self.should_drop() {
            return self.count_lost(batches, 0);
        }
        loop {
            match self.open() {
                Some(Ok(())) => match self.transact(batches.iter().flatten()) {
                    Ok(written) => {
                        self.failing = None;
                        self.failed = None;
                        self.counters.set_working();
                        return self.count_lost(batches, written);
                    }
                    Err(error) if is_moved(&error) => {
                        self.check_file();
                        if self.opened.is_none() {
                            continue;
                        }
                    }
                    Err(error) => {
                        self.counters.failed(error.to_string());
                        if is_row_error(&error) {
                            return self.one_by_one(batches);
                        }
                    }
                },
                Some(Err(error)) => self.counters.failed(error.one_line()),
                None => {}
            }
            let since = *self.failing.get_or_insert_with(Instant::now);
            self.failed = Some(Instant::now());
            if !self.wait(wait, since) {
                return self.count_lost(batches, 0);
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Counts all operations but the first `written` ones as lost.
    fn count_lost(&self, batches: &[Vec<WriteOp>], written: usize) {
        self.counters.dequeued(written as u64);
        self.counters.count_lost(batches.iter().flatten().skip(written));
    }

    /// Whether a transaction is dropped without an attempt: the deadline has passed, or another one has just failed, more
    /// batches wait, and the retry limit is over. An attempt on a full disk takes a second.
    fn should_drop(&self) -> bool {
        let has_just_failed = self.failed.is_some_and(|failed| failed.elapsed() < REOPEN);
        let is_over_limit = self.failing.is_some_and(|since| since.elapsed() >= self.options.retry_limit);
        let is_backlog = has_just_failed && is_over_limit && self.is_waited_for() && !self.queue.is_empty();
        self.is_overdue() || is_backlog
    }

    /// Whether a sender, or the end of the run, waits for the writer.
    fn is_waited_for(&self) -> bool {
        self.options.senders_wait || self.stopping() || self.counters.is_waited_for()
    }

    /// Waits before a retry. Returns false if the batches should be dropped instead.
    fn wait(&self, wait: Duration, failing_since: Instant) -> bool {
        let until = Instant::now() + wait;
        loop {
            let may_wait = if self.is_waited_for() {
                failing_since.elapsed() < self.options.retry_limit && !self.is_overdue()
            } else {
                !self.queue.is_full()
            };
            let now = Instant::now();
            if !may_wait || now >= until {
                return may_wait;
            }
            thread::sleep(CHECK.min(until - now));
        }
    }

    /// Writes the operations one by one, because one of them can never be written.
    fn one_by_one(&mut self, batches: &[Vec<WriteOp>]) {
        for item in batches.iter().flatten() {
            let written = self.transact(std::iter::once(item)).unwrap_or_else(|error| {
                self.counters.failed(error.to_string());
                0
            });
            if written == 0 {
                self.counters.count_lost(std::iter::once(item));
            } else {
                self.counters.dequeued(1);
            }
        }
        self.counters.set_working();
    }

    /// Writes operations if the database is open, and returns their number. The deadline of a shutdown ends the transaction
    /// early.
    fn transact<'a>(&mut self, items: impl Iterator<Item = &'a WriteOp>) -> rusqlite::Result<usize> {
        let overdue = {
            let deadline = self.deadline.clone();
            move || deadline.has_passed(ShutdownPhase::Database)
        };
        let Some(opened) = &mut self.opened else {
            return Ok(0);
        };
        let count = Cell::new(0);
        let items = items.take_while(|_| !overdue()).inspect(|_| count.set(count.get() + 1));
        let written = opened.write(items).and_then(|written| {
            // Rows in a deleted file are lost: they are written again, to the file that is at the path now.
            let exists = opened.is_at(&self.opener.path);
            if exists { Ok(written) } else { Err(moved()) }
        });
        match written {
            Ok(RowsWritten { connections, fingerprints, alerts, knowledge }) => {
                opened.rows.commit();
                let add = |counter: &std::sync::atomic::AtomicU64, more| counter.fetch_add(more, Ordering::Relaxed);
                add(&self.counters.connections, connections);
                add(&self.counters.fingerprints, fingerprints);
                add(&self.counters.alerts, alerts);
                add(&self.counters.knowledge, knowledge);
                add(&self.counters.commits, 1);
                Ok(count.get())
            }
            Err(error) => {
                opened.rows.roll_back();
                Err(error)
            }
        }
    }

    /// Runs retention for a limited time; in a replay, until no rows are left to delete, so that the database stays within its
    /// limits.
    fn run_retention(&mut self) {
        self.retained = Instant::now();
        let Self { opened: Some(opened), retention, queue, counters, stop, options, failing, newest, .. } = self else {
            return;
        };
        let idle = || queue.is_empty() && !stop.load(Ordering::Acquire);
        let may_continue =
            |worked| options.senders_wait || worked < RETENTION_TIME || (worked < RETENTION_TIME_IDLE && idle());
        let now = newest.now(&opened.rows, !options.senders_wait);
        match retention.work(&mut opened.database, now, counters, may_continue) {
            Ok(values_deleted) => {
                if values_deleted {
                    opened.rows.clear_values();
                }
                // The last transaction succeeded, so a later failure was one of retention.
                if failing.is_none() {
                    counters.set_working();
                }
            }
            Err(error) => {
                opened.rows.clear_values();
                counters.failed(error.to_string());
            }
        }
    }

    /// Completes retention at the end of a replay.
    fn complete_retention(&mut self) {
        if let Some(opened) = &mut self.opened
            && let now = self.newest.now(&opened.rows, false)
            && let deadline = &self.deadline
            && let in_time = (|| !deadline.has_passed(ShutdownPhase::Database))
            && let Err(error) = self.retention.complete(&mut opened.database, now, &self.counters, in_time)
        {
            self.counters.failed(error.to_string());
        }
    }
}

/// The time of the latest event, and when it was written.
#[derive(Debug)]
struct EventClock {
    event: Time,
    seen: Instant,
}

impl EventClock {
    /// Returns "now" for retention: the time of the latest event. It advances with the clock if `advances`. It is never in
    /// the future, so that a capture with future times expires nothing.
    fn now(&mut self, rows: &RowWriter, advances: bool) -> Time {
        if self.event != rows.newest() {
            *self = Self { event: rows.newest(), seen: Instant::now() };
        }
        let since = if advances { self.seen.elapsed().as_nanos() as u64 } else { 0 };
        Time(self.event.0.saturating_add(since)).min(wall_clock())
    }
}

impl std::fmt::Debug for WriterThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterThread").field("opener", &self.opener).finish_non_exhaustive()
    }
}

/// The error of a write to a file that was deleted or replaced.
fn moved() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY_DBMOVED), None)
}

/// Whether an error is [`moved`], which SQLite may detect itself.
fn is_moved(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_READONLY_DBMOVED)
}

/// Whether a retry cannot succeed.
fn is_row_error(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => {
            matches!(code, ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
        }
        // An error of the binding itself.
        None => true,
    }
}
