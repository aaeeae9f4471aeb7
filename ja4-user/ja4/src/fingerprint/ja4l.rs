//! JA4L and JA4LS, the light distances of client and server (specification, sections 6 and 15).
//!
//! ```text
//! JA4L  = (C - B) / 2 _ client TTL          JA4LS = (B - A) / 2 _ server TTL
//! ```
//! Over TCP, A is the first SYN, B the first SYN-ACK, C the client's first ACK after it. The
//! application latencies have the same form, half of (F - E) and (E - D), and are fields of their own.

use core::time::Duration;

/// Half of the time between two packets, in whole microseconds: both steps cut off, none rounds.
#[must_use]
pub const fn half_micros(between: Duration) -> u128 {
    between.as_micros() / 2
}

/// Appends the value for the time `between` two packets and the TTL (IPv6: hop limit) of the one whose
/// distance it is.
pub fn write(between: Duration, ttl: u8, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    out.push_str(digits.format(half_micros(between)));
    out.push('_');
    out.push_str(digits.format(ttl));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(between: Duration, ttl: u8) -> String {
        let mut out = String::new();
        write(between, ttl, &mut out);
        out
    }

    #[test]
    fn half_of_the_difference_is_cut_off_not_rounded() {
        assert_eq!(value(Duration::from_micros(11_499), 64), "5749_64");
        assert_eq!(value(Duration::from_micros(125), 128), "62_128");
        assert_eq!(value(Duration::from_nanos(1_999), 255), "0_255");
        assert_eq!(value(Duration::ZERO, 1), "0_1");
    }

    #[test]
    fn whole_seconds_count() {
        assert_eq!(value(Duration::from_micros(1_028_110), 229), "514055_229");
    }
}
