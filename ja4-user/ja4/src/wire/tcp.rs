//! The TCP header fields that SYN fingerprints read (RFC 9293).

use crate::wire::Cursor;

/// Most bytes of options in a TCP header (RFC 9293, section 3.1), so most options too.
const MAX_OPTIONS: usize = 40;

/// Option kinds with a special meaning (RFC 9293, section 3.2; RFC 7323, section 2).
mod option_kind {
    pub(super) const END_OF_LIST: u8 = 0;
    pub(super) const NO_OPERATION: u8 = 1;
    pub(super) const MAXIMUM_SEGMENT_SIZE: u8 = 2;
    pub(super) const WINDOW_SCALE: u8 = 3;
}

/// Window and options of a SYN or SYN-ACK. At most 46 bytes, so that it can be stored for each flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynFields {
    window: u16,
    mss: u16,
    window_scale: u8,
    option_count: u8,
    options: [u8; MAX_OPTIONS],
}

impl SynFields {
    /// Parses the header's unscaled window and its option bytes, padding included.
    ///
    /// The list ends at an option with an invalid length. If MSS or window scale is repeated, the last one counts.
    #[must_use]
    pub fn parse(window: u16, options: &[u8]) -> Self {
        let mut fields = Self { window, mss: 0, window_scale: 0, option_count: 0, options: [0; MAX_OPTIONS] };
        let mut cursor = Cursor::new(options);
        for entry in &mut fields.options {
            let Ok(kind) = cursor.u8() else { break };
            if !matches!(kind, option_kind::END_OF_LIST | option_kind::NO_OPERATION) {
                // The length includes the kind and length bytes.
                let Some(length) = cursor.u8().ok().and_then(|length| length.checked_sub(2)) else {
                    break;
                };
                let Ok(value) = cursor.take(usize::from(length)) else {
                    break;
                };
                match (kind, value) {
                    (option_kind::MAXIMUM_SEGMENT_SIZE, &[high, low]) => fields.mss = u16::from_be_bytes([high, low]),
                    (option_kind::WINDOW_SCALE, &[shift]) => fields.window_scale = shift,
                    _ => {}
                }
            }
            *entry = kind;
            fields.option_count += 1;
        }
        fields
    }

    /// The unscaled window.
    #[must_use]
    pub const fn window(&self) -> u16 {
        self.window
    }

    /// The maximum segment size, bytes; 0 without that option.
    #[must_use]
    pub const fn mss(&self) -> u16 {
        self.mss
    }

    /// The window scale, bits; 0 without that option.
    #[must_use]
    pub const fn window_scale(&self) -> u8 {
        self.window_scale
    }

    /// The kinds of the options in wire order, each byte of padding included.
    #[must_use]
    pub fn options(&self) -> &[u8] {
        self.options.get(..usize::from(self.option_count)).unwrap_or_default()
    }
}
