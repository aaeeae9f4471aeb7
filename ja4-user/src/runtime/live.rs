//! The loop of one live shard: drain the ring, flush every 20 ms, evict every second, sleep while no record arrives.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{MapData, RingBuf};
use bytes::Bytes;
use crossbeam_channel::Receiver;
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::{FlowEntry, FlowKey, shard_of};
use ja4_common::headers::{ETHERTYPE_MPLS, ETHERTYPE_VLAN};
use ja4_common::parse::ParseStart;
use ja4_common::reason::RecordClass;
use ja4_common::record::{FirstHeader, FrameInfo, HEADER, LinkHeader, RecordHeader, VERSION, flag};

use zerocopy::FromBytes;

use crate::capture::ebpf::{AsleepFlag, FlowMap, RecentMap};
use crate::detect::detectors::ActiveContent;
use crate::model::{AddCounters, ConnectionRecord, EndReason, EventContext, EventHandler, FingerprintEvent, Time};
use crate::output::line_queue::LineQueue;
use crate::output::packet_file::PacketRecorder;
use crate::packet::defrag::{DefragLimits, Defragmenter};
use crate::packet::{Packet, vlan_tags};
use crate::runtime::captured_interfaces::InterfaceLookup;
use crate::runtime::connection_query::{ConnectionQuery, ShardConnections};
use crate::runtime::engine::worker::WorkerEvents;
use crate::runtime::engine::{Engine, EngineWorker, Finished};
use crate::runtime::handoff::{HandoffReceiver, HandoffSender};
use crate::runtime::run_state::{RunState, ShardStatus};
use crate::shard::{
    Core, DecapStats, DecapTarget, Decapsulator, FlowLookup, Now, ReassembledDatagram, ReassemblyOutcome, ShardBuffers,
    ShardEnv, ShardLimits, ShardStats, UserFlows, start_of,
};
use crate::system::clock::wall_clock;
use crate::system::shutdown::ShutdownPhase;

/// Records processed between two readings of the clock.
const BATCH: usize = 4096;

/// Longest time that lines are buffered.
const FLUSH: Duration = Duration::from_millis(20);

/// Bytes of lines that are sent at once, without waiting for [`FLUSH`].
const FULL: usize = 64 << 10;

/// Rows that are sent at once, without waiting for [`FLUSH`].
const MANY: usize = 1024;

/// Connections that the end of the run closes before their lines wait for room: these fit in the sender's buffer.
const CLOSED_AT_ONCE: usize = 256;

/// Seconds in which every open connection is examined for rows that are due.
const OPEN_ROWS: usize = 30;

