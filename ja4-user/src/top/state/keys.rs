//! Keys: what each does to the state.

use std::path::PathBuf;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde_json::Value;

use super::detail::{DetailLine, DetailState};
use super::editor::LineEditor;
use super::list;
use super::top_state::{ExportJob, ExportRows, FieldPurpose, OpenField, Overlay, TopEffect, TopState, TopTab};
use crate::model::DisplayFilter;
use crate::top::cell::{Tone, ToneText};
use crate::top::column::ListKind;
use crate::top::row;

impl TopState {
    /// Applies a key. While a field is open, every character is text.
    pub(super) fn key(&mut self, key: KeyEvent) -> Option<TopEffect> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        self.notice = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return Some(TopEffect::Quit),
                KeyCode::Char('z') => return Some(TopEffect::Suspend),
                KeyCode::Char('l') => return Some(TopEffect::Redraw),
                _ => {}
            }
        }
        if self.field.is_some() {
            return self.key_in_field(key);
        }
        if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
            return None;
        }
        if self.overlay.is_some() {
            self.key_in_overlay(key.code);
            return None;
        }
        self.key_in_view(key.code)
    }

    fn key_in_field(&mut self, key: KeyEvent) -> Option<TopEffect> {
        let field = self.field.as_mut()?;
        match key.code {
            KeyCode::Esc => self.field = None,
            KeyCode::Enter => return self.commit_field(),
            _ => {
                field.line.key(key);
                field.error = match field.purpose {
                    FieldPurpose::Filter => filter_error(&field.line.text()),
                    FieldPurpose::Range | FieldPurpose::Export => None,
                };
            }
        }
        None
    }

    /// Applies the text of the field and closes it, or shows what is wrong with it.
    fn commit_field(&mut self) -> Option<TopEffect> {
        let field = self.field.as_mut()?;
        let text = field.line.text().trim().to_owned();
        let kind = match self.tab {
            TopTab::List(kind) => Some(kind),
            TopTab::Summary => None,
        };
        field.error = match (field.purpose, kind) {
            (FieldPurpose::Filter, _) => filter_error(&text),
            (FieldPurpose::Range, Some(ListKind::Diff)) => {
                let ranges = text.split_whitespace().map(list::range).collect::<Option<Vec<_>>>();
                ranges.is_none_or(|ranges| ranges.len() != 2).then(|| "expected two ranges: 2h..1h 1h..now".to_owned())
            }
            (FieldPurpose::Range, _) => {
                list::range(&text).is_none().then(|| "expected SINCE..UNTIL: 1h..now".to_owned())
            }
            (FieldPurpose::Export, _) => text.is_empty().then(|| "expected the name of a file".to_owned()),
        };
        if field.error.is_some() {
            return None;
        }
        let purpose = field.purpose;
        self.field = None;
        match (purpose, kind) {
            (FieldPurpose::Export, _) => return Some(TopEffect::Export(Box::new(self.export(text.into())))),
            (FieldPurpose::Filter, Some(kind)) => self.list_mut(kind).filter = text,
            (FieldPurpose::Range, Some(kind)) => self.list_mut(kind).range = text,
            (FieldPurpose::Filter | FieldPurpose::Range, None) => {}
        }
        kind.into_iter().for_each(|kind| self.list_mut(kind).restart());
        None
    }

    fn key_in_overlay(&mut self, code: KeyCode) {
        let page = self.list_rows();
        match code {
            KeyCode::Up | KeyCode::Char('k') => self.overlay_first = self.overlay_first.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.overlay_first = self.overlay_first.saturating_add(1),
            KeyCode::PageUp => self.overlay_first = self.overlay_first.saturating_sub(page),
            KeyCode::PageDown => self.overlay_first = self.overlay_first.saturating_add(page),
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?' | 'l' | 'o') => self.overlay = None,
            _ => {}
        }
    }

    fn key_in_view(&mut self, code: KeyCode) -> Option<TopEffect> {
        let page = isize::try_from(self.list_rows()).unwrap_or(isize::MAX);
        match code {
            KeyCode::Char('q') if self.detail.is_none() => return Some(TopEffect::Quit),
            KeyCode::Char('q') | KeyCode::Backspace => self.detail = None,
            KeyCode::Esc => self.back(),
            KeyCode::Char('?') => self.open_overlay(Overlay::Help),
            KeyCode::Char('l') => self.open_overlay(Overlay::Losses),
            KeyCode::Char('o') => self.open_overlay(Overlay::Log),
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char(digit @ '1'..='7') => {
                let place = (digit as usize).saturating_sub('1' as usize);
                TopTab::ALL.get(place).into_iter().for_each(|(tab, _)| self.show(*tab));
            }
            KeyCode::Tab => self.show(self.tab.step(1)),
            KeyCode::BackTab => self.show(self.tab.step(TopTab::ALL.len() - 1)),
            KeyCode::Up | KeyCode::Char('k') => self.move_by(-1),
            KeyCode::Down | KeyCode::Char('j') => self.move_by(1),
            KeyCode::PageUp => self.move_by(-page),
            KeyCode::PageDown => self.move_by(page),
            KeyCode::Home | KeyCode::Char('g') => self.move_by(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.move_by(isize::MAX),
            KeyCode::Enter => self.open_row(),
            KeyCode::Char('y') => return self.copy(),
            KeyCode::Char('e') => self.open_export(),
            KeyCode::Char('i') => self.investigate_client(),
            KeyCode::Char('v') => self.investigate_value(),
            code => self.key_in_list(code),
        }
        None
    }

    /// Keys that change what a list asks for.
    fn key_in_list(&mut self, code: KeyCode) {
        let (None, TopTab::List(kind)) = (&self.detail, self.tab) else { return };
        match code {
            KeyCode::Char('/') if kind.has_filter() => {
                let filter = self.list(kind).filter.clone();
                self.open_field(FieldPurpose::Filter, &filter);
            }
            KeyCode::Char('t') if matches!(kind, ListKind::Investigate | ListKind::Diff) => {
                let range = self.list(kind).range.clone();
                self.open_field(FieldPurpose::Range, &range);
            }
            KeyCode::Char('s' | '>') => self.list_mut(kind).next_order(true),
            KeyCode::Char('<') => self.list_mut(kind).next_order(false),
            KeyCode::Char('r') if self.list(kind).order_column().is_some() => {
                let list = self.list_mut(kind);
                list.descending = !list.descending;
                list.restart();
            }
            _ => {}
        }
    }

    fn open_overlay(&mut self, overlay: Overlay) {
        (self.overlay, self.overlay_first) = (Some(overlay), 0);
    }

    fn open_field(&mut self, purpose: FieldPurpose, text: &str) {
        self.field = Some(OpenField { purpose, line: LineEditor::new(text), error: None });
    }

    /// Closes the detail view, or else removes the filter.
    fn back(&mut self) {
        if self.detail.take().is_none()
            && let TopTab::List(kind) = self.tab
            && !self.list(kind).filter.is_empty()
        {
            let list = self.list_mut(kind);
            list.filter.clear();
            list.restart();
        }
    }

    fn show(&mut self, tab: TopTab) {
        (self.tab, self.detail, self.is_paused) = (tab, None, false);
    }

    fn move_by(&mut self, by: isize) {
        let rows = self.list_rows();
        match (&mut self.detail, self.tab) {
            (Some(detail), _) => detail.move_by(by, rows),
            (None, TopTab::List(kind)) => self.list_mut(kind).move_by(by, rows),
            (None, TopTab::Summary) => {}
        }
    }

    fn selected_row(&self) -> Option<(ListKind, Value)> {
        let list = self.shown_list()?;
        Some((list.kind, list.selected_row()?.clone()))
    }

    /// Opens the connection of the selected row; of a host or a value, its connections.
    fn open_row(&mut self) {
        let (None, Some((kind, row))) = (&self.detail, self.selected_row()) else { return };
        match kind {
            ListKind::Connections | ListKind::Investigate => self.detail = DetailState::of_connection(&row),
            ListKind::Alerts => {
                self.detail = DetailState::of_alert(&row);
                if self.detail.is_none() {
                    self.notice = Some(ToneText::new("this alert is about several connections", Tone::Warning));
                }
            }
            ListKind::Hosts => self.filter_list(ListKind::Connections, host_filter(&row, "ip")),
            ListKind::Values => self.filter_list(ListKind::Connections, value_filter(&row, "type", "value")),
            ListKind::Diff => self.filter_list(ListKind::Investigate, value_filter(&row, "type", "value")),
        }
    }

    /// The row that `i` and `v` are about.
    fn subject(&self) -> Option<Value> {
        match &self.detail {
            Some(detail) if !detail.connection.is_null() => Some(detail.connection.clone()),
            Some(detail) => detail.alert.clone(),
            None => self.selected_row().map(|(_, row)| row),
        }
    }

    /// Shows the stored connections of the client of a row.
    fn investigate_client(&mut self) {
        let subject = self.subject();
        let filter = subject.and_then(|row| host_filter(&row, "src_ip").or_else(|| host_filter(&row, "ip")));
        self.filter_list(ListKind::Investigate, filter);
    }

    /// Shows the stored connections with the value of a row.
    fn investigate_value(&mut self) {
        let paths = [("primary.type", "primary.value"), ("fingerprint.type", "fingerprint.value"), ("type", "value")];
        let subject = self.subject();
        let filter = subject.and_then(|row| paths.iter().find_map(|(method, value)| value_filter(&row, method, value)));
        self.filter_list(ListKind::Investigate, filter);
    }

    fn filter_list(&mut self, kind: ListKind, filter: Option<String>) {
        let Some(filter) = filter else {
            self.notice = Some(ToneText::new("this row has no such value", Tone::Warning));
            return;
        };
        self.show(TopTab::List(kind));
        let list = self.list_mut(kind);
        list.filter = filter;
        list.restart();
    }

    /// Copies the selected value.
    fn copy(&mut self) -> Option<TopEffect> {
        let text = match &self.detail {
            Some(detail) => detail.lines().get(detail.cursor).and_then(DetailLine::copied),
            None => self.selected_row().and_then(|(kind, row)| kind.copied(&row)),
        };
        self.notice = Some(match &text {
            Some(text) => ToneText::new(format!("copied {text}"), Tone::Good),
            None => ToneText::new("nothing to copy in this line", Tone::Warning),
        });
        text.map(TopEffect::Copy)
    }

    fn open_export(&mut self) {
        let name = match (&self.detail, self.tab) {
            (Some(_), _) => "connection",
            (None, TopTab::List(kind)) => kind.view(),
            (None, TopTab::Summary) => "summary",
        };
        self.open_field(FieldPurpose::Export, &format!("{name}.json"));
    }

    fn export(&self, path: PathBuf) -> ExportJob {
        let (list, rows) = match (&self.detail, self.tab) {
            (Some(detail), _) => (None, ExportRows::Given(vec![detail.connection.clone()])),
            (None, TopTab::List(kind)) => {
                (Some(kind), ExportRows::Requested(Box::new(self.list(kind).request(self.list_rows()))))
            }
            (None, TopTab::Summary) => (None, ExportRows::Given(vec![self.status.summary.clone()])),
        };
        ExportJob { path, list, rows }
    }
}

