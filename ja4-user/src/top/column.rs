//! The columns of each list.

use serde_json::Value;

use super::cell::{Tone, ToneText};
use super::{row, units};

/// A list of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    Connections,
    Alerts,
    Hosts,
    Values,
    /// Connections of a time range.
    Investigate,
    /// Values of two time ranges.
    Diff,
}

impl ListKind {
    pub(super) const ALL: [Self; 6] =
        [Self::Connections, Self::Alerts, Self::Hosts, Self::Values, Self::Investigate, Self::Diff];

    /// Name of the view in a request.
    pub(super) const fn view(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Alerts => "alerts",
            Self::Hosts => "hosts",
            Self::Values => "values",
            Self::Investigate => "history",
            Self::Diff => "diff",
        }
    }

    pub(super) const fn columns(self) -> &'static [ListColumn] {
        match self {
            Self::Connections => CONNECTIONS,
            Self::Alerts => ALERTS,
            Self::Hosts => HOSTS,
            Self::Values => VALUES,
            Self::Investigate => HISTORY,
            Self::Diff => DIFFERENCES,
        }
    }

    /// Whether a filter expression selects its rows.
    pub(super) const fn has_filter(self) -> bool {
        !matches!(self, Self::Alerts | Self::Diff)
    }

    /// What identifies a row, so that the selection follows it.
    pub(super) fn key(self, of: &Value) -> String {
        let paths: &[&str] = match self {
            Self::Connections | Self::Investigate => &["flow_id", "connection.start"],
            Self::Alerts => &["timestamp", "alert.ja4sensor.rule", "flow_id"],
            Self::Hosts => &["ip"],
            Self::Values | Self::Diff => &["type", "value"],
        };
        paths.iter().map(|path| row::text(of, path).unwrap_or_default()).collect::<Vec<_>>().join(" ")
    }

    /// What `y` copies of a row.
    pub(super) fn copied(self, of: &Value) -> Option<String> {
        match self {
            Self::Connections | Self::Investigate => row::first_text(of, &["primary.value", "dest_ip"]),
            Self::Alerts => row::first_text(of, &["fingerprint.value", "src_ip"]),
            Self::Hosts => row::text(of, "ip"),
            Self::Values | Self::Diff => row::text(of, "value"),
        }
    }
}

/// A column of a list.
#[derive(Debug)]
pub(super) struct ListColumn {
    pub(super) title: &'static str,
    /// Name of the order by this column in a request; empty: there is none.
    pub(super) sort: &'static str,
    /// Width without which the column is left out.
    pub(super) least: u16,
    /// Width that it takes at most.
    pub(super) most: u16,
    /// Columns of a low rank are shown first.
    pub(super) rank: u8,
    /// Whether it has numbers, which are aligned to the right.
    pub(super) is_number: bool,
    pub(super) cell: fn(&Value) -> ToneText,
}

/// A column of text.
const fn text(
    title: &'static str,
    sort: &'static str,
    (least, most): (u16, u16),
    rank: u8,
    cell: fn(&Value) -> ToneText,
) -> ListColumn {
    ListColumn { title, sort, least, most, rank, is_number: false, cell }
}

/// A column of numbers.
const fn number(
    title: &'static str,
    sort: &'static str,
    width: u16,
    rank: u8,
    cell: fn(&Value) -> ToneText,
) -> ListColumn {
    ListColumn { title, sort, least: width, most: width, rank, is_number: true, cell }
}

/// Known bad, alerts, first seen: a character each, so that they are seen without colours too.
const MARKS: ListColumn = text("", "", (3, 3), 0, |row| {
    let marks = [("known_bad", 'B', Tone::Bad), ("alerts", '!', Tone::Warning), ("first_seen", '*', Tone::New)];
    let shown = |(path, mark, _): &(&str, char, Tone)| if row::holds(row, path) { *mark } else { ' ' };
    let tone = marks.iter().find(|(path, ..)| row::holds(row, path)).map_or(Tone::Plain, |(.., tone)| *tone);
    ToneText::new(marks.iter().map(shown).collect::<String>(), tone)
});

const CLIENT: ListColumn = text("CLIENT", "client", (15, 39), 0, |row| ToneText::of(row::text(row, "src_ip")));
const SERVER: ListColumn = text("SERVER", "server", (15, 45), 0, |row| ToneText::of(server(row)));
const NAME: ListColumn = text("NAME", "sni", (12, 40), 1, |row| {
    ToneText::of(row::first_text(row, &["tls.sni", "http.hostname", "dhcp.hostname"]))
});
const APP: ListColumn =
    text("APP", "app", (8, 24), 1, |row| ToneText::new(row::text(row, "app.name").unwrap_or_default(), Tone::Title));
const VALUE: ListColumn = text("VALUE", "value", (12, 36), 2, |row| {
    let tone = if row::holds(row, "known_bad") { Tone::Bad } else { Tone::Plain };
    ToneText::new(row::text(row, "primary.value").unwrap_or_default(), tone)
});
const OS: ListColumn = text("OS", "", (7, 10), 5, |row| ToneText::of(row::text(row, "os")));
const PROTO: ListColumn =
    text("PROTO", "", (5, 7), 4, |row| ToneText::of(row::first_text(row, &["app_proto", "proto"])));
