//! The use of an SSH session, by JA4SSH (FoxIO, "JA4SSH" technical details).
//!
//! The public thresholds, for windows of 200 SSH packets:
//!
//! | use | lengths | counts |
//! |---|---|---|
//! | interactive | both modes are 36 | more than 60 bare ACKs of the client |
//! | reverse | both modes above 70: each key press is padded twice | more than 60 bare ACKs of the server |
//! | download | server's mode above 1000 | client sends fewer than 20 packets, the server more than 80 |
//! | upload | client's mode above 1000 | server sends fewer than 20 packets, the client more than 80 |
//!
//! A window must be long enough to reach the thresholds. The last window of a connection is short: unless it has more than
//! 80 packets it is not classified, and the result of an earlier window is used. Counts of a window longer than 200 packets
//! (`--ssh-window`) are scaled to 200 packets.

use std::num::NonZeroU16;

use crate::model::SshSession;

/// SSH packets of a window, unless configured otherwise. The thresholds apply to windows of this length.
pub(crate) const DEFAULT_WINDOW: NonZeroU16 = ja4::SshWindow::DEFAULT_SIZE;

/// The same as a number of packets.
const WINDOW: u64 = DEFAULT_WINDOW.get() as u64;

/// A side that transfers a file sends more packets than this.
const MANY: u64 = 80;

/// The other side sends fewer packets than this.
const FEW: u64 = 20;

/// The side that types sends more bare ACKs than this.
const ACKS: u64 = 60;

/// Length of a segment with one key press, bytes.
const KEY: u64 = 36;

/// A segment with one key press inside a nested tunnel is longer than this, bytes.
const TWICE: u64 = 70;

/// Segments of a transfer are longer than this, bytes.
const LARGE: u64 = 1000;

/// Returns the use of the window with this value; `None`: unknown, the result of an earlier window is used.
#[must_use]
pub fn of(value: &str) -> Option<SshSession> {
    let mut sections = value.split('_').map(sides);
    let (lengths, packets, acks) = (sections.next()??, sections.next()??, sections.next()??);
    let total = packets[0].checked_add(packets[1]).filter(|total| *total > MANY)?;
    // Longer windows are scaled to 200 packets.
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

/// Parses the numbers of `c36s52`.
fn sides(section: &str) -> Option<[u64; 2]> {
    let (client, server) = section.strip_prefix('c')?.split_once('s')?;
    Some([client.parse().ok()?, server.parse().ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_public_captures_are_classified() {
        let table = [
            ("c36s36_c51s80_c69s0", Some(SshSession::Interactive)),
            ("c36s36_c76s124_c74s5", Some(SshSession::Interactive)),
            ("c76s76_c71s59_c0s70", Some(SshSession::Reverse)),
            ("c76s76_c108s92_c0s105", Some(SshSession::Reverse)),
            ("c112s1460_c0s179_c21s0", Some(SshSession::Download)),
            ("c0s1460_c0s200_c36s0", Some(SshSession::Download)),
            ("c1460s36_c187s13_c0s35", Some(SshSession::Upload)),
            // Partly handshake, partly transfer.
            ("c112s1460_c52s148_c41s4", None),
            ("c36s52_c42s76_c51s2", None),
        ];
        for (value, session) in table {
            assert_eq!(of(value), session, "{value}");
        }
    }

    #[test]
    fn a_short_last_window_is_not_classified() {
        assert_eq!(of("c0s1460_c0s53_c6s0"), None);
        assert_eq!(of("c36s36_c10s20_c61s0"), None);
    }

    #[test]
    fn a_longer_window_is_scaled() {
        assert_eq!(of("c112s1460_c60s940_c100s0"), Some(SshSession::Download));
        // 70 ACKs are many in 200 packets, and few in 1000.
        assert_eq!(of("c36s36_c500s500_c70s0"), None);
    }

    #[test]
    fn invalid_values_are_not_classified() {
        for value in ["", "c36s36", "c36s36_c1_c1s1", "cxsx_c100s100_c70s0", "c36s36_c18446744073709551615s1_c70s0"] {
            assert_eq!(of(value), None, "{value}");
        }
    }
}
