//! What is shown over a view: help, losses, log.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{cut, fit, wrap};
use super::theme::Theme;
use crate::top::cell::Tone;
use crate::top::state::top_state::{Overlay, TopState};

/// The help: keys, marks and the filter language.
const HELP: &[(&str, &str)] = &[
    ("Views", ""),
    ("1 … 7, Tab", "connections, summary, alerts, hosts, values, investigate, diff"),
    ("↑ ↓ PgUp PgDn", "select a row; Home and End: the first and the last one"),
    ("Enter", "connection in full; of a host or a value: its connections"),
    ("Esc", "back; in a list: remove the filter"),
    ("i, v", "stored connections of the client, or with the value"),
    ("s, <, >, r", "next or previous column to sort by; reverse the order"),
    ("t", "time range of Investigate, or the two of Diff: 2h..1h 1h..now"),
    ("p", "pause: rows stay as they are"),
    ("y", "copy the value (OSC 52)"),
    ("e", "export the view to a file: .json, one object a line, or .csv"),
    ("l, o", "losses by counter; log of a sensor that top started"),
    ("Ctrl-L, Ctrl-Z", "draw again; suspend"),
    ("q, Ctrl-C", "back, or quit; quit"),
    ("Marks", ""),
    ("B ! *", "known to be bad; an alert; a value is first seen"),
    ("Filter", ""),
    ("app:chrome", "a field is equal; * is any text: ja4:t13d*"),
    ("sni~example", "a field contains text; case does not matter"),
    ("net:10.0.0.0/8", "host: src: dst: net: port: sport: dport: proto: iface:"),
    ("ja4s:t13*", "every method is a field; also sni: app: os: rule: ua: state:"),
    ("new bad alert open", "words: first seen, known to be bad, with an alert, open"),
    ("and or not ( )", "side by side means and: app:curl not dport:443"),
];

/// Columns of the keys.
const KEYS: usize = 19;

/// Draws the overlay over `area`.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, overlay: Overlay, state: &TopState, theme: Theme) {
    let columns = usize::from(area.width);
    let lines = match overlay {
        Overlay::Help => help(columns, theme),
        Overlay::Losses => losses(state, columns, theme),
        Overlay::Log => log(state, columns, theme),
    };
    // The end stays in sight.
    let first = state.overlay_first.min(lines.len().saturating_sub(area.height.into()));
    // A log is read from its end.
    let first = if overlay == Overlay::Log {
        lines.len().saturating_sub(usize::from(area.height)).saturating_sub(state.overlay_first)
    } else {
        first
    };
    for (line, y) in lines.into_iter().skip(first).zip(area.y..area.bottom()) {
        frame.render_widget(line, Rect { y, height: 1, ..area });
    }
}

fn help(columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (key, effect) in HELP {
        if effect.is_empty() {
            lines.push(Line::styled(*key, theme.style(Tone::Title).underlined()));
            continue;
        }
        let keys = KEYS.min(columns / 2);
        for (place, text) in wrap(effect, columns.saturating_sub(keys + 2)).into_iter().enumerate() {
            let key = if place == 0 { key } else { "" };
            lines.push(Line::from(vec![
                Span::styled(format!(" {} ", fit(key, keys, false)), theme.style(Tone::Title)),
                Span::raw(text),
            ]));
        }
    }
    lines
}

fn losses(state: &TopState, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    const NUMBER: usize = 12;
    let total = state.status.total_losses().unwrap_or_default();
    let line = |name: &str, count: u64, tone| {
        let name = fit(name, columns.saturating_sub(NUMBER).min(48), false);
        Line::styled(name + &fit(&count.to_string(), NUMBER, true), theme.style(tone))
    };
    let tone = |count: u64, zero| if count > 0 { Tone::Bad } else { zero };
    let mut lines = vec![line("all", total, tone(total, Tone::Good))];
    for group in state.status.loss_groups() {
        lines.push(line(&format!(" {}", group.name), group.total, tone(group.total, Tone::Title)));
        lines.extend(
            group.parts.iter().map(|(path, count)| line(&format!("   {path}"), *count, tone(*count, Tone::Dim))),
        );
    }
    lines
}

fn log(state: &TopState, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    if state.log.is_empty() {
        return vec![Line::styled("this sensor was not started by top, or has logged nothing", theme.style(Tone::Dim))];
    }
    state.log.iter().map(|line| Line::raw(cut(line, columns))).collect()
}
