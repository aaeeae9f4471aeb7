//! Colours: those of a terminal with 16, or none.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

use crate::top::cell::{Tone, ToneText};

/// Styles with or without colours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    pub(super) has_colours: bool,
}

impl Theme {
    /// The style of a text with a meaning. Without colours, bold text stands out.
    pub(super) fn style(self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Plain => return Style::new(),
            Tone::Dim => (Color::DarkGray, Modifier::empty()),
            Tone::Title => (Color::Reset, Modifier::BOLD),
            Tone::Good => (Color::Green, Modifier::empty()),
            Tone::New => (Color::Cyan, Modifier::empty()),
            Tone::Warning => (Color::Yellow, Modifier::BOLD),
            Tone::Bad => (Color::Red, Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        if self.has_colours { style.fg(colour) } else { style }
    }

    /// The style of a header of columns.
    pub(super) fn header(self) -> Style {
        if self.has_colours { Style::new().fg(Color::Black).bg(Color::Green) } else { Style::new().reversed() }
    }

    /// The style of the selected line.
    pub(super) fn selected(self) -> Style {
        if self.has_colours { Style::new().fg(Color::Black).bg(Color::Cyan) } else { Style::new().reversed() }
    }

    pub(super) fn span(self, text: ToneText) -> Span<'static> {
        Span::styled(text.text, self.style(text.tone))
    }
}
