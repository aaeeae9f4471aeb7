//! Configuration of the filter, fixed when the programs are loaded.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::capture_filter::CaptureFilter;
use crate::tunnel::TunnelPorts;

/// Configuration of the filter. In the kernel it is read-only data, so the verifier removes code that is switched off.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 16 | seed of the flow hash |
/// | 16 | 4 | shards |
/// | 20 | 4 | mask of the slots of the membership filter |
/// | 24 | 4 | budget of a stream of unknown protocol, payload bytes |
/// | 28 | 4 | budget of the TLS handshake of one direction, payload bytes |
/// | 32 | 4 | 1: count packets and bytes of every tracked flow |
/// | 36 | 4 | log2 of the length of an epoch, ns |
/// | 40 | 4 | budget of an HTTP/2 client, payload bytes |
/// | 44 | 4 | budget of an HTTP/1 request, payload bytes |
/// | 48 | 4 | budget of one side of an SSH handshake, payload bytes |
/// | 52 | 12 | UDP ports of tunnels, see [`TunnelPorts`] |
/// | 64 | 424 | filter expression of the operator, see [`CaptureFilter`] |
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FilterConfig {
    /// Seed of the flow hash, random for each run.
    pub seed: [u64; 2],
    /// Number of rings; at least 1.
    pub shards: u32,
    /// Number of slots of the membership filter minus one. The number of slots is a power of two.
    pub membership_mask: u32,
    /// Payload bytes selected of a stream while its protocol is unknown.
    pub undecided_budget: u32,
    /// Payload bytes selected of the TLS handshake of one direction.
    pub handshake_budget: u32,
    /// 1: count packets and bytes of every tracked flow. 0: look up only flows with payload to select.
    pub accounting: u32,
    /// Log2 of the length of an epoch, nanoseconds.
    pub epoch_shift: u32,
    /// Payload bytes selected of an HTTP/2 client. Its requests share one compression state, so they can only be
    /// decoded from the first byte on.
    pub http2_budget: u32,
    /// Payload bytes selected of an HTTP/1 request with its body. The filter does not know the length of the body.
    pub http_budget: u32,
    /// Payload bytes selected of one side of an SSH handshake.
    pub ssh_budget: u32,
    /// UDP ports of tunnels.
    pub tunnel_ports: TunnelPorts,
    /// Which flows are tracked.
    pub capture_filter: CaptureFilter,
}

/// Epochs without a packet after which a flow is no longer in the membership filter. The loader chooses the length of
/// an epoch so that this exceeds the idle timeout of a flow.
pub const MAX_IDLE_EPOCHS: u8 = 10;

const _: () = assert!(size_of::<FilterConfig>() == 488);

impl FilterConfig {
    /// Default of [`Self::undecided_budget`]: an initial window (RFC 6928), because the first bytes may arrive last.
    pub const UNDECIDED_BUDGET: u32 = 16 << 10;
    /// Default of [`Self::handshake_budget`]: a chain of post-quantum certificates takes some 30 KiB.
    pub const HANDSHAKE_BUDGET: u32 = 64 << 10;
    /// Default of [`Self::http_budget`]: the limit of common servers for a header block.
    pub const HTTP_BUDGET: u32 = 32 << 10;
    /// Default of [`Self::ssh_budget`]: KEXINIT takes some 2 KiB.
    pub const SSH_BUDGET: u32 = 8 << 10;
    /// Default of [`Self::http2_budget`].
    pub const HTTP2_BUDGET: u32 = 64 << 10;
    /// Default number of slots of the membership filter, one byte each.
    pub const MEMBERSHIP: u32 = 1 << 20;

    /// The defaults, with this seed.
    pub const fn new(seed: [u64; 2]) -> Self {
        Self {
            seed,
            shards: 1,
            membership_mask: Self::MEMBERSHIP - 1,
            undecided_budget: Self::UNDECIDED_BUDGET,
            handshake_budget: Self::HANDSHAKE_BUDGET,
            accounting: 1,
            epoch_shift: 34,
            http2_budget: Self::HTTP2_BUDGET,
            http_budget: Self::HTTP_BUDGET,
            ssh_budget: Self::SSH_BUDGET,
            tunnel_ports: TunnelPorts::NONE,
            capture_filter: CaptureFilter::NONE,
        }
    }
}
