//! The loop of one live shard: drain the ring, flush every 20 ms, evict every second, sleep while no record arrives.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{MapData, RingBuf};
use bytes::Bytes;
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::{FlowEntry, FlowKey, shard_of};
use ja4_common::parse::ParseStart;
use ja4_common::reason::RecordClass;
use ja4_common::record::{FrameInfo, HEADER, RecordHeader, VERSION, flag};

use zerocopy::FromBytes;

use crate::capture::ebpf::{AsleepFlag, FlowMap, RecentMap};
use crate::encode::Formatter;
use crate::model::{AddCounters, ConnectionEvent, EndReason, EventHandler, FingerprintEvent, ProgressEvent, Time};
use crate::packet::Packet;
use crate::packet::defrag::{DefragLimits, Defragmenter};
use crate::runtime::engine::observe::{Chunk, Observer};
use crate::runtime::engine::{Engine, EngineWorker, Finished};
use crate::runtime::handoff::{HandoffReceiver, HandoffSender};
use crate::runtime::line_sender::LineSender;
use crate::runtime::run_state::{RunState, ShardStatus};
use crate::shard::{
    Core, DecapStats, DecapTarget, Decapsulator, FlowLookup, Now, ReassembledDatagram, ReassemblyOutcome, ShardBuffers,
    ShardEnv, ShardLimits, ShardStats, UserFlows, start_of,
};
use crate::system::clock::wall_clock;
use crate::system::shutdown::{ShutdownDeadline, ShutdownPhase};

/// Records processed between two readings of the clock.
const BATCH: usize = 4096;

/// Longest time that lines are buffered.
const FLUSH: Duration = Duration::from_millis(20);

/// Bytes of lines that are processed at once, without waiting for [`FLUSH`].
const FULL: usize = 64 << 10;

/// Observations that are processed at once, without waiting for [`FLUSH`].
const MANY: usize = 1024;

/// Interval at which idle connections are evicted and counters are reported.
const EVICT: Duration = Duration::from_secs(1);

/// Pause after a drain that found no record: the ring fills meanwhile, so that one wakeup serves many records. At line
/// rate, records fill a twentieth of the default ring of 8 MiB in this time.
const NAP: Duration = Duration::from_millis(1);

/// Pauses without a record before the thread sleeps in the kernel.
const NAPS: u32 = 2;

/// Longest time that a stopping shard waits for datagrams of the other shards. Each of them checks for the end of the
/// run once per [`EVICT`]; only a blocked thread takes longer.
const FAREWELL: Duration = Duration::from_secs(2);

/// Share of the connections that may be in a nested tunnel: one in this many.
const NESTED_SHARE: usize = 8;

/// One shard of a live run.
pub struct LiveShard {
    /// Ring that the kernel half fills.
    pub ring: RingBuf<MapData>,
    /// Configuration of the filter.
    pub filter_config: FilterConfig,
    /// Index of the shard.
    pub index: u32,
    /// Senders to every shard, for datagrams reassembled here that another shard owns.
    pub handoff: Vec<HandoffSender>,
    /// Receiver of datagrams from the other shards.
    pub handed_off: HandoffReceiver,
    /// Handle of the kernel's flow map.
    pub flows: FlowMap,
    /// Handle of the kernel's table of recent packets.
    pub recent: RecentMap,
    /// Flag in the kernel that asks for a wakeup.
    pub asleep: AsleepFlag,
    /// Kernel indices of the interfaces, in the order of the names in the output's context.
    pub interfaces: Vec<u32>,
    /// Bounds of its core.
    pub limits: ShardLimits,
    /// Hashers and buffers.
    pub buffers: ShardBuffers,
    /// What turns events into lines.
    pub formatter: Formatter,
    /// The engine.
    pub engine: Arc<Engine>,
    /// The shard's part of it.
    pub worker: Arc<Mutex<EngineWorker>>,
    /// Queue of standard output.
    pub lines: LineSender,
    /// State shared with the control plane.
    pub shared: Arc<RunState>,
    /// Deadlines of the shutdown.
    pub deadline: ShutdownDeadline,
    /// Counters, reported to the control plane.
    pub status: Arc<Mutex<ShardStatus>>,
}

