//! Text with a meaning; the theme gives the meaning a colour.

/// Why a text stands out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    /// Of less importance.
    Dim,
    /// A title or a name.
    Title,
    /// Something works.
    Good,
    /// First seen.
    New,
    /// An alert, or a loss.
    Warning,
    /// Known to be bad, or broken.
    Bad,
}

impl Tone {
    /// The tone of a severity.
    pub(super) fn of_severity(severity: &str) -> Self {
        match severity {
            "critical" | "high" => Self::Bad,
            "medium" => Self::Warning,
            _ => Self::Plain,
        }
    }
}

/// A text and its tone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ToneText {
    pub(super) text: String,
    pub(super) tone: Tone,
}

impl ToneText {
    pub(super) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }

    /// Text that may be absent.
    pub(super) fn of(text: Option<String>) -> Self {
        Self::plain(text.unwrap_or_default())
    }
}