const STATE: ListColumn = text("STATE", "", (6, 7), 4, |row| {
    let state = row::text(row, "connection.state").unwrap_or_default();
    let tone = if state == "open" { Tone::Good } else { Tone::Dim };
    ToneText::new(state, tone)
});
const PACKETS: ListColumn = number("PACKETS", "packets", 7, 6, |row| {
    ToneText::of(row::sum(row, &["connection.pkts_toserver", "connection.pkts_toclient"]).map(units::count))
});
const BYTES: ListColumn = number("BYTES", "bytes", 6, 3, |row| {
    ToneText::of(row::sum(row, &["connection.bytes_toserver", "connection.bytes_toclient"]).map(units::bytes))
});
const INTERFACE: ListColumn = text("IFACE", "", (6, 15), 7, |row| ToneText::of(row::text(row, "in_iface")));

const CONNECTIONS: &[ListColumn] = &[
    MARKS,
    text("LAST", "last", (8, 8), 1, |row| time_of_day(row, "connection.end")),
    text("START", "start", (8, 8), 8, |row| time_of_day(row, "connection.start")),
    CLIENT,
    SERVER,
    PROTO,
    NAME,
    APP,
    VALUE,
    OS,
    STATE,
    PACKETS,
    BYTES,
    INTERFACE,
];

const HISTORY: &[ListColumn] = &[
    MARKS,
    text("LAST", "last", (19, 19), 1, |row| date_and_time(row, "connection.end")),
    text("START", "start", (19, 19), 8, |row| date_and_time(row, "connection.start")),
    CLIENT,
    SERVER,
    PROTO,
    NAME,
    APP,
    VALUE,
    OS,
    STATE,
    PACKETS,
    BYTES,
    INTERFACE,
];

const ALERTS: &[ListColumn] = &[
    text("TIME", "", (8, 8), 1, |row| time_of_day(row, "timestamp")),
    text("SEVERITY", "", (8, 8), 0, |row| {
        let severity = row::text(row, "alert.ja4sensor.severity").unwrap_or_default();
        let tone = Tone::of_severity(&severity);
        ToneText::new(severity, tone)
    }),
    text("RULE", "", (12, 22), 0, |row| {
        ToneText::new(row::text(row, "alert.ja4sensor.rule").unwrap_or_default(), Tone::Title)
    }),
    text("CLIENT", "", (15, 39), 2, |row| {
        ToneText::of(row::first_text(row, &["src_ip", "alert.ja4sensor.group.src_ip"]))
    }),
    text("SERVER", "", (15, 45), 2, |row| ToneText::of(server(row))),
    text("REASON", "", (20, 120), 1, |row| {
        ToneText::of(row::first_text(row, &["alert.ja4sensor.reason", "alert.signature"]))
    }),
];

const HOSTS: &[ListColumn] = &[
    text("HOST", "ip", (15, 39), 0, |row| ToneText::of(row::text(row, "ip"))),
    text("OS", "os", (7, 10), 1, |row| ToneText::of(row::text(row, "os"))),
    number("CONNS", "connections", 6, 0, |row| count(row, "connections")),
    number("BYTES", "bytes", 6, 1, |row| ToneText::of(row::number(row, "bytes").map(units::bytes))),
    number("ALERTS", "alerts", 6, 1, |row| {
        let alerts = row::number(row, "alerts").unwrap_or_default();
        ToneText::new(units::count(alerts), if alerts > 0 { Tone::Warning } else { Tone::Dim })
    }),
    text("LAST", "last", (8, 8), 2, |row| time_of_day(row, "last")),
    text("CLIENT SOFTWARE", "", (20, 160), 0, |row| ToneText::plain(stacks(row))),
];

const VALUES: &[ListColumn] = &[
    text("", "", (3, 3), 0, |row| {
        let is_bad = row::holds(row, "known_bad");
        ToneText::new(if is_bad { "B" } else { "" }, if is_bad { Tone::Bad } else { Tone::Plain })
    }),
    text("TYPE", "type", (6, 6), 0, |row| ToneText::of(row::text(row, "type"))),
    text("VALUE", "value", (36, 64), 0, |row| ToneText::of(row::text(row, "value"))),
    text("LABEL", "label", (8, 30), 1, |row| {
        ToneText::new(row::first_text(row, &["label.name", "label"]).unwrap_or_default(), Tone::Title)
    }),
    number("HOSTS", "hosts", 6, 1, |row| count(row, "hosts")),
    number("CONNS", "connections", 6, 2, |row| count(row, "connections")),
    text("FIRST SEEN", "first_seen", (19, 19), 3, |row| date_and_time(row, "first_seen")),
    text("LAST", "last", (8, 8), 4, |row| time_of_day(row, "last")),
    text("KNOWN BAD", "", (12, 40), 5, |row| {
        ToneText::new(row::first_text(row, &["known_bad.note", "known_bad.category"]).unwrap_or_default(), Tone::Bad)
    }),
];

