//! JA4T of a SYN and JA4TS of a SYN-ACK (FoxIO JA4+ technical details, JA4T.md).
//!
//! ```text
//! <window>_<options>_<mss>_<window scale>          JA4TS with retransmissions: …_<delays>[-R<delay>]
//! ```

use crate::fingerprint::retransmissions::Retransmissions;
use crate::wire::tcp::SynFields;

/// The text of an empty or zero section.
const NOTHING: &str = "00";

/// Appends JA4T, or JA4TS without retransmissions.
pub(super) fn write(fields: &SynFields, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    out.push_str(digits.format(fields.window()));
    out.push('_');
    if fields.options().is_empty() {
        out.push_str(NOTHING);
    }
    for (index, kind) in fields.options().iter().enumerate() {
        if index > 0 {
            out.push('-');
        }
        out.push_str(digits.format(*kind));
    }
    out.push('_');
    if fields.mss() < 10 {
        out.push('0');
    }
    out.push_str(digits.format(fields.mss()));
    out.push('_');
    match fields.window_scale() {
        0 => out.push_str(NOTHING),
        shift => out.push_str(digits.format(shift)),
    }
}

/// Appends the last section of JA4TS, if there were retransmissions.
pub(super) fn write_delays(retransmissions: &Retransmissions, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    for (index, delay) in retransmissions.delays().iter().enumerate() {
        out.push(if index == 0 { '_' } else { '-' });
        out.push_str(digits.format(*delay));
    }
    if let Some(delay) = retransmissions.reset_delay() {
        out.push_str("-R");
        out.push_str(digits.format(delay));
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::fingerprint::functions;

    const MSS_1460: [u8; 4] = [2, 4, 0x05, 0xb4];
    const WINDOWS: [u8; 12] = [2, 4, 0x05, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2];

    fn ja4t(window: u16, options: &[u8]) -> String {
        functions::ja4t(&SynFields::parse(window, options)).to_string()
    }

    /// JA4TS of SYN-ACKs at these times, then a RST, in microseconds.
    fn ja4ts(window: u16, options: &[u8], times: &[u64], reset: Option<u64>) -> String {
        let mut retransmissions = Retransmissions::default();
        for (last, next) in times.iter().zip(times.iter().skip(1)) {
            retransmissions.push(Duration::from_micros(next - last));
        }
        if let (Some(reset), Some(last)) = (reset, times.last()) {
            retransmissions.reset(Duration::from_micros(reset - last));
        }
        functions::ja4ts(&SynFields::parse(window, options), &retransmissions).to_string()
    }

    #[test]
    fn published_examples() {
        assert_eq!(ja4t(64240, &WINDOWS), "64240_2-1-3-1-1-4_1460_8");
        assert_eq!(ja4t(26883, &[2, 4, 0x05, 0xb4, 1, 1, 4, 2, 1, 3, 3, 8]), "26883_2-1-1-4-1-3_1460_8");
        assert_eq!(ja4t(8192, &[]), "8192_00_00_00");
        assert_eq!(ja4t(1024, &MSS_1460), "1024_2_1460_00");
        assert_eq!(ja4t(26883, &MSS_1460), "26883_2_1460_00");
    }

    #[test]
    fn every_padding_zero_is_an_option() {
        let mut macos = vec![2, 4, 0x3f, 0xd8, 1, 3, 3, 6, 1, 1, 8, 10];
        macos.extend([0; 8]);
        macos.extend([4, 2, 0, 0]);
        assert_eq!(ja4t(65535, &macos), "65535_2-1-3-1-1-8-4-0-0_16344_6");
    }

    #[test]
    fn small_and_absent_values_print_two_digits() {
        assert_eq!(ja4t(0, &[2, 4, 0, 5, 3, 3, 0]), "0_2-3_05_00");
        assert_eq!(ja4t(5, &[2, 4, 0, 0, 3, 3, 14]), "5_2-3_00_14");
    }

    #[test]
    fn of_a_repeated_option_the_last_one_counts() {
        assert_eq!(ja4t(1, &[2, 4, 0, 99, 3, 3, 1, 2, 4, 0x05, 0xb4, 3, 3, 9]), "1_2-3-2-3_1460_9");
    }

    #[test]
    fn unknown_kinds_print_and_a_bad_length_ends_the_list() {
        assert_eq!(ja4t(1, &[254, 4, 1, 2, 1]), "1_254-1_00_00");
        for bad in [&[30, 0][..], &[30, 1], &[30, 3], &[30]] {
            let options = [&MSS_1460[..], bad].concat();
            assert_eq!(ja4t(1, &options), "1_2_1460_00");
        }
        // An MSS option of an invalid length has no value.
        assert_eq!(ja4t(1, &[2, 3, 9, 1]), "1_2-1_00_00");
        assert_eq!(ja4t(1, &[1; 60]), format!("1_{}_00_00", ["1"; 40].join("-")));
    }

    #[test]
    fn delays_are_rounded_and_end_with_a_reset() {
        let times = [15_621_983, 16_626_151, 18_642_179, 22_738_154, 30_930_163, 47_058_146];
        assert_eq!(ja4ts(62727, &[2, 4, 0x23, 0x01], &times, None), "62727_2_8961_00_1-2-4-8-16");
        let options = [2, 4, 0xff, 0xd7, 1, 3, 3, 8, 1, 1, 4, 2];
        let times = [16_681_435, 17_683_799, 19_691_548, 23_703_045, 31_714_762];
        assert_eq!(ja4ts(65535, &options, &times, Some(37_723_966)), "65535_2-1-3-1-1-4_65495_8_1-2-4-8-R6");
    }

    #[test]
    fn an_immediate_repetition_is_a_delay_of_zero() {
        assert_eq!(ja4ts(64240, &WINDOWS, &[0, 6_000], None), "64240_2-1-3-1-1-4_1460_8_0");
    }

    #[test]
    fn without_a_retransmission_a_reset_is_not_listed() {
        assert_eq!(ja4ts(1024, &MSS_1460, &[0], Some(1_000_000)), "1024_2_1460_00");
    }

    #[test]
    fn at_most_ten_delays_and_none_after_a_long_pause() {
        let times: Vec<u64> = (0..20).map(|second| second * 1_000_000).collect();
        let ten = format!("1024_2_1460_00_{}", ["1"; 10].join("-"));
        assert_eq!(ja4ts(1024, &MSS_1460, &times, None), ten);

        let mut list = Retransmissions::default();
        assert!(list.push(Duration::from_secs(120)));
        assert!(!list.push(Duration::from_secs(121)));
        assert!(!list.push(Duration::from_secs(1)));
    }

    #[test]
    fn after_the_clients_ack_a_syn_ack_is_listed_and_a_reset_is_not() {
        let mut list = Retransmissions::default();
        assert!(list.push(Duration::from_secs(1)));
        list.answered();
        assert!(list.push(Duration::from_millis(6)));
        assert!(!list.reset(Duration::from_secs(1)));
        let out = functions::ja4ts(&SynFields::parse(1024, &MSS_1460), &list);
        assert_eq!(out.as_str(), "1024_2_1460_00_1-0");
    }
}
