//! Nanoseconds that labels and known-bad patterns add to a fingerprint: a hit and a miss in a table of 100,000 values,
//! and a miss that is also looked up by prefix in the built-in table.
//!
//! Each figure is the best round over many values, so that consecutive lookups use different values.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use ja4_user::enrich::{KnownBadList, LabelDatabase, LabelDatabaseBuilder};
use ja4_user::model::Method;
use tempfile::TempDir;
use tests::random::SplitMix64;

use crate::Scale;
use crate::figure::{Figure, least};

/// Values of the large table: more than fit the L2 cache.
const KNOWN: u32 = 100_000;

/// Lookups in a round.
const ASKED: usize = 4096;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Figure>> {
    let mut random = SplitMix64::new(1);
    let known: Vec<String> = (0..scale.of(KNOWN, 5000)).map(|_| ja4(&mut random)).collect();
    let strangers: Vec<String> = (0..ASKED).map(|_| ja4(&mut random)).collect();
    let requests: Vec<String> =
        (0..ASKED).map(|_| format!("ge11nn030000{}_000000000000", hashes(&mut random))).collect();
    let large = database(&known)?;
    let known: Vec<String> = known.iter().step_by(known.len() / ASKED).take(ASKED).cloned().collect();
    let builtin = LabelDatabaseBuilder::with_builtin().build();
    let bad = KnownBadList::builtin();

    ensure!(known.iter().all(|value| large.lookup(Method::Ja4, value).is_some()), "the large table lost a value");
    let note = format!("{} values", large.len(Method::Ja4).0);
    Ok(vec![
        Figure::new("label, hit", best(scale, &known, |value| large.lookup(Method::Ja4, value).is_some()), "ns")
            .note(note.clone()),
        Figure::new("label, miss", best(scale, &strangers, |value| large.lookup(Method::Ja4, value).is_some()), "ns")
            .note(note),
        Figure::new(
            "label, miss among prefixes",
            best(scale, &requests, |value| builtin.lookup(Method::Ja4h, value).is_some()),
            "ns",
        )
        .note(format!("built-in table, {} prefixes", builtin.len(Method::Ja4h).1)),
        Figure::new(
            "known bad, checked",
            best(scale, &strangers, |value| bad.check(Method::Ja4, value).is_some()),
            "ns",
        )
        .note(format!("built-in list, {} patterns", bad.len())),
        Figure::new(
            "known bad, checked by prefix",
            best(scale, &requests, |value| bad.check(Method::Ja4h, value).is_some()),
            "ns",
        ),
    ])
}

/// Returns the best round over all values, nanoseconds per value.
fn best(scale: Scale, values: &[String], mut look_up: impl FnMut(&str) -> bool) -> f64 {
    let rounds = (0..scale.of(200, 5)).map(|_| {
        let begun = Instant::now();
        for value in values {
            black_box(look_up(black_box(value)));
        }
        begun.elapsed().as_nanos() as f64 / values.len() as f64
    });
    least(rounds.collect::<Vec<_>>())
}

fn database(values: &[String]) -> Result<LabelDatabase> {
    let mut csv = String::from("Application,ja4\n");
    for (number, value) in values.iter().enumerate() {
        writeln!(csv, "application {},{value}", number % 500)?;
    }
    let folder = TempDir::new()?;
    let path = folder.path().join("large.csv");
    std::fs::write(&path, csv)?;
    let mut builder = LabelDatabaseBuilder::new();
    let imported = builder.add(&path)?;
    ensure!(imported.skipped == 0, "skipped rows: {:?}", imported.warnings);
    Ok(builder.build())
}

fn ja4(random: &mut SplitMix64) -> String {
    format!("t13d1516h2{}", hashes(random))
}

/// Returns two hashes, each with a leading `_`.
fn hashes(random: &mut SplitMix64) -> String {
    let [one, other] = [random.next(), random.next()].map(|number| number >> 16);
    format!("_{one:012x}_{other:012x}")
}