/// Returns what is wrong with a filter expression.
fn filter_error(text: &str) -> Option<String> {
    DisplayFilter::parse(text).err().map(|error| error.to_string())
}

fn host_filter(of: &Value, path: &str) -> Option<String> {
    row::text(of, path).map(|ip| format!("host:{ip}"))
}

fn value_filter(of: &Value, method: &str, value: &str) -> Option<String> {
    Some(format!("{}:{}", row::text(of, method)?, row::text(of, value)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::top::request::{TopAnswer, TopSnapshot};
    use crate::top::state::top_state::{FeedKind, StartRanges, TopEvent};

    fn state() -> TopState {
        let mut state = TopState::new("eth0", &StartRanges::default(), (80, 24), true);
        let rows = (0..19).map(|id| {
            json!({"flow_id": id, "src_ip": "10.0.0.1", "primary": {"type": "ja4", "value": format!("t13d_{id}")}})
        });
        answer(&mut state, "connections", rows.collect(), 40);
        state
    }

    fn answer(state: &mut TopState, view: &str, rows: Vec<Value>, matched: u64) {
        let snapshot = TopSnapshot { view: view.to_owned(), is_partial: false, matched: Some(matched), rows };
        state.apply(TopEvent::Answer(FeedKind::Rows, TopAnswer::Rows(snapshot)));
    }

    fn press(state: &mut TopState, code: KeyCode) -> Option<TopEffect> {
        state.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn write(state: &mut TopState, text: &str) {
        for character in text.chars() {
            assert_eq!(press(state, KeyCode::Char(character)), None);
        }
    }

    #[test]
    fn typing_in_a_field_triggers_no_shortcut() {
        let mut state = state();
        press(&mut state, KeyCode::Char('/'));
        write(&mut state, "q?123spelotyivgGkj/<>");
        state.apply(TopEvent::Paste("q\n".to_owned()));
        assert_eq!((state.tab, state.overlay, state.is_paused), (TopTab::List(ListKind::Connections), None, false));
        assert_eq!(state.field.as_ref().unwrap().line.text(), "q?123spelotyivgGkj/<>q");
        assert_eq!(state.request().filter, None, "a filter that is being typed is not in force");
        press(&mut state, KeyCode::Esc);
        assert!(state.field.is_none());
        assert_eq!(press(&mut state, KeyCode::Char('q')), Some(TopEffect::Quit));
        state.apply(TopEvent::Paste("q".to_owned()));
    }

    #[test]
    fn a_filter_is_asked_for_and_removed() {
        let mut state = state();
        press(&mut state, KeyCode::End);
        assert!(state.request().skip > Some(0));
        press(&mut state, KeyCode::Char('/'));
        write(&mut state, "app:curl");
        press(&mut state, KeyCode::Enter);
        let request = state.request();
        assert_eq!((request.filter.as_deref(), request.skip), (Some("app:curl"), Some(0)));
        press(&mut state, KeyCode::Esc);
        assert_eq!(state.request().filter, None);
    }

    #[test]
    fn a_wrong_range_stays_open_with_its_error() {
        let mut state = state();
        press(&mut state, KeyCode::Char('7'));
        press(&mut state, KeyCode::Char('t'));
        write(&mut state, " x");
        press(&mut state, KeyCode::Enter);
        assert!(state.field.as_ref().unwrap().error.as_deref().unwrap().starts_with("expected two ranges"));
        press(&mut state, KeyCode::Backspace);
        press(&mut state, KeyCode::Backspace);
        press(&mut state, KeyCode::Enter);
        assert!(state.field.is_none());
        assert_eq!(state.request().view, "diff");
    }

    #[test]
    fn enter_opens_a_connection_and_escape_returns_to_the_list() {
        let mut state = state();
        press(&mut state, KeyCode::Down);
        press(&mut state, KeyCode::Enter);
        let request = state.request();
        assert_eq!((request.view, request.flow_id), ("connection", Some(1)));
        answer(&mut state, "connection", vec![json!({"flow_id": 1, "tls": {"sni": "a.example"}})], 1);
        assert_eq!(state.detail.as_ref().unwrap().connection["tls"]["sni"], "a.example");
        press(&mut state, KeyCode::Char('q'));
        assert_eq!(state.request().view, "connections");
    }

    #[test]
    fn rows_lead_to_their_history() {
        let mut state = state();
        press(&mut state, KeyCode::Char('i'));
        assert_eq!((state.request().view, state.request().filter.as_deref()), ("history", Some("host:10.0.0.1")));
        press(&mut state, KeyCode::Char('1'));
        press(&mut state, KeyCode::Char('v'));
        assert_eq!(state.request().filter.as_deref(), Some("ja4:t13d_0"));

        press(&mut state, KeyCode::Char('4'));
        answer(&mut state, "hosts", vec![json!({"ip": "10.0.0.9"})], 1);
        press(&mut state, KeyCode::Enter);
        assert_eq!((state.request().view, state.request().filter.as_deref()), ("connections", Some("host:10.0.0.9")));

        press(&mut state, KeyCode::Char('3'));
        answer(&mut state, "alerts", vec![json!({"alert": {}})], 1);
        press(&mut state, KeyCode::Enter);
        assert!(state.detail.is_none() && state.notice.is_some());
    }

    #[test]
    fn tabs_are_numbers_and_a_circle() {
        let mut state = state();
        for (place, (tab, _)) in TopTab::ALL.iter().enumerate() {
            press(&mut state, KeyCode::Char(char::from(b'1' + place as u8)));
            assert_eq!(state.tab, *tab);
        }
        press(&mut state, KeyCode::Tab);
        assert_eq!(state.tab, TopTab::List(ListKind::Connections));
        press(&mut state, KeyCode::BackTab);
        assert_eq!(state.tab, TopTab::List(ListKind::Diff));
    }

    #[test]
    fn paused_rows_stay() {
        let mut state = state();
        press(&mut state, KeyCode::Char('p'));
        answer(&mut state, "connections", Vec::new(), 0);
        assert_eq!(state.list(ListKind::Connections).rows().len(), 19);
        press(&mut state, KeyCode::Char('p'));
        answer(&mut state, "connections", Vec::new(), 0);
        assert_eq!(state.list(ListKind::Connections).rows().len(), 0);
        assert_eq!(press(&mut state, KeyCode::Enter), None);
    }

    #[test]
    fn a_value_is_copied_and_rows_are_exported() {
        let mut state = state();
        assert_eq!(press(&mut state, KeyCode::Char('y')), Some(TopEffect::Copy("t13d_0".to_owned())));
        press(&mut state, KeyCode::Char('e'));
        assert_eq!(state.field.as_ref().unwrap().line.text(), "connections.json");
        let Some(TopEffect::Export(job)) = press(&mut state, KeyCode::Enter) else { panic!() };
        assert_eq!((job.path.as_path(), job.list), ("connections.json".as_ref(), Some(ListKind::Connections)));
        state.apply(TopEvent::Notice(ToneText::new("cannot create it", Tone::Bad)));
        assert_eq!(state.notice.as_ref().unwrap().tone, Tone::Bad);
    }

    #[test]
    fn control_keys_work_in_every_state() {
        let mut state = state();
        let control = |state: &mut TopState, code| state.key(KeyEvent::new(KeyCode::Char(code), KeyModifiers::CONTROL));
        for opener in ['/', '?', 'l'] {
            press(&mut state, KeyCode::Char(opener));
            assert_eq!(control(&mut state, 'z'), Some(TopEffect::Suspend));
            assert_eq!(control(&mut state, 'c'), Some(TopEffect::Quit));
            press(&mut state, KeyCode::Esc);
        }
    }

    #[test]
    fn a_refusal_is_shown_in_its_list() {
        let mut state = state();
        press(&mut state, KeyCode::Char('6'));
        state.apply(TopEvent::Answer(FeedKind::Rows, TopAnswer::Refused("no database".to_owned())));
        assert_eq!(state.list(ListKind::Investigate).refused.as_deref(), Some("no database"));
        assert_eq!(state.list(ListKind::Connections).refused, None);
    }
}
