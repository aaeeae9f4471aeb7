//! The state of the whole program.

use std::collections::VecDeque;
use std::path::PathBuf;

use ratatui::crossterm::event::KeyEvent;
use serde_json::Value;

use super::detail::DetailState;
use super::editor::LineEditor;
use super::list::ListState;
use super::status::SensorStatus;
use crate::top::cell::{Tone, ToneText};
use crate::top::column::ListKind;
use crate::top::request::{TopAnswer, TopRequest};

/// Lines of the terminal that no row of a list has: tabs, title, header, status, keys.
const FRAME_LINES: u16 = 5;

/// Lines of the log of a sensor that are kept.
const LOG_LINES: usize = 1000;

/// A view that has a tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::top) enum TopTab {
    List(ListKind),
    Summary,
}

impl TopTab {
    /// All tabs, in the order of their keys.
    pub(in crate::top) const ALL: [(Self, &'static str); 7] = [
        (Self::List(ListKind::Connections), "Connections"),
        (Self::Summary, "Summary"),
        (Self::List(ListKind::Alerts), "Alerts"),
        (Self::List(ListKind::Hosts), "Hosts"),
        (Self::List(ListKind::Values), "Values"),
        (Self::List(ListKind::Investigate), "Investigate"),
        (Self::List(ListKind::Diff), "Diff"),
    ];

    /// The tab a number of steps away.
    pub(in crate::top) fn step(self, by: usize) -> Self {
        let place = Self::ALL.iter().position(|(tab, _)| *tab == self).unwrap_or_default();
        Self::ALL.get((place + by) % Self::ALL.len()).map_or(self, |(tab, _)| *tab)
    }
}

/// What is shown over a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::top) enum Overlay {
    Help,
    Losses,
    /// Lines of the log of the sensor that this program started.
    Log,
}

/// What a text that is typed is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::top) enum FieldPurpose {
    Filter,
    /// Time range of Investigate, or the two of Diff.
    Range,
    /// File of an export.
    Export,
}

/// A field that is open.
#[derive(Clone, Debug)]
pub(in crate::top) struct OpenField {
    pub(in crate::top) purpose: FieldPurpose,
    pub(in crate::top) line: LineEditor,
    /// What is wrong with the text.
    pub(in crate::top) error: Option<String>,
}

/// The connection to the sensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::top) enum SensorLink {
    #[default]
    Connecting,
    Attached,
    /// Not attached, and why; the program tries again.
    Detached(String),
    /// The sensor that this program started has ended.
    Ended(String),
}

/// Which of the two connections to the sensor an answer is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::top) enum FeedKind {
    /// The view `summary`, for the status bar.
    Status,
    /// The rows that are shown.
    Rows,
}

/// What happens.
#[derive(Clone, Debug)]
pub(in crate::top) enum TopEvent {
    Key(KeyEvent),
    Paste(String),
    Resize(u16, u16),
    Attached(FeedKind),
    Detached(FeedKind, String),
    Answer(FeedKind, TopAnswer),
    /// A line of the log of the sensor that this program started.
    LogLine(String),
    /// The sensor that this program started has ended.
    SensorEnded(String),
    /// A message for the last line, such as the end of an export.
    Notice(ToneText),
    Suspend,
    Quit,
}

/// Rows to write to a file.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::top) struct ExportJob {
    pub(in crate::top) path: PathBuf,
    /// The list that gives a CSV file its columns; `None`: every field of the rows.
    pub(in crate::top) list: Option<ListKind>,
    pub(in crate::top) rows: ExportRows,
}

/// Where the rows of an export are from.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::top) enum ExportRows {
    /// All rows of this request.
    Requested(Box<TopRequest>),
    /// These.
    Given(Vec<Value>),
}

/// What the program does beyond a new state.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::top) enum TopEffect {
    Quit,
    Suspend,
    /// Draws every character again.
    Redraw,
    Copy(String),
    Export(Box<ExportJob>),
}

/// The state of the program: what is drawn, and what is asked of the sensor.
#[derive(Clone, Debug)]
pub(in crate::top) struct TopState {
    /// Name of the sensor or of the file.
    pub(in crate::top) name: String,
    pub(in crate::top) tab: TopTab,
    lists: [ListState; ListKind::ALL.len()],
    pub(in crate::top) detail: Option<DetailState>,
    pub(in crate::top) overlay: Option<Overlay>,
    /// First line of the overlay that is shown.
    pub(in crate::top) overlay_first: usize,
    pub(in crate::top) field: Option<OpenField>,
    pub(in crate::top) status: SensorStatus,
    /// Rows of the view `rules`.
    pub(in crate::top) rules: Vec<Value>,
    pub(in crate::top) link: SensorLink,
    /// Message in the last line, until the next key.
    pub(in crate::top) notice: Option<ToneText>,
    /// Whether rows stay as they are.
    pub(in crate::top) is_paused: bool,
    pub(in crate::top) log: VecDeque<String>,
    pub(in crate::top) size: (u16, u16),
    /// Whether colours are drawn, or bold and reversed text only.
    pub(in crate::top) has_colours: bool,
}

/// Time ranges at the start.
#[derive(Clone, Debug)]
pub(in crate::top) struct StartRanges {
    pub(in crate::top) investigate: String,
    pub(in crate::top) diff: String,
}

