//! Batches of a capture, read once and processed by every thread of a replay.
//!
//! There is no reader thread: the first thread that needs a batch reads it, while the others wait for it or process
//! earlier batches.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ja4_common::bytes::SliceFrame;
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::shard_of;
use ja4_common::parse::ParseStart;
use ja4_common::record::{FrameInfo, LinkHeader};

use crate::capture::{self, Batch, CaptureError, CaptureFile, FrameRef, ReadProgress, StopFlag};
use crate::model::Time;
use crate::packet::defrag::{DefragLimits, DefragStats, Defragmenter};
use crate::shard::lane::{CapturedFrame, destination_of};
use crate::shard::{ReassembledDatagram, ReassemblyOutcome};

/// Batches by which the fastest thread may be ahead of the slowest.
const AHEAD: usize = 4;

/// A batch with a lane for each frame.
pub(crate) struct DealtBatch {
    pub(crate) batch: Batch,
    /// Lane of each frame.
    pub(crate) lanes: Vec<u8>,
    /// Datagrams reassembled from fragments, in the order of the frames that completed them.
    pub(crate) whole: Vec<DealtDatagram>,
}

/// A datagram reassembled from fragments.
pub(crate) struct DealtDatagram {
    /// Index in the batch of the frame that completed it.
    pub(crate) behind: usize,
    /// Lane of the datagram.
    pub(crate) lane: u8,
    /// The datagram.
    pub(crate) whole: ReassembledDatagram,
}

/// The outcome of reading the files.
pub(crate) struct ReadSummary {
    /// Errors, in the order of the files.
    pub(crate) errors: Vec<CaptureError>,
    /// Reading was stopped before the end.
    pub(crate) stopped: bool,
    /// Counters of the defragmenter.
    pub(crate) fragments: DefragStats,
    /// Packets read.
    pub(crate) packets: PacketsRead,
}

/// Packets read from capture files.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PacketsRead {
    /// All packets.
    pub(crate) total: u64,
    /// Of these, packets of an interface with an unsupported link type. No lane processes them.
    pub(crate) unsupported: u64,
}

impl PacketsRead {
    fn add(&mut self, file: &CaptureFile) {
        self.total += file.packets() + file.unsupported();
        self.unsupported += file.unsupported();
    }
}

/// Called between batches with the index of the file and its progress.
pub(crate) type OnProgress<'a> = Box<dyn FnMut(usize, ReadProgress) + Send + 'a>;

/// The files of a replay.
struct ReplayFiles<'a> {
    files: VecDeque<CaptureFile>,
    current: usize,
    next_number: u64,
    errors: Vec<CaptureError>,
    on_progress: OnProgress<'a>,
    stop: StopFlag,
    stopped: bool,
    /// Shared by all lanes, because a fragment does not carry the ports of its flow.
    defragmenter: Defragmenter,
    /// Packets of the files read so far.
    packets: PacketsRead,
    /// Packets that may still be processed.
    remaining: u64,
    /// Packets that were read with the last one but are over the limit.
    over_limit: u64,
}

/// Batches that were read.
#[derive(Default)]
struct BatchQueue {
    /// Batches not yet taken by every thread, with the number of takers; the first has the number `first`.
    waiting: VecDeque<(Arc<DealtBatch>, usize)>,
    first: usize,
    spare: Vec<DealtBatch>,
    /// A thread reads the next batch.
    reading: bool,
    is_complete: bool,
    /// No thread gets another batch, even if it is read.
    is_stopped: bool,
}

