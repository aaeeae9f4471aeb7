//! Replay of the generated captures: the whole process, alternately with one worker and with two.

use std::fs::File;
use std::time::Duration;

use anyhow::Result;
use tests::generate::{self, CaptureKind};

use crate::Scale;
use crate::child::{self, Used};
use crate::figure::{Figure, least, median};

/// Seed of the generated captures; the value is arbitrary.
pub(crate) const SEED: u64 = 1;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let mut figures = Vec::new();
    for kind in CaptureKind::ALL {
        let path = folder.path().join(kind.name());
        let size = if scale.quick { 0.02 } else { 1.0 };
        let written = generate::write(kind, size, SEED, &mut File::create(&path)?)?;
        // This unmeasured run fills the page cache.
        child::replay(&["--shards", "1"], &path)?;
        let (mut one, mut two) = (Vec::new(), Vec::new());
        for _ in 0..scale.rounds(5) {
            one.push(child::replay(&["--shards", "1"], &path)?);
            two.push(child::replay(&["--shards", "2"], &path)?);
        }
        std::fs::remove_file(&path)?;

        let mut walls = Vec::new();
        for (threads, runs) in [("one worker", &one), ("two workers", &two)] {
            let wall = middle(runs, |used| used.wall);
            let note = format!(
                "{:.2} Mpps, {:.2} GB/s, CPU {:.2} s, peak {:.0} MiB; best {:.3} s, CPU {:.2} s",
                written.packets as f64 / wall / 1e6,
                written.bytes as f64 / wall / 1e9,
                middle(runs, |used| used.cpu),
                median(runs.iter().map(|used| used.peak)),
                least(runs.iter().map(|used| used.wall.as_secs_f64())),
                least(runs.iter().map(|used| used.cpu.as_secs_f64())),
            );
            let what = format!("{}, {} k packets, {threads}", kind.name(), written.packets / 1000);
            let figure = Figure::new(what, wall, "s").note(note);
            // The budgets apply to full-size captures and one worker.
            figures.push(match kind {
                CaptureKind::Dense if !scale.quick && threads == "one worker" => figure.at_most(0.32),
                CaptureKind::Mix if !scale.quick && threads == "one worker" => figure.at_most(0.30),
                _ => figure,
            });
            walls.push(wall);
        }
        if let [one, two] = walls[..] {
            figures.push(Figure::new(format!("{}, two workers over one", kind.name()), one / two, "×").at_least(1.8));
        }
    }
    Ok(figures)
}

fn middle(runs: &[Used], time: impl Fn(&Used) -> Duration) -> f64 {
    median(runs.iter().map(|used| time(used).as_secs_f64()))
}
