//! Drawing: the state on a terminal of any size.

mod bars;
mod detail;
mod overlay;
#[cfg(test)]
mod snapshots;
mod summary;
mod table;
mod text;
mod theme;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::text::Line;

use self::theme::Theme;
use super::state::top_state::{TopState, TopTab};

/// Size below which nothing can be shown.
const LEAST: (u16, u16) = (40, 10);

/// Draws the state.
pub(super) fn draw(frame: &mut Frame<'_>, state: &TopState) {
    let area = frame.area();
    let theme = Theme { has_colours: state.has_colours };
    let (width, height) = LEAST;
    if area.width < width || area.height < height {
        let lines = [
            format!("{}×{} is too small", area.width, area.height),
            format!("ja4sensor top needs {width}×{height}"),
            "q quits".to_owned(),
        ];
        for (line, y) in lines.into_iter().zip(area.y..area.bottom()) {
            frame.render_widget(Line::raw(line), ratatui::layout::Rect { y, height: 1, ..area });
        }
        return;
    }
    let one = Constraint::Length(1);
    let [tabs, title, body, status, keys] = Layout::vertical([one, one, Constraint::Min(0), one, one]).areas(area);
    bars::tabs(frame, tabs, state, theme);
    bars::title(frame, title, state, theme);
    match (state.overlay, &state.detail, state.tab) {
        (Some(overlay), ..) => overlay::draw(frame, body, overlay, state, theme),
        (None, Some(of), _) => detail::draw(frame, body, of, theme),
        (None, None, TopTab::Summary) => summary::draw(frame, body, state, theme),
        (None, None, TopTab::List(kind)) => table::draw(frame, body, state.list(kind), &state.link, theme),
    }
    bars::status(frame, status, state, theme);
    bars::keys(frame, keys, state, theme);
}
