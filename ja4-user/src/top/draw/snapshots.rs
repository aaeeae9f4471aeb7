//! Every view at three sizes, compared with the files in `snapshots/`.
//!
//! After a change of a view, `JA4_SNAPSHOTS=write cargo test -p ja4-user --lib top::draw` writes the files.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde_json::{Value, json};

use super::draw;
use crate::top::request::{TopAnswer, TopSnapshot};
use crate::top::state::top_state::{FeedKind, StartRanges, TopEvent, TopState};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 50)];

/// Name of each view, and the keys that show it.
const VIEWS: [(&str, &[KeyCode]); 13] = [
    ("connections", &[KeyCode::Char('1'), KeyCode::Down]),
    ("filter", &[KeyCode::Char('1'), KeyCode::Char('/'), KeyCode::Char('n'), KeyCode::Char('e')]),
    ("detail", &[KeyCode::Char('1'), KeyCode::Enter]),
    ("summary", &[KeyCode::Char('2')]),
    ("alerts", &[KeyCode::Char('3')]),
    ("alert", &[KeyCode::Char('3'), KeyCode::Enter]),
    ("hosts", &[KeyCode::Char('4')]),
    ("values", &[KeyCode::Char('5')]),
    ("investigate", &[KeyCode::Char('6')]),
    ("diff", &[KeyCode::Char('7')]),
    ("export", &[KeyCode::Char('1'), KeyCode::Char('e')]),
    ("help", &[KeyCode::Char('?')]),
    ("losses", &[KeyCode::Char('l')]),
];

fn connection(id: u64) -> Value {
    let app = ["curl", "Chromium", "Firefox"][id as usize % 3];
    json!({
        "timestamp": format!("2026-12-01T06:39:{:02}.209232517Z", 50 - id), "event_type": "connection", "in_iface": "eth0",
        "flow_id": 116_789_057_032_391_u64 + id, "community_id": "1:p9vYqq7hpV4c6MBLgKjRAzOuOW8=",
        "src_ip": format!("10.0.0.{}", 1 + id % 4), "src_port": 53_216 + id, "dest_ip": "192.0.2.17", "dest_port": 443,
        "proto": "TCP", "app_proto": "tls",
        "connection": {
            "start": "2026-12-01T06:39:12.186689530Z", "end": format!("2026-12-01T06:39:{:02}.209232517Z", 50 - id),
            "pkts_toserver": 10 * id, "pkts_toclient": 8, "bytes_toserver": 1_389 * id * id, "bytes_toclient": 7_609,
            "state": if id.is_multiple_of(2) { "open" } else { "fin" },
        },
        "latency": {"client_us": 73, "server_us": 7_166, "server_application_us": 384_963},
        "tls": {"sni": format!("host{id}.example.org"), "version": "TLS 1.3", "alpn": ["h2", "http/1.1"], "cipher": "0x1302"},
        "app": {"name": app, "source": "builtin", "category": "application", "confidence": 80},
        "os": "Linux", "hops": {"client": 0, "server": 12}, "mss": 1460,
        "path": {"name": "ethernet", "confidence": 95, "mtu": 1500},
        "first_seen": id == 1, "alerts": if id == 2 { json!(["a fingerprint is known to be bad"]) } else { json!([]) },
        "known_bad": if id == 2 {
            json!({"pattern": "t13d190900_*", "category": "c2", "confidence": 40, "note": "Sliver"})
        } else { Value::Null },
        "primary": {"type": "ja4", "value": "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"},
        "fingerprints": [
            {"timestamp": "2026-12-01T06:39:12.186689530Z", "type": "ja4t", "value": "64240_2-4-8-1-3_1460_10",
             "side": "client", "count": 1, "label": {"name": "Linux", "source": "builtin", "category": "os", "confidence": 80}},
            {"timestamp": "2026-12-01T06:39:12.190067507Z", "type": "ja4", "value": "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6",
             "raw": "t13d3112h2_002f,0033,0035,0039,003c,003d,0067,006b,009c,009d,009e,009f,00ff,1301_000a,000b,000d,0016",
             "side": "client", "count": 1, "label": {"name": app, "source": "builtin", "confidence": 80}, "first_seen": id == 1},
        ],
    })
}

fn alert(id: u64) -> Value {
    let (rule, severity) = [("known_bad", "high"), ("port_scan", "medium"), ("first_seen", "low")][id as usize % 3];
    json!({
        "timestamp": format!("2026-12-01T06:38:{:02}.000000000Z", 59 - id), "event_type": "alert",
        "flow_id": 116_789_057_032_391_u64 + id, "src_ip": "10.0.0.1", "src_port": 5, "dest_ip": "192.0.2.17", "dest_port": 443,
        "fingerprint": {"type": "ja4", "value": "t13d190900_9dc949149365_97f8aa674fd9"},
        "alert": {"action": "allowed", "signature": "a fingerprint is known to be bad", "severity": 2, "ja4sensor": {
            "rule": rule, "severity": severity, "reason": "ja4 t13d190900_9dc949149365_97f8aa674fd9 is Sliver",
            "group": {"src_ip": "10.0.0.1"}, "confidence": 40, "suppressed": 0}},
    })
}

