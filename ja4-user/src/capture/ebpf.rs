//! The loaded kernel half: filter_config and sizes in, counters, rings and flow entries out.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::{ProgramError, SchedClassifier, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use ja4_common::counter::FilterCounters;
use ja4_common::duplicate::{self, RecentBucket};
use ja4_common::filter_config::FilterConfig;
use ja4_common::flow::{FlowEntry, FlowKey};
use ja4_common::limit::RecordLimits;
use ja4_common::select::Scratch;
use zerocopy::{FromBytes, IntoBytes};

/// Most shards; the same as `MAX_SHARDS` of the kernel half.
pub(crate) const MAX_SHARDS: u32 = 64;

/// The kernel's own types. The verifier needs them to check a function that takes a program's context.
/// The kernel's type information.
pub(crate) const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// `BPF_MAP_TYPE_RINGBUF`.
const RINGBUF: u32 = 27;

/// Words of a token bucket: time, tokens, and two counters.
const BUCKET_WORDS: usize = 4;

/// `CpuState` of the kernel half in words: the flag `no_link`, counters of both hooks, token buckets, and
/// the scratch memory for a frame.
const CPU_WORDS: usize = 1 + 2 * FilterCounters::WORDS + BUCKET_WORDS * RecordLimits::COUNT + size_of::<Scratch>() / 8;

const _: () = assert!(size_of::<Scratch>().is_multiple_of(8));

/// The flow map with keys and values of the types that aya expects.
type FlowBytes = HashMap<MapData, u64, [u8; size_of::<FlowEntry>()]>;

/// Why the kernel half could not be loaded or used.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The kernel has no type information.
    #[error(
        "cannot load BPF programs: the kernel has no BTF ({KERNEL_TYPES} is missing); use one built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf,
    /// The kernel does not support ring buffers.
    #[error("cannot load BPF programs: the kernel has no BPF ring buffers: {0}; use Linux 5.10 or newer")]
    NoRingBuffer(#[source] Box<MapError>),
    /// A privilege is missing.
    #[error(
        "cannot load BPF programs: not permitted ({0}); run as root, or grant the capabilities with \
         `setcap cap_bpf,cap_net_admin,cap_perfmon+ep PATH/ja4sensor` (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON)"
    )]
    Privilege(String),
    /// The kernel rejected the object or a program.
    #[error("cannot load BPF programs: rejected by the kernel: {0}")]
    Load(String),
    /// A map operation failed.
    #[error("cannot access BPF map {0}: {1}")]
    Map(&'static str, #[source] Box<MapError>),
    /// The object lacks a map or program.
    #[error("cannot use the BPF object: it has no {0}; rebuild it with `cargo xtask build-ebpf`")]
    Missing(&'static str),
}

impl KernelError {
    /// Whether a privilege is missing.
    pub fn is_privilege(&self) -> bool {
        matches!(self, Self::Privilege(_))
    }
}

/// Settings of the kernel half, set when the programs are loaded.
#[derive(Clone, Debug)]
pub struct KernelSettings {
    /// Frozen configuration of the filter.
    pub filter_config: FilterConfig,
    /// Bytes of each ring, a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// Entries of the flow map.
    pub flows: u32,
}

/// A program of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Ingress, XDP.
    Xdp,
    /// Egress, tc.
    TcEgress,
    /// Ingress, tc.
    TcIngress,
    /// Egress, tc, on an interface without link headers.
    TcIpEgress,
    /// Ingress, tc, on such an interface.
    TcIpIngress,
    /// An empty program, for benchmarks.
    Empty,
}

impl Program {
    /// The programs that a sensor attaches.
    pub(crate) const HOOKS: [Self; 5] =
        [Self::Xdp, Self::TcIngress, Self::TcEgress, Self::TcIpIngress, Self::TcIpEgress];

