//! Bounds of a shard, and its clock.

use std::num::NonZeroU16;

use ja4::SshWindow;

use crate::model::Time;

/// Bounds of one shard.
#[derive(Clone, Copy, Debug)]
pub struct ShardLimits {
    /// Connections.
    pub connections: usize,
    /// Time without a packet after which a connection is idle, nanoseconds.
    pub idle: u64,
    /// Bytes buffered for incomplete messages.
    pub reassembly: usize,
    /// SSH packets of one JA4SSH value.
    pub ssh_window: NonZeroU16,
}

impl ShardLimits {
    /// Bytes buffered for incomplete messages in the whole process: some ten thousand handshakes that each wait for a segment.
    pub const REASSEMBLY: usize = 64 << 20;
    /// SSH packets of one JA4SSH value (FoxIO, JA4SSH technical details).
    pub const SSH_WINDOW: NonZeroU16 = SshWindow::DEFAULT_SIZE;
    /// Bytes of attributes, a connection on average: more than the certificate names of a TLS 1.2 server, or the host and
    /// browser of an HTTP request.
    const ATTRIBUTES: usize = 512;
    /// Bytes of attributes, at least, if there are few connections.
    const MIN_ATTRIBUTES: usize = 64 << 10;

    /// Bytes of the attributes of all connections.
    pub(super) fn attribute_bytes(&self) -> usize {
        self.connections.saturating_mul(Self::ATTRIBUTES).max(Self::MIN_ATTRIBUTES)
    }
}

/// A time that is not that of a packet of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The time.
    pub time: Time,
    /// In a replay, the number of the packet at that time.
    pub packet: Option<u64>,
}
