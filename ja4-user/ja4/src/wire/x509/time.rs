//! The two types of time in a validity (RFC 5280, section 4.1.2.5).

use super::der::{element, tag};
use crate::wire::{Cursor, WireError};

const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// The first two-digit year of the twentieth century (RFC 5280, section 4.1.2.5.1).
const FIRST_OF_1900S: u32 = 50;

/// Reads one time, seconds since the Unix epoch; `None` unless it has the only form that RFC 5280 allows: with seconds,
/// without a fraction, and with `Z`.
pub(super) fn read(validity: &mut Cursor<'_>) -> Option<i64> {
    let (tag, mut text) = element(validity).ok()?;
    let year = match tag {
        tag::UTC_TIME => {
            let year = two_digits(&mut text)?;
            year + if year < FIRST_OF_1900S { 2000 } else { 1900 }
        }
        tag::GENERALIZED_TIME => two_digits(&mut text)? * 100 + two_digits(&mut text)?,
        _ => return None,
    };
    let mut field = || two_digits(&mut text);
    let (month, day, hour, minute, second) = (field()?, field()?, field()?, field()?, field()?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !in_range || text.u8() != Ok(b'Z') || text.finish() != Ok(()) {
        return None;
    }
    let in_day = (hour * 60 + minute) * 60 + second;
    Some(days_from_epoch(year, month, day) * SECONDS_PER_DAY + i64::from(in_day))
}

fn two_digits(text: &mut Cursor<'_>) -> Option<u32> {
    let digits: Result<&[u8; 2], WireError> = text.array();
    match digits {
        Ok(&[tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => Some(u32::from(tens - b'0') * 10 + u32::from(ones - b'0')),
        _ => None,
    }
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, for years 0 to 9999.
fn days_from_epoch(year: u32, month: u32, day: u32) -> i64 {
    /// Days from 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    // If years begin in March, leap days are at their end, and the lengths of months follow one formula. 400 years,
    // which are 146,097 days, are added for the first months of year 0.
    let year = year + 400 - u32::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year;
    i64::from(days) - 146_097 - EPOCH
}

#[cfg(test)]
mod tests {
    use ::tests::certificate::der;
    use jiff::civil::DateTime;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> Option<i64> {
        read(&mut Cursor::new(&der(tag::UTC_TIME, text.as_bytes())))
    }

    fn generalized(text: &str) -> Option<i64> {
        read(&mut Cursor::new(&der(tag::GENERALIZED_TIME, text.as_bytes())))
    }

    #[test]
    fn two_digit_years_are_1950_to_2049() {
        assert_eq!(utc("700101000000Z"), Some(0));
        assert_eq!(utc("500101000000Z"), Some(-631_152_000));
        assert_eq!(utc("491231235959Z"), Some(2_524_607_999));
        assert_eq!(generalized("20500101000000Z"), Some(2_524_608_000));
        assert_eq!(generalized("99991231235959Z"), Some(253_402_300_799));
    }

    #[test]
    fn malformed_times_are_rejected() {
        for text in [
            "",
            "Z",
            "250101000000",
            "2501010000Z",
            "250101000000+0100",
            "250001000000Z",
            "251301000000Z",
            "250229000000Z",
            "250431000000Z",
            "250101240000Z",
            "250101006000Z",
            "250101000060Z",
            "25010100000/Z",
            "250101000000ZZ",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
        assert_eq!(generalized("20250101000000.5Z"), None);
        assert!(utc("240229000000Z").is_some() && generalized("20000229000000Z").is_some());
        assert_eq!(generalized("21000229000000Z"), None);
        assert_eq!(read(&mut Cursor::new(&der(tag::UTF8_STRING, b"250101000000Z"))), None);
    }

    proptest! {
        #[test]
        fn dates_are_those_of_the_calendar(year in 0_i16..=9999, month in 1_i8..=12, day in 1_i8..=31, second in 0_i32..86_400) {
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
            let date = DateTime::new(year, month, day, hour as i8, minute as i8, second as i8, 0).ok();
            let expected = date.map(|date| date.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second());
            prop_assert_eq!(generalized(&text), expected);
        }
    }
}