    /// The tc program for an interface.
    pub(crate) const fn tc(is_ethernet: bool, egress: bool) -> Self {
        match (is_ethernet, egress) {
            (true, true) => Self::TcEgress,
            (true, false) => Self::TcIngress,
            (false, true) => Self::TcIpEgress,
            (false, false) => Self::TcIpIngress,
        }
    }

    /// The hook that the program is attached to, for `ja4sensor version`.
    pub(crate) const fn hook(self) -> &'static str {
        match self {
            Self::Xdp => "XDP ingress, multi-buffer: Linux 5.18",
            Self::TcIngress => "tc ingress: Linux 5.10",
            Self::TcEgress => "tc egress: Linux 5.10",
            Self::TcIpIngress => "tc ingress without link headers: Linux 5.10",
            Self::TcIpEgress => "tc egress without link headers: Linux 5.10",
            Self::Empty => "none",
        }
    }

    /// The name in the object.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xdp => "ja4_xdp",
            Self::TcEgress => "ja4_tc",
            Self::TcIngress => "ja4_tc_ingress",
            Self::TcIpEgress => "ja4_tc_ip_egress",
            Self::TcIpIngress => "ja4_tc_ip_ingress",
            Self::Empty => "ja4_empty",
        }
    }
}

/// The loaded kernel half.
pub struct Kernel {
    ebpf: Ebpf,
    /// Keeps the rings in the kernel's array while programs may run.
    _rings: ArrayOfMaps<MapData, MapData>,
    consumers: Vec<Option<RingBuf<MapData>>>,
    cpu: PerCpuArray<MapData, [u64; CPU_WORDS]>,
    clock: Array<MapData, u64>,
    limits: Array<MapData, [u8; size_of::<RecordLimits>()]>,
    shards: MapData,
    flows: MapData,
    recent: MapData,
    /// Log of the programs, in their debug build.
    log: Option<EbpfLogger<ProgramLog>>,
}

impl Kernel {
    /// Parses the object and creates its maps. No program is loaded into the kernel yet.
    ///
    /// # Minimum kernel version
    /// 5.10: ring buffers exist since 5.8, but the programs were not accepted by an older verifier than 5.10.
    ///
    /// # Errors
    /// If the kernel lacks BTF or ring buffers, a privilege is missing, or the object does not match this binary.
    pub fn load(object: &[u8], settings: &KernelSettings) -> Result<Self, KernelError> {
        if !Path::new(KERNEL_TYPES).exists() {
            return Err(KernelError::NoBtf);
        }
        let mut rings = Vec::new();
        for _ in 0..settings.filter_config.shards {
            rings.push(new_ring(settings.ring_bytes)?);
        }
        let mut ebpf = EbpfLoader::new()
            // The programs have no CO-RE relocations. Parsing the kernel's types would leave 8 MiB in the allocator.
            .btf(None)
            .override_global("FILTER_CONFIG", settings.filter_config.as_bytes(), true)
            .map_max_entries("FLOWS", settings.flows)
            .map_max_entries("MEMBERSHIP", (settings.filter_config.membership_mask + 1) / 8)
            .load(object)
            .map_err(|error| load_error(&error))?;
        // Only a debug build of the programs has the map of the log.
        let log = EbpfLogger::init_with_logger(&mut ebpf, ProgramLog).ok();
        let mut outer: ArrayOfMaps<MapData, MapData> = take(&mut ebpf, "RINGS")?;
        let mut consumers = Vec::new();
        for (index, ring) in (0..).zip(rings) {
            outer.set(index, &ring, 0).map_err(|error| map_error("RINGS", error))?;
            let map = Map::from_map_data(ring).map_err(|error| map_error("RINGS", error))?;
            consumers.push(Some(RingBuf::try_from(map).map_err(|error| map_error("RINGS", error))?));
        }
        Ok(Self {
            _rings: outer,
            consumers,
            cpu: take(&mut ebpf, "CPU")?,
            clock: take(&mut ebpf, ".bss")?,
            limits: take(&mut ebpf, "LIMITS")?,
            shards: match ebpf.take_map("SHARDS") {
                Some(Map::Array(shards)) => shards,
                _ => return Err(KernelError::Missing("SHARDS")),
            },
            flows: match ebpf.take_map("FLOWS") {
                Some(Map::LruHashMap(flows)) => flows,
                _ => return Err(KernelError::Missing("FLOWS")),
            },
            recent: match ebpf.take_map("RECENT") {
                Some(Map::Array(recent)) => recent,
                _ => return Err(KernelError::Missing("RECENT")),
            },
            log,
            ebpf,
        })
    }

