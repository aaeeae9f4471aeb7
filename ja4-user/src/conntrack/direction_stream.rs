//! The byte stream of one direction and its parser, and what happens at gaps.

use std::mem;

use ja4_common::signature::StreamStart;

use super::budget::Budget;
use super::reassembly::{Reassembly, SegmentOutcome};
use super::stream_parser::StreamParser;

/// How far unseen bytes may begin before a stream if its start was not captured: the furthest a window can reach
/// (RFC 7323, section 2.3).
const UNSEEN: u32 = 1 << 30;

/// Ranges buffered before a late request counts as lost.
const BUFFERED_REQUESTS: usize = 1;

/// How far behind the parsed bytes a late request is still parsed, bytes: the filter passes at most that much of requests
/// in between.
const LATE: u32 = 128 << 10;

/// Ranges buffered before a late segment of an unrecognized stream counts as lost: it may begin a hello.
const BUFFERED_UNRECOGNIZED: usize = 4;

/// The byte stream of one direction.
#[derive(Debug)]
pub(crate) struct DirectionStream<P> {
    /// Puts segments in order.
    pub reassembly: Reassembly,
    /// Parses the bytes in order.
    pub parser: P,
    /// Bytes of the shard's budget charged for `parser`.
    charged: usize,
    /// Sequence number from which on bytes were parsed without a gap.
    start: u32,
    /// Everything before this was parsed, or will not be. Between this and `start`, something was never seen.
    floor: u32,
    /// Whole requests that were parsed after one that arrived late: their first and last sequence number.
    parsed_ahead: Option<(u32, u32)>,
}

/// The sequence numbers that were parsed of a direction, once its stream has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadRange {
    floor: u32,
    start: u32,
    end: u32,
}

fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

impl ReadRange {
    /// Whether a byte at `seq` was parsed before.
    pub(crate) fn contains(&self, seq: u32) -> bool {
        before(seq, self.floor) || (!before(seq, self.start) && before(seq, self.end))
    }

    /// The floor of the next stream, which begins at `seq`.
    fn floor_for(&self, seq: u32) -> u32 {
        if before(seq, self.end) { self.floor } else { self.end }
    }
}

impl<P: StreamParser + Default> DirectionStream<P> {
    /// A stream that begins with this sequence number.
    pub(crate) fn new(first_seq: u32) -> Self {
        Self::starting_at(first_seq, first_seq)
    }

    /// A stream without a captured start: it continues at `seq`, after its first byte if that is known.
    pub(crate) fn midway(seq: u32, first_seq: Option<u32>) -> Self {
        Self::starting_at(first_seq.unwrap_or(seq.wrapping_sub(UNSEEN)), seq)
    }

    /// A stream that begins at `seq`, after another one has ended.
    pub(crate) fn after(read: &ReadRange, seq: u32) -> Self {
        Self::starting_at(read.floor_for(seq), seq)
    }

    fn starting_at(floor: u32, start: u32) -> Self {
        let reassembly = Reassembly::new(start);
        Self { reassembly, parser: P::default(), charged: 0, start, floor, parsed_ahead: None }
    }

    /// The sequence numbers that were parsed.
    pub(crate) fn read_range(&self) -> ReadRange {
        ReadRange { floor: self.floor, start: self.start, end: self.reassembly.next_seq() }
    }

    /// The first bytes of a stream while its protocol is not recognized, and their sequence number.
    pub(crate) fn undecided_prefix(&self) -> (u32, &[u8]) {
        let prefix = self.parser.undecided_prefix();
        (self.reassembly.next_seq().wrapping_sub(prefix.len() as u32), prefix)
    }

    /// Drops buffered segments, and returns their memory and that of the incomplete message to the budget.
    pub(crate) fn clear(&mut self, budget: &mut Budget) {
        self.reassembly.clear(budget);
        budget.credit(mem::take(&mut self.charged));
    }

    /// Charges the memory of the incomplete message. Returns false if the budget is used up.
    pub(crate) fn charge(&mut self, budget: &mut Budget) -> bool {
        let buffered = self.parser.buffered();
        if buffered > self.charged && !budget.charge(buffered - self.charged) {
            return false;
        }
        budget.credit(self.charged.saturating_sub(buffered));
        self.charged = buffered;
        true
    }

