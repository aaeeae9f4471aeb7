//! What SSH is used for, by JA4SSH (specification, section 8).
//!
//! The public thresholds, for windows of 200 SSH packets:
//!
//! | use | lengths | counts |
//! |---|---|---|
//! | interactive | both modes are 36 | more than 60 bare ACKs of the client |
//! | reverse | both modes above 70: each key press is padded twice | more than 60 bare ACKs of the server |
//! | download | server's mode above 1000 | client sends fewer than 20 packets, the server more than 80 |
//! | upload | client's mode above 1000 | the other way round |
//!
//! They need a window that can reach them. The remainder at a connection's end is short: unless it holds more
//! than 80 packets it decides nothing, and what an earlier window said stays. A window longer than 200 packets
//! (`--ssh-window`) is counted per 200 packets, since its counts grow with it.

use std::num::NonZeroU16;

use crate::model::SshSession;

/// Packets of the window that the thresholds were made for.
const WINDOW: u64 = 200;

/// Packets that a side has to send at least to transfer something, less one.
const MANY: u64 = 80;

/// Packets that the other side sends at most, and one.
const FEW: u64 = 20;

/// Bare ACKs of the side that types, less one.
const ACKS: u64 = 60;

/// Length of a segment with one key press, bytes.
const KEY: u64 = 36;

/// Length that a key press in a tunnel in a tunnel exceeds, bytes.
const TWICE: u64 = 70;

/// Length that segments of a transfer exceed, bytes.
const LARGE: u64 = 1000;

/// Whether windows of so many packets can reach the thresholds: with smaller ones no session is ever told.
#[must_use]
pub const fn can_tell(window: NonZeroU16) -> bool {
    window.get() as u64 > MANY
}

/// What the window of this value was used for; `None`: it does not say, and what an earlier one said stays.
#[must_use]
pub fn of(value: &str) -> Option<SshSession> {
    let mut sections = value.split('_').map(sides);
    let (lengths, packets, acks) = (sections.next()??, sections.next()??, sections.next()??);
    let total = packets[0].checked_add(packets[1]).filter(|total| *total > MANY)?;
    // Per 200 packets where there are more.
    let scaled = |count: u64| if total > WINDOW { count.saturating_mul(WINDOW) / total } else { count };
    let ([client_length, server_length], [client, server], [client_acks, server_acks]) =
        (lengths, packets.map(scaled), acks.map(scaled));

    if client_length == KEY && server_length == KEY && client_acks > ACKS {
        Some(SshSession::Interactive)
    } else if client_length > TWICE && server_length > TWICE && server_acks > ACKS {
        Some(SshSession::Reverse)
    } else if server_length > LARGE && client < FEW && server > MANY {
        Some(SshSession::Download)
    } else if client_length > LARGE && server < FEW && client > MANY {
        Some(SshSession::Upload)
    } else {
        None
    }
}

/// The numbers of `c36s52`.
fn sides(section: &str) -> Option<[u64; 2]> {
    let (client, server) = section.strip_prefix('c')?.split_once('s')?;
    Some([client.parse().ok()?, server.parse().ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_public_captures() {
        let table = [
            ("c36s36_c51s80_c69s0", Some(SshSession::Interactive)),
            ("c36s36_c76s124_c74s5", Some(SshSession::Interactive)),
            ("c76s76_c71s59_c0s70", Some(SshSession::Reverse)),
            ("c76s76_c108s92_c0s105", Some(SshSession::Reverse)),
            ("c112s1460_c0s179_c21s0", Some(SshSession::Download)),
            ("c0s1460_c0s200_c36s0", Some(SshSession::Download)),
            ("c1460s36_c187s13_c0s35", Some(SshSession::Upload)),
            // Half handshake, half transfer.
            ("c112s1460_c52s148_c41s4", None),
            ("c36s52_c42s76_c51s2", None),
        ];
        for (value, session) in table {
            assert_eq!(of(value), session, "{value}");
        }
    }

    #[test]
    fn a_short_remainder_decides_nothing() {
        assert_eq!(of("c0s1460_c0s53_c6s0"), None);
        assert_eq!(of("c36s36_c10s20_c61s0"), None);
        assert!(!can_tell(NonZeroU16::MIN));
    }

    #[test]
    fn a_longer_window_is_measured_by_its_length() {
        assert_eq!(of("c112s1460_c60s940_c100s0"), Some(SshSession::Download));
        // 70 ACKs were many of 200 packets, and are few of 1000.
        assert_eq!(of("c36s36_c500s500_c70s0"), None);
    }

    #[test]
    fn what_is_no_value_says_nothing() {
        for value in ["", "c36s36", "c36s36_c1_c1s1", "cxsx_c100s100_c70s0", "c36s36_c18446744073709551615s1_c70s0"] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}