const DIFFERENCES: &[ListColumn] = &[
    text("CHANGE", "", (8, 8), 0, |row| {
        let change = row::text(row, "change").unwrap_or_default();
        let tone = match change.as_str() {
            "new" => Tone::New,
            "spiked" => Tone::Warning,
            _ => Tone::Plain,
        };
        ToneText::new(change, tone)
    }),
    text("TYPE", "", (6, 6), 0, |row| ToneText::of(row::text(row, "type"))),
    text("VALUE", "", (36, 64), 0, |row| ToneText::of(row::text(row, "value"))),
    number("BEFORE", "", 7, 0, |row| count(row, "first")),
    number("AFTER", "", 7, 0, |row| count(row, "second")),
    text("LABEL", "", (8, 40), 1, |row| ToneText::new(row::text(row, "label").unwrap_or_default(), Tone::Title)),
];

fn server(of: &Value) -> Option<String> {
    let address = row::first_text(of, &["dest_ip", "alert.ja4sensor.group.dest_ip"])?;
    let Some(port) = row::number(of, "dest_port") else { return Some(address) };
    Some(if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") })
}

fn time_of_day(of: &Value, path: &str) -> ToneText {
    ToneText::of(row::text(of, path).map(|time| units::time_of_day(&time)))
}

fn date_and_time(of: &Value, path: &str) -> ToneText {
    ToneText::of(row::text(of, path).map(|time| units::date_and_time(&time)))
}

fn count(of: &Value, path: &str) -> ToneText {
    ToneText::of(row::number(of, path).map(units::count))
}

/// The client stacks of a host: the name of the software, or else the value.
fn stacks(host: &Value) -> String {
    let name = |stack| row::first_text(stack, &["app.name", "app", "label", "value"]);
    row::list(host, "stacks").iter().filter_map(name).collect::<Vec<_>>().join(", ")
}

/// A column that is shown, and its width.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlacedColumn {
    pub(super) column: &'static ListColumn,
    /// Its place among all columns of the list.
    pub(super) place: usize,
    pub(super) width: u16,
}

/// Columns up to this rank get all the width that their content takes before further columns are shown.
const MAIN_RANK: u8 = 2;

/// Selects the columns that fit and spreads the rest of the width. `widest`: the widest content of each column.
pub(super) fn place(columns: &'static [ListColumn], widest: &[u16], width: u16) -> Vec<PlacedColumn> {
    let mut by_rank: Vec<_> = columns.iter().enumerate().collect();
    by_rank.sort_by_key(|(_, column)| column.rank);
    let (main, others): (Vec<_>, Vec<_>) = by_rank.into_iter().partition(|(_, column)| column.rank <= MAIN_RANK);
    let mut placed: Vec<PlacedColumn> = Vec::new();
    let mut left = width;
    for group in [main, others] {
        for (place, column) in group {
            let gap = u16::from(!placed.is_empty());
            // The first column is shown in any case, cut where it has to be.
            let least = if placed.is_empty() { column.least.min(width) } else { column.least };
            if least + gap <= left {
                left -= least + gap;
                placed.push(PlacedColumn { column, place, width: least });
            }
        }
        for PlacedColumn { column, place, width } in &mut placed {
            let content = widest.get(*place).copied().unwrap_or_default();
            let more = column.most.min(content).saturating_sub(*width).min(left);
            *width += more;
            left -= more;
        }
    }
    placed.sort_by_key(|placed| placed.place);
    placed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn titles(kind: ListKind, width: u16) -> Vec<&'static str> {
        place(kind.columns(), &[], width).iter().map(|placed| placed.column.title).collect()
    }

    #[test]
    fn a_wider_terminal_has_more_columns() {
        assert_eq!(titles(ListKind::Connections, 80), ["", "LAST", "CLIENT", "SERVER", "NAME", "APP", "VALUE"]);
        assert_eq!(titles(ListKind::Connections, 40), ["", "CLIENT", "SERVER"]);
        assert_eq!(titles(ListKind::Connections, 200).len(), CONNECTIONS.len());
        assert_eq!(titles(ListKind::Connections, 2), [""]);
    }

    #[test]
    fn columns_fit_any_width() {
        for kind in ListKind::ALL {
            let widest = vec![500; kind.columns().len()];
            for width in 0..300 {
                let placed = place(kind.columns(), &widest, width);
                let total: usize = placed.iter().map(|placed| usize::from(placed.width)).sum();
                assert!(total + placed.len().saturating_sub(1) <= usize::from(width), "{kind:?} {width}");
            }
        }
    }

    #[test]
    fn marks_are_seen_without_colours() {
        let row = json!({"known_bad": {"pattern": "x"}, "alerts": ["a"], "first_seen": true});
        assert_eq!((MARKS.cell)(&row), ToneText::new("B!*", Tone::Bad));
        assert_eq!((MARKS.cell)(&json!({"first_seen": true})), ToneText::new("  *", Tone::New));
    }

    #[test]
    fn an_ipv6_server_has_brackets() {
        let row = json!({"dest_ip": "fd98::2", "dest_port": 443});
        assert_eq!(server(&row).as_deref(), Some("[fd98::2]:443"));
    }
}