impl Default for StartRanges {
    fn default() -> Self {
        Self { investigate: "1h..now".to_owned(), diff: "2h..1h 1h..now".to_owned() }
    }
}

impl TopState {
    pub(in crate::top) fn new(name: &str, ranges: &StartRanges, size: (u16, u16), has_colours: bool) -> Self {
        let list = |kind| {
            let range = match kind {
                ListKind::Investigate => &ranges.investigate,
                ListKind::Diff => &ranges.diff,
                _ => "",
            };
            ListState::new(kind, range)
        };
        Self {
            name: name.to_owned(),
            tab: TopTab::List(ListKind::Connections),
            lists: ListKind::ALL.map(list),
            detail: None,
            overlay: None,
            overlay_first: 0,
            field: None,
            status: SensorStatus::default(),
            rules: Vec::new(),
            link: SensorLink::default(),
            notice: None,
            is_paused: false,
            log: VecDeque::new(),
            size,
            has_colours,
        }
    }

    /// Rows of a list that fit the terminal.
    pub(in crate::top) fn list_rows(&self) -> usize {
        usize::from(self.size.1.saturating_sub(FRAME_LINES)).max(1)
    }

    /// The list of a kind.
    pub(in crate::top) fn list(&self, kind: ListKind) -> &ListState {
        let [first, rest @ ..] = &self.lists;
        rest.iter().find(|list| list.kind == kind).unwrap_or(first)
    }

    pub(in crate::top) fn list_mut(&mut self, kind: ListKind) -> &mut ListState {
        let [first, rest @ ..] = &mut self.lists;
        rest.iter_mut().find(|list| list.kind == kind).unwrap_or(first)
    }

    /// The list that is shown, unless the view has none.
    pub(in crate::top) fn shown_list(&self) -> Option<&ListState> {
        match self.tab {
            TopTab::List(kind) => Some(self.list(kind)),
            TopTab::Summary => None,
        }
    }

    /// Returns what is asked of the sensor for the rows that are shown.
    pub(in crate::top) fn request(&self) -> TopRequest {
        match (&self.detail, self.tab) {
            (Some(detail), _) => TopRequest {
                view: "connection",
                interval_ms: 1_000,
                flow_id: Some(detail.flow_id),
                ..TopRequest::default()
            },
            (None, TopTab::List(kind)) => self.list(kind).request(self.list_rows()),
            (None, TopTab::Summary) => TopRequest { view: "rules", interval_ms: 1_000, ..TopRequest::default() },
        }
    }

    /// Returns what is asked of the sensor for the status bar.
    pub(in crate::top) fn status_request() -> TopRequest {
        TopRequest { view: "summary", interval_ms: 1_000, ..TopRequest::default() }
    }

    /// Applies an event.
    pub(in crate::top) fn apply(&mut self, event: TopEvent) -> Option<TopEffect> {
        match event {
            TopEvent::Key(key) => return self.key(key),
            TopEvent::Paste(text) => {
                if let Some(field) = &mut self.field {
                    field.line.insert(&text);
                }
            }
            TopEvent::Resize(width, height) => {
                self.size = (width, height);
                let rows = self.list_rows();
                self.lists.iter_mut().for_each(|list| list.show_cursor(rows));
            }
            TopEvent::Attached(FeedKind::Status) => self.link = SensorLink::Attached,
            TopEvent::Detached(FeedKind::Status, reason) => {
                if !matches!(self.link, SensorLink::Ended(_)) {
                    self.link = SensorLink::Detached(reason);
                }
            }
            TopEvent::Attached(FeedKind::Rows) | TopEvent::Detached(FeedKind::Rows, _) => {}
            TopEvent::Answer(FeedKind::Status, TopAnswer::Rows(snapshot)) => {
                snapshot.rows.into_iter().next().into_iter().for_each(|row| self.status.apply(row));
            }
            TopEvent::Answer(FeedKind::Rows, TopAnswer::Rows(_)) if self.is_paused => {}
            TopEvent::Answer(FeedKind::Rows, TopAnswer::Rows(snapshot)) => match snapshot.view.as_str() {
                "connection" => self.detail.iter_mut().for_each(|detail| detail.apply(snapshot.rows.clone())),
                "rules" => self.rules = snapshot.rows,
                view => {
                    if let Some(kind) = ListKind::ALL.into_iter().find(|kind| kind.view() == view) {
                        let rows = self.list_rows();
                        self.list_mut(kind).apply(snapshot, rows);
                    }
                }
            },
            TopEvent::Answer(FeedKind::Status, TopAnswer::Refused(reason)) => self.link = SensorLink::Detached(reason),
            TopEvent::Answer(FeedKind::Rows, TopAnswer::Refused(reason)) => match (&self.detail, self.tab) {
                (None, TopTab::List(kind)) => self.list_mut(kind).refused = Some(reason),
                _ => self.notice = Some(ToneText::new(reason, Tone::Bad)),
            },
            TopEvent::LogLine(line) => {
                if self.log.len() == LOG_LINES {
                    self.log.pop_front();
                }
                self.log.push_back(line);
            }
            TopEvent::SensorEnded(reason) => self.link = SensorLink::Ended(reason),
            TopEvent::Notice(notice) => self.notice = Some(notice),
            TopEvent::Suspend => return Some(TopEffect::Suspend),
            TopEvent::Quit => return Some(TopEffect::Quit),
        }
        None
    }
}
