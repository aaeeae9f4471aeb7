//! Times and time windows as users write them.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time as Midnight};
use jiff::tz::TimeZone;

use super::diff::DiffWindow;
use crate::model::Time;
use crate::units::{DurationError, HumanDuration};

const FORMATS: &str = "write 2026-11-23T07:00:00Z, 2026-11-23 (UTC), now, or a time ago: 30s, 15m, -2h, -7d, 4w";

/// Parses a time: absolute, or relative to now.
pub(crate) fn time(text: &str) -> Result<Time, String> {
    parse(text, now())
}

/// Parses two times with `..` between them.
pub(crate) fn window(text: &str) -> Result<DiffWindow, String> {
    // Both times are relative to the same "now".
    window_at(text, now())
}

/// Parses two times with `..` between them, relative to `now`.
pub(crate) fn window_at(text: &str, now: Time) -> Result<DiffWindow, String> {
    let (since, until) = text.split_once("..").ok_or("two times with .. between them are needed: -2h..-1h")?;
    let window = DiffWindow { since: parse(since, now)?, until: parse(until, now)? };
    if window.since >= window.until {
        return Err("it ends before it begins".to_owned());
    }
    Ok(window)
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Parses a time, relative to `now`.
pub(crate) fn parse(text: &str, now: Time) -> Result<Time, String> {
    if text == "now" {
        return Ok(now);
    }
    // `10m` and `-10m` are ten minutes ago.
    match text.strip_prefix('-').unwrap_or(text).parse::<HumanDuration>() {
        Ok(ago) => return now.0.checked_sub(ago.nanoseconds()).map(Time).ok_or_else(|| "before 1970".to_owned()),
        Err(error @ DurationError::TooLong(_)) => return Err(error.to_string()),
        Err(DurationError::Form(_)) => {}
    }
    let absolute = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| utc(text.parse::<DateTime>().ok()?))
        .or_else(|| utc(text.parse::<Date>().ok()?.to_datetime(Midnight::midnight())));
    let nanoseconds = absolute.ok_or(FORMATS)?.as_nanosecond();
    u64::try_from(nanoseconds).map(Time).map_err(|_| "before 1970, or too far in the future".to_owned())
}

fn utc(civil: DateTime) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T07:00:00Z
    const NOW: Time = Time(1_795_417_200_000_000_000);

    #[test]
    fn times_are_absolute_or_relative_to_now() {
        let parsed = |text| parse(text, NOW).map(|time| NOW.0.abs_diff(time.0) / 1_000_000_000);
        assert_eq!(parsed("now"), Ok(0));
        assert_eq!(parsed("2026-11-23T07:00:00Z"), Ok(0));
        assert_eq!(parsed("2026-11-23T08:00:00+01:00"), Ok(0));
        assert_eq!(parsed("2026-11-23T07:00:00"), Ok(0));
        assert_eq!(parsed("2026-11-23"), Ok(7 * 3_600));
        assert_eq!(parsed("-90s"), Ok(90));
        assert_eq!(parsed("-2h"), Ok(7_200));
        assert_eq!(parsed("-1w"), Ok(604_800));
        assert_eq!(parsed("10m"), Ok(600));
        for invalid in ["", "-", "-2", "2026", "--2h", "-2y", "yesterday", "-h", "2026-13-01", "-2 h"] {
            assert_eq!(parse(invalid, NOW), Err(FORMATS.to_owned()), "{invalid}");
        }
        for too_long in ["-5000w", "5000w", "-99999999999999999999s"] {
            assert!(parse(too_long, NOW).is_err_and(|error| error.contains("longer than ten years")), "{too_long}");
        }
        assert!(parse("1960-01-01", NOW).is_err());
    }

    #[test]
    fn a_window_ends_after_its_start() {
        let seconds = |text: &str| window(text).map(|window| (window.until.0 - window.since.0) / 1_000_000_000);
        assert_eq!(seconds("-2h..-1h"), Ok(3_600));
        assert_eq!(seconds("2h..now"), Ok(7_200));
        assert_eq!(seconds("2026-11-22..2026-11-23"), Ok(86_400));
        assert!(seconds("-1h..-2h").is_err());
        assert!(seconds("-1h").is_err());
    }
}
