//! A list: its order, its filter, the rows that are shown and the selected one.

use ratatui::text::Span;
use serde_json::Value;

use crate::top::column::{ListColumn, ListKind};
use crate::top::request::{MAX_SKIP, TopRequest, TopSnapshot};

/// Interval of the rows of a list, milliseconds.
const LIVE_INTERVAL: u64 = 500;

/// Interval of rows of the database, milliseconds.
const STORED_INTERVAL: u64 = 5_000;

/// Rows of two time ranges do not change.
const ONE_ANSWER: u64 = 0;

/// The state of a list.
#[derive(Clone, Debug)]
pub(in crate::top) struct ListState {
    pub(in crate::top) kind: ListKind,
    /// Place of the column that the rows are sorted by; `None`: the order of the view.
    pub(in crate::top) order: Option<usize>,
    pub(in crate::top) descending: bool,
    /// The filter expression in force.
    pub(in crate::top) filter: String,
    /// Time range, or two of them.
    pub(in crate::top) range: String,
    /// Why the sensor refused the request.
    pub(in crate::top) refused: Option<String>,
    /// The first row that is shown.
    pub(in crate::top) first: usize,
    /// The selected row.
    pub(in crate::top) cursor: usize,
    /// What identifies the selected row; the first one is no particular row, but the first of each answer.
    selected: Option<String>,
    /// The rows from `first` on.
    pub(in crate::top) snapshot: Option<TopSnapshot>,
    /// The widest content of each column since the last change of the request.
    pub(in crate::top) widest: Vec<u16>,
}

impl ListState {
    pub(in crate::top) fn new(kind: ListKind, range: &str) -> Self {
        let order = kind.columns().iter().position(|column| match kind {
            ListKind::Connections => column.sort == "last",
            ListKind::Hosts | ListKind::Values => column.sort == "connections",
            ListKind::Alerts | ListKind::Investigate | ListKind::Diff => false,
        });
        Self {
            kind,
            order,
            descending: true,
            filter: String::new(),
            range: range.to_owned(),
            refused: None,
            first: 0,
            cursor: 0,
            selected: None,
            snapshot: None,
            widest: Vec::new(),
        }
    }

    /// Returns what is asked of the sensor. `rows`: the rows that fit the terminal.
    pub(in crate::top) fn request(&self, rows: usize) -> TopRequest {
        let mut request = TopRequest {
            view: self.kind.view(),
            interval_ms: LIVE_INTERVAL,
            rows: Some(rows.max(1)),
            skip: Some(self.first),
            filter: (!self.filter.is_empty() && self.kind.has_filter()).then(|| self.filter.clone()),
            ..TopRequest::default()
        };
        if let Some(column) = self.order_column() {
            request.sort = Some(column.sort);
            request.descending = Some(self.descending);
        }
        match self.kind {
            ListKind::Investigate => {
                request.interval_ms = STORED_INTERVAL;
                [request.since, request.until] = range(&self.range).map_or([None, None], |range| range.map(Some));
            }
            ListKind::Diff => {
                request.interval_ms = ONE_ANSWER;
                let mut ranges = self.range.split_whitespace().map(range);
                (request.before, request.after) = (ranges.next().flatten(), ranges.next().flatten());
            }
            ListKind::Connections | ListKind::Alerts | ListKind::Hosts | ListKind::Values => {}
        }
        request
    }

    /// The column that the rows are sorted by.
    pub(in crate::top) fn order_column(&self) -> Option<&'static ListColumn> {
        self.order.and_then(|place| self.kind.columns().get(place)).filter(|column| !column.sort.is_empty())
    }

    /// Number of rows of the view.
    pub(in crate::top) fn total(&self) -> usize {
        self.snapshot.as_ref().map_or(0, TopSnapshot::total)
    }

    /// The rows that are shown.
    pub(in crate::top) fn rows(&self) -> &[Value] {
        self.snapshot.as_ref().map_or(&[], |snapshot| &snapshot.rows)
    }

    /// The selected row.
    pub(in crate::top) fn selected_row(&self) -> Option<&Value> {
        self.rows().get(self.cursor.checked_sub(self.first)?)
    }

    /// Takes over the rows of an answer. The selection follows its row.
    pub(in crate::top) fn apply(&mut self, snapshot: TopSnapshot, rows: usize) {
        self.refused = None;
        self.widen(&snapshot.rows);
        if let Some(key) = &self.selected
            && let Some(place) = snapshot.rows.iter().position(|row| self.kind.key(row) == *key)
        {
            self.cursor = self.first + place;
        }
        self.snapshot = Some(snapshot);
        self.show_cursor(rows);
    }

    fn widen(&mut self, rows: &[Value]) {
        self.widest.resize(self.kind.columns().len(), 0);
        for row in rows {
            for (column, widest) in self.kind.columns().iter().zip(&mut self.widest) {
                let width = Span::raw((column.cell)(row).text).width();
                *widest = (*widest).max(u16::try_from(width).unwrap_or(u16::MAX));
            }
        }
    }

    /// Moves the selection by rows; `rows` are shown.
    pub(in crate::top) fn move_by(&mut self, by: isize, rows: usize) {
        self.cursor = self.cursor.saturating_add_signed(by);
        self.show_cursor(rows);
        self.selected = if self.cursor == 0 { None } else { self.selected_row().map(|row| self.kind.key(row)) };
    }

    /// Scrolls so that the selection is shown.
    pub(in crate::top) fn show_cursor(&mut self, rows: usize) {
        self.cursor = self.cursor.min(self.total().saturating_sub(1)).min(MAX_SKIP);
        self.first = self.first.min(self.cursor);
        if self.cursor >= self.first + rows.max(1) {
            self.first = self.cursor + 1 - rows.max(1);
        }
    }

    /// Starts again at the first row after a change of what is asked.
    pub(in crate::top) fn restart(&mut self) {
        (self.first, self.cursor, self.selected, self.refused) = (0, 0, None, None);
        self.widest.clear();
    }

    /// Selects the next column that has an order, forwards or backwards.
    pub(in crate::top) fn next_order(&mut self, is_forward: bool) {
        let columns = self.kind.columns();
        let count = columns.len();
        let start = self.order.unwrap_or(if is_forward { count - 1 } else { 0 });
        let step = if is_forward { 1 } else { count - 1 };
        let places = (1..=count).map(|steps| (start + steps * step) % count);
        let next = places.into_iter().find(|place| columns.get(*place).is_some_and(|column| !column.sort.is_empty()));
        if next.is_some() {
            self.order = next;
            // Numbers and times start with the largest, text with the first letter.
            let column = self.order_column();
            self.descending = column.is_some_and(|column| column.is_number || matches!(column.sort, "last" | "start"));
            self.restart();
        }
    }
}

