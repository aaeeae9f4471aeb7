//! IP fragments to datagrams (RFC 791, section 3.2; RFC 8200, section 4.5).
//!
//! A fragment comes as the frame's bytes from the IP header on. What is lent in return begins with an IP
//! header again, one that says nothing of fragments, so it takes the way of any other packet.
//!
//! The first copy of a byte is the one that counts, in IPv6 too: RFC 5722 has a host discard a datagram
//! whose fragments overlap, and a sensor that did so could be blinded by who adds one. Overlaps are
//! counted.
//!
//! Fragments that no host accepts are refused and counted by reason. Those that hosts accept are taken,
//! however small: eight bytes are the least before the last one.

mod datagram;
mod fragment;
mod stats;

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::quality::RandomState;
use hashbrown::HashMap;

use self::datagram::{Datagram, Survey};
use self::fragment::{Fragment, Key};
pub use self::stats::DefragStats;
use crate::model::Time;
use ja4::wire::WireError;

/// Datagrams in flight. What a shard meets at one time is a handful; a flood of first fragments gets no
/// further.
const DATAGRAMS: usize = 512;

/// Fragments of one datagram. The longest datagram there is has 119 at the smallest MTU that IPv4 hosts
/// must take as a whole (576, RFC 791), 54 at that of IPv6 (1280).
const FRAGMENTS: usize = 128;

/// Payload of one datagram: what the length field of IP can say.
const PAYLOAD: usize = 65_535;

/// Bytes held in all datagrams together: 16 of the longest, or the first halves of some 700 that take two
/// Ethernet frames.
const BYTES: usize = 1 << 20;

/// Time for a datagram to become whole, as `net.ipv4.ipfrag_time` of Linux.
const AGE: Duration = Duration::from_secs(30);

/// Bounds of a [`Defragmenter`].
///
/// The heap holds at most twice `bytes`, since buffers grow by doubling, and some 8 KiB for each of
/// `datagrams` (headers, places of pieces, and what a place keeps for the next datagram in it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefragLimits {
    /// Datagrams in flight; 0 counts as 1.
    pub datagrams: usize,
    /// Fragments of one datagram that bring something.
    pub fragments: usize,
    /// Bytes of one datagram's payload; 65535 is the format's own bound.
    pub payload: usize,
    /// Bytes held in all datagrams together, headers included.
    pub bytes: usize,
    /// How long after its first fragment a datagram has to be whole, by the time of packets.
    pub age: Duration,
}

impl DefragLimits {
    /// The bounds where nothing else is said.
    pub const DEFAULT: Self =
        Self { datagrams: DATAGRAMS, fragments: FRAGMENTS, payload: PAYLOAD, bytes: BYTES, age: AGE };
}

impl Default for DefragLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why a fragment was refused. What was held of its datagram stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum DefragError {
    /// An IP header is cut or broken.
    Header,
    /// It is no fragment, or the only one of its datagram.
    NotFragment,
    /// The capture holds less of it than its header announces.
    Cut,
    /// It carries nothing.
    Empty,
    /// More are to follow, and it does not end at a multiple of 8 bytes.
    Unaligned,
    /// Its datagram would be longer than 65535 bytes, or than the bound this sensor keeps.
    TooLong,
    /// It lies beyond the end that the last fragment gave, or is another last one.
    Contradiction,
    /// Its datagram has come in too many fragments.
    TooMany,
    /// Nothing older could make room for it.
    NoRoom,
}

impl DefragError {
    /// Every reason, in the order of its counter.
    pub const ALL: [Self; 9] = [
        Self::Header,
        Self::NotFragment,
        Self::Cut,
        Self::Empty,
        Self::Unaligned,
        Self::TooLong,
        Self::Contradiction,
        Self::TooMany,
        Self::NoRoom,
    ];

    /// Name of the counter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::NotFragment => "not_fragment",
            Self::Cut => "cut",
            Self::Empty => "empty",
            Self::Unaligned => "unaligned",
            Self::TooLong => "too_long",
            Self::Contradiction => "contradiction",
            Self::TooMany => "too_many",
            Self::NoRoom => "no_room",
        }
    }
}

impl From<WireError> for DefragError {
    /// Reads within headers have no other reason to fail than their end.
    fn from(_: WireError) -> Self {
        Self::Header
    }
}

/// Puts datagrams together from their fragments, in any order, within bounds.
///
/// Of too many datagrams, the one whose first fragment came longest ago has to go. So the order in which
/// they go is that in which they grow old, and no sender can keep one alive by repeating fragments.
/// Nothing is allocated before the first fragment, and in the steady state nothing after it.
#[derive(Debug)]
pub struct Defragmenter {
    limits: DefragLimits,
    /// By key, the place in `datagrams`.
    index: HashMap<Key, u32, RandomState>,
    datagrams: Vec<Datagram>,
    /// Places that hold a datagram, the oldest first. Moved along as a whole when one is taken out of the
    /// middle, which for this many costs less than links would.
    order: VecDeque<u32>,
    /// Places that hold none.
    free: Vec<u32>,
    /// Bytes held in all datagrams, at most `limits.bytes`.
    held: usize,
    /// The datagram lent last.
    whole: Vec<u8>,
    stats: DefragStats,
}

impl Default for Defragmenter {
    fn default() -> Self {
        Self::new(&DefragLimits::default())
    }
}

impl Defragmenter {
    /// One that holds nothing yet.
    #[must_use]
    pub fn new(limits: &DefragLimits) -> Self {
        let limits = DefragLimits {
            // Places are numbered in 32 bits.
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
            held: 0,
            whole: Vec::new(),
            stats: DefragStats::default(),
        }
    }

