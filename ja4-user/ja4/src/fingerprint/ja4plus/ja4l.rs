//! JA4L and JA4LS, the light distances of client and server (FoxIO JA4+ technical details, JA4L.md).
//!
//! ```text
//! JA4L  = (C - B) / 2 _ client TTL          JA4LS = (B - A) / 2 _ server TTL
//! ```
//! Over TCP, A is the first SYN, B the first SYN-ACK, C the client's first ACK after it.

use core::time::Duration;

/// Appends the value: half of the time `between` two packets in whole microseconds, rounded down twice, and the TTL
/// (IPv6: hop limit).
pub(super) fn write(between: Duration, ttl: u8, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    out.push_str(digits.format(between.as_micros() / 2));
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
    fn half_of_the_difference_is_rounded_down() {
        assert_eq!(value(Duration::from_micros(11_499), 64), "5749_64");
        assert_eq!(value(Duration::from_micros(125), 128), "62_128");
        assert_eq!(value(Duration::from_nanos(1_999), 255), "0_255");
        assert_eq!(value(Duration::ZERO, 1), "0_1");
    }

    #[test]
    fn differences_over_a_second_are_in_microseconds_too() {
        assert_eq!(value(Duration::from_micros(1_028_110), 229), "514055_229");
    }
}
