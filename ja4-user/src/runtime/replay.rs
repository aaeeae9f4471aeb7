//! Replay: capture files through the same filter and shards as live traffic.
//!
//! Nothing is dropped: the reader of the output sets the speed. The output depends on the capture alone, not on the number
//! of threads.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::thread;

use ja4_common::capture_filter::CaptureFilter;
use ja4_common::counter::FilterCounters;
use ja4_common::filter_config::FilterConfig;
use ja4_common::tunnel::TunnelPorts;

use crate::capture::{CaptureError, CaptureFile, FrameRef, StopFlag};
use crate::encode::EncodeContext;
use crate::model::{AddCounters, Time};
use crate::output::packet_file::PacketFile;
use crate::protocol::FingerprintOptions;
use crate::runtime::batches::{Batches, DealtBatch, OnProgress, ReadSummary, captured};
use crate::runtime::connection_limit::{self, ConnectionLimit};
use crate::runtime::engine::stats::EngineStats;
use crate::runtime::engine::{Engine, Finished};
use crate::runtime::lane_events::{LineCause, LineKey};
use crate::runtime::lane_output::LaneOutput;
use crate::runtime::rounds::{BatchRounds, RoundThread};
use crate::runtime::sensor_stats::CaptureStats;
use crate::runtime::serial_output::SerialOutput;
use crate::shard::ShardBuffers;
use crate::shard::ShardStats;
use crate::shard::lane::Lane;
use crate::shard::{Now, ShardLimits};

/// Lanes of a replay, distributed over its threads; so at most this many threads are useful.
pub(crate) const LANES: u32 = 64;

/// Event time between two ticks, nanoseconds.
const TICK: u64 = 1_000_000_000;

/// Seed of the flow hash. It is constant, so that the same file gives the same lanes; no attacker aims at the lanes of a
/// file.
const SEED: [u64; 2] = [0x7265_706c_6179_2031, 0x7265_706c_6179_2032];

/// Most connections that a replay holds at any time with a bound of `max`: between two checks of the bound there may be
/// a few thousand more.
const fn most_connections(max: usize) -> usize {
    max.saturating_add(connection_limit::GROWTH)
}

/// Options of a replay.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Threads.
    pub threads: usize,
    /// Bounds of all lanes together.
    pub limits: ShardLimits,
    /// UDP ports of tunnels.
    pub tunnel_ports: TunnelPorts,
    /// Which connections are read.
    pub capture_filter: CaptureFilter,
    /// What is computed of messages.
    pub fingerprints: FingerprintOptions,
    /// Context of all lines.
    pub context: Arc<EncodeContext>,
    /// Whether the replay continues after a write error, because other outputs need the results.
    pub continue_without_output: bool,
    /// Flag that ends the replay early.
    pub stop: StopFlag,
    /// Packets after which the replay ends.
    pub max_packets: u64,
    /// The packet file, if any. Then there is one thread, so that its packets are in order.
    pub packet_file: Option<Arc<PacketFile>>,
}

/// The outcome of a replay.
#[derive(Debug)]
pub struct ReplayReport {
    /// Counters of the filter.
    pub counters: FilterCounters,
    /// Counters of the shards.
    pub stats: ShardStats,
    /// Counters of the engine.
    pub engine: EngineStats,
    /// Packets of the files.
    pub capture: CaptureStats,
    /// Time of the first and of the last packet.
    pub span: Option<(Time, Time)>,
    /// Errors, in the order of the files.
    pub errors: Vec<CaptureError>,
    /// Reading was ended early by [`ReplayOptions::stop`].
    pub stopped: bool,
    /// The write error of the output, if any.
    pub write_error: Option<io::Error>,
}