    /// Logs the messages of a debug build of the programs.
    pub(crate) fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Loads one XDP program into the kernel.
    ///
    /// # Errors
    /// If the kernel rejects it; kernels before 5.18 have no multi-buffer XDP.
    pub fn xdp(&mut self, program: Program) -> Result<&mut Xdp, KernelError> {
        let found = self.ebpf.program_mut(program.name()).ok_or(KernelError::Missing(program.name()))?;
        let xdp: &mut Xdp = found.try_into().map_err(|error| refused_program(&error))?;
        if xdp.fd().is_err() {
            retry_after_signals(|| xdp.load()).map_err(|error| refused_program(&error))?;
        }
        Ok(xdp)
    }

    /// Loads one tc program into the kernel.
    ///
    /// # Errors
    /// If the kernel rejects it.
    pub fn tc(&mut self, program: Program) -> Result<&mut SchedClassifier, KernelError> {
        let found = self.ebpf.program_mut(program.name()).ok_or(KernelError::Missing(program.name()))?;
        let tc: &mut SchedClassifier = found.try_into().map_err(|error| refused_program(&error))?;
        if tc.fd().is_err() {
            retry_after_signals(|| tc.load()).map_err(|error| refused_program(&error))?;
        }
        Ok(tc)
    }

    /// Runs a program over a frame without an interface (`BPF_PROG_TEST_RUN`). Returns its return value and the mean duration
    /// of `repeat` runs.
    ///
    /// # Errors
    /// If the kernel rejects the program or the frame.
    pub fn test_run(&mut self, program: Program, frame: &[u8], repeat: u32) -> Result<(u32, Duration), KernelError> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        let result = match program {
            Program::Xdp | Program::Empty => self.xdp(program)?.test_run(options),
            _ => self.tc(program)?.test_run(options),
        };
        result.map(|result| (result.return_value, result.duration)).map_err(|error| refused_program(&error))
    }

    /// Returns the consumer of a shard's ring, once.
    pub fn take_ring(&mut self, shard: usize) -> Option<RingBuf<MapData>> {
        self.consumers.get_mut(shard)?.take()
    }

    /// Returns a handle of the flow map; each shard has its own.
    ///
    /// # Errors
    /// If no file descriptor is left.
    pub fn flows(&self) -> Result<FlowMap, KernelError> {
        let map = another(&self.flows).and_then(HashMap::try_from);
        map.map(|map| FlowMap { map }).map_err(|error| map_error("FLOWS", error))
    }

    /// Returns a handle of the table of recent packets; each shard has its own.
    ///
    /// # Errors
    /// If no file descriptor is left.
    pub fn recent(&self) -> Result<RecentMap, KernelError> {
        let map = another(&self.recent).and_then(Array::try_from);
        map.map(|map| RecentMap { map }).map_err(|error| map_error("RECENT", error))
    }

    /// Returns the flag by which a shard asks for a wakeup.
    ///
    /// # Errors
    /// If no file descriptor is left.
    pub(crate) fn asleep(&self, shard: u32) -> Result<AsleepFlag, KernelError> {
        shard_states(&self.shards).map(|map| AsleepFlag { map, shard })
    }

    /// Returns the counters of ingress and egress, summed over all CPUs.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn counters(&self) -> Result<[FilterCounters; 2], KernelError> {
        let mut sums = [FilterCounters::default(); 2];
        let per_cpu = self.cpu.get(&0, 0).map_err(|error| map_error("CPU", error))?;
        for words in per_cpu.iter() {
            let [_reserved, words @ ..] = words;
            for (sum, words) in sums.iter_mut().zip(words.as_chunks::<{ FilterCounters::WORDS }>().0) {
                sum.add(&zerocopy::transmute!(*words));
            }
        }
        Ok(sums)
    }

    /// Returns the counters of every limit, by CPU.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub(crate) fn limit_counters(&self) -> Result<Vec<LimitCounters>, KernelError> {
        let per_cpu = self.cpu.get(&0, 0).map_err(|error| map_error("CPU", error))?;
        let of_cpu = |words: &[u64; CPU_WORDS]| {
            let buckets = words.get(1 + 2 * FilterCounters::WORDS..).unwrap_or_default();
            let mut counters = LimitCounters::default();
            let buckets = buckets.as_chunks::<BUCKET_WORDS>().0;
            for (counts, [_, _, admitted, limited]) in counters.by_index.iter_mut().zip(buckets) {
                *counts = [*admitted, *limited];
            }
            counters
        };
        Ok(per_cpu.iter().map(of_cpu).collect())
    }

    /// Sets the limits of records.
    ///
    /// # Errors
    /// If the map cannot be written.
    pub fn set_limits(&mut self, limits: &RecordLimits) -> Result<(), KernelError> {
        let bytes: [u8; size_of::<RecordLimits>()] = zerocopy::transmute!(*limits);
        self.limits.set(0, bytes, 0).map_err(|error| map_error("LIMITS", error))
    }

    /// Returns the bytes in the ring of each shard, when the last record of a limit with a mark was selected.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub(crate) fn queued(&self, shards: u32) -> Result<Vec<u64>, KernelError> {
        let map = shard_states(&self.shards)?;
        let queued = |shard| map.get(&shard, 0).map(|[_, queued, ..]| queued);
        (0..shards).map(queued).collect::<Result<_, _>>().map_err(|error| map_error("SHARDS", error))
    }

    /// Sets the coarse clock of the kernel half, boot-clock nanoseconds.
    ///
    /// # Errors
    /// If the map cannot be written.
    pub fn set_clock(&mut self, now: u64) -> Result<(), KernelError> {
        self.clock.set(0, now, 0).map_err(|error| map_error(".bss", error))
    }
}

