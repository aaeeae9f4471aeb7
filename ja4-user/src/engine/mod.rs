//! Behind the shards: fingerprints become knowledge.
//!
//! One thread owns everything here. Shards hand it what they have seen in chunks, in a replay in the
//! order of packets; it labels values, knows what was seen before, keeps a [`record`] of every
//! connection, evaluates rules, and hands on lines, [`alert`]s and what is to be stored. Nothing here
//! makes a packet wait: every way in and out is a bounded queue whose losses are counted.

pub mod alert;
pub mod observe;
pub mod record;
pub mod thread;
pub mod tracker;

use std::ops::Range;

use crate::sink::Format;
use observe::{Chunk, Observation, What, Words};
use record::Seen;
use tracker::Tracker;

/// What an engine is asked for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections known at once.
    pub connections: usize,
    /// Format of the lines that it finishes.
    pub format: Format,
}

/// Everything that is known behind the shards.
#[derive(Debug)]
pub struct Engine {
    tracker: Tracker,
    format: Format,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self { tracker: Tracker::with_capacity(settings.connections), format: settings.format }
    }

    /// Takes a part of a chunk and appends its lines, finished, to `out`.
    pub fn take(&mut self, chunk: &mut Chunk, text: Range<usize>, observations: Range<usize>, out: &mut Vec<u8>) {
        let Chunk { text: lines, words, observations: all } = chunk;
        let mut written = text.start;
        for observation in all.get_mut(observations).unwrap_or_default() {
            let end = observation.line.map(|end| end as usize);
            // Without the bytes that end it: what the engine knows comes before them.
            if let Some(end) = end {
                let open = end.saturating_sub(self.format.terminator());
                out.extend_from_slice(lines.get(written..open).unwrap_or_default());
                written = open;
            }
            self.observe(observation, words);
            if let Some(end) = end {
                out.extend_from_slice(lines.get(written..end).unwrap_or_default());
                written = end;
            }
        }
        out.extend_from_slice(lines.get(written..text.end).unwrap_or_default());
    }

    fn observe(&mut self, observation: &mut Observation, words: &Words) {
        let Observation { cause, flow, what, .. } = observation;
        let (record, _evicted) = self.tracker.of(flow, cause.interface, cause.time);
        record.last = record.last.max(cause.time);
        record.attributes = std::mem::take(&mut observation.attributes);
        match *what {
            What::Fingerprint { method, side, count, value, raw } => record.note(Seen {
                method,
                side,
                count,
                value: words.get(value).into(),
                raw: raw.map(|raw| words.get(raw).into()),
                time: cause.time,
                packet: cause.packet,
                first_seen: false,
                label: None,
                known_bad: None,
            }),
            What::End { span: (start, end), packets, bytes, ended, latency } => {
                if let Some(mut record) = self.tracker.end(flow) {
                    (record.start, record.last) = (start, end);
                    (record.packets, record.bytes) = (packets, bytes);
                    (record.ended, record.latency) = (Some(ended), latency);
                }
            }
        }
    }
}
