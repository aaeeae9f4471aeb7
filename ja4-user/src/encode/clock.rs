//! Times as text.

use crate::model::Time;

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;
/// Seconds of a day; Unix time has no leap seconds.
const DAY: u64 = 86_400;
/// Days of 400 years, after which the calendar repeats.
const ERA: u64 = 146_097;

/// Formats times in UTC and keeps the second it formatted last: a shard's events come in bursts.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// The second of the texts, since the epoch.
    second: u64,
    /// `2026-11-23T`
    date: [u8; 11],
    /// `07:00:00.`
    time: [u8; 9],
}

impl Clock {
    /// A clock that has formatted nothing yet.
    pub(crate) fn new() -> Self {
        let mut clock = Self { second: 0, date: [0; 11], time: [0; 9] };
        clock.set(0);
        clock
    }

    /// Appends `2026-11-23T07:00:00.123456789Z`.
    #[inline]
    pub(crate) fn timestamp(&mut self, at: Time, out: &mut Vec<u8>) {
        let [a, b, c] = self.turn(at);
        let ([a, b, c], [d, e, f], [g, h, i]) = (three(a), three(b), three(c));
        out.extend_from_slice(&self.date);
        out.extend_from_slice(&self.time);
        out.extend_from_slice(&[a, b, c, d, e, f, g, h, i, b'Z']);
    }

    /// Appends `2026-11-23T07:00:00.123456+0000`, as Suricata does.
    pub(super) fn offset_timestamp(&mut self, at: Time, out: &mut Vec<u8>) {
        let [a, b, _] = self.turn(at);
        out.extend_from_slice(&self.date);
        out.extend_from_slice(&self.time);
        out.extend_from_slice(&three(a));
        out.extend_from_slice(&three(b));
        out.extend_from_slice(b"+0000");
    }

    /// Appends `07:00:00.123`.
    pub(crate) fn time_of_day(&mut self, at: Time, out: &mut Vec<u8>) {
        let [milliseconds, ..] = self.turn(at);
        out.extend_from_slice(&self.time);
        out.extend_from_slice(&three(milliseconds));
    }

    /// Sets the texts to the second of a time, and gives its milli-, micro- and nanoseconds.
    #[inline]
    fn turn(&mut self, at: Time) -> [u32; 3] {
        let (second, nanoseconds) = (at.0 / SECOND, (at.0 % SECOND) as u32);
        if second != self.second {
            self.set(second);
        }
        [nanoseconds / 1_000_000, nanoseconds / 1_000 % 1_000, nanoseconds % 1_000]
    }

    #[cold]
    fn set(&mut self, second: u64) {
        self.second = second;
        self.date = date(civil(second / DAY));
        self.time = time(second % DAY);
    }
}

/// Returns `20261123T070000Z`, UTC, for the name of a file.
pub(crate) fn file_stamp(at: Time) -> String {
    let mut text = Vec::new();
    date_time((at.0 / SECOND) as i64, &mut text);
    text.retain(|byte| !matches!(byte, b'-' | b':'));
    text.push(b'Z');
    String::from_utf8_lossy(&text).into_owned()
}

/// Appends `2026-11-23T07:00:00`, UTC, of a time in seconds since the Unix epoch.
///
/// A year outside of 0 to 9999, which no certificate can state (RFC 5280 section 4.1.2.5), prints as
/// the nearest moment inside.
pub(crate) fn date_time(seconds: i64, out: &mut Vec<u8>) {
    /// 0000-01-01T00:00:00 and 9999-12-31T23:59:59.
    const FIRST: i64 = -62_167_219_200;
    const LAST: i64 = 253_402_300_799;
    /// Days are counted from 2000 years, five eras, before the epoch: earlier than [`FIRST`].
    const ERAS: u64 = 5;

    let seconds = seconds.clamp(FIRST, LAST).saturating_add_unsigned(ERAS * ERA * DAY).unsigned_abs();
    let (year, month, day) = civil(seconds / DAY);
    out.extend_from_slice(&date((year - ERAS * 400, month, day)));
    out.extend_from_slice(&time(seconds % DAY));
    out.pop();
}

/// `2026-11-23T` of a year, month and day.
const fn date((year, month, day): (u64, u64, u64)) -> [u8; 11] {
    let ([a, b], [c, d]) = (two(year / 100), two(year % 100));
    let ([e, f], [g, h]) = (two(month), two(day));
    [a, b, c, d, b'-', e, f, b'-', g, h, b'T']
}

