//! What is wrong with a file, with line and column.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Issues that a report shows. Whoever gives a wrong file (a capture, say) is spared the other thousands.
const MAX_SHOWN: usize = 50;

/// One thing that is wrong, or odd, and where: `rules.toml:4:9: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// The file as it was named.
    pub path: Arc<Path>,
    /// Line and column, from 1; the column counts characters. `None`: the file as a whole.
    pub place: Option<(usize, usize)>,
    /// What it is, and the mend.
    pub message: String,
}

/// Something odd that does not keep a file from being used.
pub type Warning = Issue;

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// Everything that is wrong with the files, in their order, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// At least one.
    pub issues: Vec<Issue>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, issue) in self.issues.iter().take(MAX_SHOWN).enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            issue.fmt(f)?;
        }
        match self.issues.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Report {}
