//! The lines around a view: tabs, title, status and keys.

use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::text::{Line, Span};

use super::text::{cut, width};
use super::theme::Theme;
use crate::top::cell::{Tone, ToneText};
use crate::top::column::ListKind;
use crate::top::state::list::ListState;
use crate::top::state::top_state::{FieldPurpose, OpenField, Overlay, SensorLink, TopState, TopTab};

/// Draws the names of the views, and the name of the sensor where it fits.
pub(super) fn tabs(frame: &mut Frame<'_>, area: Rect, state: &TopState, theme: Theme) {
    let full: usize = TopTab::ALL.iter().map(|(_, name)| name.len() + 3).sum();
    let is_short = full > area.width.into();
    let mut spans = Vec::new();
    for (place, (tab, name)) in TopTab::ALL.iter().enumerate() {
        let is_shown = *tab == state.tab;
        let number = place + 1;
        let text = if is_short && !is_shown { format!("{number} ") } else { format!("{number} {name}") };
        let style = if is_shown { theme.selected() } else { theme.style(Tone::Dim) };
        spans.push(Span::styled(text, style));
        spans.push(Span::raw(" "));
    }
    let line = Line::from(spans);
    let left = usize::from(area.width).saturating_sub(line.width());
    frame.render_widget(line, area);
    if left > 4 {
        let name = Line::styled(cut(&state.name, left), theme.style(Tone::Title)).alignment(Alignment::Right);
        frame.render_widget(name, area);
    }
}

/// Draws the open field, or what the view shows.
pub(super) fn title(frame: &mut Frame<'_>, area: Rect, state: &TopState, theme: Theme) {
    if let Some(field) = &state.field {
        open_field(frame, area, field, theme);
        return;
    }
    let mut parts: Vec<ToneText> = Vec::new();
    match (&state.overlay, &state.detail, state.shown_list()) {
        (Some(overlay), ..) => parts.push(ToneText::new(overlay_title(*overlay), Tone::Title)),
        (None, Some(detail), _) => {
            parts.push(ToneText::new(format!("Connection {}", detail.flow_id), Tone::Title));
            if detail.is_gone {
                parts.push(ToneText::new("ended; the sensor keeps it in its database only", Tone::Dim));
            }
        }
        (None, None, Some(list)) => parts.extend(list_title(list, state.list_rows())),
        (None, None, None) => parts.push(ToneText::new("Since the start of the sensor", Tone::Title)),
    }
    if state.is_paused {
        parts.push(ToneText::new("paused", Tone::Warning));
    }
    frame.render_widget(joined(parts, "  ", area.width, theme), area);
}

const fn overlay_title(overlay: Overlay) -> &'static str {
    match overlay {
        Overlay::Help => "Help",
        Overlay::Losses => "Losses since the start of the sensor",
        Overlay::Log => "Log of the sensor",
    }
}

fn list_title(list: &ListState, rows: usize) -> Vec<ToneText> {
    let total = list.total();
    let last = (list.first + list.rows().len().min(rows)).min(total);
    let noun = match list.kind {
        ListKind::Connections | ListKind::Investigate => "connections",
        ListKind::Alerts => "alerts",
        ListKind::Hosts => "hosts",
        ListKind::Values => "values",
        ListKind::Diff => "changed values",
    };
    let count =
        if total == 0 { format!("no {noun}") } else { format!("{noun} {}–{last} of {total}", list.first + 1) };
    let mut parts = vec![ToneText::new(count, Tone::Title)];
    if list.snapshot.as_ref().is_some_and(|snapshot| snapshot.is_partial) {
        parts.push(ToneText::new("not all were compared", Tone::Warning));
    }
    if let Some(column) = list.order_column() {
        let arrow = if list.descending { '↓' } else { '↑' };
        parts.push(ToneText::plain(format!("by {}{arrow}", column.sort.replace('_', " "))));
    }
    if !list.range.is_empty() {
        parts.push(ToneText::plain(format!("t: {}", list.range)));
    }
    if !list.filter.is_empty() {
        parts.push(ToneText::new(format!("/ {}", list.filter), Tone::New));
    }
    if let Some(reason) = list.refused.as_ref().filter(|_| !list.rows().is_empty()) {
        parts.push(ToneText::new(format!("refused: {reason}"), Tone::Bad));
    }
    parts
}