/// Rows of open connections that are sent in a second: queued rows are held in memory.
const MAX_OPEN_ROWS: usize = 4096;

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
    /// Names of the interfaces of records.
    pub interfaces: InterfaceLookup,
    /// Bounds of its core.
    pub limits: ShardLimits,
    /// Hashers and buffers.
    pub buffers: ShardBuffers,
    /// Queries of the API.
    pub queries: Receiver<ConnectionQuery>,
    /// The engine.
    pub engine: Arc<Engine>,
    /// The shard's part of it.
    pub worker: Arc<Mutex<EngineWorker>>,
    /// Queue of standard output.
    pub lines: LineQueue,
    /// The packet file, if any.
    pub packets: Option<PacketRecorder>,
    /// State shared with the control plane.
    pub shared: Arc<RunState>,
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
            mut interfaces,
            limits,
            mut buffers,
            queries,
            engine,
            worker,
            lines,
            packets,
            shared,
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
        let seed = self.filter_config.seed;
        let mut sink = ShardOutput {
            engine: &engine,
            worker: &worker,
            held: None,
            finished: Finished::default(),
            lines,
            packets,
            seed,
        };
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
                        let packet = Packet {
                            header: &header,
                            bytes,
                            start: frame_start(&header, bytes),
                            outer_vlan: None,
                            interface: interfaces.name_index(header.ifindex),
                            number: None,
                        };
                        env.events.record(&packet);
                        if header.class >= RecordClass::Fragment as u8 {
                            encapsulated.packet(&packet, &mut core, &mut env);
                        } else {
                            core.packet(&packet, &mut env);
                        }
                    }
                    None => bad_version += 1,
                }
            }
            while let Some(whole) = routed {
                encapsulated.datagram(whole, &mut core, &mut env);
                routed = handed_off.next();
            }
            while let Ok(query) = queries.try_recv() {
                env.events.answer(query, &mut core);
            }
            let now = Instant::now();
            if now.duration_since(flushed) >= FLUSH {
                env.events.flush(&mut core);
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
                env.events.tick(at.time, &mut core);
                evicted = now;
            }
            env.events.release();
            if taken > 0 {
                naps = 0;
                continue;
            }
            if stopping {
                break;
            }
            env.events.flush(&mut core);
            if naps < NAPS {
                naps += 1;
                thread::sleep(NAP);
            } else {
                asleep.set(true);
                // A record that was submitted before the flag was set causes no wakeup, but poll finds it.
                let timeout = EVICT.saturating_sub(now.duration_since(evicted));
                handed_off.sleep(Some(ring.as_fd()), timeout, || queries.is_empty());
                asleep.set(false);
            }
        }
        // Other shards may still send datagrams. The wait ends when the last shard has dropped its senders.
        encapsulated.handoff.clear();
        while let Ok(whole) = handed_off.wait(FAREWELL) {
            encapsulated.datagram(whole, &mut core, &mut env);
        }
        engine.begin_end();
        let now = Now { time: wall_clock(), packet: None };
        while core.close_oldest(CLOSED_AT_ONCE, EndReason::Open, now, &mut env) && env.events.deliver_last() {}
        engine.lose_open(core.connections());
        env.events.finish(&mut core);
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
    fn packet(
        &mut self,
        packet: &Packet<'_>,
        core: &mut Core,
        env: &mut ShardEnv<'_, KernelFlowLookup, ShardOutput<'_>>,
    ) {
        self.decapsulator.count_record();
        if packet.header.class == RecordClass::Nested as u8 {
            let target = &mut DecapTarget { config: &self.filter_config, core, env };
            return self.decapsulator.open(packet, packet.start, target);
        }
        let network = packet.bytes.get(usize::from(packet.header.l3)..).unwrap_or_default();
        let time = Time(packet.header.time);
        // The defragmenter counts rejected fragments.
        let info = FrameInfo {
            ifindex: packet.header.ifindex,
            egress: packet.header.flags & flag::EGRESS != 0,
            link: LinkHeader::OfOuterFrame,
            ..FrameInfo::default()
        };
        let Ok(Some(bytes)) = self.defragmenter.push(network, info.capture_point(), time) else {
            return;
        };
        let bytes = Bytes::copy_from_slice(bytes);
        let (interface, tags) = (packet.interface, vlan_tags(packet));
        let whole = ReassembledDatagram { bytes, time, interface, info, tags, number: None, layers: 0 };
        self.hand_over(whole, core, env);
    }

    /// Sends a reassembled datagram to the shard that owns its flow.
    fn hand_over(
        &mut self,
        whole: ReassembledDatagram,
        core: &mut Core,
        env: &mut ShardEnv<'_, KernelFlowLookup, ShardOutput<'_>>,
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
        env: &mut ShardEnv<'_, KernelFlowLookup, ShardOutput<'_>>,
    ) {
        match whole.reassemble(&self.filter_config, &mut self.defragmenter) {
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

/// Processes the shard's events, and sends the results to the outputs. A result that finds its queue full is dropped and
/// counted; the shard never waits.
struct ShardOutput<'a> {
    engine: &'a Engine,
    worker: &'a Mutex<EngineWorker>,
    /// Worker and content, from the first event after a pause to the next one. A reload replaces content and state
    /// together.
    held: Option<(MutexGuard<'a, EngineWorker>, RwLockReadGuard<'a, Arc<ActiveContent>>)>,
    finished: Finished,
    lines: LineQueue,
    packets: Option<PacketRecorder>,
    /// Seed of the flow hash.
    seed: [u64; 2],
}

impl ShardOutput<'_> {
    /// Allows queries, reloads and statistics. Called between drains of the ring.
    fn release(&mut self) {
        self.held = None;
    }

    /// Takes a packet for the packet file.
    fn record(&mut self, packet: &Packet<'_>) {
        if let Some(packets) = &mut self.packets {
            packets.packet(packet);
        }
    }

    /// Returns what takes an event.
    fn events(&mut self) -> WorkerEvents<'_> {
        if self.finished.text.len() >= FULL || self.finished.rows.len() >= MANY {
            self.deliver();
        }
        let Self { engine, worker, held, finished, .. } = self;
        let (worker, active) = held.get_or_insert_with(|| (lock(worker), engine.read_active()));
        worker.events(active, 0, finished)
    }

    /// Sends the results, and sends attached readers what has changed.
    fn flush(&mut self, core: &mut Core) {
        self.release();
        let mut worker = lock(self.worker);
        for key in worker.take_changed() {
            core.read_record(key.hash(self.seed), &key, |record| worker.snapshot(record));
        }
        worker.broadcast();
        drop(worker);
        self.deliver();
    }

    /// Work of each second: raises the alerts that are due, and stores open connections.
    fn tick(&mut self, now: Time, core: &mut Core) {
        self.release();
        let mut worker = lock(self.worker);
        worker.tick(&self.engine.active(), now, &mut self.finished);
        if self.engine.can_store() {
            let rows = &mut self.finished.rows;
            let most = rows.len() + MAX_OPEN_ROWS;
            core.next_records(core.slots().div_ceil(OPEN_ROWS), |record| {
                rows.extend(worker.due_row(record, now));
                rows.len() < most
            });
        }
        drop(worker);
        self.deliver();
    }

    /// Answers a query. Of many connections, only the most recently active ones are compared.
    fn answer(&mut self, query: ConnectionQuery, core: &mut Core) {
        self.release();
        let connections = &mut LiveConnections { core, worker: &mut lock(self.worker) };
        query.answer(connections, self.engine.interfaces());
    }

    /// Sends the last lines. They wait for room until the shutdown's deadline.
    fn finish(&mut self, core: &mut Core) {
        self.flush(core);
        if let Some(packets) = &mut self.packets {
            packets.finish(&self.finished.alerts);
        }
        self.engine.deliver_last(&mut self.finished);
        self.lines.send_waiting(ShutdownPhase::Output, &mut self.finished.text);
    }

    fn deliver(&mut self) {
        if let Some(packets) = &mut self.packets {
            packets.flush(&self.finished.alerts);
        }
        self.engine.deliver(&mut self.finished);
        self.lines.send(&mut self.finished.text);
    }

    /// Sends results at the end of the run; lines wait for room. Returns false if the time for it is over: then the engine
    /// needs the rest of the shutdown to store its state.
    fn deliver_last(&mut self) -> bool {
        self.release();
        if let Some(packets) = &mut self.packets {
            packets.flush(&self.finished.alerts);
        }
        self.engine.deliver_last(&mut self.finished);
        self.lines.send_waiting(ShutdownPhase::Output, &mut self.finished.text);
        let phase = if self.engine.stores() { ShutdownPhase::Sinks } else { ShutdownPhase::Output };
        !self.lines.deadline.has_passed(phase)
    }
}

