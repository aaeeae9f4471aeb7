//! The examples at the end of each command's help. A test runs every one that needs no interface.

use clap::builder::StyledStr;

/// Examples of `ja4sensor`.
pub(super) const SENSOR: &[&str] = &[
    "sudo ja4sensor run -i eth0 --format table",
    "sudo ja4sensor top -i eth0",
    "ja4sensor replay -r capture.pcap",
    "ja4sensor lookup t13d1516h2_8daaf6152771_e5627efa2ab1",
];

pub(super) const RUN: &[&str] = &[
    "sudo ja4sensor run -i eth0 --format table",
    "sudo ja4sensor run -i any -i '!docker0' --db /var/lib/ja4sensor/ja4sensor.db",
    "sudo ja4sensor run --config /etc/ja4sensor.toml --http 9999",
];

pub(super) const REPLAY: &[&str] = &[
    "ja4sensor replay capture.pcap",
    "ja4sensor replay -r capture.pcap --format table --types ja4,ja4s",
    "ja4sensor replay capture.pcap --db ja4.db --types alert",
    "cat capture.pcap | ja4sensor replay -",
];

pub(super) const ATTACH: &[&str] = &[
    "sudo ja4sensor attach",
    "sudo ja4sensor attach eth0 --format table --types ja4,alert",
    "sudo ja4sensor attach --filter 'new and not app:curl'",
];
#[cfg(feature = "top")]
pub(super) const TOP: &[&str] = &["sudo ja4sensor top", "sudo ja4sensor top -i eth0", "ja4sensor top capture.pcap"];

pub(super) const CHECK: &[&str] = &["ja4sensor check -i lo", "sudo ja4sensor check --config /etc/ja4sensor.toml"];

pub(super) const QUERY: &[&str] = &[
    "ja4sensor query ja4.db",
    "ja4sensor query ja4.db --host 10.0.0.0/8 --since 10m",
    "ja4sensor query ja4.db fingerprints --value 't13d*' --format csv",
    "ja4sensor query ja4.db alerts --severity high --format json",
];

pub(super) const DIFF: &[&str] = &[
    "ja4sensor diff ja4.db 2d..1d 1d..now",
    "ja4sensor diff ja4.db 2026-11-22..2026-11-23 2026-11-23..2026-11-24 --type ja4",
];

pub(super) const EXPORT: &[&str] =
    &["ja4sensor export ja4.db -o connections.json", "ja4sensor export ja4.db -o - --format csv --since 1d"];

pub(super) const FIRST_SEEN: &[&str] =
    &["ja4sensor first-seen list ja4.db --type ja4", "ja4sensor first-seen delete ja4.db --value 't13d*'"];

pub(super) const FIRST_SEEN_LIST: &[&str] =
    &["ja4sensor first-seen list ja4.db", "ja4sensor first-seen list ja4.db --host 10.0.0.0/8 --format csv"];

pub(super) const FIRST_SEEN_DELETE: &[&str] =
    &["ja4sensor first-seen delete ja4.db --type ja4 --value 't13d*'", "ja4sensor first-seen delete ja4.db --all"];

pub(super) const PROFILES: &[&str] =
    &["ja4sensor profiles export ja4.db > profiles.jsonl", "ja4sensor profiles import --db other.db profiles.jsonl"];

pub(super) const PROFILES_EXPORT: &[&str] = &["ja4sensor profiles export ja4.db > profiles.jsonl"];

pub(super) const PROFILES_IMPORT: &[&str] =
    &["ja4sensor profiles import --db other.db ja4.db", "ja4sensor profiles import --db other.db profiles.jsonl"];

pub(super) const LOOKUP: &[&str] = &[
    "ja4sensor lookup t13d1516h2_8daaf6152771_e5627efa2ab1",
    "ja4sensor lookup 64240_2-4-8-1-3_1460_7 --type ja4t --format json",
];

pub(super) const LABELS: &[&str] =
    &["ja4sensor labels info labels.toml", "ja4sensor labels import labels.toml -o converted.toml"];

pub(super) const LABELS_INFO: &[&str] =
    &["ja4sensor labels info labels.toml", "ja4sensor labels info labels.toml --format json"];

pub(super) const LABELS_IMPORT: &[&str] = &["ja4sensor labels import labels.toml -o converted.toml"];

pub(super) const VERSION: &[&str] = &["ja4sensor version"];

/// The section of a help text.
pub(super) fn section(examples: &[&str]) -> StyledStr {
    let lines: Vec<String> = examples.iter().map(|example| format!("  {example}")).collect();
    format!("Examples:\n{}", lines.join("\n")).into()
}
