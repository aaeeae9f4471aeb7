//! Measured values with their budgets, and the table that prints them.

use std::io::{self, Write};
use std::time::Duration;

/// Budget of a figure: the limit that the measured value is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FigureBudget {
    /// Upper limit.
    AtMost(f64),
    /// Lower limit.
    AtLeast(f64),
    /// No budget: the value is only reported.
    Open,
}

/// One measured value.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    what: String,
    measured: f64,
    unit: &'static str,
    budget: FigureBudget,
    note: String,
}

impl Figure {
    /// Creates a figure without a budget.
    pub(crate) fn new(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self { what: what.into(), measured, unit, budget: FigureBudget::Open, note: String::new() }
    }

    /// Sets an upper limit as the budget.
    pub(crate) fn at_most(self, limit: f64) -> Self {
        Self { budget: FigureBudget::AtMost(limit), ..self }
    }

    /// Sets a lower limit as the budget.
    pub(crate) fn at_least(self, limit: f64) -> Self {
        Self { budget: FigureBudget::AtLeast(limit), ..self }
    }

    /// Sets the text of the `note` column.
    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    fn budget(&self) -> String {
        match self.budget {
            FigureBudget::AtMost(limit) => format!("≤ {}", number(limit)),
            FigureBudget::AtLeast(limit) => format!("≥ {}", number(limit)),
            FigureBudget::Open => "-".to_owned(),
        }
    }

    fn verdict(&self) -> String {
        let factor = match self.budget {
            FigureBudget::AtMost(limit) if self.measured > limit => self.measured / limit,
            FigureBudget::AtLeast(limit) if self.measured < limit => limit / self.measured,
            FigureBudget::AtMost(_) | FigureBudget::AtLeast(_) => return "ok".to_owned(),
            FigureBudget::Open => return "-".to_owned(),
        };
        if factor.is_finite() { format!("missed ×{factor:.2}") } else { "missed".to_owned() }
    }
}

/// Returns the median; for an even number of values, the lower of the two in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// Returns the smallest value.
pub(crate) fn least(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}

/// Formats a number with two decimals below 10, one below 100, and none otherwise; `-` if there is none.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "-".to_owned();
    }
    let decimals = match value.abs() {
        0.0 => 0,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// The table; each line is written when its row has been measured.
pub(crate) struct FigureTable<W> {
    out: W,
}

impl<W: Write> FigureTable<W> {
    /// Creates the table and writes the header line if `head` is set.
    pub(crate) fn begin(mut out: W, head: bool) -> io::Result<Self> {
        if head {
            line(&mut out, ["row", "what", "measured", "", "budget", "verdict", "note"])?;
        }
        Ok(Self { out })
    }

    /// Writes one figure of a row.
    pub(crate) fn figure(&mut self, row: &str, figure: &Figure) -> io::Result<()> {
        let (measured, budget, verdict) = (number(figure.measured), figure.budget(), figure.verdict());
        line(&mut self.out, [row, &figure.what, &measured, figure.unit, &budget, &verdict, &figure.note])
    }

    /// Writes the first line of the error of a row that could not be measured.
    pub(crate) fn failed(&mut self, row: &str, why: &str) -> io::Result<()> {
        let why = why.lines().next().unwrap_or_default();
        line(&mut self.out, [row, "", "", "", "", "NOT MEASURED", why])
    }

    /// Writes the duration of a row.
    pub(crate) fn took(&mut self, row: &str, time: Duration) -> io::Result<()> {
        writeln!(self.out, "{row:<8} ({:.1} s)", time.as_secs_f64())?;
        self.out.flush()
    }
}

fn line(out: &mut impl Write, [row, what, measured, unit, budget, verdict, note]: [&str; 7]) -> io::Result<()> {
    let line = format!("{row:<8} {what:<46} {measured:>9} {unit:<12} {budget:>9}  {verdict:<13} {note}");
    writeln!(out, "{}", line.trim_end())
}