/// Records within and over each limit, on one CPU.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LimitCounters {
    /// Records that a limit has admitted, and records that it has dropped; see [`ja4_common::limit::index`].
    pub(crate) by_index: [[u64; 2]; RecordLimits::COUNT],
}

/// Adds the messages of the programs' debug build to the log.
struct ProgramLog;

impl log::Log for ProgramLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let (target, text) = (record.target(), record.args());
        match record.level() {
            log::Level::Error => tracing::error!("{target}: {text}"),
            log::Level::Warn => tracing::warn!("{target}: {text}"),
            log::Level::Info => tracing::info!("{target}: {text}"),
            log::Level::Debug | log::Level::Trace => tracing::debug!("{target}: {text}"),
        }
    }

    fn flush(&self) {}
}

/// Returns a second handle of a map.
fn another(map: &MapData) -> Result<Map, MapError> {
    let fd = map.fd().as_fd().try_clone_to_owned().map_err(MapError::IoError)?;
    Map::from_map_data(MapData::from_fd(fd)?)
}

/// The state of a shard in the kernel half: whether it sleeps, and the bytes in its ring.
type ShardStates = Array<MapData, [u64; 8]>;

fn shard_states(shards: &MapData) -> Result<ShardStates, KernelError> {
    another(shards).and_then(Array::try_from).map_err(|error| map_error("SHARDS", error))
}

/// The flag that asks the kernel half to wake a sleeping shard at the next record.
pub struct AsleepFlag {
    map: ShardStates,
    shard: u32,
}