/// Parses a time range, `SINCE..UNTIL`.
pub(in crate::top) fn range(text: &str) -> Option<[String; 2]> {
    let (since, until) = text.trim().split_once("..")?;
    let is_time = |text: &str| !text.is_empty() && !text.contains(' ');
    (is_time(since) && is_time(until)).then(|| [since.to_owned(), until.to_owned()])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot(ids: std::ops::Range<u64>, matched: u64) -> TopSnapshot {
        let rows = ids.map(|id| json!({"flow_id": id, "tls": {"sni": "x".repeat(id as usize)}})).collect();
        TopSnapshot { view: "connections".to_owned(), is_partial: false, matched: Some(matched), rows }
    }

    fn selected(list: &ListState) -> Option<u64> {
        list.selected_row()?["flow_id"].as_u64()
    }

    #[test]
    fn only_the_rows_that_fit_are_asked_for() {
        let mut list = ListState::new(ListKind::Connections, "");
        list.apply(snapshot(0..10, 100), 10);
        list.move_by(10, 10);
        assert_eq!(
            list.request(10).line(),
            "{\"view\":\"connections\",\"interval_ms\":500,\"rows\":10,\"skip\":1,\"sort\":\"last\",\"descending\":true}\n"
        );
        list.move_by(1_000, 10);
        assert_eq!((list.cursor, list.first), (99, 90));
        list.move_by(-1_000, 10);
        assert_eq!((list.cursor, list.first), (0, 0));
        // The sensor gives no rows behind so many others.
        list.apply(snapshot(0..10, 1_000_000), 10);
        list.move_by(isize::MAX, 10);
        assert_eq!(list.request(10).skip, Some(MAX_SKIP - 9));
    }

    #[test]
    fn the_selection_follows_its_row_and_the_first_line_the_newest() {
        let mut list = ListState::new(ListKind::Connections, "");
        list.apply(snapshot(5..10, 5), 10);
        list.apply(snapshot(4..10, 6), 10);
        assert_eq!(selected(&list), Some(4));
        list.move_by(2, 10);
        assert_eq!(selected(&list), Some(6));
        list.apply(snapshot(2..10, 8), 10);
        assert_eq!((selected(&list), list.cursor), (Some(6), 4));
        // The row is gone: the place stays.
        list.apply(snapshot(20..30, 10), 10);
        assert_eq!(list.cursor, 4);
        list.apply(snapshot(0..0, 0), 10);
        assert_eq!((selected(&list), list.cursor), (None, 0));
    }

    #[test]
    fn orders_are_those_that_the_sensor_has() {
        let mut list = ListState::new(ListKind::Connections, "");
        let mut sorts = Vec::new();
        for _ in 0..9 {
            list.next_order(true);
            sorts.push((list.request(1).sort.unwrap(), list.descending));
        }
        assert_eq!(sorts[..3], [("start", true), ("client", false), ("server", false)]);
        assert_eq!(sorts[8], ("last", true), "{sorts:?}");
        list.next_order(false);
        assert_eq!(list.request(1).sort, Some("bytes"));
        let mut alerts = ListState::new(ListKind::Alerts, "");
        alerts.next_order(true);
        assert_eq!(alerts.request(1).sort, None);
    }

    #[test]
    fn ranges_are_sent_as_they_were_typed() {
        let list = ListState::new(ListKind::Investigate, "10m..now");
        let request = list.request(5);
        assert_eq!((request.since.as_deref(), request.until.as_deref()), (Some("10m"), Some("now")));
        let list = ListState::new(ListKind::Diff, "2h..1h 1h..now");
        let request = list.request(5);
        assert_eq!(request.before, range("2h..1h"));
        assert_eq!(request.after, range("1h..now"));
        for wrong in ["", "1h", "..now", "1h..", "1 h..now"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_column_stays_as_wide_as_it_was() {
        let mut list = ListState::new(ListKind::Connections, "");
        list.apply(snapshot(30..31, 1), 10);
        let name = list.kind.columns().iter().position(|column| column.title == "NAME").unwrap();
        assert_eq!(list.widest[name], 30);
        list.apply(snapshot(3..4, 1), 10);
        assert_eq!(list.widest[name], 30);
    }
}
