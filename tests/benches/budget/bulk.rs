//! One bulk TCP stream into a host: throughput with the sensor on the host, relative to that without it, by hook.
//!
//! Each round measures all modes and compares them with the stream without a program of the same round.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tests::Wire;
use tests::netns::WireLayout;

use crate::Scale;
use crate::child::{self, Live};
use crate::figure::{Figure, median};

const PORT: u16 = 5201;

/// Hooks and the budget of each; `auto` selects generic XDP on veth, so that is the default mode.
const MODES: [(&str, Option<f64>); 3] = [("generic", Some(0.9)), ("native", None), ("tc", None)];

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    child::require(&["ip", "ss", "ethtool", "iperf3"])?;
    let wire = Wire::with(WireLayout { offloads: true, ..WireLayout::default() });
    let mut server = wire.server().spawn(&["iperf3", "--server"]);
    wire.server().wait_listening(&mut server, PORT);
    let seconds = scale.of(2, 1).to_string();

    let mut bare = Vec::new();
    let mut with = MODES.map(|_| Vec::new());
    let mut hooks = MODES.map(|_| String::new());
    for _ in 0..scale.rounds(3) {
        bare.push(stream(&wire, &seconds)?);
        for (place, (mode, _)) in MODES.iter().enumerate() {
            let sensor = Live::start(wire.server(), &["--hook", mode])?;
            hooks[place] = sensor.hooks();
            with[place].push(stream(&wire, &seconds)?);
            sensor.stop()?;
        }
    }
    let mut figures = vec![Figure::new("no program", median(bare.iter().copied()), "Gb/s")];
    for (((mode, budget), speeds), hooks) in MODES.iter().zip(&with).zip(&hooks) {
        let ratio = median(speeds.iter().zip(&bare).map(|(with, bare)| with / bare));
        let note = format!("{:.1} Gb/s; {hooks}", median(speeds.iter().copied()));
        let figure = Figure::new(format!("--hook {mode}, of no program"), ratio, "×").note(note);
        figures.push(match budget {
            Some(budget) => figure.at_least(*budget),
            None => figure,
        });
    }
    Ok(figures)
}

/// Runs one stream and returns the throughput at the server, Gb/s.
fn stream(wire: &Wire, seconds: &str) -> Result<f64> {
    let server = wire.server().v4().to_string();
    let outcome = wire.client().run(&["iperf3", "--json", "--time", seconds, "--client", &server]);
    let report: Value = serde_json::from_str(outcome.stdout()).context("iperf3 printed no JSON")?;
    if let Some(error) = report["error"].as_str() {
        bail!("iperf3: {error}");
    }
    let speed = report["end"]["sum_received"]["bits_per_second"].as_f64().context("iperf3 printed no throughput")?;
    Ok(speed / 1e9)
}
