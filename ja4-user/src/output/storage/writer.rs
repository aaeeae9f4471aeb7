//! The thread that writes.
//!
//! Batches come through a bounded queue. What has come within [`WriterOptions::flush_after`] is one transaction.
//! One that fails for want of room, rights or a lock is tried again for as long as the queue has room for
//! what comes meanwhile; then it is given up and counted. Nothing that was committed is touched by that.
//! A database that cannot be opened for such a reason is one that fails, and is opened when it can be had.
//!
//! If the file is deleted or replaced, the writer detects it and creates a new one at its path; the transaction under
//! way is repeated there.
//!
//! A shutdown has a deadline: rows that are not written by then are counted as lost without a try.

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

/// Items of one transaction, some 200 bytes each: enough for its fixed cost to be small.
const MAX_TRANSACTION: usize = 1 << 16;

/// Batches that may wait: what a second of a million packets tells.
const QUEUE: usize = 2048;

/// The same where senders wait: the next transaction, so that it comes together while one is written.
const QUEUE_OF_A_REPLAY: usize = MAX_TRANSACTION / MAX_BATCH;

/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How often a wait looks whether it is still worth it.
const LOOK: Duration = Duration::from_millis(10);

/// Between two tries to open a database that could not be had.
const AGAIN: Duration = Duration::from_millis(500);

/// Interval at which the writer checks that the path still leads to the file.
const CHECK_FILE: Duration = Duration::from_millis(500);

/// Time for retention between two batches where senders do not wait. What is left over waits for the next.
const KEEP: Duration = Duration::from_millis(50);

/// The same where nothing waits to be written.
const KEEP_IDLE: Duration = Duration::from_secs(1);

/// Time to count the waiting rows as lost, once the deadline has passed.
const GIVE_UP: Duration = Duration::from_secs(1);

/// How often retention works where nothing is written.
const IDLE: Duration = Duration::from_secs(1);

/// How a writer works.
#[derive(Clone, Copy, Debug)]
pub struct WriterOptions {
    /// Batches that may wait.
    pub queue: usize,
    /// What comes within this time is one transaction.
    pub flush_after: Duration,
    /// Whether senders wait for room, as a replay does. A full queue is no reason to give rows up then;
    /// that `patience` has ended is.
    pub senders_wait: bool,
    /// How long the end of a run, or a sender that waits, has patience with a database that takes nothing.
    pub patience: Duration,
    /// Memory for pages, KiB.
    pub cache: u32,
    /// What is kept.
    pub retention: Retention,
}

impl WriterOptions {
    /// For a replay, which waits for room and loses nothing.
    #[must_use]
    pub const fn of_a_replay(self) -> Self {
        Self { queue: QUEUE_OF_A_REPLAY, senders_wait: true, ..self }
    }
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            queue: QUEUE,
            flush_after: Duration::from_millis(200),
            senders_wait: false,
            patience: Duration::from_secs(5),
            cache: 64 << 10,
            retention: Retention::default(),
        }
    }
}

/// A writer that runs.
#[derive(Debug)]
pub struct Writer {
    handle: WriterHandle,
    stop: Arc<AtomicBool>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
    deadline: ShutdownDeadline,
    /// What was found in an older file.
    pub migrated: Option<Migrated>,
    /// Why the database could not be opened at the start. It is tried again; until then rows wait or are counted as
    /// lost.
    pub unopened: Option<StorageError>,
    /// Receives a message each time that the database is opened after the start: it could not be opened then, or its
    /// file was deleted or replaced. The receiver has time to read the saved state: nothing is written until it drops
    /// the message, for [`WriterOptions::patience`] at most.
    pub opened: Receiver<Sender<()>>,
}

impl Writer {
    /// Opens or makes the database, brings it up to date, closes what a killed run has left open, notes the
    /// run, and starts the thread.
    ///
    /// # Errors
    /// If the file can never be used, or another ja4sensor writes to it. Whatever may pass (a full disk, somebody's lock,
    /// rights) is none: [`Writer::unopened`] has it.
    pub fn start(path: &Path, options: WriterOptions, run: &SensorRun) -> Result<(WriterHandle, Self), StorageError> {
        Self::start_until(path, options, run, ShutdownDeadline::default())
    }

