//! The incomplete datagrams of a shard.

use std::collections::VecDeque;

use foldhash::quality::RandomState;
use hashbrown::HashMap;

use super::datagram::{PartialDatagram, Survey};
use super::error::DefragError;
use super::fragment::{FragmentKey, IpFragment};
use super::limits::{DefragLimits, PAYLOAD};
use super::stats::DefragStats;
use crate::model::Time;

/// Reassembles datagrams from their fragments, in any order, within bounds.
///
/// Of too many datagrams, the one with the earliest first fragment is evicted. Datagrams expire in the same order, and no
/// sender can keep one from expiring by repeating fragments. Nothing is allocated before the first fragment, and in the
/// steady state nothing after it.
#[derive(Debug)]
pub struct Defragmenter {
    limits: DefragLimits,
    /// Index in `datagrams` by key.
    index: HashMap<FragmentKey, u32, RandomState>,
    datagrams: Vec<PartialDatagram>,
    /// Slots in use, the oldest datagram first. Removing one from the middle moves all others, which for so few costs less
    /// than links.
    order: VecDeque<u32>,
    /// Free slots.
    free: Vec<u32>,
    /// Bytes buffered in all datagrams, at most `limits.bytes`.
    buffered: usize,
    /// The datagram returned last.
    complete: Vec<u8>,
    stats: DefragStats,
}

impl Default for Defragmenter {
    fn default() -> Self {
        Self::new(&DefragLimits::default())
    }
}

impl Defragmenter {
    /// A defragmenter without datagrams.
    #[must_use]
    pub fn new(limits: &DefragLimits) -> Self {
        let limits = DefragLimits {
            // Slots are numbered in 32 bits.
            datagrams: limits.datagrams.clamp(1, u32::MAX as usize),
            payload: limits.payload.min(PAYLOAD),
            ..*limits
        };
        Self {
            limits,
            index: HashMap::with_hasher(RandomState::default()),
            datagrams: Vec::new(),
            order: VecDeque::new(),
            free: Vec::new(),
            buffered: 0,
            complete: Vec::new(),
            stats: DefragStats::default(),
        }
    }

    /// Takes a fragment: the captured bytes of a frame from its IPv4 or IPv6 header on. Bytes after the announced length,
    /// such as the padding of Ethernet, are ignored. `point` is the capture point, as in
    /// [`FrameInfo::capture_point`](ja4_common::record::FrameInfo::capture_point): fragments of two do not mix.
    ///
    /// If the fragment completes its datagram, returns that: the first fragment's headers, with the length set and without
    /// the marks of a fragment (IPv4: flags, offset and checksum are 0; IPv6: the Fragment header is removed), then the
    /// payload. It has at most 65575 bytes.
    ///
    /// # Errors
    /// Why the fragment is refused; the reason is counted.
    pub fn push(&mut self, packet: &[u8], point: u32, time: Time) -> Result<Option<&[u8]>, DefragError> {
        self.stats.fragments += 1;
        self.expire(time);
        let added = IpFragment::parse(packet, point).and_then(|fragment| self.add(&fragment, time));
        match added {
            Err(error) => {
                self.stats.count_refused(error);
                Err(error)
            }
            Ok(slot) if self.finish(slot) => Ok(Some(&self.complete)),
            Ok(_) => Ok(None),
        }
    }

    /// Drops datagrams that were not completed in time. A fragment does so too; calling this now and then also frees memory
    /// while no fragments arrive.
    pub fn expire(&mut self, now: Time) {
        let age = u64::try_from(self.limits.age.as_nanos()).unwrap_or(u64::MAX);
        while let Some(&slot) = self.order.front()
            && let Some(oldest) = self.datagrams.get(slot as usize)
            && now.0.saturating_sub(oldest.first.0) >= age
        {
            self.stats.expired += 1;
            self.stats.expired_bytes += self.release(slot) as u64;
        }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> DefragStats {
        self.stats
    }

    /// Buffered bytes with headers, at most [`DefragLimits::bytes`].
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.buffered
    }

