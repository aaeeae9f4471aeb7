//! Operating systems inferred from a SYN: the order of TCP options identifies a stack, initial TTL and window confirm it.
//!
//! Sources: this project's recordings (Linux 6.18); the public rows of ja4plus-mapping.csv (Windows 10, macOS, Linux); the
//! public signatures of p0f 3 (older Linux, FreeBSD, OpenBSD, Solaris). This is an inference: a
//! proxy has a stack of its own, and scanners choose any values.

use super::path::{Syn, initial_ttl};

/// The expected window.
#[derive(Clone, Copy)]
enum SynWindow {
    Any,
    Bytes(u16),
    /// A multiple of the MSS.
    Segments(u16),
}

/// Name, options, initial TTL, window.
type Stack = (&'static str, &'static str, u8, SynWindow);

/// The first matching row applies.
const STACKS: [Stack; 14] = [
    // Windows of older kernels; since 4.20 a window of some 64 kB is offered at once.
    ("Linux 2.4 to 2.6", "2-4-8-1-3", 64, SynWindow::Segments(4)),
    ("Linux 3.0 to 3.10", "2-4-8-1-3", 64, SynWindow::Segments(10)),
    ("Linux 3.11 to 4.19", "2-4-8-1-3", 64, SynWindow::Segments(20)),
    ("Linux", "2-4-8-1-3", 64, SynWindow::Any),
    // Without timestamps.
    ("Linux", "2-1-1-4-1-3", 64, SynWindow::Any),
    ("Solaris 10", "2-1-3-1-1-4", 64, SynWindow::Segments(34)),
    ("Solaris 8", "1-3-1-1-8-1-1-4-2", 64, SynWindow::Any),
    ("Windows", "2-1-3-1-1-4", 128, SynWindow::Any),
    // Without window scaling; with timestamps.
    ("Windows", "2-1-1-4", 128, SynWindow::Any),
    ("Windows", "2-1-3-4-8", 128, SynWindow::Any),
    ("macOS or iOS", "2-1-3-1-1-8-4-0-0", 64, SynWindow::Any),
    ("FreeBSD", "2-1-3-4-8", 64, SynWindow::Bytes(65_535)),
    ("OpenBSD", "2-1-1-4-1-3-1-1-8", 64, SynWindow::Bytes(16_384)),
    ("Cisco IOS", "2", 255, SynWindow::Bytes(4128)),
];

/// An operating system, in one byte because every connection has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System(u8);

impl System {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        STACKS.get(usize::from(self.0)).map_or("", |(name, ..)| name)
    }
}

/// Infers the operating system from a SYN and its TTL (IPv6: hop limit). Without a TTL, options and window decide.
#[must_use]
pub fn hint(syn: &Syn<'_>, ttl: Option<u8>) -> Option<System> {
    let fits = |(_, options, initial, window): &Stack| {
        *options == syn.options
            && ttl.is_none_or(|ttl| initial_ttl(ttl) == *initial)
            && match window {
                SynWindow::Any => true,
                SynWindow::Bytes(bytes) => *bytes == syn.window,
                SynWindow::Segments(segments) => {
                    syn.mss.and_then(|mss| mss.checked_mul(*segments)).is_some_and(|window| window == syn.window)
                }
            }
    };
    STACKS.iter().position(fits).and_then(|place| u8::try_from(place).ok()).map(System)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str, ttl: u8) -> Option<&'static str> {
        hint(&Syn::parse(value)?, Some(ttl)).map(System::name)
    }

    #[test]
    fn stacks_are_known_by_their_habits() {
        assert_eq!(of("64240_2-4-8-1-3_1460_10", 64), Some("Linux"));
        assert_eq!(of("65495_2-4-8-1-3_65495_7", 64), Some("Linux"));
        assert_eq!(of("29200_2-4-8-1-3_1460_7", 57), Some("Linux 3.11 to 4.19"));
        assert_eq!(of("64240_2-1-3-1-1-4_1460_8", 117), Some("Windows"));
        assert_eq!(of("65535_2-1-3-1-1-8-4-0-0_1460_6", 52), Some("macOS or iOS"));
        assert_eq!(of("65535_2-1-3-4-8_1460_6", 64), Some("FreeBSD"));
        assert_eq!(of("8192_2-1-3-4-8_1460_8", 126), Some("Windows"));
    }

    #[test]
    fn a_ttl_that_contradicts_leaves_no_hint() {
        assert_eq!(of("64240_2-1-3-1-1-4_1460_8", 57), None);
        assert_eq!(of("64240_2-4-8-1-3_1460_7", 120), None);
        assert_eq!(of("1024_2_1460_00", 240), None);
    }

    #[test]
    fn without_a_ttl_options_have_to_do() {
        let windows = Syn::parse("64240_2-1-3-1-1-4_1460_8");
        assert_eq!(windows.and_then(|syn| hint(&syn, None)).map(System::name), Some("Windows"));
    }
}