    /// Whether a message is incomplete, or bytes are buffered until missing ones arrive.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.parser.is_incomplete() || (self.reassembly.buffered_ranges() > 0 && self.parser.needs_missing_bytes())
    }

    /// Prepares for a segment at `seq` that begins with `start`: decides what happens to the bytes that are missing before
    /// it. `resync`: the filter has left them out. Returns whether an incomplete message was given up.
    pub(crate) fn prepare_for(
        &mut self,
        seq: u32,
        start: StreamStart,
        resync: bool,
        first_seq: Option<u32>,
        budget: &mut Budget,
    ) -> bool {
        let mut gives_up = false;
        self.skip_parsed(budget);
        let is_next_message = self.parser.is_next_message(start);
        if resync && is_next_message && self.ends_body(seq, budget) {
            return gives_up;
        }
        if start != StreamStart::None {
            self.go_back(seq, first_seq, budget);
        }
        let ahead = seq.wrapping_sub(self.reassembly.next_seq()).cast_signed();
        if ahead > 0 && self.parser.can_resync() {
            let is_next_message = self.parser.is_next_message(start);
            gives_up = self.skip_between_messages(seq, ahead.unsigned_abs(), is_next_message, resync, budget);
        }
        if resync {
            self.skip_to(seq, start, budget);
        }
        if self.parser.is_unrecognized() && self.reassembly.buffered_ranges() >= BUFFERED_UNRECOGNIZED {
            self.reassembly.skip_gap();
        }
        gives_up
    }

    /// Skips the requests that were parsed before a late one, once that has ended where they begin.
    fn skip_parsed(&mut self, budget: &mut Budget) {
        if let Some((start, end)) = self.parsed_ahead
            && start == self.reassembly.next_seq()
            && self.is_between_messages()
        {
            self.parsed_ahead = None;
            self.reassembly.resume_at(end, budget);
        }
    }

    /// Whether all messages that were parsed are complete, with their bodies.
    fn is_between_messages(&self) -> bool {
        self.parser.can_resync() && !self.parser.is_incomplete() && self.parser.needs_missing_bytes()
    }

    /// Whether the current body ends directly before `seq`, however often sequence numbers wrapped in it: then the stream
    /// continues there.
    fn ends_body(&mut self, seq: u32, budget: &mut Budget) -> bool {
        let ahead = seq.wrapping_sub(self.reassembly.next_seq());
        match self.parser.body_left() {
            Some(left) if left as u32 == ahead && self.parser.skip_body(left) => {
                self.reassembly.clear(budget);
                self.reassembly = Reassembly::new(seq);
                (self.floor, self.start) = (seq, seq);
                true
            }
            _ => false,
        }
    }

    /// Restarts the stream with a segment at `seq` that begins a message, if it is before the parsed bytes and after bytes
    /// that were never seen, or if it is the stream's first and parsing began elsewhere: the bytes parsed so far arrived
    /// too early, or were forged.
    fn go_back(&mut self, seq: u32, first_seq: Option<u32>, budget: &mut Budget) {
        let is_before = before(seq, self.start);
        if (is_before || first_seq == Some(seq))
            && seq != self.reassembly.next_seq()
            && !self.read_range().contains(seq)
        {
            let ahead = self.is_between_messages().then_some((self.start, self.reassembly.next_seq()));
            self.clear(budget);
            *self = Self { parsed_ahead: ahead, ..Self::starting_at(self.floor, seq) };
        }
    }

    /// Handles `ahead` missing bytes before a segment of a stream that can resync. Missing bytes of a body are skipped;
    /// others are awaited until a further message has arrived. Returns whether they are given up.
    fn skip_between_messages(
        &mut self,
        seq: u32,
        ahead: u32,
        is_next_message: bool,
        resync: bool,
        budget: &mut Budget,
    ) -> bool {
        let buffered = self.reassembly.buffered_ranges();
        if self.parser.skip_body(ahead.into()) {
            self.reassembly.resume_at(seq, budget);
            return false;
        }
        let in_body = !self.parser.needs_missing_bytes();
        let gives_up = is_next_message && (buffered >= BUFFERED_REQUESTS || (resync && in_body));
        if gives_up {
            self.parser.resync();
            // Of several gaps the first may still close.
            if self.start.wrapping_sub(self.floor).wrapping_sub(1) >= LATE {
                self.floor = self.reassembly.next_seq();
            }
            if buffered > 0 {
                self.reassembly.skip_gap();
            } else {
                self.reassembly.resume_at(seq, budget);
            }
            self.start = self.reassembly.next_seq();
        }
        gives_up
    }

    /// Continues at `seq` with a segment that begins a message, where the filter has left out the bytes before it: after
    /// STARTTLS, or the answer to an SSLRequest.
    fn skip_to(&mut self, seq: u32, start: StreamStart, budget: &mut Budget) {
        let ahead = seq.wrapping_sub(self.reassembly.next_seq()).cast_signed();
        if start != StreamStart::None && self.parser.restart(start, ahead) {
            (self.floor, self.start) = (self.reassembly.next_seq(), seq);
            self.reassembly.resume_at(seq, budget);
        }
    }

    /// Gives up the gap, and parses the buffered bytes after it up to the next gap. Returns false if nothing is buffered.
    pub(crate) fn parse_past_gap(
        &mut self,
        budget: &mut Budget,
        outcome: &mut SegmentOutcome,
        mut parse: impl FnMut(&mut P, &[u8]),
    ) -> bool {
        let Self { reassembly, parser, .. } = self;
        parser.skip(reassembly.gap().into());
        reassembly.deliver_past_gap(budget, outcome, |bytes| parse(parser, bytes))
    }
}