impl LiveShard {
    /// Runs until the stop flag is set, then drains the ring, ends every connection and flushes.
    pub fn run(self) {
        let Self {
            mut ring,
            flows,
            recent,
            mut asleep,
            interfaces,
            limits,
            mut buffers,
            formatter,
            engine,
            worker,
            lines,
            shared,
            deadline,
            status,
            ..
        } = self;
        let mut core = Core::new(&limits);
        let inner = UserFlows::with_capacity(limits.connections.div_ceil(NESTED_SHARE));
        let mut lookup = KernelFlowLookup { flows, recent, offset: 0, inner };
        let mut encapsulated = EncapsulatedInput {
            filter_config: self.filter_config,
            index: self.index,
            handoff: self.handoff,
            decapsulator: Decapsulator::default(),
            defragmenter: Defragmenter::new(&DefragLimits::default()),
            handed_off: 0,
            handoff_lost: 0,
        };
        let handed_off = self.handed_off;
        let mut sink =
            ShardOutput { formatter, chunk: Chunk::default(), engine, worker, finished: Finished::default(), lines };
        let mut env = ShardEnv { flows: &mut lookup, buffers: &mut buffers, events: &mut sink };
        let mut bad_version = 0;
        let (mut flushed, mut evicted) = (Instant::now(), Instant::now());
        let mut naps = 0;
        loop {
            // Read before the drain: records emitted before the flag was set are in the ring.
            let stopping = shared.stop.load(Ordering::Acquire);
            env.flows.offset = shared.clock_offset.load(Ordering::Relaxed);
            let mut newest = 0;
            let mut taken = 0;
            // Datagrams of other shards are merged with the records by time: a reply in the ring may have woken this
            // shard, and its request may arrive by the hand-off queue.
            let mut routed = handed_off.next();
            while taken < BATCH
                && let Some(record) = ring.next()
            {
                taken += 1;
                match read_record(&record, env.flows.offset) {
                    Some((header, bytes)) => {
                        newest = header.time;
                        while let Some(whole) = routed.take_if(|whole| whole.time.0 <= header.time) {
                            encapsulated.datagram(whole, &mut core, &mut env);
                            routed = handed_off.next();
                        }
                        let interface = interfaces.iter().position(|index| *index == header.ifindex);
                        let interface = interface.map_or(u32::MAX, |index| index as u32);
                        let packet = Packet { header: &header, bytes, interface, number: None };
                        if header.class >= RecordClass::Fragment as u8 {
                            encapsulated.packet(&packet, &mut core, &mut env);
                        } else {
                            core.packet(&packet, &mut env);
                        }
                    }
                    None => bad_version += 1,
                }
                if env.events.is_full() {
                    env.events.process();
                }
            }
            while let Some(whole) = routed {
                encapsulated.datagram(whole, &mut core, &mut env);
                routed = handed_off.next();
            }
            let now = Instant::now();
            if now.duration_since(flushed) >= FLUSH {
                env.events.flush();
                flushed = now;
            }
            if now.duration_since(evicted) >= EVICT || newest != 0 {
                let wall = wall_clock();
                let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
                status.stats = encapsulated.stats(core.stats());
                status.ring.bad_record_version = bad_version;
                status.reported = Some(now);
                if newest != 0 {
                    status.ring.lag_us = wall.0.saturating_sub(newest) / 1000;
                }
            }
            if now.duration_since(evicted) >= EVICT {
                let at = Now { time: wall_clock(), packet: None };
                encapsulated.defragmenter.expire(at.time);
                encapsulated.decapsulator.expire(at.time);
                core.tick(at, &mut env);
                core.evict_idle(at, &mut env);
                core.refresh_counters(&mut env);
                env.events.tick(at.time);
                evicted = now;
            }
            if taken > 0 {
                naps = 0;
                continue;
            }
            if stopping {
                break;
            }
            env.events.flush();
            if naps < NAPS {
                naps += 1;
                thread::sleep(NAP);
            } else {
                asleep.set(true);
                // A record that was submitted before the flag was set causes no wakeup, but poll finds it.
                handed_off.sleep(Some(ring.as_fd()), EVICT.saturating_sub(now.duration_since(evicted)));
                asleep.set(false);
            }
        }
        // Other shards may still send datagrams. The wait ends when the last shard has dropped its senders.
        encapsulated.handoff.clear();
        while let Ok(whole) = handed_off.wait(FAREWELL) {
            encapsulated.datagram(whole, &mut core, &mut env);
        }
        // What is not closed in time is counted as open.
        let now = Now { time: wall_clock(), packet: None };
        while core.close_oldest(MANY, EndReason::Open, now, &mut env) && !deadline.has_passed(ShutdownPhase::Shards) {
            env.events.process();
        }
        env.events.finish();
        let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
        status.stats = encapsulated.stats(core.stats());
        status.ring.bad_record_version = bad_version;
    }
}

