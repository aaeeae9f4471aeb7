//! What the steps of the engine pass on.

use bytes::Bytes;

use crate::detect::first_seen::{FirstSeenFact, Sighting};
use crate::output::alert::AlertLine;
use crate::output::storage::WriteOp;

/// What a thread has finished: lines, rows and alerts, in order.
#[derive(Debug, Default)]
pub struct Finished {
    /// Lines for standard output.
    pub text: Vec<u8>,
    /// Lines for each event file; empty if there is none.
    pub(crate) files: Vec<Vec<u8>>,
    /// Rows for the database.
    pub(crate) rows: Vec<WriteOp>,
    /// Alerts for the sinks, each with its line in JSON.
    pub(crate) alerts: Vec<(AlertLine, Bytes)>,
}

/// What the first-seen history knows of a value, and rows of it to be stored.
#[derive(Debug, Default)]
pub(crate) struct Sighted {
    pub(crate) sighting: Sighting,
    pub(crate) rows: Vec<FirstSeenFact>,
}

impl Sighted {
    /// Adds what is known of the value on the network, or of a host.
    pub(crate) fn merge(&mut self, of_host: bool, other: Sighting, row: Option<FirstSeenFact>) {
        let all = &mut self.sighting;
        all.learning |= other.learning;
        if of_host {
            (all.first_for_host, all.entered_for_host) = (other.first_for_host, other.entered_for_host);
            self.rows.extend(row);
        } else {
            (all.first, all.entered, all.new_since) = (other.first, other.entered, other.new_since);
            // The row of the network precedes that of a host.
            if let Some(row) = row {
                self.rows.insert(0, row);
            }
        }
    }
}
