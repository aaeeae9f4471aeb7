//! The packet file: a pcapng file of the selected packets, or of those of connections that raise an alert.
//!
//! It has a queue and a thread, so that a slow disk delays nothing else. Packets that it cannot write are counted.

mod packet_history;
mod pcapng;
mod recorder;
mod settings;
mod stats;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, bounded};

pub use self::recorder::PacketRecorder;
use self::recorder::{AlertedFlows, PacketChunk, PacketQueue};
pub use self::settings::{PacketFileSettings, WrittenPackets};
pub use self::stats::PacketFileStats;
use self::target::PacketTarget;
use crate::model::InterfaceNames;
use crate::output::file_counters::FileCounters;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Chunks of packets in the queue, some 256 KiB each at high rates.
const CHUNKS: usize = 64;

/// The running packet file.
#[derive(Debug)]
pub struct PacketFile {
    settings: PacketFileSettings,
    path: String,
    /// The ends of the queue: a chunk without packets ends the thread, and what waits at the end is counted.
    queue: Sender<PacketChunk>,
    waiting: Receiver<PacketChunk>,
    counters: Arc<FileCounters>,
    closed_files: Arc<AtomicU64>,
    deadline: ShutdownDeadline,
    /// Carries no messages; disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl PacketFile {
    /// Opens the file and starts its thread, if one is configured.
    ///
    /// # Errors
    /// If the file cannot be opened, or the thread not be started.
    pub(crate) fn start(
        settings: &PacketFileSettings,
        names: &Arc<InterfaceNames>,
        deadline: &ShutdownDeadline,
    ) -> io::Result<Option<Self>> {
        let Some(path) = settings.path.clone() else { return Ok(None) };
        let name = path.display().to_string();
        let mut target = PacketTarget::new(path, settings.max_size.0, settings.max_files as usize, Arc::clone(names));
        target.open().map_err(|error| io::Error::new(error.source.kind(), error.to_string()))?;
        let (queue, waiting) = bounded(CHUNKS);
        let (alive, ended) = bounded(0);
        let counters = Arc::<FileCounters>::default();
        let closed_files = Arc::new(AtomicU64::new(target.closed()));
        thread::Builder::new().name("packet-file".to_owned()).spawn({
            let (chunks, counters, closed_files) = (waiting.clone(), Arc::clone(&counters), Arc::clone(&closed_files));
            move || {
                write(&mut target, &chunks, &counters, &closed_files);
                drop::<Sender<()>>(alive);
            }
        })?;
        let (settings, deadline) = (settings.clone(), deadline.clone());
        Ok(Some(Self { settings, path: name, queue, waiting, counters, closed_files, deadline, ended }))
    }

    /// What one of `shards` shards sends its packets to. `seed`: that of its flow hash. `waits`: a full queue is waited for.
    pub(crate) fn recorder(&self, shards: usize, seed: [u64; 2], waits: bool) -> PacketRecorder {
        let queue = PacketQueue {
            chunks: self.queue.clone(),
            dropped: self.counters.dropped(),
            deadline: self.deadline.clone(),
            waits,
        };
        let only_alerts = self.settings.packets == WrittenPackets::Alerts;
        let before = self.settings.before.bytes() / shards.max(1);
        PacketRecorder::new(queue, only_alerts.then(|| AlertedFlows::new(seed, before)))
    }

    /// The counters.
    pub(crate) fn stats(&self) -> PacketFileStats {
        let closed_files = self.closed_files.load(Ordering::Relaxed);
        PacketFileStats::new(self.path.clone(), self.counters.counts(), closed_files)
    }

    /// Ends the thread once its queue is written, or when the last phase of the output is over. No packets are sent after this.
    pub(crate) fn finish(&self) {
        // A thread that has no room for this by then is not waited for.
        let _end = self.deadline.send(ShutdownPhase::Database, &self.queue, PacketChunk::default());
        if !self.deadline.wait_closed(ShutdownPhase::Database, &self.ended) {
            self.counters.abandon(self.waiting.try_iter().map(|chunk| chunk.packets).sum());
        }
    }
}

/// Writes the chunks of the queue up to an empty one.
fn write(target: &mut PacketTarget, chunks: &Receiver<PacketChunk>, counters: &FileCounters, closed_files: &AtomicU64) {
    for chunk in chunks.iter().take_while(|chunk| chunk.packets > 0) {
        counters.begin(chunk.packets);
        match target.write(&chunk) {
            Ok(()) => counters.end(chunk.packets, None),
            Err(error) => counters.end(0, Some(error.to_string())),
        }
        closed_files.store(target.closed(), Ordering::Relaxed);
    }
}