/// The header with which the bytes of a record start.
fn frame_start(header: &RecordHeader, bytes: &[u8]) -> ParseStart {
    match header.first_header() {
        FirstHeader::Ethernet => ParseStart::Ethernet,
        FirstHeader::Ip => start_of(bytes),
        FirstHeader::Vlan => ParseStart::Network { ethertype: ETHERTYPE_VLAN, offset: 0 },
        FirstHeader::Mpls => ParseStart::Network { ethertype: ETHERTYPE_MPLS, offset: 0 },
    }
}

/// The connections of a shard, for queries.
struct LiveConnections<'a> {
    core: &'a mut Core,
    worker: &'a mut EngineWorker,
}

impl ShardConnections for LiveConnections<'_> {
    fn each_open(&mut self, act: &mut dyn FnMut(&ConnectionRecord) -> bool) {
        self.core.newest_records(|record| act(record));
    }

    fn each_ended(&mut self, act: &mut dyn FnMut(&ConnectionRecord)) {
        self.worker.recent().for_each(act);
    }

    fn line(&mut self, record: &ConnectionRecord) -> Bytes {
        self.worker.line(record)
    }
}

/// Locks a worker. Others lock it for statistics alone.
fn lock(worker: &Mutex<EngineWorker>) -> MutexGuard<'_, EngineWorker> {
    worker.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventHandler for ShardOutput<'_> {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>, record: &mut ConnectionRecord) {
        self.events().fingerprint(event, record);
    }

    fn progress(&mut self, cause: EventContext, record: &mut ConnectionRecord) {
        self.events().progress(cause, record);
    }

    fn connection(&mut self, cause: EventContext, record: ConnectionRecord) {
        self.events().connection(cause, record);
    }
}
