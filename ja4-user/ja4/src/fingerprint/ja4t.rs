//! JA4T of a SYN and JA4TS of a SYN-ACK (specification, section 9).
//!
//! ```text
//! <window>_<options>_<mss>_<window scale>          JA4TS with retransmissions: …_<delays>[-R<delay>]
//! ```

use core::time::Duration;

use crate::wire::Cursor;

/// Most bytes of options a TCP header holds (RFC 9293, section 3.1), so most options too.
const MAX_OPTIONS: usize = 40;

/// Most delays that are listed.
const MAX_DELAYS: usize = 10;

/// A SYN-ACK that comes later than this after the one before belongs to no retransmission schedule.
const LONGEST_DELAY: Duration = Duration::from_secs(120);

/// What a section prints that has nothing to say.
const NOTHING: &str = "00";

/// Option kinds with a meaning here (RFC 9293, section 3.2; RFC 7323, section 2).
mod kind {
    pub(super) const END_OF_LIST: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const MAXIMUM_SEGMENT_SIZE: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
}

/// What JA4T reads of a SYN or SYN-ACK, small enough to be kept with a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynFields {
    window: u16,
    mss: u16,
    window_scale: u8,
    option_count: u8,
    options: [u8; MAX_OPTIONS],
}

impl SynFields {
    /// Reads the header's raw window and its option bytes as they came, padding included.
    ///
    /// Options end at a length that does not fit. Of an MSS or window scale that comes twice the last
    /// one counts.
    #[must_use]
    pub fn parse(window: u16, options: &[u8]) -> Self {
        let mut fields = Self { window, mss: 0, window_scale: 0, option_count: 0, options: [0; MAX_OPTIONS] };
        let mut cursor = Cursor::new(options);
        for place in &mut fields.options {
            let Ok(kind) = cursor.u8() else { break };
            if !matches!(kind, kind::END_OF_LIST | kind::NO_OPERATION) {
                // The length counts kind and length bytes too.
                let Some(length) = cursor.u8().ok().and_then(|length| length.checked_sub(2)) else {
                    break;
                };
                let Ok(value) = cursor.take(usize::from(length)) else {
                    break;
                };
                match (kind, value) {
                    (kind::MAXIMUM_SEGMENT_SIZE, &[high, low]) => fields.mss = u16::from_be_bytes([high, low]),
                    (kind::WINDOW_SCALE, &[shift]) => fields.window_scale = shift,
                    _ => {}
                }
            }
            *place = kind;
            fields.option_count += 1;
        }
        fields
    }

    /// Appends JA4T, or JA4TS of a SYN-ACK that was sent once.
    pub fn write(&self, out: &mut String) {
        let mut digits = itoa::Buffer::new();
        out.push_str(digits.format(self.window));
        out.push('_');
        let options = self.options.get(..usize::from(self.option_count)).unwrap_or_default();
        if options.is_empty() {
            out.push_str(NOTHING);
        }
        for (index, kind) in options.iter().enumerate() {
            if index > 0 {
                out.push('-');
            }
            out.push_str(digits.format(*kind));
        }
        out.push('_');
        if self.mss < 10 {
            out.push('0');
        }
        out.push_str(digits.format(self.mss));
        out.push('_');
        match self.window_scale {
            0 => out.push_str(NOTHING),
            shift => out.push_str(digits.format(shift)),
        }
    }

    /// Appends JA4TS with the delays of its retransmissions, if there were any.
    pub fn write_with(&self, retransmissions: &Retransmissions, out: &mut String) {
        self.write(out);
        retransmissions.write(out);
    }
}

/// When a server sent its SYN-ACK again, in whole seconds, and whether it gave up with a RST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retransmissions {
    /// Seconds between one SYN-ACK and the next, rounded to nearest.
    delays: [u8; MAX_DELAYS],
    count: u8,
    reset: Option<u8>,
    answered: bool,
    over: bool,
}

impl Retransmissions {
    /// Notes a further SYN-ACK, the given time after the one before. Returns whether it is listed: not
    /// beyond the tenth, and none any more once one came after over 120 s, or a RST.
    ///
    /// One that crosses the client's answer on the way is listed: the server had not seen the answer.
    pub fn push(&mut self, since_last: Duration) -> bool {
        let (Some(delay), false) = (seconds(since_last), self.over) else {
            self.over = true;
            return false;
        };
        let Some(place) = self.delays.get_mut(usize::from(self.count)) else {
            return false;
        };
        *place = delay;
        self.count += 1;
        true
    }

    /// Notes the server's RST, the given time after the last SYN-ACK. Returns whether it is listed: only
    /// behind a delay, and only if it ends the attempt and not the connection.
    pub fn reset(&mut self, since_last: Duration) -> bool {
        if !self.over && !self.answered && self.count > 0 {
            self.reset = seconds(since_last);
        }
        self.over = true;
        self.reset.is_some()
    }

