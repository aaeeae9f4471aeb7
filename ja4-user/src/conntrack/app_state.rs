//! What a connection needs of the protocols above it.

use std::fmt::Debug;

use super::budget::Budget;
use super::session::Session;
use super::stream_parser::StreamParser;

/// The state of the application protocols of a connection, besides its byte streams.
pub(crate) trait AppState: Default + Debug {
    /// The parser of a direction's byte stream.
    type Parser: StreamParser + Default;

    /// Whether it is as in a new connection.
    fn is_empty(&self) -> bool;

    /// All sessions, if the connection carries several handshakes.
    fn sessions(&self) -> impl Iterator<Item = &Session>;

    /// All sessions, and whether the high end of the flow's key is the client.
    fn sessions_mut(&mut self) -> impl Iterator<Item = (&mut Session, bool)>;

    /// Heap bytes of state that lives as long as the connection, besides the sessions.
    fn lasting_bytes(&self) -> usize;

    /// Drops that state.
    fn drop_lasting(&mut self);

    /// Number of incomplete messages in datagrams.
    fn incomplete(&self) -> u64;

    /// Drops incomplete messages; other handshakes continue.
    fn drop_incomplete(&mut self, budget: &mut Budget);

    /// Drops everything buffered, and returns its memory to the budget.
    fn clear(&mut self, budget: &mut Budget);
}
