//! Durations as text: `90s`, `5m`, `1h`.

use std::time::Duration;

/// Units, seconds; the longest first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// A number and a unit: `250ms`, `90s`, `5m`, `1h`, `7d`.
pub(in crate::anomaly) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number = number.parse::<u64>().ok()?;
    if unit == "ms" {
        return Some(Duration::from_millis(number));
    }
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// The shortest text that [`parse_duration`] reads back.
pub(in crate::anomaly) fn write_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_millis() > 0 || seconds == 0 {
        return format!("{}ms", duration.as_millis());
    }
    let unit = UNITS.into_iter().find(|(_, size)| seconds.is_multiple_of(*size));
    unit.map_or_else(|| format!("{seconds}s"), |(name, size)| format!("{}{name}", seconds / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in [("250ms", 250), ("90s", 90_000), ("5m", 300_000), ("1h", 3_600_000), ("7d", 604_800_000)]
        {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(text), Some(duration), "{text}");
            assert_eq!(write_duration(duration), text);
        }
        assert_eq!(write_duration(Duration::from_secs(120)), "2m");
        for text in
            ["", "5", "m", "5 m", "-5m", "5M", "1.5h", "5m30s", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }
}