/// The batches of all files, one after the other.
pub(crate) struct Batches<'a> {
    /// Held while a batch is read; a pipe may take any time.
    files: Mutex<ReplayFiles<'a>>,
    /// Never held while a thread waits.
    queue: Mutex<BatchQueue>,
    /// Notified when a batch was added or removed.
    changed: Condvar,
    threads: usize,
    lanes: u32,
    filter_config: &'a FilterConfig,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(
        files: Vec<CaptureFile>,
        threads: usize,
        lanes: u32,
        filter_config: &'a FilterConfig,
        on_progress: OnProgress<'a>,
        stop: StopFlag,
        max_packets: u64,
    ) -> Self {
        let files = ReplayFiles {
            files: files.into(),
            current: 0,
            next_number: 1,
            errors: Vec::new(),
            on_progress,
            stop,
            stopped: false,
            defragmenter: Defragmenter::new(&DefragLimits::default()),
            packets: PacketsRead::default(),
            remaining: max_packets,
            over_limit: 0,
        };
        Self {
            files: Mutex::new(files),
            queue: Mutex::default(),
            changed: Condvar::new(),
            threads,
            lanes,
            filter_config,
        }
    }

    /// Returns the batch of this number; `None` after the last. Each thread calls this once per number.
    pub(crate) fn take(&self, number: usize) -> Option<Arc<DealtBatch>> {
        let mut queue = self.queue();
        loop {
            if queue.is_stopped {
                return None;
            }
            let place = number - queue.first;
            if let Some((dealt, takers)) = queue.waiting.get_mut(place) {
                *takers += 1;
                let dealt = Arc::clone(dealt);
                while queue.waiting.front().is_some_and(|(_, takers)| *takers == self.threads) {
                    queue.waiting.pop_front();
                    queue.first += 1;
                }
                self.changed.notify_all();
                return Some(dealt);
            }
            if queue.is_complete {
                return None;
            }
            if queue.reading || queue.waiting.len() >= AHEAD {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue = self.read_next(queue);
        }
    }

    /// Reads a batch that no thread needs yet, unless enough are read.
    pub(crate) fn read_ahead(&self) {
        let queue = self.queue();
        let is_needed = !queue.is_complete && !queue.reading && queue.waiting.len() < AHEAD;
        if is_needed {
            drop(self.read_next(queue));
        }
    }

    /// Reads the next batch. The queue is not locked meanwhile.
    fn read_next<'q>(&'q self, mut queue: MutexGuard<'q, BatchQueue>) -> MutexGuard<'q, BatchQueue> {
        queue.reading = true;
        let spare = queue.spare.pop().unwrap_or_else(DealtBatch::new);
        drop(queue);
        let read = self.read(spare);
        queue = self.queue();
        queue.reading = false;
        queue.is_complete |= read.is_none();
        queue.waiting.extend(read.map(|dealt| (Arc::new(dealt), 0)));
        self.changed.notify_all();
        queue
    }

    /// Makes a batch available for reuse, if no other thread holds it.
    pub(crate) fn recycle(&self, dealt: Arc<DealtBatch>) {
        if let Some(dealt) = Arc::into_inner(dealt) {
            self.queue().spare.push(dealt);
        }
    }

    /// Ends the batches: the output is closed.
    pub(crate) fn stop(&self) {
        let mut queue = self.queue();
        (queue.is_complete, queue.is_stopped) = (true, true);
        self.changed.notify_all();
    }

    /// The outcome of reading the files.
    pub(crate) fn into_read(self) -> ReadSummary {
        let mut files = self.files.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Files that were not finished.
        for file in &files.files {
            files.packets.add(file);
        }
        files.packets.total -= files.over_limit;
        let ReplayFiles { errors, stopped, packets, defragmenter, .. } = files;
        ReadSummary { errors, stopped, fragments: defragmenter.stats(), packets }
    }

    fn queue(&self) -> MutexGuard<'_, BatchQueue> {
        // A panic ends the run; the queue is consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the next batch and assigns lanes. Returns `None` after the last.
    fn read(&self, mut dealt: DealtBatch) -> Option<DealtBatch> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.read(&mut dealt.batch) {
            return None;
        }
        self.deal(&mut dealt, &mut files.defragmenter);
        Some(dealt)
    }

    /// Assigns a lane to each frame, and reassembles fragments.
    fn deal(&self, dealt: &mut DealtBatch, defragmenter: &mut Defragmenter) {
        let DealtBatch { batch, lanes, whole } = dealt;
        lanes.clear();
        whole.clear();
        for (place, frame) in batch.frames().iter().enumerate() {
            let Some(frame) = captured(batch, frame) else {
                lanes.push(0);
                continue;
            };
            let destination = destination_of(&frame, self.filter_config, self.lanes);
            lanes.push(destination.lane as u8);
            let Some(network) = destination.fragment.and_then(|at| frame.slice.bytes.get(at..)) else {
                continue;
            };
            // The defragmenter counts rejected fragments.
            let info = FrameInfo { link: LinkHeader::OfOuterFrame, ..frame.info() };
            if let Ok(Some(bytes)) = defragmenter.push(network, info.capture_point(), frame.time) {
                let (CapturedFrame { time, interface, number, .. }, tags) = (frame, destination.tags);
                let bytes = Bytes::copy_from_slice(bytes);
                let mut next =
                    Some(ReassembledDatagram { bytes, time, interface, info, tags, number: Some(number), layers: 0 });
                while let Some(datagram) = next.take() {
                    match datagram.reassemble(self.filter_config, defragmenter) {
                        ReassemblyOutcome::NotFragment(datagram) => {
                            let lane = shard_of(datagram.hash(self.filter_config), self.lanes) as u8;
                            whole.push(DealtDatagram { behind: place, lane, whole: datagram });
                        }
                        ReassemblyOutcome::Completed(datagram) => next = Some(datagram),
                        ReassemblyOutcome::Pending => {}
                    }
                }
            }
        }
    }
}

impl ReplayFiles<'_> {
    /// Reads the next batch. Returns false after the last.
    fn read(&mut self, batch: &mut Batch) -> bool {
        loop {
            self.stopped |= !self.files.is_empty() && self.stop.is_set();
            let Some(file) = self.files.front_mut().filter(|_| !self.stopped && self.remaining > 0) else {
                return false;
            };
            let filled = file.fill(batch);
            (self.on_progress)(self.current, file.progress());
            match filled {
                Ok(true) => {
                    self.over_limit += batch.truncate(self.remaining);
                    self.remaining -= batch.frames().len() as u64;
                    return true;
                }
                // The stop flag may have ended a pipe.
                _ if self.stop.is_set() => {
                    self.stopped = true;
                    continue;
                }
                Ok(false) => {}
                Err(error) => self.errors.push(error),
            }
            self.next_number = file.next_number();
            self.packets.add(file);
            self.files.pop_front();
            self.current += 1;
            if let Some(next) = self.files.pop_front() {
                self.files.push_front(next.starting_at(self.next_number));
            }
        }
    }
}

impl DealtBatch {
    fn new() -> Self {
        Self { batch: Batch::new(), lanes: Vec::new(), whole: Vec::new() }
    }
}

/// Converts a frame for the filter. Returns `None` if its link header is truncated.
pub(super) fn captured<'a>(batch: &'a Batch, frame: &FrameRef) -> Option<CapturedFrame<'a>> {
    let bytes = batch.bytes(frame);
    let payload = frame.link.network(bytes).ok()?;
    let start = match payload.start {
        capture::LinkStart::Ethernet => ParseStart::Ethernet,
        capture::LinkStart::Network(ethertype) => ParseStart::Network { ethertype, offset: payload.offset },
    };
    Some(CapturedFrame {
        start,
        slice: SliceFrame { bytes, wire_len: frame.wire as usize },
        time: Time(frame.time),
        interface: frame.interface,
        point: payload.capture_point,
        number: frame.number,
    })
}
