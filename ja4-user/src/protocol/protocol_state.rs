//! The state of a connection's protocols besides byte streams.

use super::datagrams::Datagrams;
use super::ssh::SshTraffic;
use super::stream_state::StreamState;
use crate::conntrack::{self, AppState, Budget, Session};
use crate::model::PerSide;

/// A connection with the state of its protocols.
pub(crate) type ProtocolConnection = conntrack::Connection<ProtocolState>;

/// The state of a connection's protocols besides byte streams.
#[derive(Debug)]
pub(crate) enum ProtocolState {
    /// None, or not yet. Counts each side's ACKs without payload, in case the connection is SSH.
    Undecided {
        /// ACKs of each side.
        bare_acks: PerSide<u8>,
    },
    /// SSH.
    Ssh(Box<SshTraffic>),
    /// Handshakes in datagrams.
    Datagrams(Box<Datagrams>),
}

impl Default for ProtocolState {
    fn default() -> Self {
        Self::Undecided { bare_acks: PerSide::default() }
    }
}

impl ProtocolState {
    fn datagrams(&self) -> Option<&Datagrams> {
        match self {
            Self::Datagrams(datagrams) => Some(datagrams),
            _ => None,
        }
    }

    fn datagrams_mut(&mut self) -> Option<&mut Datagrams> {
        match self {
            Self::Datagrams(datagrams) => Some(datagrams),
            _ => None,
        }
    }
}

impl AppState for ProtocolState {
    type Parser = StreamState;

    fn is_empty(&self) -> bool {
        matches!(self, Self::Undecided { bare_acks: PerSide { client: 0, server: 0 } })
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.datagrams().into_iter().flat_map(Datagrams::sessions)
    }

    fn sessions_mut(&mut self) -> impl Iterator<Item = (&mut Session, bool)> {
        self.datagrams_mut().into_iter().flat_map(Datagrams::sessions_mut)
    }

    fn lasting_bytes(&self) -> usize {
        match self {
            Self::Ssh(ssh) => ssh.window.as_ref().map_or(0, |window| window.heap_size()),
            _ => 0,
        }
    }

    fn drop_lasting(&mut self) {
        // A value of some of the packets would differ from that of all: the connection has no further JA4SSH.
        if let Self::Ssh(ssh) = self {
            ssh.window = None;
        }
    }

    fn incomplete(&self) -> u64 {
        self.datagrams().map_or(0, Datagrams::incomplete)
    }

    fn drop_incomplete(&mut self, budget: &mut Budget) {
        if let Some(datagrams) = self.datagrams_mut() {
            datagrams.drop_incomplete(budget);
        }
    }

    fn clear(&mut self, budget: &mut Budget) {
        if let Some(datagrams) = self.datagrams_mut() {
            datagrams.clear(budget);
        }
    }
}