/// `07:00:00.` of a second of the day.
const fn time(second: u64) -> [u8; 9] {
    let ([a, b], [c, d], [e, f]) = (two(second / 3600), two(second / 60 % 60), two(second % 60));
    [a, b, b':', c, d, b':', e, f, b'.']
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of its year: then the months that
/// went by are a linear function of the days that did (153 days in every five months).
const fn civil(days: u64) -> (u64, u64, u64) {
    /// Days from 0000-03-01 to 1970-01-01.
    const TO_EPOCH: u64 = 719_468;
    /// Days of 100, 4 and 1 years; the first two end with their leap day or lack of it, as an era does.
    const CENTURY: u64 = 36_524;
    const LEAP_CYCLE: u64 = 1_461;
    const YEAR: u64 = 365;

    let days = days + TO_EPOCH;
    let (era, in_era) = (days / ERA, days % ERA);
    // Takes out the leap days that came before, so that all years count 365.
    let leap_days = in_era / (LEAP_CYCLE - 1) + in_era / (ERA - 1) - in_era / CENTURY;
    let year = (in_era - leap_days) / YEAR;
    let in_year = in_era - (YEAR * year + year / 4 - year / 100);

    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

/// The last two decimal digits.
const fn two(value: u64) -> [u8; 2] {
    let value = (value % 100) as u8;
    [b'0' + value / 10, b'0' + value % 10]
}

/// The last three decimal digits.
#[inline]
const fn three(value: u32) -> [u8; 3] {
    [b'0' + (value / 100 % 10) as u8, b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::super::tests::samples::TIME;
    use super::*;

    fn timestamp(clock: &mut Clock, at: Time) -> String {
        let mut out = Vec::new();
        clock.timestamp(at, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn jiff(at: Time) -> String {
        format!("{:.9}", Timestamp::from_nanosecond(i128::from(at.0)).unwrap())
    }

    #[test]
    fn the_sample_prints() {
        let mut clock = Clock::new();
        assert_eq!(timestamp(&mut clock, TIME), "2026-11-23T07:00:00.123456789Z");
        let mut out = Vec::new();
        clock.time_of_day(TIME, &mut out);
        assert_eq!(out, b"07:00:00.123");
    }

    #[test]
    fn the_ends_of_the_range_print() {
        let mut clock = Clock::new();
        assert_eq!(timestamp(&mut clock, Time(0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(timestamp(&mut clock, Time(u64::MAX)), jiff(Time(u64::MAX)));
    }

    fn seconds(at: i64) -> String {
        let mut out = Vec::new();
        date_time(at, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_of_certificates_print() {
        assert_eq!(seconds(1_795_417_200), "2026-11-23T07:00:00");
        assert_eq!(seconds(-1), "1969-12-31T23:59:59");
        // A certificate without an end (RFC 5280 section 4.1.2.5).
        assert_eq!(seconds(253_402_300_799), "9999-12-31T23:59:59");
        assert_eq!(seconds(-62_167_219_200), "0000-01-01T00:00:00");
        assert_eq!(seconds(i64::MAX), "9999-12-31T23:59:59");
        assert_eq!(seconds(i64::MIN), "0000-01-01T00:00:00");
    }

    #[test]
    fn every_day_of_the_range_is_the_calendar_s() {
        let mut clock = Clock::new();
        for day in 0..=u64::MAX / (DAY * SECOND) {
            let at = Time(day * DAY * SECOND);
            assert_eq!(timestamp(&mut clock, at), jiff(at));
        }
    }

    proptest! {
        #[test]
        fn any_dates_print_as_jiff_has_them(at in -62_167_219_200_i64..253_402_300_800) {
            let jiff = Timestamp::from_second(at).unwrap().strftime("%Y-%m-%dT%H:%M:%S").to_string();
            prop_assert_eq!(seconds(at), jiff);
        }

        #[test]
        fn any_times_in_any_order_print_as_jiff_has_them(times: Vec<u64>, apart in 0..3 * SECOND) {
            let mut clock = Clock::new();
            for at in times {
                for at in [at, at.saturating_add(apart), at] {
                    prop_assert_eq!(timestamp(&mut clock, Time(at)), jiff(Time(at)));
                }
            }
        }
    }
}
