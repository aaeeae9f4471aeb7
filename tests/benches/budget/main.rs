//! Performance figures with their budgets, measured in one run: `cargo xtask bench [ROW…] [--quick]`, see
//! CONTRIBUTING.md.
//!
//! Budgets are reported, not asserted. A row that cannot be measured prints its error; the other rows still run.
//!
//! [`ROWS`] is the table of rows; `--list` prints it.
mod alerts;
mod bulk;
mod child;
mod engine;
mod figure;
mod flood;
mod frames;
mod history;
mod idle;
mod ja4;
mod kernel;
mod label;
mod live;
mod memory;
mod method;
mod peers;
mod quic;
mod replay;
mod rules;
mod shard;
mod sqlite;
mod verifier;

use std::any::Any;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Result, bail};

use figure::{Figure, FigureTable};

/// Amount of work per measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Whether to do only a minimal run that checks that every row works.
    pub(crate) quick: bool,
}

impl Scale {
    /// Returns `quick` in a quick run, else `whole`.
    pub(crate) const fn of(self, whole: u32, quick: u32) -> u32 {
        if self.quick { quick } else { whole }
    }

    /// Returns the number of rounds of a measurement that reports the median or the best: 1 in a quick run.
    pub(crate) const fn rounds(self, whole: u32) -> u32 {
        self.of(whole, 1)
    }
}

/// One row of the table.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    /// Description of the measurement, for `--list`.
    subject: &'static str,
    measure: fn(Scale) -> Result<Vec<Figure>>,
}

const fn row(name: &'static str, measure: fn(Scale) -> Result<Vec<Figure>>, subject: &'static str) -> Row {
    Row { name, subject, measure }
}

const ROWS: [Row; 19] = [
    row("verifier", verifier::measure, "instructions that the verifier follows for each program"),
    row("kernel", kernel::measure, "nanoseconds that a packet costs in the programs"),
    row("shard", shard::measure, "records per second from a ring through a shard"),
    row("ja4", ja4::measure, "nanoseconds from the bytes of a ClientHello to its JA4"),
    row("method", method::measure, "the same for every other method"),
    row("label", label::measure, "nanoseconds that labels and known-bad patterns add to a fingerprint"),
    row("quic", quic::measure, "nanoseconds from a QUIC datagram to the JA4 in it"),
    row("replay", replay::measure, "the generated captures, with one thread and with two"),
    row("peers", peers::measure, "the same captures, through ja4sensor and the other programs that are found"),
    row("live", live::measure, "hellos over a veth pair at tcpreplay's top speed"),
    row("flood", flood::measure, "TLS handshakes during five floods, also with a third of one core"),
    row("bulk", bulk::measure, "one TCP stream into a host, without the sensor and with it"),
    row("idle", idle::measure, "CPU time without traffic"),
    row("engine", engine::measure, "nanoseconds per fingerprint in first-seen, the tracker and the whole engine"),
    row("rules", rules::measure, "nanoseconds that the shipped rules add per fingerprint and per connection"),
    row("memory", memory::measure, "resident memory at 100,000 connections, and at a million with everything on"),
    row("sqlite", sqlite::measure, "fingerprints per second into a database"),
    row("history", history::measure, "queries over a database of ten million fingerprints"),
    row("alerts", alerts::measure, "alerts per second through each sink"),
];

/// Option that prints the names and descriptions of the rows, without measuring.
const LIST: &str = "--list";

/// Internal option for the process of a later row: do not print the table header.
const CONTINUED: &str = "--continued";

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == LIST) {
        for Row { name, subject, .. } in ROWS {
            writeln!(io::stdout(), "{name:10}{subject}").ok();
        }
        return ExitCode::SUCCESS;
    }
    let asked = match Asked::read() {
        Ok(asked) => asked,
        Err(error) => {
            writeln!(io::stderr(), "bench: {error:#}").ok();
            return ExitCode::from(2);
        }
    };
    let done = match asked.rows[..] {
        [row] => asked.row(row),
        _ => asked.each_row_alone(),
    };
    ExitCode::from(u8::from(done.is_err()))
}

/// Parsed command line.
struct Asked {
    rows: Vec<Row>,
    scale: Scale,
    continued: bool,
}

impl Asked {
    fn read() -> Result<Self> {
        let mut asked = Self { rows: Vec::new(), scale: Scale { quick: false }, continued: false };
        for argument in std::env::args().skip(1) {
            match argument.as_str() {
                "--quick" => asked.scale.quick = true,
                CONTINUED => asked.continued = true,
                // cargo passes this option to every bench.
                "--bench" => {}
                name => match ROWS.iter().find(|row| row.name == name) {
                    Some(row) => asked.rows.push(*row),
                    None => bail!("unknown row '{name}': expected {}", ROWS.map(|row| row.name).join(", ")),
                },
            }
        }
        if asked.rows.is_empty() {
            asked.rows = ROWS.to_vec();
        }
        Ok(asked)
    }

    /// Measures each row in a separate process, so that memory of one row does not affect the next: the peak memory of
    /// a child, as reported by wait4(2), is never below that of its parent.
    fn each_row_alone(&self) -> io::Result<()> {
        let this = std::env::current_exe()?;
        for (place, Row { name, .. }) in self.rows.iter().enumerate() {
            let mut row = Command::new(&this);
            row.arg(name).args(self.scale.quick.then_some("--quick")).args((place > 0).then_some(CONTINUED));
            row.status()?;
        }
        Ok(())
    }

    /// Measures one row in this process.
    fn row(&self, Row { name, measure, .. }: Row) -> io::Result<()> {
        // The message of a panic is printed in the line of the row.
        panic::set_hook(Box::new(|_| ()));
        let mut table = FigureTable::begin(io::stdout(), !self.continued)?;
        let begun = Instant::now();
        match panic::catch_unwind(AssertUnwindSafe(|| measure(self.scale))) {
            Ok(Ok(figures)) => figures.iter().try_for_each(|figure| table.figure(name, figure))?,
            Ok(Err(error)) => table.failed(name, &format!("{error:#}"))?,
            Err(panic) => table.failed(name, words(panic.as_ref()))?,
        }
        table.took(name, begun.elapsed())
    }
}

/// Returns the message of a panic.
fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked")
}
