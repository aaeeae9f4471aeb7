//! The memory budget of a shard.

/// Default budget of a shard, bytes: some 10,000 handshakes that wait for one lost segment at the same time, or 250
/// directions that buffer as much as `ReassemblyLimits` allows.
const SHARD_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of memory that a shard's connections may take together: `used <= max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    used: usize,
    max: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(SHARD_BYTES)
    }
}

impl Budget {
    /// An unused budget of `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { used: 0, max }
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Bytes that may be in use.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Takes `bytes`. Returns false and takes nothing if they do not fit.
    pub(crate) fn charge(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.max.saturating_sub(self.used);
        if fits {
            self.used = self.used.saturating_add(bytes);
        }
        fits
    }

    /// Returns `bytes` to the budget.
    pub(crate) fn credit(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}
