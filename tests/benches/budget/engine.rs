//! Nanoseconds per fingerprint in the engine: first-seen and the tracker separately, and the whole engine with labels,
//! known-bad patterns, profiles, the built-in rules, and completion of the output line.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use ja4_user::config;
use ja4_user::detect::first_seen::{FirstSeen, FirstSeenSettings};
use ja4_user::detect::local_networks::LocalNetworks;
use ja4_user::encode::{EncodeContext, Format, Formatter};
use ja4_user::model::{
    ConnectionEvent, EndReason, EventContext, EventHandler, FingerprintEvent, Latency, Method, SharedAttributes, Side,
    Time,
};
use ja4_user::runtime::engine::observe::{Chunk, Observer};
use ja4_user::runtime::engine::outputs::EngineOutputs;
use ja4_user::runtime::engine::tracker::Tracker;
use ja4_user::runtime::engine::{Engine, EngineSettings, Finished, SavedState};

use crate::Scale;
use crate::figure::{Figure, least};
use crate::rules::{CONNECTIONS, record, seen};

/// Distinct JA4 values in a round.
const VALUES: u32 = 500;

/// Maximum number of events in a chunk, as handed off by a shard.
const CHUNK: usize = 1024;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    Ok(vec![
        Figure::new("first-seen, a value that is known, network-wide and of its host", first_seen(scale), "ns"),
        Figure::new("tracker, a fingerprint of a new connection", tracker(scale), "ns"),
        Figure::new("engine, all of it, a fingerprint or an end", whole(scale)?, "ns")
            .note("a connection has a JA4T, a JA4 and an end; JSON lines")
            .at_most(3000.0),
    ])
}

fn value(number: u32) -> String {
    format!("t13d1516h2_{:012x}_e5627efa2ab1", number % VALUES)
}

fn first_seen(scale: Scale) -> f64 {
    let asked: Vec<(String, IpAddr)> =
        (0..CONNECTIONS).map(|number| (value(number), record(number).identity.client.0)).collect();
    let mut firsts = FirstSeen::new(&FirstSeenSettings::default(), LocalNetworks::default(), None);
    let rounds = (0..scale.of(20, 2)).map(|_| {
        let begun = Instant::now();
        for (value, host) in &asked {
            black_box(firsts.check(Method::Ja4, black_box(value), Some(*host), Time(1)));
        }
        begun.elapsed().as_nanos() as f64 / asked.len() as f64
    });
    // The first round fills the tables and is the slowest; the minimum excludes it.
    least(rounds.collect::<Vec<_>>())
}

fn tracker(scale: Scale) -> f64 {
    let flows: Vec<_> = (0..CONNECTIONS).map(|number| record(number).identity).collect();
    let fingerprint = seen(Method::Ja4);
    let rounds = (0..scale.of(20, 2)).map(|_| {
        let mut tracker = Tracker::default();
        let begun = Instant::now();
        for flow in &flows {
            Arc::make_mut(tracker.enter(black_box(flow), 0, Time(1)).record).note(fingerprint.clone());
        }
        let took = begun.elapsed().as_nanos() as f64 / flows.len() as f64;
        black_box(tracker);
        took
    });
    least(rounds.collect::<Vec<_>>())
}

/// Returns the best round over the chunks of all connections, nanoseconds per event. All rounds use one engine, so that
/// after the first round every value is known.
fn whole(scale: Scale) -> Result<f64> {
    let context = Arc::new(EncodeContext::default());
    let opened = config::open(None, |_| {}).map_err(|report| anyhow!("{report}"))?;
    let (settings, outputs) = (EngineSettings::default(), EngineOutputs::new(false));
    let engine =
        Arc::new(Engine::new(&settings, opened.loaded.content, SavedState::default(), None, &context, outputs));
    let worker = Arc::new(Mutex::new(engine.worker(1)));
    let mut formatter = Formatter::new(Format::Json, Arc::clone(&context)).open();
    let mut best = Vec::new();
    for round in 0..scale.of(10, 2) {
        let mut chunks = chunks(&mut formatter, round);
        let observed: usize = chunks.iter().map(|chunk| chunk.observations.len()).sum();
        let mut out = Finished::default();
        let begun = Instant::now();
        for chunk in &mut chunks {
            out.text.clear();
            let (text, observations) = (chunk.text.len(), chunk.observations.len());
            let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
            worker.take(chunk, 0..text, 0..observations, 0, &mut out);
        }
        best.push(begun.elapsed().as_nanos() as f64 / observed as f64);
    }
    ensure!(engine.stats(&[worker]).connections == 0, "connections remain open after their end events");
    Ok(least(best))
}

fn chunks(formatter: &mut Formatter, round: u32) -> Vec<Chunk> {
    let mut chunks = vec![Chunk::default()];
    for number in 0..CONNECTIONS {
        if chunks.last().is_none_or(|chunk| chunk.observations.len() + 3 > CHUNK) {
            chunks.push(Chunk::default());
        }
        let Some(chunk) = chunks.last_mut() else { continue };
        let mut sink = Observer { formatter: &mut *formatter, chunk };
        let flow = &record(number).identity;
        let time = Time(u64::from(round * CONNECTIONS + number) * 100_000);
        let cause = EventContext { time, interface: 0, hook: None, packet: None };
        let attributes = &SharedAttributes::default();
        let hello = value(number);
        for (method, value) in [(Method::Ja4t, "64240_2-4-8-1-3_1460_7"), (Method::Ja4, &*hello)] {
            sink.fingerprint(&FingerprintEvent {
                cause,
                flow,
                method,
                side: Side::Client,
                count: 1,
                value,
                raw: None,
                original: None,
                raw_original: None,
                ttl: None,
                certificate: None,
                attributes,
            });
        }
        sink.connection(&ConnectionEvent {
            cause,
            flow,
            start: time,
            end: time,
            packets: [9, 9].into(),
            bytes: [900, 900].into(),
            ended: EndReason::Fin,
            latency: Latency::default(),
            attributes,
        });
    }
    chunks
}