    /// The same, bound by the shutdown's deadline.
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
        let opening = DatabaseOpener { path: path.to_owned(), cache: options.cache, run: run.clone() };
        let (opened, migrated, unopened) = match opening.open(false) {
            Ok((opened, migrated)) => (Some(opened), migrated, None),
            Err(error) if error.may_pass() => {
                counters.fails(error.one_line());
                (None, None, Some(error))
            }
            Err(error) => return Err(error),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (opens, told) = bounded(0);
        let (sender, queue) = bounded(options.queue.max(1));
        let handle = WriterHandle { sender, counters: Arc::clone(&counters), deadline: deadline.clone() };
        let at_work = WriterThread {
            opening,
            failing: opened.is_none().then(Instant::now),
            opens,
            opened,
            tried: Some(Instant::now()),
            checked: Instant::now(),
            keeper: RetentionJob::new(options.retention),
            queue,
            options,
            counters,
            stop: Arc::clone(&stop),
            deadline: deadline.clone(),
            failed: None,
            kept: Instant::now(),
            newest: EventClock { event: Time(0), came: Instant::now() },
        };
        let (alive, ended) = bounded(0);
        let thread = thread::Builder::new().name("storage".to_owned()).spawn(move || {
            at_work.run();
            drop(alive);
        });
        drop(thread.map_err(StorageError::Thread)?);
        let writer = Self { handle: handle.clone(), stop, ended, deadline, migrated, unopened, opened: told };
        Ok((handle, writer))
    }

    /// Writes what is queued and ends. The last item of a run that ends well is [`WriteOp::RunEnd`], which has
    /// to be sent before. Nothing sent later is written. Rows that are not written when the shutdown's deadline has
    /// passed count as lost, even if the thread is still blocked in a write.
    #[must_use]
    pub fn finish(self) -> WriterStatus {
        self.stop.store(true, Ordering::Release);
        let in_time = self.deadline.wait_closed(ShutdownPhase::Database, &self.ended)
            // It still has to count the lost rows.
            || matches!(self.ended.recv_timeout(GIVE_UP), Err(RecvTimeoutError::Disconnected));
        let mut status = self.handle.status();
        // A thread that panicked has said so itself; its rows are lost.
        status.rows_lost += std::mem::take(&mut status.rows_waiting);
        if !in_time && status.last_error.is_none() {
            status.last_error = Some("the database did not take them in time".to_owned());
        }
        status
    }
}

/// The thread's own.
struct WriterThread {
    opening: DatabaseOpener,
    /// `None`: it could not be had yet.
    opened: Option<OpenDatabase>,
    /// Notifies the thread that reads the saved state of a database that is opened later.
    opens: Sender<Sender<()>>,
    /// When opening was last tried; `None`: try at once.
    tried: Option<Instant>,
    /// When the path was last checked.
    checked: Instant,
    keeper: RetentionJob,
    queue: Receiver<WriterMessage>,
    options: WriterOptions,
    counters: Arc<WriterCounters>,
    stop: Arc<AtomicBool>,
    deadline: ShutdownDeadline,
    /// When a transaction failed last, if none has succeeded since.
    failed: Option<Instant>,
    /// When retention worked last.
    kept: Instant,
    newest: EventClock,
    /// Since when the database takes nothing.
    failing: Option<Instant>,
}

/// What is one transaction; empty if nothing came for a while.
#[derive(Default)]
struct TransactionBatch {
    batches: Vec<Vec<WriteOp>>,
    items: usize,
    /// Who waits for it.
    marks: Vec<WriterMessage>,
}

impl TransactionBatch {
    /// Whether more may come.
    fn add(&mut self, message: WriterMessage) -> bool {
        match message {
            WriterMessage::Batch(batch) => {
                self.items += batch.len();
                self.batches.push(batch);
            }
            mark @ WriterMessage::Mark { .. } => self.marks.push(mark),
        }
        self.items < MAX_TRANSACTION && self.marks.is_empty()
    }
}

impl WriterThread {
    fn run(mut self) {
        while let Some(TransactionBatch { batches, marks, .. }) = self.gather() {
            if self.checked.elapsed() >= CHECK_FILE {
                self.check_file();
            }
            if batches.is_empty() {
                self.look_again();
            } else {
                self.flush(&batches);
            }
            drop(marks);
            if batches.is_empty() || self.kept.elapsed() >= self.options.flush_after {
                self.keep();
            }
        }
        if self.options.senders_wait && !self.is_overdue() {
            self.keep_all();
        }
    }

    /// Whether a shutdown leaves no time to write anything.
    fn is_overdue(&self) -> bool {
        self.deadline.has_passed(ShutdownPhase::Database)
    }

    /// Where nothing is to be written: whether the database can be had by now.
    fn look_again(&mut self) {
        if self.opened.is_some() {
            return;
        }
        match self.open() {
            Some(Ok(())) => {
                self.failing = None;
                self.counters.works();
            }
            Some(Err(error)) => self.counters.fails(error.one_line()),
            None => {}
        }
    }

