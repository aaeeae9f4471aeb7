//! Counts in messages.

use std::fmt;

/// A count with its noun, displayed as `1 alert` or `2 alerts`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted(pub(crate) u64, pub(crate) &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, noun) = self;
        write!(f, "{count} {noun}{}", if *count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noun_agrees_with_the_count() {
        let texts = [0, 1, 2].map(|count| Counted(count, "alert").to_string());
        assert_eq!(texts, ["0 alerts", "1 alert", "2 alerts"]);
    }
}
