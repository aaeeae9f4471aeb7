//! A list as a table.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{fit, width};
use super::theme::Theme;
use crate::top::cell::{Tone, ToneText};
use crate::top::column::{self, PlacedColumn};
use crate::top::state::list::ListState;
use crate::top::state::top_state::SensorLink;

/// Draws the header and the rows.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, list: &ListState, link: &SensorLink, theme: Theme) {
    let placed = column::place(list.kind.columns(), &list.widest, area.width);
    let mut lines = vec![header(list, &placed, area.width).style(theme.header())];
    let rows = usize::from(area.height).saturating_sub(1);
    for (place, row) in list.rows().iter().take(rows).enumerate() {
        let is_selected = list.first + place == list.cursor;
        let mut spans: Vec<Span<'_>> = Vec::new();
        for placed in &placed {
            if !spans.is_empty() {
                spans.push(Span::raw(" "));
            }
            let ToneText { text, tone } = (placed.column.cell)(row);
            let text = fit(&text, placed.width.into(), placed.column.is_number);
            spans.push(if is_selected { Span::raw(text) } else { theme.span(ToneText { text, tone }) });
        }
        let mut line = Line::from(spans);
        if is_selected {
            let rest = usize::from(area.width).saturating_sub(line.width());
            line.push_span(Span::raw(" ".repeat(rest)));
            line = line.style(theme.selected());
        }
        lines.push(line);
    }
    for (line, y) in lines.into_iter().zip(area.y..area.bottom()) {
        frame.render_widget(line, Rect { y, height: 1, ..area });
    }
    if list.rows().is_empty() && area.height > 2 {
        let ToneText { text, tone } = reason_for_no_rows(list, link);
        let line = Line::styled(text, theme.style(tone));
        frame.render_widget(line, Rect { y: area.y + 2, height: 1, ..area });
    }
}

fn header(list: &ListState, placed: &[PlacedColumn], columns: u16) -> Line<'static> {
    let mut text = String::new();
    for PlacedColumn { column, place, width } in placed {
        if place != &0 && !text.is_empty() {
            text.push(' ');
        }
        let is_order = list.order == Some(*place) && !column.sort.is_empty();
        let arrow = match (is_order, list.descending) {
            (false, _) => "",
            (true, true) => "↓",
            (true, false) => "↑",
        };
        let title =
            if column.is_number { format!("{arrow}{}", column.title) } else { format!("{}{arrow}", column.title) };
        text.push_str(&fit(&title, (*width).into(), column.is_number));
    }
    let rest = usize::from(columns).saturating_sub(width(&text));
    Line::raw(text + &" ".repeat(rest))
}

/// Why there are no rows.
fn reason_for_no_rows(list: &ListState, link: &SensorLink) -> ToneText {
    match (&list.refused, link, &list.snapshot) {
        (Some(reason), ..) => ToneText::new(format!("refused: {reason}"), Tone::Bad),
        (None, _, None) if *link != SensorLink::Attached => ToneText::new("waiting for the sensor", Tone::Dim),
        (None, _, None) => ToneText::new("waiting for rows", Tone::Dim),
        (None, ..) if !list.filter.is_empty() => ToneText::new("no row matches the filter; Esc removes it", Tone::Dim),
        (None, ..) => ToneText::new("no rows yet", Tone::Dim),
    }
}