fn summary(second: u64) -> Value {
    let seen = second * second * 500;
    json!({
        "stats": {
            "uptime_ms": second * 1_000,
            "kernel": {"seen": seen, "ring_full": if second > 20 { 12 } else { 0 }},
            "shards": {"lag_us": 1_078, "bad_record_version": 0, "decap": {"handoff_lost": 0}},
            "engine": {"observations": seen / 40, "first_seen": {"learning_left_s": 604_794}, "end_lost": 0,
                "remote": {"breaker_open": false}},
            "output": {"lines_dropped": 3}, "attach": {"lost": 0},
            "interfaces": {"eth0": {"ingress": "xdp native", "egress": "tcx"}, "lo": {"ingress": "xdp generic", "egress": "none"}},
            "drops": {"packets": 12, "lines": 3, "rows": 0, "alerts": 0}, "drops_total": if second > 20 { 15 } else { 3 },
        },
        "connections": {"open": 12, "recent": 345}, "alerts": {"high": 2, "medium": 0, "low": 9},
        "talkers": (1..6).map(|host| json!({"ip": format!("10.0.0.{host}"), "connections": 60 / host, "bytes": 900_000 / host}))
            .collect::<Vec<_>>(),
        "values": [
            {"type": "ja4", "value": "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", "label": "curl", "connections": 123},
            {"type": "ja4", "value": "t13d1516h2_8daaf6152771_e5627efa2ab1", "label": "Chromium", "connections": 45},
            {"type": "ja4s", "value": "t130200_1302_a56c5b993250", "connections": 168},
            {"type": "ja4t", "value": "64240_2-4-8-1-3_1460_10", "label": "Linux", "connections": 168},
        ],
    })
}

/// The rows of each view, as a sensor sends them.
fn rows_of(view: &str) -> Vec<Value> {
    match view {
        "connections" => (0..19).map(connection).collect(),
        "connection" => vec![connection(0)],
        "history" => (0..7).map(connection).collect(),
        "alerts" => (0..11).map(alert).collect(),
        "rules" => vec![
            json!({"rule": "known_bad", "severity": "high", "fired": 2}), json!({"rule": "first_seen", "severity": "low", "fired": 9}),
            json!({"rule": "beacon", "severity": "medium", "fired": 0}),
        ],
        "hosts" => (1..5).map(|host| json!({
            "ip": format!("10.0.0.{host}"), "connections": 70 / host, "bytes": 90_000 / host, "os": "Linux", "alerts": host % 2,
            "last": "2026-12-01T06:39:47.209232517Z",
            "stacks": [{"type": "ja4", "value": "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", "app": "curl"},
                {"type": "ja4", "value": "t13d190900_9dc949149365_97f8aa674fd9"}],
        })).collect(),
        "values" => vec![
            json!({"type": "ja4", "value": "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", "label": "curl", "hosts": 4, "connections": 123,
                "first_seen": "2026-11-24T10:00:00.000000000Z", "last": "2026-12-01T06:39:47.209232517Z"}),
            json!({"type": "ja4", "value": "t13d190900_9dc949149365_97f8aa674fd9", "hosts": 1, "connections": 2,
                "known_bad": {"pattern": "t13d190900_*", "note": "Sliver", "category": "c2"},
                "first_seen": "2026-12-01T06:38:00.000000000Z", "last": "2026-12-01T06:38:59.000000000Z"}),
        ],
        _ => ["new", "gone", "spiked", "dropped"].iter().enumerate().map(|(place, change)| json!({
            "change": change, "type": "ja4", "value": "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6", "first": place, "second": 10,
            "label": "curl",
        })).collect(),
    }
}

fn answer(state: &mut TopState, view: &str, rows: Vec<Value>) {
    let matched = Some(rows.len() as u64 + if view == "connections" { 326 } else { 0 });
    let snapshot = TopSnapshot { view: view.to_owned(), is_partial: false, matched, rows };
    state.apply(TopEvent::Answer(FeedKind::Rows, TopAnswer::Rows(snapshot)));
}

fn report(state: &mut TopState, summary: Value) {
    let snapshot = TopSnapshot { view: "summary".to_owned(), is_partial: false, matched: None, rows: vec![summary] };
    state.apply(TopEvent::Answer(FeedKind::Status, TopAnswer::Rows(snapshot)));
}

/// A state with rows in every view, changed by `change`.
fn state((width, height): (u16, u16), change: fn(Value) -> Value) -> TopState {
    let mut state = TopState::new("eth0", &StartRanges::default(), (width, height), true);
    state.apply(TopEvent::Attached(FeedKind::Status));
    for second in 1..40 {
        report(&mut state, change(summary(second)));
    }
    for view in ["connections", "alerts", "rules", "hosts", "values", "history", "diff"] {
        answer(&mut state, view, rows_of(view).into_iter().map(change).collect());
    }
    state
}

