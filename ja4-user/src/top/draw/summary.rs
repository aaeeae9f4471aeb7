//! The summary: what the sensor sees, in numbers.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Sparkline;
use serde_json::Value;

use super::text::fit;
use super::theme::Theme;
use crate::top::cell::{Tone, ToneText};
use crate::top::state::status::RateHistory;
use crate::top::state::top_state::TopState;
use crate::top::{row, units};

/// Height of the sparklines with their titles.
const SPARKLINES: u16 = 4;

/// Width from which there are two columns.
const TWO_COLUMNS: u16 = 76;

/// Columns of a number.
const NUMBER: usize = 7;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &TopState, theme: Theme) {
    // The first row, and a capture file, give no rate.
    let height = if state.status.packets.newest().is_some() { SPARKLINES } else { 0 };
    let [sparklines, rest] = Layout::vertical([Constraint::Length(height), Constraint::Min(0)]).areas(area);
    draw_sparklines(frame, sparklines, state, theme);
    let columns = usize::from(if rest.width >= TWO_COLUMNS { rest.width / 2 - 1 } else { rest.width });
    let left: Vec<_> = [counts(state, theme), talkers(state, columns, theme), rules(state, columns, theme)].concat();
    let right = values(state, columns, theme);
    if rest.width >= TWO_COLUMNS {
        let [of_left, _, of_right] =
            Layout::horizontal([Constraint::Length(rest.width / 2 - 1), Constraint::Length(2), Constraint::Min(0)])
                .areas(rest);
        draw_lines(frame, of_left, left);
        draw_lines(frame, of_right, right);
    } else {
        draw_lines(frame, rest, [left, right].concat());
    }
}

fn draw_lines(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'static>>) {
    for (line, y) in lines.into_iter().zip(area.y..area.bottom()) {
        frame.render_widget(line, Rect { y, height: 1, ..area });
    }
}

fn draw_sparklines(frame: &mut Frame<'_>, area: Rect, state: &TopState, theme: Theme) {
    let status = &state.status;
    let of = |history: &RateHistory, unit: &str| {
        (
            history.newest().map_or_else(|| unit.to_owned(), |rate| format!("{unit} {}", units::count(rate))),
            history.clone(),
        )
    };
    let rates = [
        (of(&status.packets, "packets/s"), Tone::Good),
        (of(&status.events, "events/s"), Tone::New),
        (of(&status.losses, "lost/s"), Tone::Bad),
    ];
    let areas = Layout::horizontal([Constraint::Fill(1); 3]).spacing(2).split(area);
    for (((title, history), tone), area) in rates.into_iter().zip(areas.iter()) {
        let [of_title, of_line] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(*area);
        frame.render_widget(Line::styled(title, theme.style(Tone::Title)), of_title);
        let rates = history.last(area.width.into());
        // The newest rate is at the right end.
        let mut data = vec![0; usize::from(area.width).saturating_sub(rates.len())];
        data.extend(rates);
        frame.render_widget(Sparkline::default().data(&data).style(theme.style(tone)), of_line);
    }
}

/// A line with a name and several texts.
fn named(name: &str, texts: Vec<ToneText>, theme: Theme) -> Line<'static> {
    let mut spans = vec![Span::styled(fit(name, 13, false), theme.style(Tone::Dim))];
    for (place, text) in texts.into_iter().enumerate() {
        if place > 0 {
            spans.push(Span::raw("  "));
        }
        spans.push(theme.span(text));
    }
    Line::from(spans)
}

fn title(text: &str, numbers: &[&str], columns: usize, theme: Theme) -> Line<'static> {
    let numbers: String = numbers.iter().map(|number| fit(number, NUMBER, true)).collect();
    let text = fit(text, columns.saturating_sub(super::text::width(&numbers)), false);
    Line::styled(text + &numbers, theme.style(Tone::Title).underlined())
}

fn counts(state: &TopState, theme: Theme) -> Vec<Line<'static>> {
    let summary = &state.status.summary;
    let count =
        |path: &str, name: &str| ToneText::plain(format!("{} {name}", row::number(summary, path).unwrap_or_default()));
    let severity = |name: &str| {
        let fired = row::number(summary, &format!("alerts.{name}")).filter(|fired| *fired > 0)?;
        Some(ToneText::new(format!("{fired} {name}"), Tone::of_severity(name)))
    };
    let mut alerts: Vec<_> = ["critical", "high", "medium", "low"].into_iter().filter_map(severity).collect();
    if alerts.is_empty() {
        alerts.push(ToneText::new("none", Tone::Dim));
    }
    let interfaces = state.status.interfaces();
    let mut lines = vec![
        named("connections", vec![count("connections.open", "open"), count("connections.recent", "recent")], theme),
        named("alerts", alerts, theme),
    ];
    lines.extend(
        interfaces
            .into_iter()
            .enumerate()
            .map(|(place, interface)| named(if place == 0 { "interfaces" } else { "" }, vec![interface], theme)),
    );
    let learning = row::number(summary, "stats.engine.first_seen.learning_left_s").filter(|left| *left > 0);
    lines.extend(learning.map(|left| {
        let text = format!("{} left", units::seconds(left));
        named("learning", vec![ToneText::new(text, Tone::New)], theme)
    }));
    lines.push(Line::default());
    lines
}

fn talkers(state: &TopState, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = vec![title("Top talkers", &["CONNS", "BYTES"], columns, theme)];
    for talker in row::list(&state.status.summary, "talkers") {
        let number = |path: &str, format: fn(u64) -> String| {
            fit(&row::number(talker, path).map(format).unwrap_or_default(), NUMBER, true)
        };
        let ip = fit(&row::text(talker, "ip").unwrap_or_default(), columns.saturating_sub(2 * NUMBER), false);
        lines.push(Line::raw(ip + &number("connections", units::count) + &number("bytes", units::bytes)));
    }
    lines.push(Line::default());
    lines
}

/// The rules that fired, and how often.
fn rules(state: &TopState, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut fired: Vec<(u64, &Value)> = state
        .rules
        .iter()
        .filter_map(|rule| Some((row::number(rule, "fired").filter(|fired| *fired > 0)?, rule)))
        .collect();
    fired.sort_by_key(|(fired, _)| std::cmp::Reverse(*fired));
    let mut lines = vec![title("Rules that fired", &["FIRED"], columns, theme)];
    for (fired, rule) in fired {
        let name = fit(&row::text(rule, "rule").unwrap_or_default(), columns.saturating_sub(NUMBER), false);
        let tone = row::text(rule, "severity").map_or(Tone::Plain, |severity| Tone::of_severity(&severity));
        lines.push(Line::styled(name + &fit(&units::count(fired), NUMBER, true), theme.style(tone)));
    }
    lines
}

fn values(state: &TopState, columns: usize, theme: Theme) -> Vec<Line<'static>> {
    const TYPE: usize = 7;
    let mut lines = vec![title("Top values", &["CONNS"], columns, theme)];
    for value in row::list(&state.status.summary, "values") {
        let label =
            row::first_text(value, &["label.name", "label"]).map(|label| format!(" {label}")).unwrap_or_default();
        let text = row::text(value, "value").unwrap_or_default();
        let of_text = columns.saturating_sub(TYPE + NUMBER);
        lines.push(Line::from(vec![
            Span::styled(fit(&row::text(value, "type").unwrap_or_default(), TYPE, false), theme.style(Tone::Dim)),
            Span::raw(fit(&format!("{text}{label}"), of_text, false)),
            Span::raw(fit(&row::number(value, "connections").map(units::count).unwrap_or_default(), NUMBER, true)),
        ]));
    }
    lines
}