impl AsleepFlag {
    /// Sets the flag. The program that submits the next record clears it.
    pub fn set(&mut self, asleep: bool) {
        // It also resets the bytes in the ring: a shard that sleeps or wakes has read them all. If the write fails, the shard
        // wakes by its timeout.
        let _written = self.map.set(self.shard, [u64::from(asleep), 0, 0, 0, 0, 0, 0, 0], 0);
    }
}

/// The kernel's table of recent packets.
pub struct RecentMap {
    map: Array<MapData, RecentBucket>,
}

impl RecentMap {
    /// Whether another capture point has seen the packet with this hash less than a second ago. If not, the packet is
    /// added to the table. `now` is the time of the boot clock, nanoseconds.
    pub fn is_duplicate(&mut self, hash: u64, point: u32, now: u64) -> bool {
        let index = hash as u32 & (duplicate::BUCKETS - 1);
        let mut bucket = self.map.get(&index, 0).unwrap_or_default();
        let is_duplicate = duplicate::is_known(&mut bucket, hash, point, now, true);
        if !is_duplicate {
            // If a packet cannot be added, it is at worst fingerprinted twice.
            let _written = self.map.set(index, bucket, 0);
        }
        is_duplicate
    }
}

/// The kernel's flow entries.
pub struct FlowMap {
    map: FlowBytes,
}

impl FlowMap {
    /// Returns the current entry of a flow.
    pub fn entry(&self, hash: u64, key: &FlowKey) -> Option<FlowEntry> {
        let bytes = self.map.get(&hash, 0).ok()?;
        FlowEntry::read_from_bytes(&bytes).ok().filter(|entry| entry.key == *key)
    }

    /// Removes the entry of a hash, if it still exists.
    pub fn remove(&mut self, hash: u64) {
        // The map may have evicted it already.
        let _removed = self.map.remove(&hash);
    }
}

fn new_ring(bytes: u32) -> Result<MapData, KernelError> {
    let definition = aya_obj::Map::new_from_params(RINGBUF, 0, 0, bytes, 0);
    MapData::create(definition, "ja4_ring", None).map_err(|error| match &error {
        MapError::CreateError { io_error, .. } if is_privilege(io_error) => {
            KernelError::Privilege(format!("creating a BPF map: {io_error}"))
        }
        MapError::CreateError { io_error, .. } if io_error.raw_os_error() == Some(libc::EINVAL) => {
            KernelError::NoRingBuffer(Box::new(error))
        }
        _ => map_error("RINGS", error),
    })
}

fn take<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(KernelError::Missing(name))?;
    T::try_from(map).map_err(|error| map_error(name, error))
}

fn map_error(name: &'static str, error: MapError) -> KernelError {
    KernelError::Map(name, Box::new(error))
}

fn is_privilege(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

/// Returns the system error at the end of a chain of causes.
fn root_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        next = error.source();
    }
    None
}

fn load_error(error: &aya::EbpfError) -> KernelError {
    match root_cause(error) {
        Some(io) if is_privilege(io) => KernelError::Privilege(io.to_string()),
        _ => KernelError::Load(chain(error)),
    }
}

fn refused_program(error: &ProgramError) -> KernelError {
    match error {
        // The verifier also returns EACCES, with a log.
        ProgramError::LoadError { io_error, verifier_log }
            if is_privilege(io_error) && verifier_log.to_string().trim().is_empty() =>
        {
            KernelError::Privilege(io_error.to_string())
        }
        _ => KernelError::Load(chain(error)),
    }
}

/// Loads a program, with retries after a signal, which makes the verifier return `EAGAIN` (kernel/bpf/verifier.c,
/// `do_check`). The signal is still delivered.
fn retry_after_signals(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    /// The number of attempts of libbpf.
    const TRIES: u32 = 5;

    for _ in 1..TRIES {
        match load() {
            Err(ProgramError::LoadError { io_error, .. }) if io_error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
    load()
}

/// Joins an error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
