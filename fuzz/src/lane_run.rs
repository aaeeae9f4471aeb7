//! A lane (filter and shard of one thread) that processes the frames of one input.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use ja4::Forms;
use ja4_common::bytes::SliceFrame;
use ja4_common::filter_config::FilterConfig;
use ja4_common::parse::ParseStart;
use ja4_user::encode::{EncodeContext, Format, Formatter};
use ja4_user::model::{ConnectionRecord, EventContext, EventHandler, FingerprintEvent, Time};
use ja4_user::protocol::FingerprintOptions;
use ja4_user::shard::lane::{CapturedFrame, Lane};
use ja4_user::shard::{Now, ShardBuffers, ShardLimits};

/// Few connections, so that new flows evict others.
const LIMITS: ShardLimits =
    ShardLimits { connections: 4, idle: 1, reassembly: 4096, ssh_window: ShardLimits::SSH_WINDOW };

/// Time between two frames, nanoseconds.
const INTERVAL: u64 = 100_000_000;

/// A lane, and the JSON encoder that receives its events.
pub(super) struct FuzzedLane {
    lane: Lane,
    filter_config: FilterConfig,
    buffers: MutexGuard<'static, ShardBuffers>,
    events: EncodedEvents,
    /// Number of frames so far.
    frames: u64,
}

impl FuzzedLane {
    pub(super) fn new() -> Self {
        /// Reused for all inputs, since their construction is slow.
        static BUFFERS: LazyLock<Mutex<ShardBuffers>> = LazyLock::new(|| {
            let everything = FingerprintOptions { forms: Forms::All, ja3: true };
            Mutex::new(ShardBuffers::new(everything))
        });

        let formatter = Formatter::new(Format::Json, Arc::new(EncodeContext::default()));
        Self {
            lane: Lane::new(&LIMITS),
            filter_config: FilterConfig::new([1, 2]),
            buffers: BUFFERS.lock().unwrap(),
            events: EncodedEvents { formatter, text: Vec::new() },
            frames: 0,
        }
    }

    /// Processes a frame, and returns the number of frames so far.
    pub(super) fn frame(&mut self, slice: SliceFrame<'_>, start: ParseStart) -> u64 {
        self.frames += 1;
        let Now { time, .. } = self.now();
        let frame = CapturedFrame { start, slice, time, interface: 0, point: 0, number: self.frames };
        self.lane.frame(&frame, &self.filter_config, &mut self.buffers, &mut self.events);
        self.frames
    }

    /// Expires idle connections.
    pub(super) fn tick(&mut self) {
        self.lane.tick(self.now(), &mut self.buffers, &mut self.events);
    }

    /// Ends all connections and returns the lane.
    ///
    /// Asserts that the filter counted each frame once, that the shard received each emitted record, and that neither
    /// connections nor buffered bytes remain.
    pub(super) fn finish(mut self) -> Lane {
        self.lane.finish(self.now(), &mut self.buffers, &mut self.events);
        let (counters, stats) = (self.lane.counters(), self.lane.stats());
        assert!(counters.balanced() && counters.seen == self.frames);
        assert_eq!(counters.emitted.iter().sum::<u64>(), stats.packets);
        assert_eq!((stats.connections, stats.buffered_bytes), (0, 0));
        assert_eq!(stats.opened, stats.ended.iter().sum::<u64>());
        self.lane
    }

    fn now(&self) -> Now {
        Now { time: Time(self.frames * INTERVAL), packet: Some(self.frames) }
    }
}

/// Encodes each event as JSON, and asserts that the result is one line of UTF-8.
struct EncodedEvents {
    formatter: Formatter,
    text: Vec<u8>,
}

impl EncodedEvents {
    fn check_line(&mut self) {
        let text = str::from_utf8(&self.text).unwrap();
        assert_eq!(text.find('\n'), Some(text.len() - 1));
        self.text.clear();
    }
}

impl EventHandler for EncodedEvents {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>, record: &mut ConnectionRecord) {
        self.formatter.fingerprint(event, record, None, &mut self.text);
        self.check_line();
    }

    fn connection(&mut self, cause: EventContext, record: ConnectionRecord) {
        self.formatter.connection(&cause, &record, &mut self.text);
        self.check_line();
    }
}
