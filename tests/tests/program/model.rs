//! User space's side of a comparison: the same selection over tables of the standard library.

use std::collections::HashMap;

use ja4_common::bytes::SliceFrame;
use ja4_common::counter::FilterCounters;
use ja4_common::duplicate::{BUCKETS, RecentBucket, RecentTable};
use ja4_common::filter_config::{FilterConfig, MAX_IDLE_EPOCHS};
use ja4_common::flow::{DirectionState, FlowEntry, FlowKey};
use ja4_common::flow_table::Flows;
use ja4_common::parse::ParseStart;
use ja4_common::record::{FrameInfo, MAX_CAPTURE, RecordHeader};
use ja4_common::select::{Scratch, select};
use ja4_common::verdict::Verdict;

/// Flows and the membership filter in front of them, as the kernel half documents its maps.
pub(crate) struct ModelFlows {
    entries: HashMap<u64, FlowEntry>,
    /// Epoch of the last access, by slot; a missing slot is 0.
    slots: HashMap<u64, u8>,
    membership_mask: u32,
    epoch_shift: u32,
    recent: ModelPackets,
}

/// Recent packets by their bucket in the kernel's table, and the current time.
#[derive(Default)]
pub(crate) struct ModelPackets {
    buckets: HashMap<u64, RecentBucket>,
    now: u64,
}

impl RecentTable for ModelPackets {
    fn bucket(&mut self, hash: u64) -> Option<&mut RecentBucket> {
        Some(self.buckets.entry(hash % u64::from(BUCKETS)).or_default())
    }

    fn now(&self) -> u64 {
        self.now
    }
}

impl ModelFlows {
    pub(crate) fn new(filter_config: &FilterConfig) -> Self {
        let FilterConfig { membership_mask, epoch_shift, .. } = *filter_config;
        Self {
            entries: HashMap::new(),
            slots: HashMap::new(),
            membership_mask,
            epoch_shift,
            recent: ModelPackets::default(),
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&u64, &FlowEntry)> {
        self.entries.iter()
    }

    fn slot(&self, hash: u64) -> u64 {
        hash & u64::from(self.membership_mask)
    }

    /// Returns the current epoch: odd, so that no epoch equals the 0 of an unused slot.
    fn epoch(&self) -> u8 {
        ((self.now() >> self.epoch_shift) as u8) << 1 | 1
    }
}

impl Flows for ModelFlows {
    type Handle = u64;
    type Recent = ModelPackets;

    fn may_contain(&self, hash: u64) -> bool {
        let touched = self.slots.get(&self.slot(hash));
        touched.is_some_and(|touched| self.epoch().wrapping_sub(*touched) <= 2 * MAX_IDLE_EPOCHS)
    }

    fn find(&mut self, key: &FlowKey, hash: u64) -> Option<u64> {
        self.entries.get(&hash).filter(|entry| entry.key == *key).map(|_| hash)
    }

    fn entry(&mut self, hash: u64) -> Option<(&mut FlowEntry, &mut ModelPackets)> {
        self.entries.get_mut(&hash).map(|entry| (entry, &mut self.recent))
    }

    fn recent(&mut self) -> &mut ModelPackets {
        &mut self.recent
    }

    fn insert(&mut self, hash: u64, entry: &FlowEntry) -> bool {
        self.entries.insert(hash, *entry);
        self.touch(hash);
        true
    }

    fn touch(&mut self, hash: u64) {
        self.slots.insert(self.slot(hash), self.epoch());
    }

    fn now(&self) -> u64 {
        self.recent.now
    }

    fn count(direction: &mut DirectionState, packets: u64, bytes: u64) {
        direction.packets += packets;
        direction.bytes += bytes;
    }
}

/// Result of one side for one frame: the changes of the counters, and the record if the frame is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FilterResult {
    /// Counters of ingress and egress.
    pub(crate) counters: [FilterCounters; 2],
    /// Header with its time set to 0, and captured bytes.
    pub(crate) record: Option<(RecordHeader, Vec<u8>)>,
}

/// The filter in user space.
pub(crate) struct Model {
    pub(crate) filter_config: FilterConfig,
    pub(crate) tables: ModelFlows,
    work: Scratch,
}

impl Model {
    pub(crate) fn new(filter_config: FilterConfig) -> Self {
        Self { filter_config, tables: ModelFlows::new(&filter_config), work: Scratch::default() }
    }

    pub(crate) fn set_clock(&mut self, now: u64) {
        self.tables.recent.now = now;
    }

    /// Filters a frame.
    pub(crate) fn filter(&mut self, frame: &SliceFrame<'_>, start: ParseStart, info: FrameInfo) -> FilterResult {
        let verdict = select(frame, start, || info, &mut self.tables, &self.filter_config, &mut self.work);
        let mut counters = FilterCounters { seen: 1, ..FilterCounters::default() };
        let mut record = None;
        match verdict {
            Verdict::Unselected(reason) => counters.unselected[reason as usize] = 1,
            Verdict::Unparseable(reason) => counters.unparseable[reason as usize] = 1,
            Verdict::Selected => {
                let selection = &self.work.selection;
                let class = usize::from(selection.class);
                let captured = frame.bytes.len().min(MAX_CAPTURE).min(selection.capture as usize);
                counters.selected[class] = 1;
                counters.emitted[class] = 1;
                counters.truncated = u64::from(captured < selection.capture as usize);
                let header = RecordHeader::new(&info, selection, 0, captured as u32);
                record = Some((header, frame.bytes[..captured].to_vec()));
            }
        }
        let mut result = FilterResult { record, ..FilterResult::default() };
        result.counters[usize::from(info.egress)] = counters;
        result
    }
}
