//! Conversions between values of the sensor and of SQLite.

use std::net::IpAddr;

use ipnet::IpNet;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Params, ToSql};

use crate::detect::profile::ProfileRow;
use crate::model::{Method, Side, Time};

/// Longest durations of the duration classes, in nanoseconds. Longer connections and open ones have classes of their own. The
/// connections of a class that overlap a time window end in the window or shortly after, so the index by class and end
/// finds them without a scan.
pub(super) const CLASS_LIMITS: [u64; 3] = [60 * 1_000_000_000, 3_600 * 1_000_000_000, 86_400 * 1_000_000_000];
/// Class of connections of more than a day.
pub(super) const CLASS_LONG: i64 = CLASS_LIMITS.len() as i64;
/// Class of open connections.
pub(super) const CLASS_OPEN: i64 = CLASS_LONG + 1;

/// Maximum number of fingerprints of a connection. The id of a fingerprint is the id of its connection times this, plus its number in
/// the connection. A key of one integer costs half of a key of two, and the fingerprints of a connection are a range.
pub(super) const MAX_FINGERPRINTS: i64 = 1 << 20;

/// Returns the duration class of a connection that has ended.
pub(super) fn duration_class(start: Time, last: Time) -> i64 {
    let duration = last.0.saturating_sub(start.0);
    CLASS_LIMITS.iter().position(|longest| duration <= *longest).map_or(CLASS_LONG, |class| class as i64)
}

/// Converts to a signed integer of SQLite; larger numbers saturate.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn time(time: Time) -> i64 {
    integer(time.0)
}

/// Bytes of an address, four or sixteen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Octets {
    V4([u8; 4]),
    V6([u8; 16]),
}

impl Octets {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => Self::V6(address.octets()),
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::V4(octets) => octets,
            Self::V6(octets) => octets,
        }
    }
}

impl ToSql for Octets {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_slice())))
    }
}

/// Returns the address with these bytes.
pub(super) fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

/// Returns the first and the last address of a network.
pub(super) fn bounds(network: IpNet) -> (Octets, Octets) {
    (Octets::of(network.network()), Octets::of(network.broadcast()))
}

/// Returns the method with this [`id`](Method::id), which is its number in the tables.
pub(super) fn method(number: i64) -> Option<Method> {
    u8::try_from(number).ok().and_then(Method::from_id)
}

pub(super) const fn side(side: Side) -> i64 {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

/// Returns the text of a column. Another program may have written invalid UTF-8.
pub(super) fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    }
}

/// Returns the number of a column, if it is not negative.
pub(super) fn number(value: ValueRef<'_>) -> Option<u64> {
    match value {
        ValueRef::Integer(number) => u64::try_from(number).ok(),
        _ => None,
    }
}
/// Returns the values of a profile pair: source, pair, key, value, count, first and last time.
pub(super) fn profile(row: &ProfileRow) -> impl Params + use<'_> {
    let ProfileRow { source, pair, key, value, count, first, last } = row;
    (&**source, pair.name(), &**key, &**value, integer(*count), time(*first), time(*last))
}

/// Encodes a list as JSON. Strings and lists of strings cannot fail.
pub(super) fn json_list<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).unwrap_or_else(|_| "[]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_stored_by_its_id() {
        for expected in Method::ALL {
            assert_eq!(method(expected.id().into()), Some(expected));
        }
        assert_eq!([-1, 11, 256].map(method), [None; 3]);
    }

    #[test]
    fn a_duration_class_is_the_first_with_a_limit_that_is_not_exceeded() {
        let minute = 60_000_000_000;
        for (duration, class) in
            [(0, 0), (minute, 0), (minute + 1, 1), (61 * minute, 2), (25 * 60 * minute, CLASS_LONG)]
        {
            assert_eq!(duration_class(Time(5), Time(5 + duration)), class);
        }
        assert_eq!(duration_class(Time(5), Time(0)), 0);
    }

    #[test]
    fn addresses_are_read_back_unchanged() {
        for text in ["10.0.0.1", "2001:db8::1", "::ffff:10.0.0.2"] {
            let expected: IpAddr = text.parse().unwrap();
            assert_eq!(address(Octets::of(expected).as_slice()), Some(expected));
        }
        assert_eq!(address(&[1, 2, 3]), None);
        let (first, last) = bounds("10.1.2.3/16".parse().unwrap());
        assert_eq!((first.as_slice(), last.as_slice()), (&[10, 1, 0, 0][..], &[10, 1, 255, 255][..]));
    }
}