    /// Notes that the client has answered the SYN-ACK: a RST from now on ends the connection.
    pub const fn answered(&mut self) {
        self.answered = true;
    }

    /// True when there is no delay to print.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn write(&self, out: &mut String) {
        let mut digits = itoa::Buffer::new();
        let delays = self.delays.get(..usize::from(self.count)).unwrap_or_default();
        for (index, delay) in delays.iter().enumerate() {
            out.push(if index == 0 { '_' } else { '-' });
            out.push_str(digits.format(*delay));
        }
        if let Some(delay) = self.reset {
            out.push_str("-R");
            out.push_str(digits.format(delay));
        }
    }
}

/// Whole seconds, rounded to nearest; `None` above [`LONGEST_DELAY`].
fn seconds(delay: Duration) -> Option<u8> {
    if delay > LONGEST_DELAY {
        return None;
    }
    u8::try_from((delay + Duration::from_millis(500)).as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS_1460: [u8; 4] = [2, 4, 0x05, 0xb4];
    const WINDOWS: [u8; 12] = [2, 4, 0x05, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2];

    fn ja4t(window: u16, options: &[u8]) -> String {
        let mut out = String::new();
        SynFields::parse(window, options).write(&mut out);
        out
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
        let mut out = String::new();
        SynFields::parse(window, options).write_with(&retransmissions, &mut out);
        out
    }

    #[test]
    fn examples_of_the_specification() {
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
    fn small_absent_and_zero_values_keep_their_width() {
        assert_eq!(ja4t(0, &[2, 4, 0, 5, 3, 3, 0]), "0_2-3_05_00");
        assert_eq!(ja4t(5, &[2, 4, 0, 0, 3, 3, 14]), "5_2-3_00_14");
    }

    #[test]
    fn of_an_option_that_comes_twice_the_last_one_counts() {
        assert_eq!(ja4t(1, &[2, 4, 0, 99, 3, 3, 1, 2, 4, 0x05, 0xb4, 3, 3, 9]), "1_2-3-2-3_1460_9");
    }

    #[test]
    fn unknown_kinds_print_and_a_bad_length_ends_the_list() {
        assert_eq!(ja4t(1, &[254, 4, 1, 2, 1]), "1_254-1_00_00");
        for bad in [&[30, 0][..], &[30, 1], &[30, 3], &[30]] {
            let options = [&MSS_1460[..], bad].concat();
            assert_eq!(ja4t(1, &options), "1_2_1460_00");
        }
        // An MSS of a length it cannot have is an option without a value.
        assert_eq!(ja4t(1, &[2, 3, 9, 1]), "1_2-1_00_00");
        assert_eq!(ja4t(1, &[1; 60]), format!("1_{}_00_00", ["1"; 40].join("-")));
    }

    #[test]
    fn delays_are_rounded_and_end_with_the_reset() {
        let times = [15_621_983, 16_626_151, 18_642_179, 22_738_154, 30_930_163, 47_058_146];
        assert_eq!(ja4ts(62727, &[2, 4, 0x23, 0x01], &times, None), "62727_2_8961_00_1-2-4-8-16");
        let options = [2, 4, 0xff, 0xd7, 1, 3, 3, 8, 1, 1, 4, 2];
        let times = [16_681_435, 17_683_799, 19_691_548, 23_703_045, 31_714_762];
        assert_eq!(ja4ts(65535, &options, &times, Some(37_723_966)), "65535_2-1-3-1-1-4_65495_8_1-2-4-8-R6");
    }

    #[test]
    fn a_second_copy_at_once_is_a_delay_of_zero() {
        assert_eq!(ja4ts(64240, &WINDOWS, &[0, 6_000], None), "64240_2-1-3-1-1-4_1460_8_0");
    }

    #[test]
    fn without_a_retransmission_a_reset_says_nothing() {
        assert_eq!(ja4ts(1024, &MSS_1460, &[0], Some(1_000_000)), "1024_2_1460_00");
    }

    #[test]
    fn at_most_ten_delays_and_none_after_a_long_silence() {
        let times: Vec<u64> = (0..20).map(|second| second * 1_000_000).collect();
        let ten = format!("1024_2_1460_00_{}", ["1"; 10].join("-"));
        assert_eq!(ja4ts(1024, &MSS_1460, &times, None), ten);

        let mut list = Retransmissions::default();
        assert!(list.push(Duration::from_secs(120)));
        assert!(!list.push(Duration::from_secs(121)));
        assert!(!list.push(Duration::from_secs(1)));
    }

    #[test]
    fn once_the_client_has_answered_only_a_crossing_syn_ack_is_listed() {
        let mut list = Retransmissions::default();
        assert!(list.push(Duration::from_secs(1)));
        list.answered();
        assert!(list.push(Duration::from_millis(6)));
        assert!(!list.reset(Duration::from_secs(1)));
        let mut out = String::new();
        SynFields::parse(1024, &MSS_1460).write_with(&list, &mut out);
        assert_eq!(out, "1024_2_1460_00_1-0");
    }
}
