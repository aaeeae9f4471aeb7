//! Which bytes of a direction have been seen, where their content does not matter.

/// Runs of bytes remembered. Loss and reordering leave two or three; the others have room for forged segments.
const RUNS: usize = 8;

/// Bytes of a run that are remembered, and bytes added before a run that nothing was added to is forgotten. The receive
/// windows of hosts are no larger (Linux: 6 MiB by default), so no sender repeats bytes further back. It is far below
/// the 2 GiB within which sequence numbers can be compared.
const MEMORY: u32 = 16 << 20;

/// The bytes of one direction that have been seen, as runs of sequence numbers modulo 2^32 (RFC 9293, section 3.4).
///
/// Forgotten bytes count as not seen: at worst a repetition counts as new. No segment, wherever it is, makes bytes count
/// as seen that were not in it. So neither forged segments nor bytes missing from the capture hide later ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SeenRanges {
    /// The most recently extended first. No two overlap or touch.
    runs: [SeenRun; RUNS],
    /// Bytes added so far, modulo 2^32.
    added: u32,
}

/// Bytes without a gap; none if `from == to`.
#[derive(Clone, Copy, Debug, Default)]
struct SeenRun {
    /// `to - from <= MEMORY`.
    from: u32,
    to: u32,
    /// [`SeenRanges::added`] when it was last extended.
    added: u32,
    /// More than one segment belongs to it: runs of a single segment are forgotten first.
    confirmed: bool,
}

/// Whether `a` comes before `b`.
fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

impl SeenRun {
    const fn len(&self) -> u32 {
        self.to.wrapping_sub(self.from)
    }

    const fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Whether the byte is in the run or follows it directly.
    const fn reaches(&self, seq: u32) -> bool {
        seq.wrapping_sub(self.from) <= self.len()
    }

    fn covers(&self, other: &Self) -> bool {
        self.reaches(other.from) && other.len() <= self.to.wrapping_sub(other.from)
    }

    /// Whether the two overlap or are adjacent.
    fn touches(&self, other: &Self) -> bool {
        !self.is_empty() && (self.reaches(other.from) || other.reaches(self.from))
    }

    /// Extends this run by one that touches it.
    fn join(&mut self, other: &Self) {
        if before(other.from, self.from) {
            self.from = other.from;
        }
        if before(self.to, other.to) {
            self.to = other.to;
        }
        self.confirmed = true;
    }
}

impl SeenRanges {
    /// Adds a segment of `len` bytes, at least one. Returns whether a byte of it was not seen before.
    pub(crate) fn add(&mut self, seq: u32, len: u32) -> bool {
        let len = len.min(MEMORY);
        let added = self.added.wrapping_add(len);
        let segment = SeenRun { from: seq, to: seq.wrapping_add(len), added, confirmed: false };
        if self.runs.iter().any(|known| known.covers(&segment)) {
            return false;
        }
        self.added = added;
        let mut run = segment;
        for known in &mut self.runs {
            let stale = added.wrapping_sub(known.added) > MEMORY;
            if !stale && known.touches(&segment) {
                run.join(known);
            } else if !stale {
                continue;
            }
            *known = SeenRun::default();
        }
        if run.len() > MEMORY {
            run.from = run.to.wrapping_sub(MEMORY);
        }
        self.insert(run);
        true
    }

    /// Stores a run in a free slot, else in place of a run of a single segment, else in place of any; among several, the
    /// one extended least recently.
    fn insert(&mut self, run: SeenRun) {
        let last = |test: fn(&SeenRun) -> bool| self.runs.iter().rposition(test);
        let slot = last(SeenRun::is_empty).or_else(|| last(|run| !run.confirmed)).unwrap_or(RUNS - 1);
        if let Some(newer) = self.runs.get_mut(..=slot) {
            newer.rotate_right(1);
        }
        if let Some(first) = self.runs.first_mut() {
            *first = run;
        }
    }
}

#[cfg(test)]
mod tests;
