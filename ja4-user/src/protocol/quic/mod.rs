//! QUIC handshakes in Initial packets: keys, CRYPTO streams, handshake messages.
//!
//! ```text
//! datagram ─▶ connection ─▶ packets ─▶ keys of (version, DCID) ─▶ frames ─▶ CRYPTO in order ─▶ handshake messages
//! ```
//! The keys are derived from the destination connection ID of the client's first Initial, or after a Retry from the one
//! in the Retry; they stay the same when the client later uses the ID that the server chose (RFC 9001, section 5.2;
//! RFC 9000, section 7.2). The packet's authentication decides to which connection and side it belongs.
//!
//! Anyone can send a client's Initial with any destination connection ID, and a client may have several connections on the
//! same ports: each first Initial begins another connection.

mod buffers;
mod connections;
mod crypto;
mod flow;
mod outcome;
mod state;
#[cfg(test)]
mod tests;

pub use buffers::QuicBuffers;
pub use connections::{MAX_CONNECTIONS, QuicConnections, QuicEntry};
pub(crate) use flow::QuicFlow;
pub use outcome::{QuicMessage, QuicOutcome};
pub use state::QuicState;
