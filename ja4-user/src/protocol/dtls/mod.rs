//! DTLS: handshake messages in datagrams.

mod association;
mod direction;
mod flow;
mod fragments;
mod outcome;

pub use association::Association;
pub(crate) use flow::DtlsFlow;
pub use outcome::{DtlsMessage, DtlsOutcome, MessageVerdict};

#[cfg(test)]
mod tests;