    /// Opens the database, if it is not open. `None`: it is too soon to try again.
    fn open(&mut self) -> Option<Result<(), StorageError>> {
        if self.opened.is_some() {
            return Some(Ok(()));
        }
        if self.tried.is_some_and(|tried| tried.elapsed() < AGAIN) {
            return None;
        }
        let opened = self.opening.open(true);
        self.tried = Some(Instant::now());
        Some(opened.map(|(opened, _)| {
            self.opened = Some(opened);
            let (reading, read) = bounded(0);
            if self.opens.try_send(reading).is_ok() {
                let _let_go = read.recv_timeout(self.options.patience);
            } else {
                self.counters.knowledge_missing();
            }
        }))
    }

    /// Closes a file that was deleted or replaced: its rows would be in a file that no path leads to. Opening is tried
    /// again at once.
    fn check_file(&mut self) {
        self.checked = Instant::now();
        if let Some(opened) = self.opened.take_if(|opened| !opened.is_at(&self.opening.path)) {
            opened.abandon();
            self.counters.replaced(&self.opening.path);
            self.failing.get_or_insert_with(Instant::now);
            self.tried = None;
            self.keeper = RetentionJob::new(self.options.retention);
        }
    }

    /// `None`: nothing will come any more.
    fn gather(&self) -> Option<TransactionBatch> {
        let mut gathered = TransactionBatch::default();
        let first = match self.queue.recv_timeout(if self.stopping() { Duration::ZERO } else { self.pause() }) {
            Ok(first) => first,
            Err(RecvTimeoutError::Timeout) if self.stopping() => return None,
            Err(RecvTimeoutError::Timeout) => return Some(gathered),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        let deadline = Instant::now() + self.options.flush_after;
        let mut goes_on = gathered.add(first);
        while goes_on {
            let left = deadline.saturating_duration_since(Instant::now());
            // In short waits, so that the end of a run need not wait.
            match self.queue.recv_timeout(if self.stopping() { Duration::ZERO } else { left.min(LOOK) }) {
                Ok(more) => goes_on = gathered.add(more),
                Err(RecvTimeoutError::Timeout) if !left.is_zero() && !self.stopping() => {}
                Err(_) => break,
            }
        }
        Some(gathered)
    }

    fn pause(&self) -> Duration {
        IDLE.min(self.options.flush_after.max(LOOK))
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Writes batches in one transaction, however often that has to be tried, or gives them up.
    fn flush(&mut self, batches: &[Vec<WriteOp>]) {
        let mut wait = LOOK;
        if self.is_in_vain() {
            return self.give_up(batches, 0);
        }
        loop {
            match self.open() {
                Some(Ok(())) => match self.transact(batches.iter().flatten()) {
                    Ok(written) => {
                        self.failing = None;
                        self.failed = None;
                        self.counters.works();
                        return self.give_up(batches, written);
                    }
                    Err(error) if is_moved(&error) => {
                        self.check_file();
                        if self.opened.is_none() {
                            continue;
                        }
                    }
                    Err(error) => {
                        self.counters.failed(error.to_string());
                        if is_of_the_rows(&error) {
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
                return self.give_up(batches, 0);
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Counts all items but the first `written` ones as lost.
    fn give_up(&self, batches: &[Vec<WriteOp>], written: usize) {
        self.counters.dequeued(written as u64);
        self.counters.give_up(batches.iter().flatten().skip(written));
    }

    /// Whether a transaction is dropped without a try: the shutdown leaves no time for it, or another one has just
    /// failed, more wait behind it, and the retry time is over. A try on a full disk takes a second.
    fn is_in_vain(&self) -> bool {
        let has_just_failed = self.failed.is_some_and(|failed| failed.elapsed() < AGAIN);
        let is_out_of_patience = self.failing.is_some_and(|since| since.elapsed() >= self.options.patience);
        let is_backlog = has_just_failed && is_out_of_patience && self.is_waited_for() && !self.queue.is_empty();
        self.is_overdue() || is_backlog
    }

    /// Whether a sender, or the end of the run, waits for the writer.
    fn is_waited_for(&self) -> bool {
        self.options.senders_wait || self.stopping() || self.counters.is_waited_for()
    }

    /// Waits before another try. False: others need the time or the room more.
    fn wait(&self, wait: Duration, failing_since: Instant) -> bool {
        let until = Instant::now() + wait;
        loop {
            let patient = if self.is_waited_for() {
                failing_since.elapsed() < self.options.patience && !self.is_overdue()
            } else {
                !self.queue.is_full()
            };
            let now = Instant::now();
            if !patient || now >= until {
                return patient;
            }
            thread::sleep(LOOK.min(until - now));
        }
    }

    /// Some row cannot be stored whatever the state of the disk: the others are not to go with it.
    fn one_by_one(&mut self, batches: &[Vec<WriteOp>]) {
        for item in batches.iter().flatten() {
            let written = self.transact(std::iter::once(item)).unwrap_or_else(|error| {
                self.counters.failed(error.to_string());
                0
            });
            if written == 0 {
                self.counters.give_up(std::iter::once(item));
            } else {
                self.counters.dequeued(1);
            }
        }
        self.counters.works();
    }

    /// Writes these items if the database is open, and returns how many: a shutdown's deadline cuts the transaction
    /// short.
    fn transact<'a>(&mut self, items: impl Iterator<Item = &'a WriteOp>) -> rusqlite::Result<usize> {
        let overdue = {
            let deadline = self.deadline.clone();
            move || deadline.has_passed(ShutdownPhase::Database)
        };
        let Some(opened) = &mut self.opened else {
            return Ok(0);
        };
        let taken = Cell::new(0);
        let items = items.take_while(|_| !overdue()).inspect(|_| taken.set(taken.get() + 1));
        let written = opened.write(items).and_then(|written| {
            // Rows in a file that no path leads to are lost. They are written again, to the file that is at the path
            // now.
            let is_there = opened.is_at(&self.opening.path);
            if is_there { Ok(written) } else { Err(moved()) }
        });
        match written {
            Ok(RowsWritten { connections, fingerprints, alerts, knowledge }) => {
                opened.rows.committed();
                let add = |counter: &std::sync::atomic::AtomicU64, more| counter.fetch_add(more, Ordering::Relaxed);
                add(&self.counters.connections, connections);
                add(&self.counters.fingerprints, fingerprints);
                add(&self.counters.alerts, alerts);
                add(&self.counters.knowledge, knowledge);
                add(&self.counters.commits, 1);
                Ok(taken.get())
            }
            Err(error) => {
                opened.rows.rolled_back();
                Err(error)
            }
        }
    }

    /// Lets retention work for a while. Where senders wait, until nothing is too much: else they would be faster.
    fn keep(&mut self) {
        self.kept = Instant::now();
        let Self { opened: Some(opened), keeper, queue, counters, stop, options, failing, newest, .. } = self else {
            return;
        };
        let idle = || queue.is_empty() && !stop.load(Ordering::Acquire);
        let may_go_on = |worked| options.senders_wait || worked < KEEP || (worked < KEEP_IDLE && idle());
        let now = newest.now(&opened.rows, !options.senders_wait);
        match keeper.work(&mut opened.database, now, counters, may_go_on) {
            Ok(values_gone) => {
                if values_gone {
                    opened.rows.clear_values();
                }
                // What was written last was written: if anything has failed since, it was this.
                if failing.is_none() {
                    counters.works();
                }
            }
            Err(error) => {
                opened.rows.clear_values();
                counters.failed(error.to_string());
            }
        }
    }

    /// Lets retention do all that it has to do.
    fn keep_all(&mut self) {
        if let Some(opened) = &mut self.opened
            && let now = self.newest.now(&opened.rows, false)
            && let deadline = &self.deadline
            && let in_time = (|| !deadline.has_passed(ShutdownPhase::Database))
            && let Err(error) = self.keeper.complete(&mut opened.database, now, &self.counters, in_time)
        {
            self.counters.failed(error.to_string());
        }
    }
}

/// The newest event, and when it came.
#[derive(Debug)]
struct EventClock {
    event: Time,
    came: Instant,
}

impl EventClock {
    /// The time by which rows are old: that of the newest event, which `goes_on` where nothing comes. Who replays a file
    /// with times of the future does not make all else old.
    fn now(&mut self, rows: &RowWriter, goes_on: bool) -> Time {
        if self.event != rows.newest() {
            *self = Self { event: rows.newest(), came: Instant::now() };
        }
        let since = if goes_on { self.came.elapsed().as_nanos() as u64 } else { 0 };
        Time(self.event.0.saturating_add(since)).min(wall_clock())
    }
}

impl std::fmt::Debug for WriterThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AtWork").field("opening", &self.opening).finish_non_exhaustive()
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

/// Whether trying again later cannot help.
fn is_of_the_rows(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => {
            matches!(code, ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
        }
        // What the binding itself refuses.
        None => true,
    }
}
