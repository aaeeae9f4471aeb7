//! Why a fragment is refused.

use ja4::wire::WireError;

/// Why a fragment is refused. The other fragments of its datagram stay buffered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum DefragError {
    /// An IP header is truncated or malformed.
    Header,
    /// It is not a fragment, or the only one of its datagram.
    NotFragment,
    /// The capture has less of it than its header announces.
    Truncated,
    /// It has no payload.
    Empty,
    /// It is not the last one, and does not end at a multiple of 8 bytes.
    Unaligned,
    /// Its datagram would be longer than 65535 bytes, or than the configured bound.
    TooLong,
    /// It exceeds the length that the last fragment gave, or is another last one.
    Contradiction,
    /// Its datagram has too many fragments.
    TooMany,
    /// It exceeds the bound of bytes even without the other datagrams.
    OverLimit,
}

impl DefragError {
    /// Every reason, in the order of its counter.
    pub const ALL: [Self; 9] = [
        Self::Header,
        Self::NotFragment,
        Self::Truncated,
        Self::Empty,
        Self::Unaligned,
        Self::TooLong,
        Self::Contradiction,
        Self::TooMany,
        Self::OverLimit,
    ];

    /// Name of the counter.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::NotFragment => "not_fragment",
            Self::Truncated => "truncated",
            Self::Empty => "empty",
            Self::Unaligned => "unaligned",
            Self::TooLong => "too_long",
            Self::Contradiction => "contradiction",
            Self::TooMany => "too_many",
            Self::OverLimit => "over_limit",
        }
    }
}

impl From<WireError> for DefragError {
    /// Parsing a header fails only at its end.
    fn from(_: WireError) -> Self {
        Self::Header
    }
}