/// Splits a record into its header, with the time since the Unix epoch, and the captured bytes.
fn read_record(record: &[u8], offset: u64) -> Option<(RecordHeader, &[u8])> {
    let (mut header, rest) = RecordHeader::read_from_prefix(record).ok()?;
    if header.version != VERSION || record.len() < HEADER {
        return None;
    }
    header.time = header.time.wrapping_add(offset);
    Some((header, rest.get(..header.captured as usize)?))
}

/// The kernel's flow map; times are converted to the clock of the records.
struct KernelFlowLookup {
    flows: FlowMap,
    recent: RecentMap,
    offset: u64,
    /// Flows in nested tunnels, which the kernel half does not track.
    inner: UserFlows,
}

/// Packets that the kernel half emits without parsing them: fragments and nested tunnels.
struct EncapsulatedInput {
    filter_config: FilterConfig,
    index: u32,
    handoff: Vec<HandoffSender>,
    decapsulator: Decapsulator,
    defragmenter: Defragmenter,
    /// Datagrams put together here and handed to another shard, and those that it had no room for.
    handed_off: u64,
    handoff_lost: u64,
}

impl EncapsulatedInput {
    fn packet(&mut self, packet: &Packet<'_>, core: &mut Core, env: &mut ShardEnv<'_, KernelFlowLookup, ShardOutput>) {
        self.decapsulator.count_record();
        if packet.header.class == RecordClass::Nested as u8 {
            let start = match packet.header.flags & flag::NO_LINK {
                0 => ParseStart::Ethernet,
                _ => start_of(packet.bytes),
            };
            let target = &mut DecapTarget { config: &self.filter_config, core, env };
            return self.decapsulator.open(packet, start, target);
        }
        let network = packet.bytes.get(usize::from(packet.header.l3)..).unwrap_or_default();
        let time = Time(packet.header.time);
        // The defragmenter counts rejected fragments.
        let info = FrameInfo {
            ifindex: packet.header.ifindex,
            egress: packet.header.flags & flag::EGRESS != 0,
            ..FrameInfo::default()
        };
        let Ok(Some(bytes)) = self.defragmenter.push(network, info.capture_point(), time) else {
            return;
        };
        let bytes = Bytes::copy_from_slice(bytes);
        let whole = ReassembledDatagram { bytes, time, interface: packet.interface, info, number: None, layers: 0 };
        self.hand_over(whole, core, env);
    }

    /// Sends a reassembled datagram to the shard that owns its flow.
    fn hand_over(
        &mut self,
        whole: ReassembledDatagram,
        core: &mut Core,
        env: &mut ShardEnv<'_, KernelFlowLookup, ShardOutput>,
    ) {
        let owner = shard_of(whole.hash(&self.filter_config), self.filter_config.shards);
        if owner == self.index {
            return self.datagram(whole, core, env);
        }
        let sent = self.handoff.get(owner as usize).is_some_and(|route| route.send(whole));
        self.handed_off += u64::from(sent);
        self.handoff_lost += u64::from(!sent);
    }

