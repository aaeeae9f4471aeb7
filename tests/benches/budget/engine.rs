//! Nanoseconds per fingerprint in the engine: first-seen separately, and the whole engine with labels, known-bad patterns,
//! profiles, the built-in rules, and the output line.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use ja4_user::config;
use ja4_user::detect::first_seen::{FirstSeen, FirstSeenSettings};
use ja4_user::detect::local_networks::LocalNetworks;
use ja4_user::encode::{EncodeContext, Format};
use ja4_user::model::{EndReason, EventContext, EventHandler, FingerprintEvent, Method, Side, Time};
use ja4_user::runtime::engine::outputs::EngineOutputs;
use ja4_user::runtime::engine::{Engine, EngineSettings, Finished, SavedState};

use crate::Scale;
use crate::figure::{Figure, least};
use crate::rules::{CONNECTIONS, record};

/// Distinct JA4 values in a round.
const VALUES: u32 = 500;

/// Connections with lines in the buffer at once.
const CHUNK: u32 = 512;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    Ok(vec![
        Figure::new("first-seen, a value that is known, network-wide and of its host", first_seen(scale), "ns"),
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

/// Returns the best round over the events of all connections, nanoseconds per event. All rounds use one engine, so that
/// after the first round every value is known.
fn whole(scale: Scale) -> Result<f64> {
    let context = Arc::new(EncodeContext::default());
    let opened = config::open(None, |_| {}).map_err(|report| anyhow!("{report}"))?;
    let settings = EngineSettings { format: Some(Format::Json), ..EngineSettings::default() };
    let outputs = EngineOutputs::new(false);
    let engine =
        Arc::new(Engine::new(&settings, opened.loaded.content, SavedState::default(), None, &context, outputs));
    let (mut worker, active) = (engine.worker(1), engine.active());
    let hellos: Vec<_> = (0..VALUES).map(value).collect();
    let rounds = (0..scale.of(10, 2)).map(|round| {
        let records: Vec<_> = (0..CONNECTIONS).map(record).collect();
        let (mut out, mut events) = (Finished::default(), 0);
        let begun = Instant::now();
        for (number, mut record) in (0..).zip(records) {
            if number % CHUNK == 0 {
                out.text.clear();
            }
            let mut handler = worker.events(&active, 0, &mut out);
            let time = Time(u64::from(round * CONNECTIONS + number) * 100_000);
            let cause = EventContext { time, interface: 0, hook: None, packet: None };
            let Some(hello) = hellos.get((number % VALUES) as usize) else { continue };
            for (method, value) in [(Method::Ja4t, "64240_2-4-8-1-3_1460_7"), (Method::Ja4, &**hello)] {
                let event = FingerprintEvent {
                    cause,
                    method,
                    side: Side::Client,
                    count: 1,
                    value,
                    raw: None,
                    original: None,
                    raw_original: None,
                    ttl: None,
                    certificate: None,
                };
                handler.fingerprint(&event, &mut record);
            }
            record.ended = Some(EndReason::Fin);
            handler.connection(cause, record);
            events += 3;
        }
        begun.elapsed().as_nanos() as f64 / f64::from(events)
    });
    let best = least(rounds.collect::<Vec<_>>());
    let open = engine.stats(&[Arc::new(Mutex::new(worker))]).connections;
    ensure!(open == 0, "connections remain open after their end events");
    Ok(best)
}