fn press(state: &mut TopState, keys: &[KeyCode]) {
    for key in keys {
        state.apply(TopEvent::Key(KeyEvent::new(*key, KeyModifiers::NONE)));
    }
    // The detail view is asked for when it is opened.
    if state.detail.is_some() {
        let connection = rows_of("connection");
        answer(state, "connection", connection);
    }
}

fn terminal(state: &TopState) -> Terminal<TestBackend> {
    let (width, height) = state.size;
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    terminal
}

/// The text of the screen, without the spaces at the ends of lines.
fn screen(state: &TopState) -> String {
    let terminal = terminal(state);
    let buffer = terminal.backend().buffer();
    let lines = buffer.content.chunks(usize::from(buffer.area.width).max(1)).map(|cells| {
        let line: String = cells.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned() + "\n"
    });
    lines.collect()
}

#[test]
fn each_view_looks_as_its_snapshot() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/draw/snapshots");
    let mut differing = Vec::new();
    for size in SIZES {
        for (name, keys) in VIEWS {
            let mut state = state(size, |row| row);
            press(&mut state, keys);
            let (width, height) = size;
            let path = folder.join(format!("{name}-{width}x{height}.txt"));
            let shown = screen(&state);
            if std::env::var_os("JA4_SNAPSHOTS").is_some_and(|mode| mode == "write") {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &shown).unwrap();
            }
            if fs::read_to_string(&path).unwrap_or_default() != shown {
                differing.push(format!("{} should be:\n{shown}", path.display()));
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn every_view_fits_every_size() {
    for (_, keys) in VIEWS {
        let mut state = state((80, 24), |row| row);
        press(&mut state, keys);
        for width in (0..90).chain([1_000]) {
            for height in [0, 1, 2, 9, 10, 11, 24, 60] {
                state.apply(TopEvent::Resize(width, height));
                let screen = screen(&state);
                assert_eq!(screen.lines().count(), usize::from(if width == 0 { 0 } else { height }));
            }
        }
    }
}

#[test]
fn a_small_terminal_names_the_size_that_is_needed() {
    let mut state = state((39, 10), |row| row);
    assert!(screen(&state).starts_with("39×10 is too small\nja4sensor top needs 40×10\n"));
    state.apply(TopEvent::Resize(40, 10));
    let screen = screen(&state);
    assert!(screen.contains("10.0.0.1") && screen.contains("192.0.2.17:443"), "{screen}");
    assert!(screen.contains("? help"), "{screen}");
}

/// Replaces every text of a row.
fn hostile(row: Value) -> Value {
    match row {
        Value::String(text) => Value::String(format!("{text}\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\n\u{7}")),
        Value::Array(list) => list.into_iter().map(hostile).collect(),
        Value::Object(object) => Value::Object(object.into_iter().map(|(key, value)| (key, hostile(value))).collect()),
        other => other,
    }
}

#[test]
fn text_of_the_network_reaches_no_terminal_as_it_is() {
    for (name, keys) in VIEWS {
        let mut state = state((200, 50), hostile);
        press(&mut state, keys);
        if let Some(detail) = &mut state.detail {
            detail.apply(vec![hostile(connection(2))]);
        }
        let screen = screen(&state);
        let is_raw = |character: &char| matches!(character, '\u{200b}' | '\u{202e}') || character.is_control();
        assert_eq!(screen.replace('\n', "").chars().find(is_raw), None, "{name}:\n{screen}");
    }
}

#[test]
fn without_colours_bold_and_reversed_text_stand_out() {
    let mut state = state((120, 40), |row| row);
    let colours = |state: &TopState| {
        let terminal = terminal(state);
        let cells = terminal.backend().buffer().content.iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert!(colours(&state) > 0);
    state.has_colours = false;
    for (_, keys) in VIEWS {
        press(&mut state, &[KeyCode::Esc]);
        press(&mut state, keys);
        assert_eq!(colours(&state), 0);
    }
}

#[test]
fn colours_are_those_of_a_terminal_with_sixteen() {
    for (_, keys) in VIEWS {
        let mut state = state((120, 40), |row| row);
        press(&mut state, keys);
        let terminal = terminal(&state);
        for cell in &terminal.backend().buffer().content {
            assert!(
                !matches!(cell.fg, Color::Rgb(..) | Color::Indexed(_))
                    && !matches!(cell.bg, Color::Rgb(..) | Color::Indexed(_))
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_keys_break_the_screen(
        keys in prop::collection::vec((any::<char>(), 0..12_usize), 0..40),
        width in 0..120_u16,
        height in 0..40_u16,
    ) {
        let codes = [KeyCode::Up, KeyCode::Down, KeyCode::PageDown, KeyCode::End, KeyCode::Enter, KeyCode::Esc,
            KeyCode::Tab, KeyCode::Backspace, KeyCode::Left, KeyCode::Char('/'), KeyCode::Char('?')];
        let mut state = state((width, height), |row| row);
        for (character, place) in keys {
            press(&mut state, &[*codes.get(place).unwrap_or(&KeyCode::Char(character))]);
            let _drawn = screen(&state);
        }
    }
}