/// Draws a field with its cursor, and what is wrong with its text behind it.
fn open_field(frame: &mut Frame<'_>, area: Rect, field: &OpenField, theme: Theme) {
    let prompt = match field.purpose {
        FieldPurpose::Filter => "filter: ",
        FieldPurpose::Range => "time: ",
        FieldPurpose::Export => "export to .json or .csv: ",
    };
    let text = field.line.text();
    let room = usize::from(area.width).saturating_sub(prompt.len() + 1);
    let room_of_error = room.saturating_sub(width(&text)).max(room / 2);
    let error = field.error.as_ref().map(|error| cut(&format!("  {error}"), room_of_error));
    let room = room.saturating_sub(error.as_deref().map_or(0, width));
    // Of a long text, the part that ends with the cursor is shown: the error keeps its place.
    let before: Vec<char> = text.chars().take(field.line.cursor()).collect();
    let mut start = 0;
    while start < before.len() && width(&before.iter().skip(start).collect::<String>()) > room {
        start += 1;
    }
    let shown: String = text.chars().skip(start).collect();
    let cursor = width(&before.iter().skip(start).collect::<String>());
    let mut spans = vec![Span::styled(prompt, theme.style(Tone::Title)), Span::raw(cut(&shown, room + 1))];
    spans.extend(error.map(|error| Span::styled(error, theme.style(Tone::Bad))));
    frame.render_widget(Line::from(spans), area);
    let x = area.x.saturating_add(u16::try_from(prompt.len() + cursor).unwrap_or(u16::MAX));
    frame.set_cursor_position((x.min(area.right().saturating_sub(1)), area.y));
}

/// Draws the connection to the sensor and what the sensor reports about itself.
pub(super) fn status(frame: &mut Frame<'_>, area: Rect, state: &TopState, theme: Theme) {
    let mut segments = match &state.link {
        SensorLink::Connecting => vec![ToneText::new("connecting", Tone::Warning)],
        SensorLink::Attached => Vec::new(),
        SensorLink::Detached(reason) => vec![ToneText::new(format!("not attached: {reason}"), Tone::Bad)],
        SensorLink::Ended(reason) => vec![ToneText::new(format!("sensor ended: {reason}"), Tone::Bad)],
    };
    segments.extend(state.status.segments());
    if segments.is_empty() {
        segments.push(ToneText::new("attached", Tone::Good));
    }
    frame.render_widget(joined(segments, "  ", area.width, theme), area);
}

/// Draws the last message, or the keys of the view.
pub(super) fn keys(frame: &mut Frame<'_>, area: Rect, state: &TopState, theme: Theme) {
    if let Some(notice) = &state.notice {
        frame.render_widget(Line::from(theme.span(notice.clone())), area);
        return;
    }
    let mut line = Line::default();
    for (key, effect) in key_hints(state) {
        let length = width(key) + width(effect) + 3;
        if line.width() + length > usize::from(area.width) + 2 {
            break;
        }
        line.push_span(Span::styled(key, theme.style(Tone::Title)));
        line.push_span(Span::styled(format!(" {effect}  "), theme.style(Tone::Dim)));
    }
    frame.render_widget(line, area);
}

/// The keys that have an effect, the most important first.
fn key_hints(state: &TopState) -> Vec<(&'static str, &'static str)> {
    if state.field.is_some() {
        return vec![("Enter", "apply"), ("Esc", "cancel"), ("Ctrl-U", "delete to the start")];
    }
    if state.overlay.is_some() {
        return vec![("Esc", "close"), ("↑↓", "scroll")];
    }
    if state.detail.is_some() {
        return vec![
            ("Esc", "back"),
            ("i", "history of the client"),
            ("v", "history of the value"),
            ("y", "copy"),
            ("e", "export"),
            ("?", "help"),
        ];
    }
    let TopTab::List(kind) = state.tab else {
        return vec![("?", "help"), ("q", "quit"), ("1-7", "views"), ("l", "losses"), ("e", "export")];
    };
    let mut hints = vec![("?", "help"), ("q", "quit")];
    hints.push(match kind {
        ListKind::Hosts | ListKind::Values => ("Enter", "connections"),
        ListKind::Diff => ("Enter", "history"),
        ListKind::Connections | ListKind::Alerts | ListKind::Investigate => ("Enter", "detail"),
    });
    if kind.has_filter() {
        hints.push(("/", "filter"));
    }
    if matches!(kind, ListKind::Investigate | ListKind::Diff) {
        hints.push(("t", "time"));
    }
    if kind.columns().iter().any(|column| !column.sort.is_empty()) {
        hints.extend([("s", "sort"), ("r", "reverse")]);
    }
    hints.extend([("i", "history"), ("y", "copy"), ("e", "export"), ("p", "pause"), ("l", "losses")]);
    hints
}

/// Joins the texts that fit; the first one is cut where it has to be.
fn joined(texts: Vec<ToneText>, between: &'static str, columns: u16, theme: Theme) -> Line<'static> {
    let columns = usize::from(columns);
    let mut line = Line::default();
    for text in texts {
        let gap = if line.spans.is_empty() { 0 } else { width(between) };
        if !line.spans.is_empty() && line.width() + gap + width(&text.text) > columns {
            continue;
        }
        if gap > 0 {
            line.push_span(Span::styled(between, theme.style(Tone::Dim)));
        }
        line.push_span(theme.span(ToneText { text: cut(&text.text, columns), tone: text.tone }));
    }
    line
}