    /// Takes a fragment: the frame's bytes from its IPv4 or IPv6 header on, as far as they were captured.
    /// Bytes behind the announced length, such as Ethernet's padding, do no harm. `point` is the capture
    /// point, as in [`FrameInfo::capture_point`](ja4_common::record::FrameInfo::capture_point): fragments of two do not mix.
    ///
    /// Where it makes its datagram whole, that datagram is lent: the first fragment's headers, with the
    /// length set and without the fragment's marks (IPv4: flags, offset and checksum are 0; IPv6: the
    /// Fragment header is gone), then the payload. 65575 bytes at most.
    ///
    /// # Errors
    /// Why the fragment was refused; the reason is counted.
    pub fn push(&mut self, packet: &[u8], point: u32, time: Time) -> Result<Option<&[u8]>, DefragError> {
        self.stats.fragments += 1;
        self.expire(time);
        let taken = Fragment::parse(packet, point).and_then(|fragment| self.take(&fragment, time));
        match taken {
            Err(error) => {
                self.stats.count_refused(error);
                Err(error)
            }
            Ok(place) if self.finish(place) => Ok(Some(&self.whole)),
            Ok(_) => Ok(None),
        }
    }

    /// Lets go of datagrams that have not become whole in time. A fragment does so too; a caller that
    /// calls this now and then frees their bytes although no more fragments come.
    pub fn expire(&mut self, now: Time) {
        let age = u64::try_from(self.limits.age.as_nanos()).unwrap_or(u64::MAX);
        while let Some(&place) = self.order.front()
            && let Some(oldest) = self.datagrams.get(place as usize)
            && now.0.saturating_sub(oldest.born.0) >= age
        {
            self.stats.expired += 1;
            self.stats.expired_bytes += self.release(place) as u64;
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> DefragStats {
        self.stats
    }

    /// Bytes held, headers included; at most [`DefragLimits::bytes`].
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held
    }

    /// Stores what a fragment brings, and returns its datagram's place.
    fn take(&mut self, fragment: &Fragment<'_>, time: Time) -> Result<u32, DefragError> {
        let len = fragment.payload.len() as u64;
        self.stats.bytes += len;
        let known = self.index.get(&fragment.key).copied();
        let surveyed = self.admit(fragment, known).inspect_err(|_| self.stats.refused_bytes += len);
        let Survey { fresh, known: repeated, agrees, head } = surveyed?;
        if fresh == 0 && agrees {
            self.stats.duplicate += 1;
            self.stats.duplicate_bytes += len;
        } else if repeated > 0 {
            self.stats.overlapping += 1;
            self.stats.overlapped_bytes += repeated as u64;
        }
        self.stats.held_bytes += fresh as u64;
        self.held += fresh + head;
        let place = known.unwrap_or_else(|| self.begin(fragment.key, time));
        if let Some(datagram) = self.datagrams.get_mut(place as usize) {
            datagram.store(fragment);
        }
        Ok(place)
    }

    /// Finds out what a fragment brings and makes room for it.
    fn admit(&mut self, fragment: &Fragment<'_>, known: Option<u32>) -> Result<Survey, DefragError> {
        let none = Datagram::default();
        let datagram = known.and_then(|place| self.datagrams.get(place as usize)).unwrap_or(&none);
        let survey = datagram.survey(fragment, &self.limits)?;
        let needed = survey.fresh + survey.head;
        if datagram.held() + needed > self.limits.bytes {
            return Err(DefragError::NoRoom);
        }
        if known.is_none() && self.order.len() >= self.limits.datagrams {
            self.evict_oldest(None);
        }
        while self.held + needed > self.limits.bytes && self.evict_oldest(known) {}
        Ok(survey)
    }

    /// Lets go of the oldest datagram but this one, if there is any.
    fn evict_oldest(&mut self, but: Option<u32>) -> bool {
        let oldest = self.order.iter().copied().find(|place| Some(*place) != but);
        if let Some(place) = oldest {
            self.stats.evicted += 1;
            self.stats.evicted_bytes += self.release(place) as u64;
        }
        oldest.is_some()
    }

    /// Gives a new datagram a place.
    fn begin(&mut self, key: Key, born: Time) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.datagrams.push(Datagram::default());
            (self.datagrams.len() - 1) as u32 // fewer than 2^32, by the limit
        });
        if let Some(datagram) = self.datagrams.get_mut(place as usize) {
            (datagram.key, datagram.born) = (key, born);
        }
        self.index.insert(key, place);
        self.order.push_back(place);
        self.stats.begun += 1;
        self.stats.held += 1;
        place
    }

    /// Writes the datagram at a place out if it is whole.
    fn finish(&mut self, place: u32) -> bool {
        let Some(datagram) = self.datagrams.get(place as usize).filter(|datagram| datagram.is_complete()) else {
            return false;
        };
        datagram.write(&mut self.whole);
        self.stats.completed += 1;
        self.stats.completed_bytes += self.release(place) as u64;
        true
    }

    /// Empties a place. Returns the payload bytes that were held there.
    fn release(&mut self, place: u32) -> usize {
        let Some(datagram) = self.datagrams.get_mut(place as usize) else {
            return 0;
        };
        let payload = datagram.payload();
        self.held = self.held.saturating_sub(datagram.held());
        self.index.remove(&datagram.key);
        datagram.reset();
        if let Some(at) = self.order.iter().position(|other| *other == place) {
            self.order.remove(at);
        }
        self.free.push(place);
        self.stats.held = self.stats.held.saturating_sub(1);
        self.stats.held_bytes = self.stats.held_bytes.saturating_sub(payload as u64);
        payload
    }
}

#[cfg(test)]
mod tests;
