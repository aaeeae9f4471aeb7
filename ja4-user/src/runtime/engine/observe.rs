//! Observations: the events of a shard with their encoded lines.

use crate::encode::Formatter;
use crate::model::{
    ConnectionEvent, EndReason, EventContext, EventHandler, FingerprintEvent, FlowIdentity, Latency, Method, PerSide,
    ProgressEvent, SharedAttributes, Side, Time,
};

/// A shard's lines and observations over some time, in order.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Lines that are printed.
    pub text: Vec<u8>,
    /// Texts of the observations, one after another.
    pub words: Words,
    /// What was seen, in order.
    pub observations: Vec<Observation>,
}

/// Texts, one after another.
#[derive(Debug, Default)]
pub struct Words(String);

/// Where a text stands among the words of its chunk.
#[derive(Clone, Copy, Debug)]
pub struct StrRef {
    start: u32,
    end: u32,
}

/// One thing that a shard has seen.
#[derive(Debug)]
pub struct Observation {
    /// Offset in [`Chunk::text`] behind its line; `None` where it is not printed.
    pub line: Option<u32>,
    /// What caused it.
    pub cause: EventContext,
    /// The connection.
    pub flow: FlowIdentity,
    /// What is known of the connection so far; `None`: nothing that was not known before.
    pub attributes: Option<SharedAttributes>,
    /// The kind of observation.
    pub what: ObservationKind,
}

/// The kind of an observation.
#[derive(Debug)]
pub enum ObservationKind {
    /// A fingerprint.
    Fingerprint(ObservedFingerprint),
    /// Updated packet and byte counts.
    Progress(EndpointCounters),
    /// The end of a connection. Boxed, because it is the largest kind.
    End(Box<ConnectionEnd>),
}

/// The end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionEnd {
    /// First and last packet.
    pub span: (Time, Time),
    /// Packets and bytes.
    pub counters: EndpointCounters,
    /// How it ended.
    pub ended: EndReason,
    /// Latencies.
    pub latency: Latency,
}

/// A fingerprint.
#[derive(Clone, Copy, Debug)]
pub struct ObservedFingerprint {
    /// Method.
    pub method: Method,
    /// The endpoint that it describes.
    pub side: Side,
    /// Its number among those of this method and connection, from 1.
    pub count: u32,
    /// The value.
    pub value: StrRef,
    /// The raw form, if it is asked for.
    pub raw: Option<StrRef>,
    /// Of JA4T: TTL or hop limit of the SYN.
    pub ttl: Option<u8>,
}

/// Packets and bytes that each side has sent.
#[derive(Clone, Copy, Debug)]
pub struct EndpointCounters {
    /// Packets.
    pub packets: PerSide<u64>,
    /// Bytes on the wire.
    pub bytes: PerSide<u64>,
}

impl Chunk {
    /// Lines in it, finished or not.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.observations.iter().filter(|observation| observation.line.is_some()).count() as u64
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty() && self.observations.is_empty()
    }

    /// Empties it, for another use of its room.
    pub fn clear(&mut self) {
        self.text.clear();
        self.words.0.clear();
        self.observations.clear();
    }
}

impl Observation {
    /// Its line among those of its chunk; `written` is where the line before it ends.
    pub(crate) fn take_line<'a>(&self, text: &'a [u8], written: &mut usize) -> Option<&'a [u8]> {
        self.line.map(|end| {
            let line = text.get(*written..end as usize).unwrap_or_default();
            *written = end as usize;
            line
        })
    }
}

impl Words {
    /// One of them.
    #[must_use]
    pub fn get(&self, word: StrRef) -> &str {
        self.0.get(word.start as usize..word.end as usize).unwrap_or_default()
    }

    fn keep(&mut self, text: &str) -> StrRef {
        let start = self.0.len() as u32;
        self.0.push_str(text);
        StrRef { start, end: self.0.len() as u32 }
    }
}

/// Turns a shard's events into lines and observations.
pub struct Observer<'a> {
    /// What makes lines of them.
    pub formatter: &'a mut Formatter,
    /// Where they go.
    pub chunk: &'a mut Chunk,
}

impl Observer<'_> {
    /// What `format` has appended, if anything.
    fn line(&mut self, format: impl FnOnce(&mut Formatter, &mut Vec<u8>)) -> Option<u32> {
        let before = self.chunk.text.len();
        format(self.formatter, &mut self.chunk.text);
        (self.chunk.text.len() > before).then_some(self.chunk.text.len() as u32)
    }
}

/// Whether a fingerprint of this method may come with new attributes.
const fn changes_attributes(method: Method) -> bool {
    !matches!(method, Method::Ja4t | Method::Ja4ts | Method::Ja4l | Method::Ja4ls)
}

impl EventHandler for Observer<'_> {
    fn fingerprint(&mut self, event: &FingerprintEvent<'_>) {
        let line = self.line(|formatter, text| formatter.fingerprint(event, text));
        let value = self.chunk.words.keep(event.value);
        let raw = event.raw.map(|raw| self.chunk.words.keep(raw));
        let FingerprintEvent { cause, method, side, count, ttl, .. } = *event;
        self.chunk.observations.push(Observation {
            line,
            cause,
            flow: *event.flow,
            attributes: changes_attributes(method).then(|| event.attributes.clone()),
            what: ObservationKind::Fingerprint(ObservedFingerprint { method, side, count, value, raw, ttl }),
        });
    }

    fn progress(&mut self, event: &ProgressEvent<'_>) {
        let ProgressEvent { cause, flow, packets, bytes } = *event;
        let what = ObservationKind::Progress(EndpointCounters { packets, bytes });
        self.chunk.observations.push(Observation { line: None, cause, flow: *flow, attributes: None, what });
    }

    fn connection(&mut self, event: &ConnectionEvent<'_>) {
        // The engine encodes the lines of connections that are open at the end.
        let line = match event.ended {
            EndReason::Open => None,
            _ => self.line(|formatter, text| formatter.connection(event, text)),
        };
        let ConnectionEvent { cause, start, end, packets, bytes, ended, latency, .. } = *event;
        self.chunk.observations.push(Observation {
            line,
            cause,
            flow: *event.flow,
            attributes: Some(event.attributes.clone()),
            what: ObservationKind::End(Box::new(ConnectionEnd {
                span: (start, end),
                counters: EndpointCounters { packets, bytes },
                ended,
                latency,
            })),
        });
    }
}
