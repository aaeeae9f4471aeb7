//! Durations as `"500ms"`, `"10s"`, `"2m"`, `"1h"`.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    let parsed = parse(&text);
    parsed.map(Some).ok_or_else(|| {
        let text = text.escape_debug();
        serde::de::Error::custom(format_args!(
            "'{text}' is no duration; write it as \"500ms\", \"10s\", \"2m\" or \"1h\""
        ))
    })
}

fn parse(text: &str) -> Option<Duration> {
    let unit = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}
