//! CPU time of an idle sensor.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use tests::Wire;

use crate::Scale;
use crate::child::{self, Live};
use crate::figure::Figure;

/// Time for the initial neighbour discovery on the wire to finish.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    child::require(&["ip", "ethtool"])?;
    let wire = Wire::new();
    let sensor = Live::start(wire.server(), &[])?;
    thread::sleep(SETTLE);
    let (begun, before) = (Instant::now(), sensor.cpu()?);
    thread::sleep(Duration::from_secs(scale.of(10, 2).into()));
    let (time, used) = (begun.elapsed(), sensor.cpu()?.saturating_sub(before));
    sensor.stop()?;
    let share = used.as_secs_f64() / time.as_secs_f64() * 100.0;
    Ok(vec![Figure::new("CPU of an idle sensor, one interface", share, "% of a core").at_most(0.5)])
}