/// Replays files in their order and writes the lines to `out`.
///
/// # Errors
/// If `out` fails and no other output needs the results. Errors of files are in the report; the packets before the
/// error were replayed.
pub fn replay<W: Write + Send>(
    files: Vec<CaptureFile>,
    options: &ReplayOptions,
    engine: &Arc<Engine>,
    mut out: W,
    on_progress: OnProgress<'_>,
) -> io::Result<(W, ReplayReport)> {
    let ReplayOptions { tunnel_ports, capture_filter, .. } = *options;
    let filter_config = FilterConfig { tunnel_ports, capture_filter, ..FilterConfig::new(SEED) };
    // Rules about alerts are evaluated with those of the same connection: one event after another.
    let in_order = engine.active().matcher.has_alert_rules() || options.packet_file.is_some();
    let threads = if in_order { 1 } else { options.threads.clamp(1, LANES as usize) };
    let mut header = Vec::new();
    engine.formatters().header(&mut header);
    out.write_all(&header)?;
    let batches =
        Batches::new(files, threads, LANES, &filter_config, on_progress, options.stop.clone(), options.max_packets);
    let limit = ConnectionLimit::new(threads, LANES as usize, options.limits.connections.max(1));
    let worker = |thread: usize| ReplayWorker::new(thread, threads, options, &filter_config, &limit);
    let (shares, (mut out, mut write_error)) = if threads == 1 {
        let packets = options.packet_file.as_ref().map(|file| file.recorder(1, SEED, true));
        let worker_part = engine.worker(LANES as usize);
        let output = SerialOutput::new(out, engine, worker_part, packets, options.continue_without_output);
        let (totals, output) = worker(0).run(&batches, output);
        let (engine, out, error) = output.into_parts();
        (vec![(totals, engine)], (out, error))
    } else {
        let rounds = BatchRounds::new(out, engine, threads, options.continue_without_output);
        let shares = thread::scope(|scope| {
            let (rounds, batches, worker) = (&rounds, &batches, &worker);
            let run = move |thread: usize| {
                let _guard = rounds.guard();
                let output = RoundThread::new(rounds, batches, thread, engine.worker(LANES as usize));
                let (totals, output) = worker(thread).run(batches, output);
                (totals, output.into_worker())
            };
            let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        (shares, rounds.into_parts())
    };
    let ReadSummary { errors, stopped, fragments, packets } = batches.into_read();
    let mut report = ReplayReport {
        counters: FilterCounters::default(),
        stats: ShardStats::default(),
        engine: EngineStats::default(),
        capture: CaptureStats { packets: packets.total, link_unsupported: packets.unsupported, link_unreadable: 0 },
        span: None,
        errors,
        stopped,
        write_error: None,
    };
    report.stats.fragments.add(&fragments);
    let mut workers = Vec::new();
    for (totals, worker) in shares {
        report.counters.add(&totals.counters);
        report.stats.add(&totals.stats);
        report.capture.link_unreadable += totals.not_network;
        report.span = totals.span.or(report.span);
        workers.push(Arc::new(Mutex::new(worker)));
    }
    if let Some(error) = write_error.take_if(|_| !options.continue_without_output) {
        return Err(error);
    }
    let mut finished = Finished::default();
    engine.finish(&workers, &mut finished);
    if write_error.is_none() {
        write_error = out.write_all(&finished.text).err();
    }
    engine.deliver_last(&mut finished);
    report.engine = engine.stats(&workers);
    report.write_error = write_error;
    Ok((out, report))
}

/// Counters of one thread.
struct WorkerTotals {
    counters: FilterCounters,
    stats: ShardStats,
    not_network: u64,
    span: Option<(Time, Time)>,
}

/// One thread of a replay. It owns every `threads`-th lane.
struct ReplayWorker<'a> {
    thread: usize,
    threads: usize,
    lanes: Vec<Lane>,
    buffers: ShardBuffers,
    filter_config: &'a FilterConfig,
    limit: &'a ConnectionLimit,
    /// Number of the next boundary at which the bound on connections is checked.
    boundary: u64,
    span: Option<(Time, Time)>,
    next_tick: Time,
    not_network: u64,
    /// Number of the last frame.
    last: u64,
    /// Number of the frame before which the bound is checked next.
    next_boundary: u64,
}

impl<'a> ReplayWorker<'a> {
    fn new(
        thread: usize,
        threads: usize,
        options: &ReplayOptions,
        filter_config: &'a FilterConfig,
        limit: &'a ConnectionLimit,
    ) -> Self {
        let share = |whole: usize| whole.div_ceil(LANES as usize).max(1);
        let limits = ShardLimits {
            connections: share(options.limits.connections),
            reassembly: share(options.limits.reassembly),
            ..options.limits
        };
        let room = most_connections(options.limits.connections.max(1));
        let mine = (thread..LANES as usize).step_by(threads);
        Self {
            thread,
            threads,
            lanes: mine.map(|_| Lane::with_capacity(&limits, room)).collect(),
            buffers: ShardBuffers::new(options.fingerprints),
            filter_config,
            limit,
            boundary: 1,
            span: None,
            next_tick: Time(0),
            not_network: 0,
            last: 0,
            next_boundary: connection_limit::INTERVAL,
        }
    }

    /// Processes all batches.
    fn run<O: LaneOutput>(mut self, batches: &Batches<'_>, mut output: O) -> (WorkerTotals, O) {
        let mut number = 0;
        while let Some(dealt) = batches.take(number) {
            self.batch(&dealt, &mut output);
            let slow = !dealt.batch.is_full();
            batches.recycle(dealt);
            number += 1;
            if !output.end_batch(number as u64, slow) {
                batches.stop();
            }
        }
        let end = Now { time: self.span.map_or(Time(0), |(_, end)| end), packet: Some(self.last) };
        self.hold_bound(u64::MAX, end, &mut output);
        output.end_batch(number as u64 + 1, true);
        // One lane of each thread at a time, so that the results of all lanes are never in memory at once.
        for index in 0..(LANES as usize).div_ceil(self.threads) {
            self.one_lane(index, u64::MAX, LineCause::Clock, &mut output, |lane, buffers, events| {
                lane.finish(end, buffers, events);
            });
            output.end_batch((number + index) as u64 + 2, true);
        }
        output.finish(number as u64 + 2 + u64::from(LANES));
        let mut totals = WorkerTotals {
            counters: FilterCounters::default(),
            stats: ShardStats::default(),
            not_network: self.not_network,
            span: self.span,
        };
        for lane in &self.lanes {
            totals.counters.add(lane.counters());
            totals.stats.add(&lane.stats());
        }
        (totals, output)
    }

    fn batch<O: LaneOutput>(&mut self, dealt: &DealtBatch, output: &mut O) {
        if let Some(earliest) = dealt.batch.frames().iter().map(|frame| frame.time).min() {
            output.begin_batch(Time(earliest));
        }
        let mut whole = dealt.whole.iter().peekable();
        for (place, (frame, lane)) in dealt.batch.frames().iter().zip(&dealt.lanes).enumerate() {
            if frame.number >= self.next_boundary {
                self.next_boundary = (frame.number / connection_limit::INTERVAL + 1) * connection_limit::INTERVAL;
                let now = Now { time: self.span.map_or(Time(0), |(_, end)| end), packet: Some(frame.number) };
                self.hold_bound(frame.number, now, output);
            }
            self.clock(Time(frame.time), frame.number, output);
            self.frame(dealt, frame, usize::from(*lane), output);
            while let Some(next) = whole.next_if(|next| next.behind == place) {
                let lane = usize::from(next.lane);
                self.in_lane(lane, frame.number, output, |lane, filter_config, buffers, events| {
                    lane.datagram(&next.whole, filter_config, buffers, events);
                });
            }
        }
    }

    fn frame<O: LaneOutput>(&mut self, dealt: &DealtBatch, frame: &FrameRef, lane: usize, output: &mut O) {
        if lane % self.threads != self.thread {
            return;
        }
        match captured(&dealt.batch, frame) {
            None => self.not_network += 1,
            Some(frame) => {
                let selected = self.in_lane(lane, frame.number, output, |lane, filter_config, buffers, events| {
                    lane.frame(&frame, filter_config, buffers, events)
                });
                if let (Some(header), Some(packets)) = (selected.flatten(), output.packets()) {
                    packets.packet(&frame.packet(&header));
                }
            }
        }
    }

    /// Calls `act` with a lane, if this thread owns it.
    fn in_lane<O: LaneOutput, R>(
        &mut self,
        lane: usize,
        number: u64,
        output: &mut O,
        act: impl FnOnce(&mut Lane, &FilterConfig, &mut ShardBuffers, &mut O::Events<'_>) -> R,
    ) -> Option<R> {
        if lane % self.threads != self.thread {
            return None;
        }
        let mine = self.lanes.get_mut(lane / self.threads)?;
        let result = act(mine, self.filter_config, &mut self.buffers, &mut output.events(lane));
        output.mark(LineKey { packet: number, cause: LineCause::Packet, lane: lane as u32 });
        Some(result)
    }

    /// Advances the clock. Every thread processes the time of every frame, so that all lanes tick before the same packet.
    fn clock(&mut self, time: Time, number: u64, output: &mut impl LaneOutput) {
        self.last = number;
        let (start, end) = self.span.get_or_insert((time, time));
        *start = time.min(*start);
        if time <= *end && self.next_tick != Time(0) {
            return;
        }
        *end = time.max(*end);
        if self.next_tick == Time(0) {
            self.next_tick = Time(time.0.saturating_add(TICK));
        } else if time >= self.next_tick {
            self.next_tick = Time(time.0.saturating_add(TICK));
            let now = Now { time, packet: Some(number) };
            for index in 0..self.lanes.len() {
                let lane = (index * self.threads + self.thread) as u32;
                output.tick(LineKey { packet: number, cause: LineCause::Clock, lane }, time);
                self.one_lane(index, number, LineCause::Clock, output, |lane, buffers, events| {
                    lane.tick(now, buffers, events);
                });
            }
        }
    }

    /// Before packet `number`, evicts the least recently used connections of all lanes until the bound holds. Every
    /// thread does so before the same packets.
    fn hold_bound(&mut self, number: u64, now: Now, output: &mut impl LaneOutput) {
        self.lanes.iter_mut().for_each(Lane::trim_flows);
        let mine = self.lanes.iter().map(Lane::connections).sum();
        let boundary = self.boundary;
        self.boundary += 1;
        let excess = self.limit.excess(boundary, mine);
        if excess == 0 {
            return;
        }
        let threads = self.threads;
        let numbers = (self.thread..).step_by(threads);
        let sequences = self
            .lanes
            .iter()
            .zip(numbers)
            .map(|(lane, number)| lane.last_times().map(move |time| (time, number as u32)));
        let candidates = connection_limit::least_recent(sequences, excess);
        let shares = self.limit.choose(boundary, excess, candidates);
        for index in 0..self.lanes.len() {
            let share = shares.get(index * threads + self.thread).copied().unwrap_or(0);
            self.one_lane(index, number, LineCause::Bound, output, |lane, buffers, events| {
                lane.evict(share, now, buffers, events);
            });
        }
    }

    /// Calls `act` with this thread's lane of this index, if there is one.
    fn one_lane<O: LaneOutput>(
        &mut self,
        index: usize,
        number: u64,
        cause: LineCause,
        output: &mut O,
        act: impl FnOnce(&mut Lane, &mut ShardBuffers, &mut O::Events<'_>),
    ) {
        if let Some(mine) = self.lanes.get_mut(index) {
            let lane = index * self.threads + self.thread;
            act(mine, &mut self.buffers, &mut output.events(lane));
            output.mark(LineKey { packet: number, cause, lane: lane as u32 });
        }
    }
}
