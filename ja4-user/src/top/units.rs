//! Numbers, sizes and times in few characters.

/// Formats a count in at most five characters: `987`, `12.3k`, `4.5M`.
pub(super) fn count(count: u64) -> String {
    scaled(count, 1000, &["", "k", "M", "G", "T", "P", "E"])
}

/// Formats a number of bytes in at most five characters: `987B`, `1.2K`, `34M`, in powers of 1024.
pub(super) fn bytes(bytes: u64) -> String {
    scaled(bytes, 1024, &["B", "K", "M", "G", "T", "P", "E"])
}

fn scaled(number: u64, base: u64, units: &[&str]) -> String {
    let mut scale = 1;
    for (place, unit) in units.iter().enumerate() {
        let is_last = place + 1 == units.len();
        if is_last || number / scale < base {
            let whole = number / scale;
            let tenth = u128::from(number % scale) * 10 / u128::from(scale);
            return if place > 0 && whole < 100 { format!("{whole}.{tenth}{unit}") } else { format!("{whole}{unit}") };
        }
        scale *= base;
    }
    number.to_string()
}

/// Formats a time in its two largest units: `6d 23h`, `12m 5s`, `40s`.
pub(super) fn seconds(seconds: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let Some((place, (unit, length))) = UNITS.iter().enumerate().find(|(_, (_, length))| seconds >= *length) else {
        return "0s".to_owned();
    };
    let largest = format!("{}{unit}", seconds / length);
    match UNITS.get(place + 1).map(|(unit, length_of_next)| (unit, seconds % length / length_of_next)) {
        Some((unit, rest)) if rest > 0 => format!("{largest} {rest}{unit}"),
        _ => largest,
    }
}

/// Formats a time in its largest unit: `6d`.
pub(super) fn largest_unit(time: u64) -> String {
    seconds(time).split(' ').next().unwrap_or_default().to_owned()
}

/// Formats microseconds: `73µs`, `7.1ms`, `1.2s`.
pub(super) fn microseconds(time: u64) -> String {
    match time {
        0..1_000 => format!("{time}µs"),
        1_000..1_000_000 => format!("{}.{}ms", time / 1_000, time % 1_000 / 100),
        _ => format!("{}.{}s", time / 1_000_000, time % 1_000_000 / 100_000),
    }
}

/// Returns the time of day of a timestamp: `06:39:47` of `2026-12-01T06:39:47.209232517Z`.
pub(super) fn time_of_day(timestamp: &str) -> String {
    timestamp.split_once('T').map_or(timestamp, |(_, time)| time).chars().take(8).collect()
}

/// Returns date and time of a timestamp, to the second.
pub(super) fn date_and_time(timestamp: &str) -> String {
    timestamp.chars().take(19).map(|character| if character == 'T' { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_few_characters() {
        assert_eq!(
            [0, 999, 1000, 12_345, 999_999, 4_500_000].map(count),
            ["0", "999", "1.0k", "12.3k", "999k", "4.5M"]
        );
        assert_eq!([0, 1023, 1024, 1 << 20, 35 << 20].map(bytes), ["0B", "1023B", "1.0K", "1.0M", "35.0M"]);
        assert!(count(u64::MAX).len() <= 5 && bytes(u64::MAX).len() <= 5);
    }

    #[test]
    fn times_have_two_units() {
        assert_eq!([0, 40, 725, 3_600, 604_799].map(seconds), ["0s", "40s", "12m 5s", "1h", "6d 23h"]);
        assert_eq!([73, 7_166, 1_250_000].map(microseconds), ["73µs", "7.1ms", "1.2s"]);
        assert_eq!(time_of_day("2026-12-01T06:39:47.209232517Z"), "06:39:47");
        assert_eq!(date_and_time("2026-12-01T06:39:47.209232517Z"), "2026-12-01 06:39:47");
    }
}
