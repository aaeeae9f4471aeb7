//! Filter expressions, of which some frames match and others do not.

use ja4_common::capture_filter::CaptureFilter;
use ja4_user::capture::FilterExpression;

/// An expression with as many terms as there may be, of every kind.
pub(crate) const EIGHT_TERMS: &str = "(src net 10.0.0.0/8 or host fd00::1 or vlan 5) and not (dst port 444 or \
                                      udp portrange 5000-5010) and (tcp or udp or ip6)";

/// Expressions of which each program gets frames that match and others that do not.
pub(crate) const FILTERS: [&str; 2] = ["not vlan and not dst port 443", EIGHT_TERMS];

/// Returns the compiled expression.
pub(crate) fn capture_filter(expression: &str) -> CaptureFilter {
    expression.parse::<FilterExpression>().unwrap().compiled()
}
