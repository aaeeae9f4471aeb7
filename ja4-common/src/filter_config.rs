//! What is fixed when the programs are loaded.

use crate::reason::RecordClass;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Frozen configuration of the filter. The kernel half holds it in read-only data, so the verifier
/// removes what is switched off.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 16 | seed of the flow hash |
/// | 16 | 4 | shards |
/// | 20 | 4 | mask of the filter's slots |
/// | 24 | 4 | payload bytes wanted of a stream of unknown kind |
/// | 28 | 4 | payload bytes wanted of one direction's handshake |
/// | 32 | 4 | 1: keep packet and byte counts of every known flow |
/// | 36 | 4 | 1: the governor is on |
/// | 40 | 4 | log2 of the length of an epoch, ns |
/// | 44 | 4 | payload bytes wanted of an HTTP/2 client |
/// | 48 | 4 | payload bytes wanted of an HTTP/1 request |
/// | 52 | 4 | payload bytes wanted of one side of an SSH handshake |
/// | 56 | 8 × classes | governor: records per second, per class and CPU |
/// | 56 + 8 × classes | 8 × classes | governor: burst, records |
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FilterConfig {
    /// Seed of the flow hash, drawn anew for every run.
    pub seed: [u64; 2],
    /// Number of rings; at least 1.
    pub shards: u32,
    /// Slots of the filter minus one; the number of slots is a power of two.
    pub membership_mask: u32,
    /// Payload bytes wanted of a stream until its first bytes say what it is.
    pub undecided_budget: u32,
    /// Payload bytes wanted of the handshake of one direction.
    pub handshake_budget: u32,
    /// 1: keep packet and byte counts of every known flow. 0: look up hungry flows only.
    pub accounting: u32,
    /// 1: limit every class to `rate`.
    pub rate_limit: u32,
    /// Log2 of the length of an epoch, nanoseconds.
    pub epoch_shift: u32,
    /// Payload bytes wanted of an HTTP/2 client: its requests share one compression state, so they
    /// are read from the first byte on, or not at all.
    pub http2_budget: u32,
    /// Payload bytes wanted of an HTTP/1 request, and of the body behind it: the filter does not know how
    /// long that is.
    pub http_budget: u32,
    /// Payload bytes wanted of one side of an SSH handshake.
    pub ssh_budget: u32,
    /// Records per second and CPU of each class; 0: no limit.
    pub rate: [u64; RecordClass::COUNT],
    /// Records of each class that may come at once.
    pub burst: [u64; RecordClass::COUNT],
}

/// Epochs without a packet after which the filter in front of the flow map has forgotten a flow. The
/// length of an epoch is chosen so that this is more than the idle time of a flow.
pub const MAX_IDLE_EPOCHS: u8 = 10;

const _: () = assert!(size_of::<FilterConfig>() == 56 + 16 * RecordClass::COUNT);

impl FilterConfig {
    /// Payload bytes wanted of a stream until its first bytes say what it is: an initial window
    /// (RFC 6928), for they may come last.
    pub const UNDECIDED_BUDGET: u32 = 16 << 10;
    /// Payload bytes wanted of the TLS handshake of one direction: a chain of post-quantum certificates
    /// takes some 30 KiB.
    pub const HANDSHAKE_BUDGET: u32 = 64 << 10;
    /// Payload bytes wanted of an HTTP/1 request: what common servers take at most for its header block.
    pub const HTTP_BUDGET: u32 = 32 << 10;
    /// Payload bytes wanted of one side of an SSH handshake: KEXINIT takes some 2 KiB.
    pub const SSH_BUDGET: u32 = 8 << 10;
    /// Payload bytes wanted of an HTTP/2 client.
    pub const HTTP2_BUDGET: u32 = 64 << 10;
    /// Slots of the filter: one byte each.
    pub const MEMBERSHIP: u32 = 1 << 20;

    /// The defaults, with the seed given.
    pub const fn new(seed: [u64; 2]) -> Self {
        Self {
            seed,
            shards: 1,
            membership_mask: Self::MEMBERSHIP - 1,
            undecided_budget: Self::UNDECIDED_BUDGET,
            handshake_budget: Self::HANDSHAKE_BUDGET,
            accounting: 1,
            rate_limit: 0,
            epoch_shift: 34,
            http2_budget: Self::HTTP2_BUDGET,
            http_budget: Self::HTTP_BUDGET,
            ssh_budget: Self::SSH_BUDGET,
            rate: [0; RecordClass::COUNT],
            burst: [0; RecordClass::COUNT],
        }
    }
}