    /// Stores the new bytes of a fragment, and returns its datagram's slot.
    fn add(&mut self, fragment: &IpFragment<'_>, time: Time) -> Result<u32, DefragError> {
        let len = fragment.payload.len() as u64;
        self.stats.bytes += len;
        let slot = self.index.get(&fragment.key).copied();
        let surveyed = self.admit(fragment, slot).inspect_err(|_| self.stats.refused_bytes += len);
        let Survey { fresh, known, agrees, headers } = surveyed?;
        if fresh == 0 && agrees {
            self.stats.duplicate += 1;
            self.stats.duplicate_bytes += len;
        } else if known > 0 {
            self.stats.overlapping += 1;
            self.stats.overlapped_bytes += known as u64;
        }
        self.stats.buffered_bytes += fresh as u64;
        self.buffered += fresh + headers;
        let slot = slot.unwrap_or_else(|| self.start(fragment.key, time));
        if let Some(datagram) = self.datagrams.get_mut(slot as usize) {
            datagram.store(fragment);
        }
        Ok(slot)
    }

    /// Computes what a fragment adds, and evicts older datagrams if there is not enough memory for it.
    fn admit(&mut self, fragment: &IpFragment<'_>, slot: Option<u32>) -> Result<Survey, DefragError> {
        let none = PartialDatagram::default();
        let datagram = slot.and_then(|slot| self.datagrams.get(slot as usize)).unwrap_or(&none);
        let survey = datagram.survey(fragment, &self.limits)?;
        let needed = survey.fresh + survey.headers;
        if datagram.buffered() + needed > self.limits.bytes {
            return Err(DefragError::OverLimit);
        }
        if slot.is_none() && self.order.len() >= self.limits.datagrams {
            self.evict_oldest(None);
        }
        while self.buffered + needed > self.limits.bytes && self.evict_oldest(slot) {}
        Ok(survey)
    }

    /// Evicts the oldest datagram except this one. Returns whether there was one.
    fn evict_oldest(&mut self, except: Option<u32>) -> bool {
        let oldest = self.order.iter().copied().find(|slot| Some(*slot) != except);
        if let Some(slot) = oldest {
            self.stats.evicted += 1;
            self.stats.evicted_bytes += self.release(slot) as u64;
        }
        oldest.is_some()
    }

    /// Assigns a slot to a new datagram.
    fn start(&mut self, key: FragmentKey, first: Time) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.datagrams.push(PartialDatagram::default());
            (self.datagrams.len() - 1) as u32 // fewer than 2^32, by the limit
        });
        if let Some(datagram) = self.datagrams.get_mut(slot as usize) {
            (datagram.key, datagram.first) = (key, first);
        }
        self.index.insert(key, slot);
        self.order.push_back(slot);
        self.stats.started += 1;
        self.stats.pending += 1;
        slot
    }

    /// Writes the datagram in a slot to `complete`, and frees the slot, if every byte has arrived.
    fn finish(&mut self, slot: u32) -> bool {
        let Some(datagram) = self.datagrams.get(slot as usize).filter(|datagram| datagram.is_complete()) else {
            return false;
        };
        datagram.write(&mut self.complete);
        self.stats.completed += 1;
        self.stats.completed_bytes += self.release(slot) as u64;
        true
    }

    /// Frees a slot. Returns the bytes of payload that were buffered in it.
    fn release(&mut self, slot: u32) -> usize {
        let Some(datagram) = self.datagrams.get_mut(slot as usize) else {
            return 0;
        };
        let payload = datagram.payload();
        self.buffered = self.buffered.saturating_sub(datagram.buffered());
        self.index.remove(&datagram.key);
        datagram.reset();
        if let Some(at) = self.order.iter().position(|other| *other == slot) {
            self.order.remove(at);
        }
        self.free.push(slot);
        self.stats.pending = self.stats.pending.saturating_sub(1);
        self.stats.buffered_bytes = self.stats.buffered_bytes.saturating_sub(payload as u64);
        payload
    }
}

#[cfg(test)]
mod tests;