    /// Takes what belongs to this shard. A fragment waits here for the others of its datagram, which found the same
    /// way by its addresses.
    fn datagram(
        &mut self,
        whole: ReassembledDatagram,
        core: &mut Core,
        env: &mut ShardEnv<'_, KernelFlowLookup, ShardOutput>,
    ) {
        match whole.reassemble(&mut self.defragmenter) {
            ReassemblyOutcome::NotFragment(datagram) => {
                self.decapsulator.datagram(&datagram, &mut DecapTarget { config: &self.filter_config, core, env });
            }
            ReassemblyOutcome::Completed(whole) => self.hand_over(whole, core, env),
            ReassemblyOutcome::Pending => {}
        }
    }

    fn stats(&self, stats: ShardStats) -> ShardStats {
        let decap =
            DecapStats { handed_off: self.handed_off, handoff_lost: self.handoff_lost, ..self.decapsulator.stats() };
        let mut fragments = self.defragmenter.stats();
        fragments.add(&self.decapsulator.defrag_stats());
        ShardStats { fragments, ..stats.with(decap) }
    }
}

impl FlowLookup for KernelFlowLookup {
    fn entry(&self, hash: u64, key: &FlowKey) -> Option<FlowEntry> {
        let Some(mut entry) = self.flows.entry(hash, key) else {
            return self.inner.entry(hash, key);
        };
        for direction in [&mut entry.low, &mut entry.high] {
            if direction.last_seen != 0 {
                direction.last_seen = direction.last_seen.wrapping_add(self.offset);
            }
        }
        Some(entry)
    }

    fn remove(&mut self, hash: u64, key: &FlowKey) {
        // A newer flow may have the same hash by now; it stays.
        if self.flows.entry(hash, key).is_some() {
            self.flows.remove(hash);
        } else {
            self.inner.remove(hash, key);
        }
    }

    fn is_duplicate(&mut self, hash: u64, point: u32, time: Time) -> bool {
        self.recent.is_duplicate(hash, point, time.0.wrapping_sub(self.offset))
    }

    fn inner(&mut self) -> &mut UserFlows {
        &mut self.inner
    }
}

/// Collects the shard's events, processes them in chunks, and sends the results to the outputs. A result that finds its
/// queue full is dropped and counted; the shard never waits.
struct ShardOutput {
    formatter: Formatter,
    chunk: Chunk,
    engine: Arc<Engine>,
    worker: Arc<Mutex<EngineWorker>>,
    finished: Finished,
    lines: LineSender,
}

impl ShardOutput {
    /// Whether the chunk is large enough to be processed at once.
    fn is_full(&self) -> bool {
        self.chunk.text.len() >= FULL || self.chunk.observations.len() >= MANY
    }

    /// Processes the chunk.
    fn process(&mut self) {
        let Self { chunk, worker, finished, .. } = self;
        if chunk.is_empty() {
            return;
        }
        let (text, observations) = (chunk.text.len(), chunk.observations.len());
        lock(worker).take(chunk, 0..text, 0..observations, 0, finished);
        chunk.clear();
        self.deliver();
    }

    /// Processes the chunk, and sends attached readers what has changed.
    fn flush(&mut self) {
        self.process();
        lock(&self.worker).flush();
        self.lines.send(&mut self.finished.text);
    }

    /// Raises the alerts that are due.
    fn tick(&mut self, now: Time) {
        self.process();
        lock(&self.worker).tick(now, &mut self.finished);
        self.deliver();
    }

    /// Sends the last lines. They wait for room until the shutdown's deadline.
    fn finish(&mut self) {
        self.flush();
        self.lines.finish(&mut self.finished.text);
    }

    fn deliver(&mut self) {
        self.engine.deliver(&mut self.finished);
        self.lines.send(&mut self.finished.text);
    }

    fn observer(&mut self) -> Observer<'_> {
        Observer { formatter: &mut self.formatter, chunk: &mut self.chunk }
    }
}

/// Locks a worker. Others lock it for queries, statistics and snapshots alone.
fn lock(worker: &Mutex<EngineWorker>) -> MutexGuard<'_, EngineWorker> {
    worker.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventHandler for ShardOutput {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>) {
        self.observer().fingerprint(event);
    }

    fn progress(&mut self, event: &ProgressEvent<'_>) {
        self.observer().progress(event);
    }

    fn connection(&mut self, event: &ConnectionEvent<'_>) {
        self.observer().connection(event);
    }
}
