//! One connection in full.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{fit, wrap};
use super::theme::Theme;
use crate::top::cell::Tone;
use crate::top::state::detail::{DetailLine, DetailState};

/// Columns of the names.
const NAMES: usize = 18;

/// Draws the lines from the first one on, or from a later one if the selected line would not be shown.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, detail: &DetailState, theme: Theme) {
    let columns = usize::from(area.width);
    let rows = usize::from(area.height);
    let lines = detail.lines();
    let wrapped: Vec<Vec<Line<'_>>> = lines
        .iter()
        .enumerate()
        .skip(detail.first)
        .map(|(place, line)| wrapped_line(line, place == detail.cursor, columns, theme))
        .collect();
    let selected = detail.cursor.saturating_sub(detail.first);
    let mut skipped = 0;
    while skipped < selected && wrapped.iter().take(selected + 1).skip(skipped).map(Vec::len).sum::<usize>() > rows {
        skipped += 1;
    }
    let shown = wrapped.into_iter().skip(skipped).flatten();
    for (line, y) in shown.zip(area.y..area.bottom()) {
        frame.render_widget(line, Rect { y, height: 1, ..area });
    }
    if lines.is_empty() {
        let reason =
            if detail.is_gone { "the sensor does not have this connection any more" } else { "waiting for rows" };
        frame.render_widget(Line::styled(reason, theme.style(Tone::Dim)), area);
    }
}

fn wrapped_line(line: &DetailLine, is_selected: bool, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let style = |tone| if is_selected { theme.selected() } else { theme.style(tone) };
    match line {
        DetailLine::Title(title) => vec![Line::styled(fit(title, columns, false), style(Tone::Title).underlined())],
        DetailLine::Field { name, value } => {
            let names = NAMES.min(columns / 3);
            let line = |(place, text): (usize, String)| {
                let name = if place == 0 { name.as_str() } else { "" };
                Line::from(vec![
                    Span::styled(format!(" {} ", fit(name, names, false)), style(Tone::Dim)),
                    Span::styled(fit(&text, columns.saturating_sub(names + 2), false), style(value.tone)),
                ])
            };
            wrap(&value.text, columns.saturating_sub(names + 2)).into_iter().enumerate().map(line).collect()
        }
    }
}
