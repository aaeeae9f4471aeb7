//! TLS handshakes during floods at the top speed of tcpreplay: number of handshakes that are fingerprinted. With the
//! CPU time of the sensor limited to a third of one core, and without a limit.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use tests::Wire;
use tests::cgroup::ControlGroup;
use tests::flood::{FloodKind, RunningFlood, tls_handshakes};

use crate::Scale;
use crate::child::{self, Ended, Live};
use crate::figure::Figure;

/// Different packets of a flood.
const FLOWS: u32 = 200_000;

/// Port of the TLS server.
const PORT: u16 = 8443;

/// Time from the last handshake to the end of the sensor.
const SETTLE: Duration = Duration::from_secs(1);

/// Part of the handshakes that must be fingerprinted.
const KEPT: f64 = 0.99;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    child::require(&["ip", "ethtool", "tcpreplay"])?;
    let handshakes = scale.of(1000, 100);
    let mut figures = Vec::new();
    for (cores, limit) in [(None, "no CPU limit"), (Some(1.0 / 3.0), "a third of a core")] {
        let group = match cores.map(ControlGroup::with_cpu) {
            None => None,
            Some(Some(group)) => Some(group),
            Some(None) => continue,
        };
        for kind in FloodKind::ALL {
            figures.push(flood(kind, handshakes, group.as_ref(), limit)?);
        }
    }
    Ok(figures)
}

fn flood(kind: FloodKind, handshakes: u32, group: Option<&ControlGroup>, limit: &str) -> Result<Figure> {
    let wire = Wire::new();
    let sensor = Live::start(wire.server(), &["--shards", "2"])?;
    if let Some(group) = group {
        group.add(sensor.id());
    }
    let flood = RunningFlood::start(wire.client(), kind, FLOWS);
    tls_handshakes(&wire, PORT, handshakes as usize);
    let (resident, cpu) = (sensor.resident()?, sensor.cpu()?);
    drop(flood);
    thread::sleep(SETTLE);
    let ended = sensor.stop()?;
    let port = format!(":{PORT},");
    let of = |method: &str| ended.lines_with(&[&format!(r#""type":"{method}","#), &port]);
    let kept = of("ja4").min(of("ja4s"));
    let note = format!(
        "ja4t {}, ja4l {}; {}; {resident:.0} MiB resident, {:.1} s of CPU",
        of("ja4t"),
        of("ja4l"),
        drops(&ended),
        cpu.as_secs_f64(),
    );
    let what = format!("handshakes kept of {handshakes}, {} flood, {limit}", kind.class());
    Ok(Figure::new(what, kept as f64, "").at_least(f64::from(handshakes) * KEPT).note(note))
}

fn drops(ended: &Ended) -> String {
    let kernel = |name| ended.count(&["kernel", name]);
    format!(
        "selected {}, rate limited {}, ring full {}, lines dropped {}",
        kernel("selected"),
        kernel("rate_limited"),
        kernel("ring_full"),
        ended.count(&["output", "lines_dropped"]),
    )
}
